"""The bus of many processes on Postgres: the lane row is the lease, and every moment is the database's.

Built by the wiring when the database is Postgres. A claim locks free lanes past those others are locking, and raises
the fence; whoever settles must still hold that fence. Leases never keep two processes from running one turn (a frozen
one wakes up); the fence keeps the second from committing.

Every operation is safe to repeat, so one whose answer was lost with the connection is simply repeated; a `finish`
that had committed then says False. NOTIFY is a hint between processes: lost, it costs `POLL_SECONDS`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.bus import ledger, payloads, upkeep
from foundation.bus.contract import AcceptWrites, Dead, Depth, Entry, Outcome, Outgoing, Receipt, Turn, Write
from foundation.bus.notify import Hints
from foundation.bus.payloads import Head, Settlement
from foundation.bus.records import DEAD, DONE, OPEN, inbox_table, lane_table, outbox_table
from foundation.bus.schedule import Claim
from foundation.bus.wake import Bell
from foundation.clock import Clock, to_milliseconds, utc_now
from foundation.messages import TenantId
from foundation.security import random_token
from foundation.storage.database import Database

T = TypeVar("T")
log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
REPEATS = 3
CLOCK_SKEW_MILLISECONDS = 5_000

_lane, _inbox, _outbox = lane_table.c, inbox_table.c, outbox_table.c

# statement_timestamp() is STABLE, so comparisons with it can use an index; clock_timestamp() cannot.
_NOW: sa.ColumnElement[int] = sa.cast(
    sa.extract("epoch", sa.func.statement_timestamp()) * 1000, sa.BigInteger
)


class PostgresBus:
    """`clock` is only compared with the database's at `open`: transcripts carry it, leases and timers do not."""

    def __init__(self, database: Database, clock: Clock = utc_now, *, lease_seconds: float = 30.0) -> None:
        self.lease_seconds = lease_seconds
        self._database = database
        self._clock = clock
        self._lease = round(lease_seconds * 1000)
        self._owner = random_token(9)
        self._ledger = ledger.Ledger("postgresql", database.vault, _NOW, self._owner)
        self.bell = Bell()
        self.hints = Hints(database, self._owner, self.bell)

    async def open(self) -> None:
        theirs = await self._write(lambda connection: int(connection.execute(sa.select(_NOW)).scalar_one()))
        skew = to_milliseconds(self._clock()) - theirs
        if abs(skew) > CLOCK_SKEW_MILLISECONDS:
            log.warning("this machine's clock differs from the database's", milliseconds=skew)
        self.hints.open()
        self.bell.ring()

    async def close(self) -> None:
        await self.hints.close()

    async def accept(self, entry: Entry, writes: AcceptWrites | None = None) -> Receipt:
        values = payloads.entry_values(entry)

        def work(connection: sa.Connection) -> Receipt:
            return self._ledger.accept_with(connection, values, writes)

        receipt = await self._write(work)
        if receipt.new:
            self._tell()
        return receipt

    async def take(self, limit: int) -> list[Turn]:
        def work(connection: sa.Connection) -> list[Head]:
            # A claim that a crash of the server forgets is no loss: the lane is simply free.
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
            claims = self._claim(connection, limit)
            return self._ledger.read_heads(connection, claims) if claims else []

        return await payloads.set_aside(self, await self._write(work))

    async def extend(self, turns: Sequence[Turn]) -> set[str]:
        lanes = {turn.entry.lane for turn in turns}
        held = sa.and_(
            _lane.owner == self._owner,
            sa.tuple_(_lane.lane, _lane.fence).in_([(turn.entry.lane, turn.fence) for turn in turns]),
        )
        chosen = (
            sa.select(_lane.lane).where(held).order_by(_lane.lane).with_for_update(key_share=True).cte("held")
        )
        renew = (
            sa.update(lane_table)
            .where(_lane.lane == chosen.c.lane, held)
            .values(lease_until=_NOW + self._lease)
            .returning(_lane.lane)
        )
        if not lanes:
            return set()
        kept = await self._write(lambda connection: set(connection.execute(renew).scalars()))
        return lanes - kept

    async def finish(self, turn: Turn, outcome: Outcome) -> bool:
        return await self._settle(turn, payloads.settlement(turn, outcome, DONE))

    async def bury(self, turn: Turn, error: str, outcome: Outcome = Outcome()) -> bool:  # noqa: B008  # frozen
        return await self._settle(turn, payloads.settlement(turn, outcome, DEAD, error))

    async def retry(self, turn: Turn, delay_seconds: float, error: str) -> bool:
        delay = round(delay_seconds * 1000)
        ready_at = await self._write(lambda connection: self._ledger.postpone(connection, turn, delay, error))
        self._ring_in(delay_seconds)
        return ready_at is not None

    async def release(self, turn: Turn) -> bool:
        released = await self._write(lambda connection: self._ledger.release(connection, turn))
        self._tell()
        return released

    async def take_replies(self, limit: int) -> list[Outgoing]:
        def work(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
            ids = self._claim_replies(connection, limit)
            return self._ledger.read_replies(connection, _outbox.id.in_(ids)) if ids else []

        return [payloads.outgoing(row) for row in await self._write(work)]

    async def sent(self, outgoing: Outgoing, provider_id: str = "", writes: Sequence[Write] = ()) -> None:
        await self._write(
            lambda connection: self._ledger.mark_sent(connection, outgoing, provider_id, writes)
        )
        self.bell.ring()

    async def retry_reply(self, outgoing: Outgoing, delay_seconds: float, error: str) -> None:
        delay = round(delay_seconds * 1000)
        await self._write(lambda connection: self._ledger.postpone_reply(connection, outgoing, delay, error))
        self._ring_in(delay_seconds)

    async def bury_reply(self, outgoing: Outgoing, error: str, entries: Sequence[Entry] = ()) -> None:
        values = [payloads.entry_values(entry, outgoing.trace) for entry in entries]
        await self._write(lambda connection: self._ledger.bury_reply(connection, outgoing, error, values))
        self._tell()

    async def changed(self, timeout_seconds: float) -> None:
        await self.bell.wait(min(timeout_seconds, POLL_SECONDS))

    async def dead(self, tenant: TenantId, *, after: int = 0, limit: int = 50) -> list[Dead]:
        return await self._database.read(
            lambda connection: upkeep.find_dead(connection, tenant, after, limit)
        )

    async def find_dead_reply(self, tenant: TenantId, lane: str, message_id: str) -> int | None:
        return await self._database.read(
            lambda connection: upkeep.find_dead_reply(connection, tenant, lane, message_id)
        )

    async def redrive(self, tenant: TenantId, kind: upkeep.Kind, dead_id: int) -> None:
        redrive = upkeep.redrive_entry if kind == "entry" else upkeep.redrive_reply
        await self._write(lambda connection: redrive(connection, tenant, dead_id, _NOW))
        self._tell()

    async def depth(self) -> Depth:
        return await self._database.read(lambda connection: upkeep.depth(connection, _NOW))

    async def purge(self, *, entries_before: datetime, replies_before: datetime) -> int:
        return await upkeep.purge(self._database, entries_before, replies_before)

    async def _settle(self, turn: Turn, what: Settlement) -> bool:
        settled = await self._write(lambda connection: self._ledger.settle(connection, turn, what))
        self._tell()
        return settled is not None

    def _claim(self, connection: sa.Connection, limit: int) -> dict[str, Claim]:
        """A lease that ran out means that its holder died over the turn, or froze: that counts as an attempt."""
        due = (
            sa.select(_lane.lane, _lane.owner)
            .where(_lane.ready_at <= _NOW, _lane.lease_until <= _NOW)
            .order_by(_lane.ready_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
            .cte("due")
        )
        rows = connection.execute(
            sa.update(lane_table)
            .where(_lane.lane == due.c.lane)
            .values(owner=self._owner, fence=_lane.fence + 1, lease_until=_NOW + self._lease)
            .returning(
                _lane.lane, _lane.fence, _lane.lease_until, _lane.done_seq, due.c.owner.label("former")
            )
        ).all()
        abandoned = [(row.lane, row.done_seq + 1) for row in rows if row.former is not None]
        if abandoned:
            connection.execute(
                sa.update(inbox_table)
                .where(sa.tuple_(_inbox.lane, _inbox.seq).in_(abandoned))
                .values(attempts=_inbox.attempts + 1)
            )
        return {row.lane: Claim(row.lane, row.fence, row.lease_until) for row in rows}

    def _claim_replies(self, connection: sa.Connection, limit: int) -> Sequence[int]:
        earlier = outbox_table.alias("earlier")
        blocked = sa.exists().where(
            earlier.c.lane == _outbox.lane, earlier.c.state == OPEN, earlier.c.id < _outbox.id
        )
        due = (
            sa.select(_outbox.id)
            .where(_outbox.state == OPEN, _outbox.next_at <= _NOW, ~blocked)
            .order_by(_outbox.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = (
            sa.update(outbox_table)
            .where(_outbox.id == due.c.id)
            .values(next_at=_NOW + self._lease)
            .returning(_outbox.id)
        )
        return connection.execute(claim).scalars().all()

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        for repeat in range(REPEATS):
            try:
                return await self._database.write(work)
            except errors.UpstreamUnavailable:
                log.warning("a bus operation is repeated", repeat=repeat + 1)
            await asyncio.sleep(random.uniform(0.02, 0.1) * 2**repeat)  # noqa: S311  # parts processes; no secret
        return await self._database.write(work)

    def _ring_in(self, delay_seconds: float) -> None:
        """So that a short backoff ends on time here; elsewhere, and after a restart, the poll finds it."""
        self.bell.ring()
        asyncio.get_running_loop().call_later(delay_seconds, self.bell.ring)

    def _tell(self) -> None:
        self.bell.ring()
        self.hints.tell()
