"""A copy of a customer's data, for the staff who hand it out: made with a reason, kept sealed for a week, as JSON, as a page, or
as an archive of both with the files. Each download is in the audit."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jinja2
import sqlalchemy as sa

from channels.media import records as media
from customers.graph.graph import Graph
from customers.privacy import copies, copy_records, erasure
from customers.privacy.copy_records import Copy
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault, random_token
from foundation.storage.database import Database
from operations import audit
from operations.staff import Member

Format = Literal["json", "html", "zip"]
MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json", "html": "text/html; charset=utf-8", "zip": "application/zip",
}  # fmt: skip
LANGUAGES = ("zh", "en")
KEPT = timedelta(days=7)
REASON_LENGTH = 300
SHOWN = 50


class Download(NamedTuple):
    content: bytes
    media_type: str
    name: str


class CopyDesk:
    def __init__(self, database: Database, graph: Graph, vault: Vault, *, clock: Clock) -> None:
        self._database = database
        self._graph = graph
        self._vault = vault
        self._clock = clock

    async def make(self, by: Member, customer: str, *, reason: str, identity: str = "") -> Copy:
        """Of who has proven to be one person, like erasing. Raises `InvalidInput`, `NotFound`."""
        by.require("privacy.export")
        reason = reason.strip()
        if not reason or len(reason) > REASON_LENGTH:
            raise errors.InvalidInput(
                f"Give a reason, of at most {REASON_LENGTH} characters.", code="reason_missing"
            )

        def write(connection: sa.Connection) -> Copy:
            now = self._clock()
            copy_records.drop_old(connection, by.tenant, now)
            whom = erasure.find(connection, self._graph, by.tenant, customer, identity=identity)
            found = copies.collect(connection, whom, now)
            counts = {table: len(rows) for table, rows in found["data"].items() if rows}
            made = Copy(f"cop_{random_token(12)}", whom.own[0].id, by.id, reason, counts, now, now + KEPT)
            copy_records.add(connection, by.tenant, made, json.dumps(found, ensure_ascii=False))
            detail = {"identity": whom.own[0].id, "reason": reason}
            audit.write(
                connection, by.tenant, actor=by.id, action="privacy.copy_made", subject=made.id, now=now, detail=detail,
            )  # fmt: skip
            return made

        return await self._database.write(write)

    async def newest(self, by: Member) -> list[Copy]:
        """Those that have not run out."""
        by.require("privacy.export")
        return await self._database.read(
            lambda c: copy_records.newest(c, by.tenant, self._clock(), limit=SHOWN)
        )

    async def find(self, by: Member, copy_id: str) -> Copy:
        by.require("privacy.export")
        copy, _ = await self._database.read(lambda c: copy_records.get(c, by.tenant, copy_id, self._clock()))
        return copy

    async def download(
        self, by: Member, copy_id: str, *, format: str = "json", language: str = "zh"
    ) -> Download:
        """Raises `InvalidInput` for a format or language that there is not, `NotFound`."""
        by.require("privacy.export")
        if format not in get_args(Format) or language not in LANGUAGES:
            raise errors.InvalidInput(
                "A copy is had as json, html or zip, in zh or en.", code="unknown_copy_format"
            )

        def take(connection: sa.Connection) -> str:
            now = self._clock()
            _, body = copy_records.get(connection, by.tenant, copy_id, now)
            audit.write(
                connection, by.tenant, actor=by.id, action="privacy.copy_read", subject=copy_id, now=now,
                detail={"format": format},
            )  # fmt: skip
            return body

        body = await self._database.write(take)
        name = f"{copy_id}.{format}"
        if format == "json":
            return Download(body.encode(), MEDIA_TYPES["json"], name)
        found = json.loads(body)
        if format == "html":
            page = await asyncio.to_thread(render, found, language)
            return Download(page.encode(), MEDIA_TYPES["html"], name)
        files = await self._read_files(by.tenant, found["data"]["media"])
        return Download(await asyncio.to_thread(_pack, found, body, files), MEDIA_TYPES["zip"], name)

    async def _read_files(
        self, tenant: TenantId, rows: Sequence[Mapping[str, Any]]
    ) -> list[tuple[str, bytes]]:
        """By name in the archive. One at a time: they are large."""
        found = []
        for number, row in enumerate(rows, start=1):
            try:
                sealed = await self._database.read(lambda c, i=row["id"]: media.read_sealed(c, tenant, i))  # type: ignore[misc]
            except errors.NotFound:  # taken away since the copy was made
                continue
            content = await asyncio.to_thread(self._vault.unseal_bytes, sealed)
            found.append((f"files/{number:03d}-{row['name']}", content))
        return found


def render(found: Mapping[str, Any], language: str) -> str:
    """The copy as one page that needs nothing else."""
    plan = copies.plan()
    return _page().render(
        copy=found, language=language, parts=[one for one in plan.given if found["data"][one.table]],
        left_out=sorted({words[language] for words in plan.left_out.values()}), values=plan.values,
    )  # fmt: skip


@functools.cache
def _page() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("copy.html")


def _pack(found: Mapping[str, Any], body: str, files: Sequence[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", body)
        for language in LANGUAGES:
            archive.writestr(f"copy.{language}.html", render(found, language))
        for name, content in files:
            archive.writestr(name, content)
    return packed.getvalue()
