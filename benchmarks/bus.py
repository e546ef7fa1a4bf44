"""The bus against the same transactions in a bare loop, both in one run: `python -m benchmarks.bus [postgres-url]`.

Accept: 64 producers at once through `Bus.accept`, against one loop that commits the same rows one after the other on
a connection of its own. Drain: take, finish with one reply, mark it sent, over 200 conversations. Absolute numbers
belong to the machine; the ratios are what a change of the code can move. The Postgres given is left with the tables.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from foundation import telemetry
from foundation.bus import payloads
from foundation.bus.contract import Bus, Entry, Outcome, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.ledger import Ledger
from foundation.clock import to_milliseconds, utc_now
from foundation.events import MessageReceived
from foundation.messages import (
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault, random_token
from foundation.storage.database import Database, metadata

PRODUCERS = 64
CONVERSATIONS = 200
SECONDS = 2.5
"""Per side, so that a run stays under twenty seconds with both engines."""
TENANT = TenantId("benchmark")
RUN = random_token(6)


@dataclass(frozen=True, slots=True)
class Rates:
    bare_accepts: float
    accepts: float
    drained: float

    def lines(self, name: str) -> Iterator[str]:
        yield f"{name}: accept in a bare loop        {self.bare_accepts:>8.0f} /s"
        yield f"{name}: accept by {PRODUCERS} producers       {self.accepts:>8.0f} /s"
        yield f"{name}: accept, bus / bare loop      {self.accepts / self.bare_accepts:>8.2f}"
        yield f"{name}: take, finish, send           {self.drained:>8.0f} /s"
        yield f"{name}: drain / accept of the bus    {self.drained / self.accepts:>8.2f}"


async def measure(url: str, bare_url: str) -> Rates:
    """Two addresses, because two writing connections on one SQLite file would disturb each other."""
    vault = Vault(random_token(32).encode())
    database = await _opened(bare_url, vault)
    await database.close()
    bare = await asyncio.to_thread(_bare_accepts, bare_url, vault)
    database = await _opened(url, vault)
    bus = _bus(database)
    await bus.open()
    accepts = await _accepts(bus)
    drained = await _drained(bus)
    await bus.close()
    await database.close()
    return Rates(bare, accepts, drained)


def _bare_accepts(url: str, vault: Vault) -> float:
    """Same rows, same durability, nothing beside: one thread, one connection, one commit each."""
    engine = sa.create_engine(url)
    engine.dialect.vault = vault  # type: ignore[attr-defined]  # read by sealed columns
    now: sa.ColumnElement[int] = sa.bindparam(
        None, callable_=lambda: to_milliseconds(utc_now()), type_=sa.BigInteger, unique=True
    )
    ledger = Ledger(engine.dialect.name, vault, now)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            connection.commit()
        started = time.perf_counter()
        for number in itertools.count(1):
            with connection.begin():
                ledger.accept(connection, payloads.entry_values(_entry(f"bare{number}")))
            if (elapsed := time.perf_counter() - started) > SECONDS:
                break
    engine.dispose()
    return number / elapsed


async def _accepts(bus: Bus) -> float:
    numbers = itertools.count(1)
    started = time.perf_counter()

    async def produce() -> int:
        accepted = 0
        while time.perf_counter() - started < SECONDS:
            await bus.accept(_entry(f"bus{next(numbers)}"))
            accepted += 1
        return accepted

    accepted = sum(await asyncio.gather(*(produce() for _ in range(PRODUCERS))))
    return accepted / (time.perf_counter() - started)


async def _drained(bus: Bus) -> float:
    """One reply a turn; stops when the time is over or nothing is left."""
    started = time.perf_counter()
    done = 0
    while time.perf_counter() - started < SECONDS and (turns := await bus.take(PRODUCERS)):
        await asyncio.gather(*(bus.finish(turn, Outcome([_reply(turn)])) for turn in turns))
        replies = await bus.take_replies(PRODUCERS)
        await asyncio.gather(*(bus.sent(reply) for reply in replies))
        done += len(replies)
    return done / (time.perf_counter() - started)


async def _opened(url: str, vault: Vault) -> Database:
    database = Database(url, vault)
    await database.open()
    await database.write(metadata.create_all)
    return database


def _bus(database: Database) -> Bus:
    if database.dialect == "sqlite":
        return EmbeddedBus(database)
    from foundation.bus.postgres import PostgresBus  # needs the optional driver

    return PostgresBus(database)


def _entry(key: str) -> Entry:
    conversation = ConversationId(f"{RUN}-{hash(key) % CONVERSATIONS}")
    message = InboundMessage(
        tenant=TENANT, channel="web_chat", account="main", thread=conversation, message_id=MessageId(key),
        sender=(Identifier(namespace="web_chat:main", value=conversation),),
        text="我上周买的台灯还没到，能帮我查一下吗？", sent_at=utc_now(),
    )  # fmt: skip
    event = MessageReceived(tenant=TENANT, conversation_id=conversation, message=message, seq=1)
    return Entry(TENANT, "web_chat", f"{RUN}-{key}", conversation, event, "trace")


def _reply(turn: Turn) -> OutboundMessage:
    conversation = ConversationId(turn.entry.lane)
    return OutboundMessage(
        tenant=TENANT, channel="web_chat", account="main", conversation_id=conversation,
        message_id=MessageId(f"reply-{turn.seq}"), recipient=conversation, role="bot",
        reply=Reply(text="您的包裹已在派送途中，预计今天送达。"),
    )  # fmt: skip


def main() -> None:
    telemetry.configure("error", "console")
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder) / name}.db" for name in ("bus", "bare")]
        print("\n".join(asyncio.run(measure(*urls)).lines("embedded")))
    for url in sys.argv[1:]:
        print("\n".join(asyncio.run(measure(url, url)).lines("postgres")))


if __name__ == "__main__":
    main()
