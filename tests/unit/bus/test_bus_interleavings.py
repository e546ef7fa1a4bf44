"""Anything may happen in any order, crashes included: nothing is lost, order holds, one reply per place."""

from __future__ import annotations

import asyncio
import functools
import itertools
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.bus.contract import Outcome, Outgoing, Turn
from foundation.bus.records import inbox_table, lane_table, outbox_table
from tests.fakes import bus_machines
from tests.fakes.bus_machines import DEMO, Machine, entry, reply

ACTIONS = [
    "accept", "accept", "accept", "take", "take", "finish", "finish", "finish twice", "retry", "bury",
    "take replies", "sent", "sent", "reply fails", "bury reply", "redrive", "time", "crash",
]  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=5, max_size=60)
_run = itertools.count()


class MovingClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class Seen:
    """What the outside world saw."""

    run: int
    accepted: dict[str, str] = field(default_factory=dict)
    settled: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    finished: list[tuple[str, str]] = field(default_factory=list)
    sent: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    turns: list[Turn] = field(default_factory=list)
    replies: list[Outgoing] = field(default_factory=list)
    redriven: bool = False

    def lane(self, number: int) -> str:
        return f"run{self.run}-{number % 3}"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_nothing_is_lost_doubled_or_disordered_when_anything_happens_on_sqlite(
    steps: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(f"sqlite:///{Path(folder) / 'bus.db'}", steps))


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_nothing_is_lost_doubled_or_disordered_when_anything_happens_on_postgres(
    postgres_url: str, steps: list[tuple[str, int]]
) -> None:
    asyncio.run(_play(postgres_url, steps))


async def _play(url: str, steps: list[tuple[str, int]]) -> None:
    seen = Seen(next(_run))
    async with bus_machines.running(url, MovingClock()) as machine:
        for table in (inbox_table, outbox_table, lane_table):  # of the example before
            await machine.database.write(functools.partial(_clear, table=table))
        for number, (action, choice) in enumerate(steps):
            await _act(machine, seen, action, choice=choice, number=number)
        await _drain(machine, seen)
        dead = await machine.bus.dead(DEMO, limit=1000)
        _check_entries(seen, sum(letter.kind == "entry" for letter in dead))
        await _check_replies(machine, seen)


def _clear(connection: sa.Connection, table: sa.Table) -> None:
    connection.execute(sa.delete(table))


async def _act(machine: Machine, seen: Seen, action: str, *, choice: int, number: int) -> None:
    bus = machine.bus
    if action == "accept":
        key = f"{seen.run}-{number - choice}"  # sometimes one that came before
        receipt = await bus.accept(entry(key, seen.lane(choice), source="random"))
        assert receipt.new == (key not in seen.accepted)
        seen.accepted.setdefault(key, seen.lane(choice))
    elif action == "take":
        taken = await bus.take(choice + 1)
        assert len({turn.entry.lane for turn in taken}) == len(taken)
        seen.turns += taken
    elif action == "take replies":
        seen.replies += await bus.take_replies(choice + 1)
    elif action == "redrive":
        for letter in await bus.dead(DEMO, limit=1):
            await bus.redrive(DEMO, letter.kind, letter.id)
            seen.redriven = True
    elif action == "time":
        await machine.advance(choice * 11)
    elif action == "crash":
        await machine.crash()
    elif action in ("sent", "reply fails", "bury reply") and seen.replies:
        await _end_reply(machine, seen, action, seen.replies.pop(choice % len(seen.replies)))
    elif action in ("finish", "finish twice", "retry", "bury") and seen.turns:
        await _end_turn(machine, seen, action, seen.turns.pop(choice % len(seen.turns)))


async def _end_turn(machine: Machine, seen: Seen, action: str, turn: Turn) -> None:
    lane = turn.entry.lane
    outcome = Outcome([reply("one", lane), reply("two", lane)])
    if action == "retry":
        await machine.bus.retry(turn, 5, "again")
        return
    if action == "bury":
        settled = await machine.bus.bury(turn, "poison")
    else:
        settled = await machine.bus.finish(turn, outcome)
        if settled:
            seen.finished.append((lane, turn.entry.key))
    if settled:
        seen.settled[lane].append(turn.seq)
    if action == "finish twice":
        assert not await machine.bus.finish(turn, outcome)


async def _end_reply(machine: Machine, seen: Seen, action: str, outgoing: Outgoing) -> None:
    if action == "reply fails":
        await machine.bus.retry_reply(outgoing, 5, "down")
    elif action == "bury reply":
        await machine.bus.bury_reply(outgoing, "refused")
    else:
        await machine.bus.sent(outgoing)
        place = _place(outgoing)
        if place not in seen.sent[outgoing.lane]:
            seen.sent[outgoing.lane].append(place)


async def _drain(machine: Machine, seen: Seen) -> None:
    await machine.crash()
    for _ in range(len(seen.accepted) * 4 + 10):
        await machine.advance(machine.bus.lease_seconds + 10)
        for turn in await machine.bus.take(10):
            await _end_turn(machine, seen, "finish", turn)
        for outgoing in await machine.bus.take_replies(10):
            await _end_reply(machine, seen, "sent", outgoing)
    depth = await machine.bus.depth()
    assert (depth.waiting, depth.running, depth.backing_off, depth.replies_waiting) == (0, 0, 0, 0)


def _check_entries(seen: Seen, dead: int) -> None:
    assert len(seen.finished) == len(set(seen.finished))
    assert len(seen.finished) + dead == len(seen.accepted)
    for seqs in seen.settled.values():
        assert seqs == list(range(1, len(seqs) + 1))


async def _check_replies(machine: Machine, seen: Seen) -> None:
    rows = [row for row in await machine.rows(outbox_table) if row.lane.startswith(f"run{seen.run}-")]
    assert len(rows) == 2 * len(seen.finished)
    assert len({row.idempotency_key for row in rows}) == len(rows)
    for places in seen.sent.values():
        assert seen.redriven or places == sorted(places)


def _place(outgoing: Outgoing) -> tuple[int, int]:
    _, seq, part = outgoing.idempotency_key.rsplit("/", 2)
    return int(seq), int(part)
