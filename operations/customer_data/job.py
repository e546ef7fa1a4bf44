"""Takes imports in: first the table is cut into batches, then batch by batch is stored, each in one transaction.

`service` calls `run` every second in processes that do turns. Whoever is killed leaves whole batches behind: what a batch says
and that it is done are one commit, so the next process goes on where this one stopped and takes nothing twice. A batch that
fails is tried again later, after all others; one that always fails is set aside with its rows and named.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from customers.cleaning.collection import Collection
from customers.cleaning.pipeline import Counts
from customers.importing.files import Sheet
from customers.importing.rows import Draft, Problem
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations.customer_data import forecast, records
from operations.customer_data.desk import ImportDesk
from operations.customer_data.forecast import Sorted
from operations.customer_data.records import Batch, Import

BATCH = 100
"""Rows of one transaction: some tenths of a second, so that customers who write meanwhile hardly wait."""
LEASE = timedelta(seconds=60)
"""After it whoever has a batch is taken for dead; the one who is only slow finds it done."""
ATTEMPTS = 3
PAUSE = timedelta(seconds=5)
KEPT = timedelta(days=7)
"""Rows that stayed out, batches set aside, and files that nobody started."""
_DROP_EVERY = timedelta(hours=1)
_FAULTS = (errors.ServiceError, sa.exc.SQLAlchemyError, ValueError, TypeError, LookupError, ArithmeticError)
"""What a row can do to the code that stores it; anything else ends the process, and counts as an attempt as well."""

log = structlog.get_logger(__name__)

Store = Callable[[sa.Connection, TenantId, Sequence[Any]], Any]


class ImportJob:
    def __init__(self, database: Database, collection: Collection, desk: ImportDesk, *, clock: Clock) -> None:
        self._database = database
        self._collection = collection
        self._desk = desk
        self._clock = clock
        self._dropped: dict[TenantId, datetime] = {}

    async def run(self, tenant: TenantId) -> int:
        """All that there is to do now; how many steps that were."""
        steps = 0
        while await self._cut(tenant) or await self._store_next(tenant):
            steps += 1
        await self._drop_old(tenant)
        return steps

    async def _cut(self, tenant: TenantId) -> bool:
        now = self._clock()
        found = await self._database.read(lambda c: records.find_queued(c, tenant, now))
        if found is None:
            return False
        ended = found.attempts >= ATTEMPTS
        claimed = await self._database.write(
            lambda c: records.change(
                c, tenant, found.id, only=["queued"], attempts=found.attempts + 1,
                claimed_until=to_milliseconds(now + LEASE),
                **({"state": "failed", "ended_at": to_milliseconds(now)} if ended else {}),
            )
        )  # fmt: skip
        if ended or not claimed:
            return True
        assert found.started_at is not None, "whatever is queued was started"
        try:
            sheet = await self._desk.sheet(tenant, found.id)
            reader = self._desk.reader(tenant, sheet, found.targets, found.started_at)
            rows = await asyncio.to_thread(forecast.sort, sheet, reader)
            await self._database.write(lambda c: self._keep_batches(c, found, sheet, rows))
        except _FAULTS as error:
            log.warning("an import could not be cut", import_id=found.id, error=type(error).__name__)
        return True

    def _keep_batches(self, connection: sa.Connection, found: Import, sheet: Sheet, rows: Sorted) -> None:
        """The file goes in the transaction in which its rows come."""
        tenant, started = found.tenant, found.started_at or self._clock()
        if not records.change(
            connection, tenant, found.id, only=["queued"], state="running", content=None
        ):  # somebody else was quicker
            return
        for number, start in enumerate(range(0, len(rows.good), BATCH), 1):
            some = rows.good[start : start + BATCH]
            batch = Batch(found.id, number, "waiting", 0, "", some[0].number, some[-1].number, len(some))
            records.add_batch(connection, tenant, batch, [one.as_row(started) for one in some])
        records.leave_out(
            connection, tenant, found.id,
            [
                (
                    row.number, self._owner(tenant, draft),
                    {"cells": list(row.cells), "problems": forecast.problems_of(row, draft)},
                )
                for row, draft in rows.broken
            ],
        )  # fmt: skip
        counts: Counts = Counter(rows.counts)
        counts[("rows", "received")] += len(rows.broken) + rows.repeats
        counts[("rows", "rejected")] += len(rows.broken)
        counts[("rows", "duplicate")] += rows.repeats
        self._collection.count(connection, tenant, found.source, {k: n for k, n in counts.items() if n})
        self._end_if_done(connection, tenant, found.id)

    async def _store_next(self, tenant: TenantId) -> bool:
        now = self._clock()
        batch = await self._database.read(lambda c: records.find_open(c, tenant, now))
        if batch is None:
            return False
        if batch.attempts >= ATTEMPTS:
            await self._put_off(tenant, batch, batch.error or "interrupted", final=True)
            return True
        if not await self._database.write(
            lambda c: records.claim(c, tenant, batch, now=now, until=now + LEASE)
        ):
            return True
        try:
            await self._database.write(lambda c: self._store(c, tenant, batch))
        except _FAULTS as error:
            code = error.code if isinstance(error, errors.ServiceError) else type(error).__name__
            final = batch.attempts + 1 >= ATTEMPTS and not errors.is_temporary(error)
            log.warning(
                "a batch was not imported", import_id=batch.import_id, batch=batch.number, error=code, final=final
            )  # fmt: skip
            await self._put_off(tenant, batch, code, final=final)
        return True

    def _store(self, connection: sa.Connection, tenant: TenantId, batch: Batch) -> None:
        rows = records.take(connection, tenant, batch)
        if rows is None:
            return
        found = records.get(connection, tenant, batch.import_id)
        drafts = [_draft(row) for row in rows]
        stands = forecast.standing(connection, self._collection, tenant, drafts)
        results = self._collection.state_customers(connection, tenant, rows, source=found.source, whole=True)
        refused = [
            (drafts[one.index], one.reason) for one in results if one.status not in ("accepted", "duplicate")
        ]
        out = {one.index for one in results if one.status not in ("accepted", "duplicate")}
        records.leave_out(
            connection, tenant, batch.import_id,
            [
                (draft.number, self._owner(tenant, draft), _left_out(found, draft, reason))
                for draft, reason in refused
            ],
        )  # fmt: skip
        new, same = stands.new - out, stands.unchanged - out
        records.settle(
            connection, tenant, batch, added=len(new), unchanged=len(same),
            updated=len(rows) - len(out) - len(new) - len(same),
        )  # fmt: skip
        self._end_if_done(connection, tenant, batch.import_id)

    def _owner(self, tenant: TenantId, draft: Draft) -> str:
        """ "" when the row names nobody."""
        return self._collection.identity_id(tenant, draft.namespace, draft.value) if draft.namespace else ""

    async def _put_off(self, tenant: TenantId, batch: Batch, code: str, *, final: bool) -> None:
        until = self._clock() + PAUSE

        def write(connection: sa.Connection) -> None:
            records.put_off(connection, tenant, batch, error=code, until=until, final=final)
            if final:
                self._end_if_done(connection, tenant, batch.import_id)

        await self._database.write(write)

    def _end_if_done(self, connection: sa.Connection, tenant: TenantId, import_id: str) -> None:
        records.hold(
            connection, tenant, import_id
        )  # or two who settle the last two at once both leave it open
        if records.count_waiting(connection, tenant, import_id):
            return
        aside = records.progress(connection, tenant, import_id).aside
        records.change(
            connection, tenant, import_id, only=["running"], state="partly" if aside else "done",
            ended_at=to_milliseconds(self._clock()),
        )  # fmt: skip

    async def _drop_old(self, tenant: TenantId) -> None:
        now = self._clock()
        if now - self._dropped.get(tenant, now - _DROP_EVERY) < _DROP_EVERY:
            return
        self._dropped[tenant] = now
        await self._database.write(lambda c: records.drop_old(c, tenant, before=now - KEPT))


def _draft(row: dict[str, Any]) -> Draft:
    identity = row["identity"]
    return Draft(
        int(row["id"]), identity["namespace"], identity["value"], dict(row["facts"]),
        datetime.fromisoformat(row["observed_at"]),
    )  # fmt: skip


def _left_out(found: Import, draft: Draft, reason: str) -> dict[str, Any]:
    """Of somebody who was erased only the number of the row: whoever brought the file has the rest."""
    problem = Problem("", reason.partition(":")[0] or "not_taken")
    told = dict(draft.facts) | {draft.namespace: draft.value}
    return {
        "cells": [] if problem.code == "erased" else [told.get(target, "") for target in found.targets],
        "problems": [
            {
                "row": draft.number, "column": "", "code": problem.code,
                "zh": problem.sentence("zh"), "en": problem.sentence("en"),
            }
        ],
    }  # fmt: skip
