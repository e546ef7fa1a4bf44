"""A process to be killed: one worker over one bus, with a "provider" that is a file. Driven by lines on stdin.

    accept <lane> <key>      → "accepted <key> <seq>" once it is durable
    quit                     → stops gracefully

It prints "ready" when it works and "sent <idempotency key>" after each line it appended to the provider's file; the
test reads these to choose the moment of the kill. Arguments: database URL, provider file, lease in seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys

import sqlalchemy as sa

from foundation.bus.contract import Bus, Outcome, Outgoing, Turn
from foundation.clock import utc_now
from foundation.events import ConversationReturned
from foundation.storage.database import Database
from foundation.telemetry import Metrics, configure
from service.worker import Pace, Worker
from tests.fakes.bus_machines import VAULT, entry, make_bus, reply, test_metadata

SLOTS = 8

answered_table = sa.Table(
    "bus_child_answered",
    test_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("lane", sa.Text),
    sa.Column("seq", sa.Integer),
    sa.Column("key", sa.Text),
)
"""What handlers wrote in the transaction of their turns; not unique on purpose, so that doubles would show."""


async def handle(_event: ConversationReturned, turn: Turn) -> Outcome:
    for _ in range(3):
        await asyncio.sleep(0)  # other turns run in between, as they would around a model call
    row = {"tenant": "demo", "lane": turn.entry.lane, "seq": turn.seq, "key": turn.entry.key}
    return Outcome(
        [reply(f"{turn.entry.key} {part}", turn.entry.lane) for part in (0, 1)],
        [lambda connection: connection.execute(sa.insert(answered_table).values(**row))],
    )


async def main(url: str, provider: str, lease_seconds: float) -> None:
    configure("error", "json")
    database = Database(url, VAULT)
    await database.open()
    bus = make_bus(database, utc_now, lease_seconds)
    await bus.open()
    file = os.open(provider, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def deliver(outgoing: Outgoing) -> str:
        os.write(file, f"{outgoing.idempotency_key}\n".encode())
        print("sent", outgoing.idempotency_key, flush=True)
        return outgoing.idempotency_key

    worker = Worker(
        bus, {ConversationReturned.name: handle}, deliver=deliver, on_buried=lambda turn: Outcome(),
        metrics=Metrics(), pace=Pace(slots=SLOTS),
    )  # fmt: skip
    worker.start()
    print("ready", flush=True)
    accepting: set[asyncio.Task[None]] = set()
    while (line := (await asyncio.to_thread(sys.stdin.readline)).split()) and line[0] == "accept":
        task = asyncio.create_task(accept(bus, line[1], line[2]))
        accepting.add(task)
        task.add_done_callback(accepting.discard)
    await asyncio.gather(*accepting)
    await worker.stop(10)
    await bus.close()
    await database.close()


async def accept(bus: Bus, lane: str, key: str) -> None:
    receipt = await bus.accept(entry(key, lane, source="child"))
    print("accepted", key, receipt.seq, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
