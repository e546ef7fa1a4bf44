"""The runner above the bus: what it does with successes, failures, lost turns and a stop. On both machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.bus.contract import Bus, Outcome, Outgoing, Turn
from foundation.bus.records import inbox_table
from foundation.events import ConversationReturned, ReplyFailed
from foundation.telemetry import Metrics
from service.worker import Handler, Pace, Worker
from tests.fakes.bus_machines import DEMO, Machine, TickingClock, entry, reply, running

QUICK = Pace(backoff_seconds=0.002, reply_attempts=8)
LEASE_SECONDS = 1.2


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'bus.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres_url"))
    )


@pytest.fixture
async def machine(url: str) -> AsyncIterator[Machine]:
    async with running(url, TickingClock()) as opened:
        yield opened


@pytest.fixture
async def brisk(url: str) -> AsyncIterator[Machine]:
    """With a lease so short that heartbeats come while a test waits."""
    async with running(url, TickingClock(), lease_seconds=LEASE_SECONDS) as opened:
        yield opened


class Desk:
    """Hears, answers and sees what the worker does; `script` decides per key what a handler does."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.worked: asyncio.Queue[Turn] = asyncio.Queue()
        self.delivered: asyncio.Queue[Outgoing] = asyncio.Queue()
        self.failed: asyncio.Queue[ReplyFailed] = asyncio.Queue()
        self.buried: list[Turn] = []
        self.script: Callable[[Turn], Any] = lambda turn: None
        self.refuse: Callable[[Outgoing], Any] = lambda outgoing: None

    async def hear(self, _event: ConversationReturned, turn: Turn) -> Outcome:
        problem = self.script(turn)
        if asyncio.iscoroutine(problem):
            await problem
        elif problem is not None:
            raise problem
        self.worked.put_nowait(turn)
        return Outcome([reply(turn.entry.key, turn.entry.lane)])

    async def hear_failure(self, event: ReplyFailed, _turn: Turn) -> Outcome:
        self.failed.put_nowait(event)
        return Outcome()

    async def deliver(self, outgoing: Outgoing) -> str:
        problem = self.refuse(outgoing)
        if problem is not None:
            raise problem
        self.delivered.put_nowait(outgoing)
        return "provider-id"

    def on_buried(self, turn: Turn) -> Outcome:
        self.buried.append(turn)
        return Outcome([reply(f"sorry {turn.entry.key}", turn.entry.lane)])

    @property
    def handlers(self) -> dict[str, Handler]:
        return {ConversationReturned.name: self.hear, ReplyFailed.name: self.hear_failure}

    def count(self, result: str) -> float:
        labels = {"event": "ConversationReturned", "result": result}
        return self.metrics.registry.get_sample_value("huiliu_turns_total", labels) or 0.0

    async def delivered_texts(self, count: int) -> list[str]:
        return [(await self.delivered.get()).message.reply.text for _ in range(count)]


@asynccontextmanager
async def working(bus: Bus, desk: Desk, pace: Pace = QUICK) -> AsyncIterator[Worker]:
    worker = Worker(
        bus, desk.handlers, deliver=desk.deliver, on_buried=desk.on_buried, metrics=desk.metrics, pace=pace
    )
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop(5)


async def test_entry_is_worked_and_its_reply_delivered(machine: Machine) -> None:
    desk = Desk()
    traces: list[Any] = []
    desk.script = lambda turn: traces.append(structlog.contextvars.get_contextvars()["trace"])
    async with working(machine.bus, desk):
        with structlog.contextvars.bound_contextvars(trace="t-1"):
            await machine.bus.accept(entry("m1"))
        outgoing = await desk.delivered.get()
    assert (outgoing.message.reply.text, outgoing.idempotency_key, outgoing.trace) == ("m1", "a/1/0", "t-1")
    assert traces == ["t-1"]
    assert desk.count("done") == 1
    assert (await machine.bus.depth()).replies_waiting == 0


async def test_turn_is_tried_again_in_order_when_its_trouble_is_temporary(machine: Machine) -> None:
    desk = Desk()
    desk.script = lambda turn: (
        errors.UpstreamUnavailable("down") if turn.entry.key == "m1" and turn.attempt < 4 else None
    )
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    await machine.bus.accept(entry("n1", "b"))
    async with working(machine.bus, desk):
        texts = await desk.delivered_texts(3)
    assert [text for text in texts if text.startswith("m")] == ["m1", "m2"]
    assert desk.count("retried") == 3
    assert desk.buried == []


@pytest.mark.parametrize(
    ("problem", "attempts"),
    [
        (errors.UpstreamRefused("no"), 1),
        (errors.InvalidInput("never"), 1),
        (ZeroDivisionError("a bug"), 5),
        (errors.UpstreamUnavailable("down"), 5),
        (TimeoutError(), 5),
    ],
)
async def test_turn_is_buried_and_somebody_told_when_it_cannot_succeed(
    machine: Machine, problem: Exception, attempts: int
) -> None:
    desk = Desk()
    desk.script = lambda turn: problem if turn.entry.key == "m1" else None
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    async with working(machine.bus, desk):
        assert await desk.delivered_texts(2) == ["sorry m1", "m2"]
    (dead,) = await machine.bus.dead(DEMO)
    assert dead.attempts == attempts
    assert dead.error.startswith(type(problem).__name__)
    assert desk.count("buried") == 1


async def test_turn_is_buried_alone_when_even_the_handover_fails(machine: Machine) -> None:
    desk = Desk()
    desk.script = lambda turn: errors.InvalidInput("never") if turn.entry.key == "m1" else None
    desk.on_buried = lambda turn: 1 / 0  # type: ignore[method-assign,assignment,return-value]  # a caller's bug
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    async with working(machine.bus, desk):
        assert await desk.delivered_texts(1) == ["m2"]
    assert len(await machine.bus.dead(DEMO)) == 1


async def test_entry_is_buried_when_nobody_hears_it(machine: Machine) -> None:
    desk = Desk()
    event = ReplyFailed(tenant=DEMO, conversation_id=entry("x").event.tenant, message_id="m", code="c")
    await machine.bus.accept(entry("m1", event=event))
    worker = Worker(
        machine.bus, {}, deliver=desk.deliver, on_buried=desk.on_buried, metrics=desk.metrics, pace=QUICK
    )
    worker.start()
    assert await desk.delivered_texts(1) == ["sorry m1"]
    await worker.stop()
    assert "ReplyFailed" in (await machine.bus.dead(DEMO))[0].error


async def test_entry_is_buried_unread_when_it_killed_every_process_before(machine: Machine) -> None:
    desk = Desk()
    await machine.bus.accept(entry("m1"))
    await machine.database.write(lambda c: c.execute(sa.update(inbox_table).values(attempts=5)))
    async with working(machine.bus, desk):
        assert await desk.delivered_texts(1) == ["sorry m1"]
    assert desk.worked.empty()


async def test_handler_is_stopped_and_tried_again_when_it_hangs(machine: Machine) -> None:
    desk = Desk()
    desk.script = lambda turn: asyncio.Event().wait() if turn.attempt == 1 else None
    await machine.bus.accept(entry("m1"))
    async with working(machine.bus, desk, Pace(backoff_seconds=0.002, turn_seconds=0.05)):
        assert await desk.delivered_texts(1) == ["m1"]
    assert desk.count("retried") == 1


async def test_replies_keep_their_order_when_the_channel_is_down_for_a_while(machine: Machine) -> None:
    """[20]"""
    desk = Desk()
    refusals = 6
    desk.refuse = lambda outgoing: (
        errors.UpstreamUnavailable("down") if outgoing.lane == "a" and outgoing.attempt <= refusals else None
    )
    for number in range(3):
        await machine.bus.accept(entry(f"m{number}"))
        await machine.bus.accept(entry(f"n{number}", "b"))
    async with working(machine.bus, desk):
        texts = await desk.delivered_texts(6)
    assert [text for text in texts if text.startswith("m")] == ["m0", "m1", "m2"]
    assert [text for text in texts if text.startswith("n")] == ["n0", "n1", "n2"]


@pytest.mark.parametrize(
    ("problem", "code", "attempts"),
    [
        (errors.UpstreamRefused("blocked", code="blocked"), "blocked", 1),
        (errors.UpstreamUnavailable("down"), "upstream_unavailable", 8),
        (ZeroDivisionError("a bug"), "internal", 5),
    ],
)
async def test_failure_is_told_and_the_next_reply_goes_when_a_reply_cannot_be_sent(
    machine: Machine, problem: Exception, code: str, attempts: int
) -> None:
    desk = Desk()
    tried: list[int] = []

    def refuse(outgoing: Outgoing) -> Exception | None:
        if outgoing.message.reply.text != "m1":
            return None
        tried.append(outgoing.attempt)
        return problem

    desk.refuse = refuse
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    async with working(machine.bus, desk):
        event = await desk.failed.get()
        assert await desk.delivered_texts(1) == ["m2"]
    assert (event.code, event.message_id, event.conversation_id) == (code, "m-m1", "a")
    assert tried == list(range(1, attempts + 1))


async def test_handler_is_cancelled_when_its_lane_was_lost(brisk: Machine) -> None:
    desk = Desk()
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    desk.script = lambda turn: hang()
    await brisk.bus.accept(entry("m1"))
    async with working(brisk.bus, desk, Pace(slots=1)):
        await started.wait()
        await brisk.advance(LEASE_SECONDS * 10)
        stolen: list[Turn] = []
        thief = brisk.bus if brisk.embedded else await brisk.replica()
        while not stolen:  # a beat may renew the lease between our two steps
            stolen = await thief.take(1)
            if not stolen:
                await brisk.advance(LEASE_SECONDS * 10)
        await cancelled.wait()
        assert await thief.finish(stolen[0], Outcome())
    assert desk.count("lost") == 1
    assert desk.worked.empty()


async def test_lease_is_renewed_when_a_handler_takes_longer_than_it(brisk: Machine) -> None:
    desk = Desk()
    renewals = 4
    extended = asyncio.Event()
    original = brisk.bus.extend
    seen: list[set[str]] = []

    async def extend(turns: Any) -> set[str]:
        lost = await original(turns)
        seen.append(lost)
        if len(seen) >= renewals:
            extended.set()
        return lost

    brisk.bus.extend = extend  # type: ignore[method-assign]  # a tap on the real one, to wait for it
    desk.script = lambda turn: extended.wait()
    await brisk.bus.accept(entry("m1"))
    async with working(brisk.bus, desk):
        assert await desk.delivered_texts(1) == ["m1"]
    assert seen[:renewals] == [set()] * renewals
    assert (await desk.worked.get()).attempt == 1


async def test_stop_lets_turns_finish_and_gives_the_others_back_at_once(machine: Machine) -> None:
    """[17]"""
    desk = Desk()
    started: asyncio.Queue[str] = asyncio.Queue()
    go_on = asyncio.Event()

    async def wait(turn: Turn) -> None:
        started.put_nowait(turn.entry.key)
        await (go_on if turn.entry.key == "m1" else asyncio.Event()).wait()

    desk.script = wait
    await machine.bus.accept(entry("m1", "a"))
    await machine.bus.accept(entry("hangs", "b"))
    async with working(machine.bus, desk) as worker:
        await started.get()
        await started.get()
        stopping = asyncio.create_task(worker.stop(0.3))
        go_on.set()
        await stopping
        await machine.bus.accept(entry("late", "c"))
    assert (await desk.worked.get()).entry.key == "m1"
    turns = {turn.entry.key: turn for turn in await machine.bus.take(10)}
    assert set(turns) == {"hangs", "late"}
    assert turns["hangs"].attempt == 1
    assert started.empty()


async def test_work_goes_on_when_the_bus_was_out_of_reach(machine: Machine) -> None:
    desk = Desk()
    original = machine.bus.take
    troubles = [errors.UpstreamUnavailable("the database is away"), RuntimeError("a bug")]

    async def take(limit: int) -> list[Turn]:
        if troubles:
            raise troubles.pop()
        return await original(limit)

    machine.bus.take = take  # type: ignore[method-assign]  # trouble in front of the real one
    await machine.bus.accept(entry("m1"))
    async with working(machine.bus, desk):
        assert await desk.delivered_texts(1) == ["m1"]


async def test_slots_bound_how_many_turns_run(machine: Machine) -> None:
    desk = Desk()
    now, most = 0, 0

    async def run() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    desk.script = lambda turn: run()
    for number in range(30):
        await machine.bus.accept(entry("m", f"lane{number}"))
    async with working(machine.bus, desk, Pace(slots=3)):
        await desk.delivered_texts(30)
    assert 1 < most <= 3


async def test_every_entry_is_worked_once_and_in_order_when_two_workers_share_the_bus(
    machine: Machine,
) -> None:
    desk = Desk()
    lanes, each = 12, 8
    other = machine.bus if machine.embedded else await machine.replica()
    async with working(machine.bus, desk), working(other, desk):
        for number in range(each):
            await asyncio.gather(
                *(machine.bus.accept(entry(f"m{number}", f"lane{lane}")) for lane in range(lanes))
            )
        replies = [await desk.delivered.get() for _ in range(lanes * each)]
    assert len({outgoing.idempotency_key for outgoing in replies}) == lanes * each
    for lane in range(lanes):
        texts = [outgoing.message.reply.text for outgoing in replies if outgoing.lane == f"lane{lane}"]
        assert texts == [f"m{number}" for number in range(each)]
    assert desk.delivered.empty()
    assert desk.worked.qsize() == lanes * each


def test_pause_grows_to_its_cap_and_never_undercuts_what_the_other_side_named() -> None:
    pace = Pace(backoff_seconds=1, backoff_cap_seconds=8)
    unknown = ValueError()
    for attempt, ceiling in ((1, 2), (2, 4), (3, 8), (40, 8)):
        pauses = [pace.pause_seconds(attempt, unknown) for _ in range(200)]
        assert min(pauses) >= 0
        assert ceiling / 2 < max(pauses) <= ceiling
    named = errors.UpstreamUnavailable("slow down", retry_after_seconds=30)
    assert pace.pause_seconds(1, named) == 30
