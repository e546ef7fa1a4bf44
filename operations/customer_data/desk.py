"""What staff do with imports of customers: bring a table, look at what it would do, map its columns, start it, see it through.

The console's page, the staff's routes and through them `huiliu customers import` use it. Until it is started nothing but the
sealed file is kept and no customer is touched; after that `job.py` takes it in, in this process or another.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa

from customers.cleaning.collection import Collection
from customers.importing import columns, files
from customers.importing.files import Sheet
from customers.importing.rows import Reader
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.customer_data import forecast, records
from operations.customer_data.records import Import, Progress
from operations.staff import Member, Permission

PERMISSION: Permission = "customers.edit"
LARGEST = 20_000_000
"""Bytes of a file unless the setting says otherwise."""
LISTED = 50
SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Whole:
    """An import with how far it has come."""

    one: Import
    progress: Progress


class ImportDesk:
    """`largest`: bytes of a file."""

    def __init__(
        self, database: Database, collection: Collection, clock: Clock, *, largest: int = LARGEST
    ) -> None:
        self._database = database
        self._collection = collection
        self._clock = clock
        self._vault = collection.profiles.vault
        self.largest = largest

    async def bring(self, member: Member, name: str, content: bytes, *, source: str = "import") -> Import:
        """Reads the table, guesses what its columns are, and says what starting it would do. Raises `InvalidInput`."""
        member.require(PERMISSION)
        if len(content) > self.largest:
            raise errors.InvalidInput(
                f"The file is larger than {self.largest} bytes; cut it in two.", code="too_large"
            )
        if not SOURCE.fullmatch(source):
            raise errors.InvalidInput(
                "The source is a name of small letters, digits, _ and -, at most 40.", code="bad_source"
            )
        now = self._clock()
        sheet = await asyncio.to_thread(files.read, content)
        targets = columns.guess(sheet)
        told = {
            "encoding": sheet.encoding, "delimiter": sheet.delimiter, "header": list(sheet.header),
            "samples": forecast.samples(sheet), "rows": len(sheet.rows),
        }  # fmt: skip
        made = Import(
            tenant=member.tenant, id=f"im_{secrets.token_hex(8)}", name=_file_name(name), source=source, state="ready",
            size=len(content), sheet=told, targets=targets, start_key="", attempts=0, created_by=member.id,
            preview=await self._preview(member.tenant, sheet, targets, now), created_at=now, started_at=None, ended_at=None,
        )  # fmt: skip
        sealed = await asyncio.to_thread(self._vault.seal_bytes, content)

        def write(connection: sa.Connection) -> None:
            records.add(connection, made, sealed)
            self._audit(connection, member, "import.brought", made.id, {"rows": len(sheet.rows)})

        await self._database.write(write)
        return made

    async def remap(self, member: Member, import_id: str, targets: Sequence[str]) -> Import:
        """Says anew what each column is, and what that would do. Raises `InvalidInput`, `NotFound`, `Conflict`."""
        member.require(PERMISSION)
        found = await self.get(member.tenant, import_id)
        if found.state != "ready":
            raise _begun()
        chosen = columns.check(len(found.sheet["header"]), targets)
        sheet = await self.sheet(member.tenant, import_id)
        preview = await self._preview(member.tenant, sheet, chosen, self._clock())

        def write(connection: sa.Connection) -> None:
            if not records.remap(connection, member.tenant, import_id, chosen, preview):
                raise _begun()
            self._audit(connection, member, "import.mapped", import_id, {"targets": list(chosen)})

        await self._database.write(write)
        return replace(found, targets=chosen, preview=preview)

    async def start(self, member: Member, import_id: str, *, key: str) -> Import:
        """Once: with the same `key` again it answers what it answered, with another it is a `Conflict`."""
        member.require(PERMISSION)
        if not _KEY.fullmatch(key):
            raise errors.InvalidInput(
                "Send an Idempotency-Key of 1 to 200 printable characters, so that a repeated start is one start.",
                code="idempotency_key",
            )
        found = await self.get(member.tenant, import_id)
        if found.state == "ready":
            columns.check(len(found.sheet["header"]), found.targets)
        now = self._clock()

        def write(connection: sa.Connection) -> Import:
            moment = to_milliseconds(now)
            if records.change(
                connection, member.tenant, import_id, only=["ready"], state="queued", start_key=key, started_at=moment
            ):  # fmt: skip
                self._audit(connection, member, "import.started", import_id, {"rows": found.sheet["rows"]})
            one = records.get(connection, member.tenant, import_id)
            if one.start_key != key:
                raise _begun()
            return one

        return await self._database.write(write)

    async def retry(self, member: Member, import_id: str) -> int:
        """Batches that were set aside are tried again; how many. Raises `NotFound`, `Conflict` when there is none."""
        member.require(PERMISSION)

        def write(connection: sa.Connection) -> int:
            records.get(connection, member.tenant, import_id)
            count = records.reopen(connection, member.tenant, import_id)
            again = records.change(
                connection, member.tenant, import_id, only=["failed"], state="queued", attempts=0, claimed_until=0,
                ended_at=None,
            )  # fmt: skip
            if not count and not again:
                raise errors.Conflict("No batch of this import waits for you.", code="nothing_aside")
            records.change(
                connection, member.tenant, import_id, only=["partly"], state="running", ended_at=None
            )
            self._audit(connection, member, "import.retried", import_id, {"batches": count})
            return count

        return await self._database.write(write)

    async def discard(self, member: Member, import_id: str) -> None:
        """One that was not started. Raises `NotFound`, `Conflict`."""
        member.require(PERMISSION)

        def write(connection: sa.Connection) -> None:
            records.get(connection, member.tenant, import_id)
            if not records.remove(connection, member.tenant, import_id):
                raise _begun()
            self._audit(connection, member, "import.discarded", import_id, {})

        await self._database.write(write)

    async def get(self, tenant: TenantId, import_id: str) -> Import:
        """Raises `NotFound`."""
        return await self._database.read(lambda c: records.get(c, tenant, import_id))

    async def whole(self, tenant: TenantId, import_id: str) -> Whole:
        """Raises `NotFound`."""

        def read(connection: sa.Connection) -> Whole:
            found = records.get(connection, tenant, import_id)
            return Whole(found, records.progress(connection, tenant, import_id))

        return await self._database.read(read)

    async def newest(self, tenant: TenantId) -> list[Whole]:
        def read(connection: sa.Connection) -> list[Whole]:
            return [
                Whole(one, records.progress(connection, tenant, one.id))
                for one in records.read_newest(connection, tenant, limit=LISTED)
            ]

        return await self._database.read(read)

    async def left_out(self, tenant: TenantId, import_id: str) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Rows that stayed out, with their cells and reasons: before the start by the file, afterwards as they were kept."""
        found = await self.get(tenant, import_id)
        if found.state in ("ready", "queued"):
            sheet = await self.sheet(tenant, import_id)
            for number, body in await asyncio.to_thread(
                self.broken_rows, tenant, sheet, found.targets, found.started_at or self._clock()
            ):
                yield number, body
            return
        after = 0
        while some := await self._database.read(
            partial(records.read_left_out, tenant=tenant, import_id=import_id, after=after)
        ):
            for number, body in some:
                yield number, body
            after = some[-1][0]

    async def sheet(self, tenant: TenantId, import_id: str) -> Sheet:
        """Of an import that is not taken in yet. Raises `NotFound`."""
        sealed = await self._database.read(lambda c: records.content_of(c, tenant, import_id))
        return await asyncio.to_thread(lambda: files.read(self._vault.unseal_bytes(sealed)))

    def broken_rows(
        self, tenant: TenantId, sheet: Sheet, targets: Sequence[str], now: datetime
    ) -> list[tuple[int, dict[str, Any]]]:
        rows = forecast.sort(sheet, self.reader(tenant, sheet, targets, now))
        return [
            (row.number, {"cells": list(row.cells), "problems": forecast.problems_of(row, draft)})
            for row, draft in rows.broken
        ]

    def reader(self, tenant: TenantId, sheet: Sheet, targets: Sequence[str], now: datetime) -> Reader:
        def digest(kind: str, value: str) -> str:
            return self._vault.lookup_key("imported", tenant, kind, value)

        return Reader(sheet.header, targets, now, digest)

    async def _preview(
        self, tenant: TenantId, sheet: Sheet, targets: Sequence[str], now: datetime
    ) -> dict[str, object]:
        """Empty while the mapping says too little, with the reason."""
        try:
            columns.check(len(sheet.header), targets)
        except errors.InvalidInput as error:
            return {"problem": error.code, "message": error.public_text}
        rows = await asyncio.to_thread(forecast.sort, sheet, self.reader(tenant, sheet, targets, now))
        return await self._database.read(lambda c: forecast.preview(c, self._collection, tenant, rows))

    def _audit(
        self, connection: sa.Connection, member: Member, action: str, subject: str, detail: dict[str, Any]
    ) -> None:
        audit.write(
            connection, member.tenant, actor=member.id, action=action, subject=subject, now=self._clock(), detail=detail
        )  # fmt: skip


def _begun() -> errors.Conflict:
    return errors.Conflict("This import was started already; bring the file again.", code="import_begun")


def _file_name(name: str) -> str:
    """Only the last part of a path, of whatever system."""
    return PurePath(name.replace("\\", "/")).name.strip()[:200] or "customers.csv"
