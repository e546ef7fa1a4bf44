"""What every bus promises, checked on both machines. Numbers in brackets are the failure cases of the design."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.bus.contract import Outcome
from foundation.bus.records import inbox_table, lane_table
from tests.fakes.bus_machines import (
    Machine,
    drain,
    entry,
    note,
    notes,
    reply,
    running,
    take_one,
    take_reply,
)


@pytest.fixture(params=["sqlite", "postgres"])
async def machine(request: pytest.FixtureRequest, tmp_path: Path, clock: Any) -> AsyncIterator[Machine]:
    url = (
        f"sqlite:///{tmp_path / 'bus.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    async with running(url, clock, queue_limit=300) as opened:
        yield opened


async def test_accepts_once_when_the_same_message_comes_fifty_times_at_once(machine: Machine) -> None:
    receipts = await asyncio.gather(
        *(machine.bus.accept(entry("m1"), note(f"n{number}")) for number in range(50))
    )
    assert sum(receipt.new for receipt in receipts) == 1
    assert {receipt.seq for receipt in receipts} == {1}
    assert len(await notes(machine)) == 1
    assert await drain(machine.bus) == [("a", 1)]


async def test_repeat_is_recognised_when_it_comes_after_the_finish_and_after_a_crash(
    machine: Machine,
) -> None:
    await machine.bus.accept(entry("m1"))
    await drain(machine.bus)
    await machine.crash()
    receipt = await machine.bus.accept(entry("m1"))
    assert (receipt.seq, receipt.new) == (1, False)
    assert await machine.bus.take(10) == []


async def test_same_id_is_new_when_tenant_or_source_differ(machine: Machine) -> None:
    first = await machine.bus.accept(entry("m1"))
    other_source = await machine.bus.accept(entry("m1", source="other"))
    other_tenant = await machine.bus.accept(entry("m1", "b", tenant="second"))
    assert first.new
    assert other_source.new
    assert other_tenant.new
    assert other_source.seq == 2


async def test_accept_refuses_when_the_lane_is_another_tenants(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    with pytest.raises(errors.Conflict):
        await machine.bus.accept(entry("m2", tenant="second"))


async def test_numbers_are_dense_and_in_order_when_repeats_and_failures_are_mixed_in(
    machine: Machine,
) -> None:
    for number in range(5):
        await machine.bus.accept(entry(f"m{number}"))
        await machine.bus.accept(entry(f"m{number}"))
        with pytest.raises(ZeroDivisionError):
            await machine.bus.accept(entry(f"broken{number}"), lambda _connection, _seq: 1 / 0)
    assert await drain(machine.bus) == [("a", number) for number in range(1, 6)]


async def test_writes_of_the_accepter_commit_with_the_entry_when_it_is_new(machine: Machine) -> None:
    seen: list[int] = []

    def write(connection: sa.Connection, seq: int) -> None:
        seen.append(seq)
        note(f"seq {seq}")(connection)

    await machine.bus.accept(entry("m1"), write)
    await machine.bus.accept(entry("m1"), write)
    assert seen == [1]
    assert await notes(machine) == ["seq 1"]


async def test_nothing_is_accepted_when_the_accepters_write_fails(machine: Machine) -> None:
    with pytest.raises(ZeroDivisionError):
        await machine.bus.accept(entry("m1"), lambda _connection, _seq: 1 / 0)
    assert await machine.bus.take(10) == []
    assert (await machine.bus.accept(entry("m1"))).new


async def test_turn_tells_everything_when_it_is_taken(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    assert turn.entry.event == entry("m1").event
    assert (turn.entry.tenant, turn.entry.source, turn.entry.key) == ("demo", "test a", "m1")
    assert (turn.seq, turn.attempt, turn.idempotency_key) == (1, 1, "a/1")
    assert turn.entry.trace
    assert turn.lease_until > turn.received_at


async def test_one_turn_per_lane_when_many_wait(machine: Machine) -> None:
    for number in range(6):
        await machine.bus.accept(entry(f"m{number}", "ab"[number % 2]))
    turns = await machine.bus.take(10)
    assert sorted((turn.entry.lane, turn.seq) for turn in turns) == [("a", 1), ("b", 1)]
    assert await machine.bus.take(10) == []
    await machine.bus.finish(turns[0], Outcome())
    assert [turn.seq for turn in await machine.bus.take(10)] == [2]


async def test_take_keeps_to_its_limit_and_gives_the_oldest_first(machine: Machine) -> None:
    for lane in "abc":
        await machine.bus.accept(entry("m1", lane))
        await machine.advance(1)
    first = await machine.bus.take(2)
    assert {turn.entry.lane for turn in first} == {"a", "b"}
    assert (await take_one(machine.bus)).entry.lane == "c"


async def test_only_its_own_lane_waits_when_a_turn_is_retried(machine: Machine) -> None:
    await machine.bus.accept(entry("m1", "a"))
    await machine.bus.accept(entry("m2", "a"))
    turn = await take_one(machine.bus)
    assert await machine.bus.retry(turn, 30, "later")
    await machine.bus.accept(entry("m1", "b"))
    other = await take_one(machine.bus)
    assert other.entry.lane == "b"
    assert await machine.bus.finish(other, Outcome())
    await machine.advance(29)
    assert await machine.bus.take(10) == []
    await machine.advance(2)
    again = await take_one(machine.bus)
    assert (again.entry.key, again.attempt) == ("m1", 2)


async def test_backoff_and_attempts_are_kept_when_the_process_crashes(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.retry(await take_one(machine.bus), 100, "later")
    await machine.crash()
    assert await machine.bus.take(10) == []
    await machine.advance(101)
    assert (await take_one(machine.bus)).attempt == 2


async def test_finish_changes_nothing_when_another_claim_owns_the_lane(machine: Machine) -> None:
    """[5] The writes, replies and entries of the frozen one are rolled back."""
    await machine.bus.accept(entry("m1"))
    frozen = await take_one(machine.bus)
    await machine.advance(machine.bus.lease_seconds + 1)
    second = await take_one(machine.bus)
    assert second.seq == frozen.seq
    assert second.fence != frozen.fence
    outcome = Outcome(replies=[reply("zombie")], writes=[note("zombie")], entries=[entry("z", "z")])
    assert not await machine.bus.finish(frozen, outcome)
    assert not await machine.bus.retry(frozen, 5, "zombie")
    assert not await machine.bus.bury(frozen, "zombie", outcome)
    assert not await machine.bus.release(frozen)
    assert await notes(machine) == []
    assert await machine.bus.take_replies(10) == []
    assert await machine.bus.finish(second, Outcome(writes=[note("real")]))
    assert await notes(machine) == ["real"]
    assert not await machine.bus.finish(second, Outcome(writes=[note("twice")]))


async def test_finish_is_refused_when_the_turn_was_taken_before_the_crash(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    before = await take_one(machine.bus)
    bus = await machine.crash()
    after = await take_one(bus)
    assert after.fence != before.fence
    assert not await bus.finish(before, Outcome(writes=[note("before")]))
    assert await bus.finish(after, Outcome(writes=[note("after")]))
    assert await notes(machine) == ["after"]


async def test_lane_stays_held_when_its_lease_is_extended(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    for _ in range(3):
        await machine.advance(machine.bus.lease_seconds * 0.9)
        assert await machine.bus.extend([turn]) == set()
        assert await machine.bus.take(10) == []
    assert await machine.bus.finish(turn, Outcome())


async def test_extend_leases_nothing_when_the_lane_was_just_released(machine: Machine) -> None:
    """[6] A heartbeat on its way while the turn finishes must not hold the lane again."""
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    turn = await take_one(machine.bus)
    await machine.bus.finish(turn, Outcome())
    assert await machine.bus.extend([turn]) == {"a"}
    assert (await take_one(machine.bus)).seq == 2


async def test_extend_names_the_lost_lanes_when_somebody_else_took_over(machine: Machine) -> None:
    await machine.bus.accept(entry("m1", "a"))
    await machine.bus.accept(entry("m1", "b"))
    turns = await machine.bus.take(10)
    await machine.advance(machine.bus.lease_seconds + 1)
    assert len(await machine.bus.take(10)) == 2
    assert await machine.bus.extend(turns) == {"a", "b"}
    assert await machine.bus.extend([]) == set()


async def test_release_counts_no_attempt_when_the_process_stops(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    assert await machine.bus.release(await take_one(machine.bus))
    assert (await take_one(machine.bus)).attempt == 1


async def test_entries_of_an_outcome_are_accepted_once_when_lanes_and_keys_repeat(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    follow = [entry("f1", "b"), entry("f2", "a"), entry("f1", "b"), entry("m1", "a"), entry("f3", "0")]
    await machine.bus.finish(await take_one(machine.bus), Outcome(entries=follow))
    assert sorted(await drain(machine.bus)) == [("0", 1), ("a", 2), ("b", 1)]


async def test_nothing_of_an_outcome_stays_when_one_of_its_writes_fails(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    broken = Outcome([reply("x")], [note("kept?"), lambda _connection: 1 / 0], [entry("f1", "b")])
    with pytest.raises(ZeroDivisionError):
        await machine.bus.finish(turn, broken)
    assert await machine.bus.take(10) == []
    assert await machine.bus.take_replies(10) == []
    assert await notes(machine) == []
    assert await machine.bus.finish(turn, Outcome())


async def test_trace_goes_through_every_hop_when_it_is_set_at_the_door(machine: Machine) -> None:
    with structlog.contextvars.bound_contextvars(trace="trace-1"):
        await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    await machine.bus.finish(turn, Outcome([reply("x")], entries=[entry("f1")]))
    assert turn.entry.trace == "trace-1"
    assert (await take_reply(machine.bus)).trace == "trace-1"
    assert (await take_one(machine.bus)).entry.trace == "trace-1"


async def test_accept_says_busy_when_the_queue_is_full_and_accepts_again_after(machine: Machine) -> None:
    """[16] Refused aloud, nothing dropped silently."""
    results = await asyncio.gather(
        *(machine.bus.accept(entry(f"m{number}")) for number in range(700)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, errors.Overloaded)]
    accepted = [result for result in results if not isinstance(result, BaseException)]
    assert refused
    assert len(accepted) + len(refused) == 700
    assert len(await machine.rows(inbox_table)) == len(accepted)
    assert (await machine.bus.accept(entry("after"))).seq == len(accepted) + 1


async def test_entry_is_worked_when_its_accepter_stopped_waiting(machine: Machine) -> None:
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()
    accepting = asyncio.create_task(
        machine.bus.accept(entry("m1"), lambda _connection, _seq: loop.call_soon_threadsafe(entered.set))
    )
    await entered.wait()
    accepting.cancel()
    assert (await machine.bus.accept(entry("m2"))).seq == 2
    assert await drain(machine.bus) == [("a", 1), ("a", 2)]


async def test_changed_returns_when_work_arrives_and_when_a_backoff_ends(machine: Machine) -> None:
    await machine.bus.changed(0)
    waiting = asyncio.create_task(machine.bus.changed(60))
    await machine.bus.accept(entry("m1"))
    await waiting
    await machine.bus.retry(await take_one(machine.bus), 0.05, "soon")
    await machine.bus.changed(60)
    await machine.advance(1)
    await machine.bus.changed(60)
    assert (await take_one(machine.bus)).attempt == 2


async def test_work_continues_where_it_was_when_the_process_crashes(machine: Machine) -> None:
    """[1] Open entries, turns in work and unsent replies of several lanes."""
    for number in range(12):
        await machine.bus.accept(entry(f"m{number}", "abc"[number % 3]))
    turns = await machine.bus.take(10)
    await machine.bus.finish(turns[0], Outcome([reply("x", turns[0].entry.lane)]))
    await machine.crash()
    assert (await take_reply(machine.bus)).message.reply.text == "x"
    done = await drain(machine.bus)
    done.append((turns[0].entry.lane, 1))
    assert sorted(done) == [(lane, seq) for lane in "abc" for seq in (1, 2, 3, 4)]
    lanes = await machine.rows(lane_table)
    assert all(row.ready_at is None and row.done_seq == row.last_seq for row in lanes)
