"""Either bus on a fresh database, with time that tests move and crashes that tests cause."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from foundation.bus.contract import Bus, Entry, Outcome, Outgoing, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.bus.records import OPEN, lane_table, outbox_table
from foundation.clock import Clock, utc_now
from foundation.events import ConversationReturned, Event
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import start_from_template

VAULT = Vault(b"0123456789abcdef0123456789abcdef")
DEMO = TenantId("demo")


test_metadata = sa.MetaData()
"""Apart from the product's, whose tables are compared with the revisions."""

note_table = sa.Table(
    "bus_test_note", test_metadata, sa.Column("tenant", sa.Text), sa.Column("text", sa.Text, primary_key=True)
)


class TickingClock:
    """The real time, which tests may push forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self._ahead

    def move(self, **delta: float) -> None:
        self._ahead += timedelta(**delta)


class Machine:
    """`bus` is the current one; `crash` replaces it by one that knows only what the database knows."""

    def __init__(self, database: Database, clock: Any, lease_seconds: float) -> None:
        self.database = database
        self.embedded = database.dialect == "sqlite"
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._opened: list[Bus] = []
        self.bus: Bus

    async def replica(self) -> Bus:
        bus = make_bus(self.database, self._clock, self._lease_seconds)
        await bus.open()
        self._opened.append(bus)
        return bus

    async def crash(self) -> Bus:
        """Leases of the lost bus have run out when this returns."""
        self.bus = await self.replica()
        if not self.embedded:
            await self.advance(self.bus.lease_seconds + 1)
        return self.bus

    async def advance(self, seconds: float) -> None:
        """Our clock moves; on Postgres, whose clock cannot be moved, every stored moment moves back instead."""
        self._clock.move(seconds=seconds)
        if self.embedded:
            return
        delta = round(seconds * 1000)
        lane, outbox = lane_table.c, outbox_table.c
        await self.database.write(
            lambda connection: connection.execute(
                sa.update(lane_table).values(
                    ready_at=lane.ready_at - delta, lease_until=lane.lease_until - delta
                )
            )
        )
        await self.database.write(
            lambda connection: connection.execute(
                sa.update(outbox_table).where(outbox.state == OPEN).values(next_at=outbox.next_at - delta)
            )
        )

    async def rows(self, table: sa.Table, *order: sa.ColumnElement[Any]) -> list[sa.Row[Any]]:
        return await self.database.read(
            lambda connection: list(connection.execute(sa.select(table).order_by(*order)))
        )

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


def make_bus(database: Database, clock: Clock, lease_seconds: float) -> Bus:
    if database.dialect == "sqlite":
        return EmbeddedBus(database, clock, lease_seconds=lease_seconds)
    return PostgresBus(database, clock, lease_seconds=lease_seconds)


@asynccontextmanager
async def running(
    url: str, clock: Any, *, queue_limit: int = 20_000, lease_seconds: float = 30.0
) -> AsyncIterator[Machine]:
    start_from_template(url)
    database = Database(url, VAULT, queue_limit=queue_limit)
    await database.open()
    await database.write(test_metadata.create_all)
    machine = Machine(database, clock, lease_seconds)
    machine.bus = await machine.replica()
    try:
        yield machine
    finally:
        await machine.close()
        await database.close()


def entry(
    key: str, lane: str = "a", *, tenant: str = "demo", source: str = "", event: Event | None = None
) -> Entry:
    event = event or ConversationReturned(tenant=TenantId(tenant), conversation_id=ConversationId(lane))
    return Entry(TenantId(tenant), source or f"test {lane}", key, lane, event)


def reply(text: str, lane: str = "a", *, tenant: str = "demo") -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId(tenant), channel="web_chat", account="main", conversation_id=ConversationId(lane),
        message_id=MessageId(f"m-{text}"), recipient="someone", role="bot", reply=Reply(text=text),
    )  # fmt: skip


async def take_one(bus: Bus) -> Turn:
    turns = await bus.take(10)
    assert len(turns) == 1
    return turns[0]


async def take_reply(bus: Bus) -> Outgoing:
    replies = await bus.take_replies(10)
    assert len(replies) == 1
    return replies[0]


async def drain(bus: Bus) -> list[tuple[str, int]]:
    """Finish everything that can run now; (lane, seq) in the order of work."""
    done = []
    while turns := await bus.take(10):
        for turn in turns:
            assert await bus.finish(turn, Outcome())
            done.append((turn.entry.lane, turn.seq))
    return done


def note(text: str) -> Any:
    """A write of the caller."""
    return lambda connection, *_: connection.execute(sa.insert(note_table).values(tenant="demo", text=text))


async def notes(machine: Machine) -> list[str]:
    return [row.text for row in await machine.rows(note_table, note_table.c.text)]
