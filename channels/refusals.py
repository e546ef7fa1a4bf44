"""Calls that were refused at the door, counted by account and code: in memory at once, in the database a little later.

`endpoints` notes each; the channels page reads the sums. A stranger who calls ten thousand times costs one row an hour,
and a count that a crash loses is no loss: the log has each refusal.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.storage.database import Database, insert_of, metadata

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 5.0
KEPT_HOURS = 7 * 24

refusal_table = sa.Table(
    "channel_refusal",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class _Place:
    tenant: TenantId
    channel: str
    account: str
    code: str
    hour: int


class Refusals:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: Counter[_Place] = Counter()
        self._flushing: asyncio.Task[None] | None = None

    def note(self, tenant: TenantId, channel: str, account: str, code: str) -> None:
        """All four are words of ours, never a caller's: their number is bounded."""
        self._noted[_Place(tenant, channel, account, code, _hour(self._clock()))] += 1
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later(), name="channel-refusals")

    async def flush(self) -> None:
        """What was noted in this process stands in the database afterwards. Raises `UpstreamUnavailable`, and keeps it."""
        noted, self._noted = self._noted, Counter()
        if not noted:
            return
        try:
            await self._database.write(lambda connection: _add(connection, noted))
        except errors.UpstreamUnavailable:
            self._noted.update(noted)
            raise

    async def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._flush_or_keep()

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self._flush_or_keep()

    async def _flush_or_keep(self) -> None:
        try:
            await self.flush()
        except errors.UpstreamUnavailable as error:
            log.warning("refused calls could not be counted", code=error.code)


def count(
    connection: sa.Connection, tenant: TenantId, since: datetime
) -> dict[tuple[str, str], dict[str, int]]:
    """By channel and account, then by code; whole hours."""
    column = refusal_table.c
    query = (
        sa.select(column.channel, column.account, column.code, sa.func.sum(column.count))
        .where(column.tenant == tenant, column.hour >= _hour(since))
        .group_by(column.channel, column.account, column.code)
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for channel, account, code, number in connection.execute(query):
        found.setdefault((channel, account), {})[code] = int(number)
    return found


def _add(connection: sa.Connection, noted: Counter[_Place]) -> None:
    insert = insert_of(connection)
    for one, number in noted.items():
        row = insert(refusal_table).values(
            tenant=one.tenant, channel=one.channel, account=one.account, code=one.code, hour=one.hour, count=number
        )  # fmt: skip
        keys = list(refusal_table.primary_key.columns)
        total = refusal_table.c.count + row.excluded["count"]
        connection.execute(row.on_conflict_do_update(index_elements=keys, set_={"count": total}))
    for tenant in {one.tenant for one in noted}:
        oldest = max(one.hour for one in noted) - KEPT_HOURS
        column = refusal_table.c
        connection.execute(sa.delete(refusal_table).where(column.tenant == tenant, column.hour < oldest))


def _hour(moment: datetime) -> int:
    return int(moment.timestamp() // timedelta(hours=1).total_seconds())
