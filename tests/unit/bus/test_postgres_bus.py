"""What only several processes on one Postgres can get wrong: interleavings, lost connections, lost hints."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from foundation.bus.contract import Outcome, Turn
from foundation.bus.notify import LISTENER_NAME
from foundation.bus.postgres import PostgresBus
from tests.fakes.bus_machines import Machine, drain, entry, reply, running, take_one


@pytest.fixture
async def machine(postgres_url: str, clock: Any) -> AsyncIterator[Machine]:
    async with running(postgres_url, clock) as opened:
        yield opened


async def until(machine: Machine, query: str) -> None:
    """Asks the server until the count is not zero; the test's timeout is the limit."""
    while not await machine.database.read(lambda c: c.exec_driver_sql(query).scalar_one()):
        pass


LOCK_WAITERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def test_order_of_numbers_is_order_of_commits_when_two_replicas_accept_for_one_lane(
    machine: Machine,
) -> None:
    """[4] The first is held inside its transaction until the second is seen waiting for it."""
    other = await machine.replica()
    inside, go_on = threading.Event(), threading.Event()

    def hold(_connection: sa.Connection, _seq: int) -> None:
        inside.set()
        assert go_on.wait(60)

    first = asyncio.create_task(machine.bus.accept(entry("m1"), hold))
    await asyncio.to_thread(inside.wait)
    second = asyncio.create_task(other.accept(entry("m2")))
    await until(machine, LOCK_WAITERS)
    assert await other.take(10) == []
    go_on.set()
    assert (await first).seq == 1
    assert (await second).seq == 2
    assert (await take_one(other)).entry.key == "m1"


async def test_repeat_is_recognised_when_two_replicas_accept_the_same_message_into_two_lanes(
    machine: Machine,
) -> None:
    other = await machine.replica()
    inside, go_on = threading.Event(), threading.Event()

    def hold(_connection: sa.Connection, _seq: int) -> None:
        inside.set()
        assert go_on.wait(60)

    first = asyncio.create_task(machine.bus.accept(entry("m1", "a", source="s"), hold))
    await asyncio.to_thread(inside.wait)
    second = asyncio.create_task(other.accept(entry("m1", "b", source="s")))
    await until(machine, LOCK_WAITERS)
    go_on.set()
    assert (await first).new
    assert not (await second).new
    assert (await other.accept(entry("m2", "b", source="s"))).seq == 1


async def test_claim_sees_the_entry_when_it_races_its_accept(machine: Machine) -> None:
    """[6] Whoever claims a lane also sees its head, however the two interleave."""
    other = await machine.replica()
    found: list[Turn] = []
    for number in range(40):
        accepting = asyncio.create_task(machine.bus.accept(entry(f"m{number}", f"lane{number}")))
        while len(found) <= number:
            found += await other.take(5)
        await accepting
        assert await other.finish(found[-1], Outcome())
    assert [turn.entry.key for turn in found] == [f"m{number}" for number in range(40)]


async def test_two_turns_finish_when_each_writes_to_the_lane_of_the_other(machine: Machine) -> None:
    for number in range(10):
        await machine.bus.accept(entry(f"m{number}", "a"))
        await machine.bus.accept(entry(f"m{number}", "b"))
        turns = await machine.bus.take(10)
        across = {"a": "b", "b": "a"}
        finishing = [
            machine.bus.finish(turn, Outcome(entries=[entry(f"x{number}", across[turn.entry.lane])]))
            for turn in turns
        ]
        assert await asyncio.gather(*finishing) == [True, True]
        assert len(await drain(machine.bus)) == 2


async def test_abandoned_turn_counts_as_an_attempt_when_its_lease_ran_out(machine: Machine) -> None:
    """[8] So an entry that kills every process which touches it ends among the dead."""
    await machine.bus.accept(entry("m1"))
    assert (await take_one(machine.bus)).attempt == 1
    bus = await machine.crash()
    assert (await take_one(bus)).attempt == 2


async def test_operations_succeed_when_the_server_drops_every_connection(machine: Machine) -> None:
    """[7]"""
    await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    await drop_connections(machine)
    assert await machine.bus.extend([turn]) == set()
    await drop_connections(machine)
    assert (await machine.bus.accept(entry("m2"))).seq == 2
    await drop_connections(machine)
    assert await machine.bus.finish(turn, Outcome([reply("x")]))
    await drop_connections(machine)
    assert await drain(machine.bus) == [("a", 2)]


async def test_work_is_done_once_when_its_connection_dies_in_the_middle(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    turn = await take_one(machine.bus)
    runs = []

    def die_once(connection: sa.Connection) -> None:
        runs.append(1)
        if len(runs) == 1:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    assert await machine.bus.finish(turn, Outcome([reply("x")], [die_once]))
    assert len(runs) == 2
    assert len(await machine.bus.take_replies(10)) == 1
    assert await machine.bus.take(10) == []


async def test_other_replica_wakes_by_the_hint_when_an_entry_is_accepted(machine: Machine) -> None:
    other = await machine.replica()
    assert isinstance(other, PostgresBus)
    await other.hints.listening.wait()
    await other.bell.wait(0)
    hint = asyncio.create_task(other.bell.wait(60))
    await machine.bus.accept(entry("m1"))
    await hint
    assert len(await other.take(10)) == 1


async def test_work_is_found_and_hints_come_back_when_the_listening_connection_dies(machine: Machine) -> None:
    """[23]"""
    other = await machine.replica()
    assert isinstance(other, PostgresBus)
    await other.hints.listening.wait()
    await machine.database.write(
        lambda c: c.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = :name AND datname = current_database()"
            ),
            {"name": LISTENER_NAME},
        ).all()
    )
    await machine.bus.accept(entry("m1"))
    turns: list[Turn] = []
    while not turns:
        await other.changed(60)
        turns = await other.take(10)
    await other.finish(turns[0], Outcome())
    while not other.hints.listening.is_set():
        await other.changed(60)
    await machine.bus.accept(entry("m2"))
    assert len(await other.take(10)) == 1


async def drop_connections(machine: Machine) -> None:
    """All but the one that says so, which the next use then finds in the pool beside dead ones."""
    await machine.database.write(
        lambda c: c.exec_driver_sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).scalar_one()
    )
