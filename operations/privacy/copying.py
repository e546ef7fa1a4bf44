"""A copy of a customer's data, for the staff who hand it out: made with a reason, kept sealed for a week, as JSON, as a page, or
as an archive of both with the files. Each download is in the audit."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NamedTuple, TypeGuard

import sqlalchemy as sa

from channels.media import records as media
from customers.graph.area import Hold
from customers.graph.graph import Graph
from customers.privacy import copies, copy_records, erasure
from customers.privacy.copy_records import Copy
from customers.privacy.erasure import Whom
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault, random_token
from foundation.storage.database import Database
from operations import audit, reasons
from operations.staff import Member

Format = Literal["json", "html", "zip"]
MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json", "html": "text/html; charset=utf-8", "zip": "application/zip",
}  # fmt: skip
LANGUAGES = ("zh", "en")
KEPT = timedelta(days=7)
SHOWN = 50


class Download(NamedTuple):
    content: bytes
    media_type: str
    name: str


class CopyDesk:
    """`render` makes a page of a copy's content, in a language."""

    def __init__(
        self, database: Database, graph: Graph, vault: Vault, *, clock: Clock, render: Callable[[Mapping[str, Any], str], str]
    ) -> None:  # fmt: skip
        self._render = render
        self._database = database
        self._graph = graph
        self._vault = vault
        self._clock = clock

    async def make(self, by: Member, customer: str, *, reason: str, identity: str = "") -> Copy:
        """Of who has proven to be one person, like erasing. Raises `InvalidInput`, `NotFound`."""
        by.require("privacy.export")
        reason = reasons.given(reason)

        def write(connection: sa.Connection) -> Copy:
            now = self._clock()
            whom = self._held(connection, by.tenant, customer, identity)
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

    def _held(self, connection: sa.Connection, tenant: TenantId, customer: str, identity: str) -> Whom:
        """Nobody is erased, merged or split between the look at them and the copy: it would outlive them."""
        whom = erasure.find(connection, self._graph, tenant, customer, identity=identity)
        Hold(tenant).take_those_of(connection, set(whom.identities))
        return erasure.find(connection, self._graph, tenant, customer, identity=identity)

    async def newest(self, by: Member) -> list[Copy]:
        """Those that have not run out."""
        by.require("privacy.export")
        return await self._database.read(
            lambda c: copy_records.newest(c, by.tenant, self._clock(), limit=SHOWN)
        )

    async def find(self, by: Member, copy_id: str) -> Copy:
        by.require("privacy.export")
        return await self._database.read(lambda c: copy_records.get(c, by.tenant, copy_id, self._clock()))

    async def download(
        self, by: Member, copy_id: str, *, format: str = "json", language: str = "zh"
    ) -> Download:
        """Raises `InvalidInput` for a format or language that there is not, `NotFound`."""
        by.require("privacy.export")
        if not _is_format(format) or language not in LANGUAGES:
            raise errors.InvalidInput(
                "A copy is had as json, html or zip, in zh or en.", code="unknown_copy_format"
            )

        def take(connection: sa.Connection) -> str:
            now = self._clock()
            body = copy_records.read_body(connection, by.tenant, copy_id, now)
            audit.write(
                connection, by.tenant, actor=by.id, action="privacy.copy_read", subject=copy_id, now=now,
                detail={"format": format},
            )  # fmt: skip
            return body

        body = await self._database.write(take)
        content = body.encode() if format == "json" else await self._made(by.tenant, body, format, language)
        return Download(content, MEDIA_TYPES[format], f"{copy_id}.{format}")

    async def _made(self, tenant: TenantId, body: str, format: Format, language: str) -> bytes:
        found = json.loads(body)
        if format == "html":
            return (await asyncio.to_thread(self._render, found, language)).encode()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.json", body)
            for spoken in LANGUAGES:
                page = await asyncio.to_thread(self._render, found, spoken)
                archive.writestr(f"copy.{spoken}.html", page)
            for number, row in enumerate(found["data"]["media"], start=1):
                name = f"files/{number:03d}-{row['name']}"
                await self._pack(archive, name, partial(media.read_sealed, tenant=tenant, media_id=row["id"]))
        return packed.getvalue()

    async def _pack(
        self, archive: zipfile.ZipFile, name: str, read: Callable[[sa.Connection], bytes]
    ) -> None:
        """One file at a time, off the loop: they are large."""
        try:
            sealed = await self._database.read(read)
        except errors.NotFound:  # taken away since the copy was made
            return
        await asyncio.to_thread(lambda: archive.writestr(name, self._vault.unseal_bytes(sealed)))


def _is_format(text: str) -> TypeGuard[Format]:
    return text in MEDIA_TYPES
