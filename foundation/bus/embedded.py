"""The bus of one process on SQLite: SQL through the group writer, the order of lanes in memory.

Built by the wiring for the embedded database. Memory holds names of lanes with open work, never payloads: those are
read when a lane is claimed. The schedule learns of a change only after its commit, so a crash at any point leaves the
database as the truth, and `open` rebuilds the schedule from it.

The surprise: what a caller asked for goes on when the caller stops waiting (a webhook whose client hung up), because
memory must follow every commit.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from foundation.bus import ledger, payloads, upkeep
from foundation.bus.contract import AcceptWrites, Dead, Depth, Entry, Outcome, Outgoing, Receipt, Turn, Write
from foundation.bus.payloads import Settlement
from foundation.bus.records import DEAD, DONE, OPEN, lane_table, outbox_table
from foundation.bus.schedule import Claim, Schedule
from foundation.bus.wake import Bell
from foundation.clock import Clock, to_milliseconds, utc_now
from foundation.messages import TenantId
from foundation.storage.database import Database

T = TypeVar("T")

_FENCES_OF_AN_OPENING = 1 << 31
"""Each opening counts from a random multiple of it, so a turn from before a crash never holds a fence of today."""


class EmbeddedBus:
    def __init__(self, database: Database, clock: Clock = utc_now, *, lease_seconds: float = 30.0) -> None:
        self.lease_seconds = lease_seconds
        self._database = database
        self._clock = clock
        moment = sa.bindparam(None, callable_=self._now, type_=sa.BigInteger, unique=True)
        self._ledger = ledger.Ledger("sqlite", database.vault, moment)
        self._bell = Bell()
        self._running: set[asyncio.Task[Any]] = set()
        self._entries, self._replies = self._empty_schedule(), self._empty_schedule()

    async def open(self) -> None:
        lanes, replies = await self._database.read(_open_work)
        self._entries, self._replies = self._empty_schedule(), self._empty_schedule()
        now = self._now()
        for lane, ready_at in lanes:
            self._entries.add(lane, ready_at, now)
        for lane, next_at in replies:
            self._replies.add(lane, next_at, now)
        self._bell.ring()

    async def close(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)

    async def accept(self, entry: Entry, writes: AcceptWrites | None = None) -> Receipt:
        values = payloads.entry_values(entry)

        def work(connection: sa.Connection) -> Receipt:
            return self._ledger.accept_with(connection, values, writes)

        return await self._whole(self._accept(entry.lane, work))

    async def take(self, limit: int) -> list[Turn]:
        claims = {claim.lane: claim for claim in self._entries.claim(limit, self._now())}
        heads = await self._read_claimed(
            self._entries, claims, lambda connection: self._ledger.read_heads(connection, claims)
        )
        found = {head.turn.entry.lane for head in heads}
        for lane in claims.keys() - found:
            self._entries.release(lane, claims[lane].fence, None, self._now())
        return await payloads.set_aside(self, heads)

    async def extend(self, turns: Sequence[Turn]) -> set[str]:
        now = self._now()
        return {
            turn.entry.lane for turn in turns if not self._entries.extend(turn.entry.lane, turn.fence, now)
        }

    async def finish(self, turn: Turn, outcome: Outcome) -> bool:
        return await self._whole(self._settle(turn, payloads.settlement(turn, outcome, DONE)))

    async def bury(self, turn: Turn, error: str, outcome: Outcome = Outcome()) -> bool:  # noqa: B008  # frozen
        return await self._whole(self._settle(turn, payloads.settlement(turn, outcome, DEAD, error)))

    async def retry(self, turn: Turn, delay_seconds: float, error: str) -> bool:
        return await self._whole(self._postpone(turn, round(delay_seconds * 1000), error))

    async def release(self, turn: Turn) -> bool:
        mine = self._entries.begin_commit(turn.entry.lane, turn.fence)
        self._entries.release(turn.entry.lane, turn.fence, self._now(), self._now())
        self._bell.ring()
        return mine

    async def take_replies(self, limit: int) -> list[Outgoing]:
        claims = {claim.lane: claim for claim in self._replies.claim(limit, self._now())}
        rows = await self._read_claimed(
            self._replies,
            claims,
            lambda connection: self._ledger.read_replies(connection, ledger.earliest_open(list(claims))),
        )
        for lane in claims.keys() - {row.lane for row in rows}:
            self._replies.release(lane, claims[lane].fence, None, self._now())
        return [payloads.outgoing(row, claims[row.lane].fence) for row in rows]

    async def sent(self, outgoing: Outgoing, provider_id: str = "", writes: Sequence[Write] = ()) -> None:
        await self._whole(
            self._settle_reply(
                outgoing, lambda connection: self._ledger.mark_sent(connection, outgoing, provider_id, writes)
            )
        )

    async def retry_reply(self, outgoing: Outgoing, delay_seconds: float, error: str) -> None:
        delay = round(delay_seconds * 1000)
        await self._whole(
            self._settle_reply(
                outgoing, lambda connection: self._ledger.postpone_reply(connection, outgoing, delay, error)
            )
        )

    async def bury_reply(self, outgoing: Outgoing, error: str, entries: Sequence[Entry] = ()) -> None:
        values = [payloads.entry_values(entry, outgoing.trace) for entry in entries]
        await self._whole(
            self._settle_reply(
                outgoing, lambda connection: self._ledger.bury_reply(connection, outgoing, error, values)
            )
        )

    async def changed(self, timeout_seconds: float) -> None:
        now = self._now()
        if self._entries.ripen(now) or self._replies.ripen(now):
            return
        upcoming = [at for at in (self._entries.next_at(), self._replies.next_at()) if at is not None]
        until_next = min(((at - now) / 1000 for at in upcoming), default=timeout_seconds)
        await self._bell.wait(min(timeout_seconds, until_next))

    async def dead(self, tenant: TenantId, *, after: int = 0, limit: int = 50) -> list[Dead]:
        return await self._database.read(
            lambda connection: upkeep.find_dead(connection, tenant, after, limit)
        )

    async def find_dead_reply(self, tenant: TenantId, lane: str, message_id: str) -> int | None:
        return await self._database.read(
            lambda connection: upkeep.find_dead_reply(connection, tenant, lane, message_id)
        )

    async def redrive(self, tenant: TenantId, kind: upkeep.Kind, dead_id: int) -> None:
        await self._whole(self._redrive(tenant, kind, dead_id))

    async def depth(self) -> Depth:
        running, now = self._entries.held, self._ledger.now
        return await self._database.read(lambda connection: upkeep.depth(connection, now, running))

    async def purge(self, *, entries_before: datetime, replies_before: datetime) -> int:
        return await upkeep.purge(self._database, entries_before, replies_before)

    async def _accept(self, lane: str, work: Callable[[sa.Connection], Receipt]) -> Receipt:
        receipt = await self._database.write(work)
        if receipt.new:
            self._add_entries([lane])
        return receipt

    async def _settle(self, turn: Turn, what: Settlement) -> bool:
        lane = turn.entry.lane
        if not self._entries.begin_commit(lane, turn.fence):
            return False
        try:
            settled = await self._database.write(
                lambda connection: self._ledger.settle(connection, turn, what)
            )
        finally:
            self._entries.abort_commit(lane, turn.fence)
        now = self._now()
        if settled is None:  # another claim of this lane settled it; look again at what the lane holds now
            self._entries.release(lane, turn.fence, now, now)
            self._bell.ring()
            return False
        self._entries.release(lane, turn.fence, settled.ready_at, now)
        self._add_entries(settled.accepted)
        if what.replies:
            self._replies.add(lane, now, now)
        self._bell.ring()
        return True

    async def _postpone(self, turn: Turn, delay: int, error: str) -> bool:
        lane = turn.entry.lane
        if not self._entries.begin_commit(lane, turn.fence):
            return False
        try:
            ready_at = await self._database.write(
                lambda connection: self._ledger.postpone(connection, turn, delay, error)
            )
        finally:
            self._entries.abort_commit(lane, turn.fence)
        now = self._now()
        self._entries.release(lane, turn.fence, now if ready_at is None else ready_at, now)
        self._bell.ring()
        return ready_at is not None

    async def _settle_reply(
        self, reply: Outgoing, change: Callable[[sa.Connection], list[str] | None]
    ) -> None:
        def work(connection: sa.Connection) -> tuple[list[str], int | None]:
            accepted = change(connection) or []
            return accepted, self._ledger.next_reply_at(connection, reply.lane)

        self._replies.begin_commit(reply.lane, reply.fence)
        try:
            accepted, next_at = await self._database.write(work)
        finally:
            self._replies.abort_commit(reply.lane, reply.fence)
        self._replies.release(reply.lane, reply.fence, next_at, self._now())
        self._add_entries(accepted)
        self._bell.ring()

    async def _redrive(self, tenant: TenantId, kind: upkeep.Kind, dead_id: int) -> None:
        redrive = upkeep.redrive_entry if kind == "entry" else upkeep.redrive_reply
        found = await self._database.write(
            lambda connection: redrive(connection, tenant, dead_id, self._ledger.now)
        )
        schedule = self._entries if kind == "entry" else self._replies
        schedule.add(found.lane, found.ready_at, self._now())
        self._bell.ring()

    def _add_entries(self, lanes: Sequence[str]) -> None:
        now = self._now()
        for lane in lanes:
            self._entries.add(lane, now, now)
        if lanes:
            self._bell.ring()

    async def _read_claimed(
        self, schedule: Schedule, claims: dict[str, Claim], read: Callable[[sa.Connection], Sequence[T]]
    ) -> Sequence[T]:
        """Whatever stops the reading, the lanes are free again afterwards."""
        if not claims:
            return []
        rows = None
        try:
            rows = await self._database.read(read)
        finally:
            if rows is None:
                for claim in claims.values():
                    schedule.release(claim.lane, claim.fence, self._now(), self._now())
        return rows

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs to its end even when the caller is cancelled."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left to ask

    def _empty_schedule(self) -> Schedule:
        fences = itertools.count(secrets.randbits(31) * _FENCES_OF_AN_OPENING + 1)
        return Schedule(fences, round(self.lease_seconds * 1000))

    def _now(self) -> int:
        return to_milliseconds(self._clock())


def _open_work(connection: sa.Connection) -> tuple[Sequence[Any], Sequence[Any]]:
    """Lanes with entries and lanes with replies, each with the moment its first one may go; oldest first."""
    lane, outbox = lane_table.c, outbox_table.c
    lanes = connection.execute(
        sa.select(lane.lane, lane.ready_at).where(lane.ready_at.is_not(None)).order_by(lane.ready_at)
    ).all()
    first = sa.select(sa.func.min(outbox.id)).where(outbox.state == OPEN).group_by(outbox.lane)
    replies = connection.execute(
        sa.select(outbox.lane, outbox.next_at).where(outbox.id.in_(first)).order_by(outbox.id)
    ).all()
    return lanes, replies
