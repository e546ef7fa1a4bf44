"""What only the embedded machine can get wrong: its memory against its file, its group commit, its bounds."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foundation import errors
from foundation.bus.contract import Outcome
from foundation.bus.records import inbox_table, lane_table
from foundation.events import ConversationReturned
from foundation.messages import ConversationId
from tests.fakes.bus_machines import DEMO, VAULT, Machine, drain, entry, reply, running, take_one


@pytest.fixture
async def machine(tmp_path: Path, clock: Any) -> AsyncIterator[Machine]:
    async with running(f"sqlite:///{tmp_path / 'bus.db'}", clock) as opened:
        yield opened


async def test_neighbours_are_accepted_when_one_operation_of_their_group_fails(machine: Machine) -> None:
    """[14]"""
    results = await asyncio.gather(
        *(
            machine.bus.accept(entry(f"m{number}"), (lambda _c, _s: 1 / 0) if number == 7 else None)
            for number in range(40)
        ),
        return_exceptions=True,
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [ZeroDivisionError]
    assert len(await drain(machine.bus)) == 39


async def test_payloads_stay_in_the_file_when_the_backlog_is_long(machine: Machine) -> None:
    """[15] Only names of lanes are in memory, and what is taken."""
    backlog = 20_000
    moment = 1_000_000
    payload = ConversationReturned(tenant=DEMO, conversation_id=ConversationId("backlog")).model_dump_json()

    def fill(connection: sa.Connection) -> None:
        lanes = [
            {"lane": f"l{number}", "tenant": "demo", "last_seq": 100, "ready_at": moment}
            for number in range(backlog // 100)
        ]
        connection.execute(sa.insert(lane_table), lanes)
        rows = [
            {
                "tenant": "demo", "source": "test", "key": f"m{number}", "lane": f"l{number // 100}",
                "seq": number % 100 + 1, "event": "ConversationReturned", "payload": payload, "trace": "t",
                "received_at": moment,
            }
            for number in range(backlog)
        ]  # fmt: skip
        connection.execute(sa.insert(inbox_table), rows)

    await machine.database.write(fill)
    await machine.crash()
    gc.collect()
    assert in_memory("backlog") == 0
    turns = await machine.bus.take(16)
    assert len(turns) == 16
    assert in_memory("backlog") == 16
    assert (await machine.bus.depth()).waiting == backlog - 16


def in_memory(conversation: str) -> int:
    return sum(
        isinstance(thing, ConversationReturned) and thing.conversation_id == conversation
        for thing in gc.get_objects()
    )


async def test_turns_are_free_again_when_the_taker_was_cancelled(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    taking = asyncio.create_task(machine.bus.take(5))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert (await take_one(machine.bus)).attempt == 1


async def test_close_waits_for_commits_that_nobody_waits_for(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    finishing = asyncio.create_task(machine.bus.finish(await take_one(machine.bus), Outcome([reply("x")])))
    await asyncio.sleep(0)
    finishing.cancel()
    await machine.bus.close()
    assert len(await machine.bus.take_replies(5)) == 1
    assert await machine.bus.take(5) == []


async def test_nothing_personal_is_readable_in_the_file(machine: Machine, tmp_path: Path) -> None:
    secret = "13800138000 张三"
    await machine.bus.accept(entry("m1"))
    await machine.bus.finish(await take_one(machine.bus), Outcome([reply(secret)]))
    await machine.bus.accept(entry("m2"))
    await machine.bus.bury(await take_one(machine.bus), f"failed over {secret}")
    await machine.close()
    await machine.database.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"bus_outbox" in content
    assert secret.encode() not in content
    assert b"13800138000" not in content
    assert "张三".encode() not in content
    assert VAULT.unseal(VAULT.seal(secret)) == secret


async def test_acceptance_resumes_when_a_full_disk_has_space_again(machine: Machine) -> None:
    """[12] Nothing is half accepted meanwhile."""

    def limit(connection: sa.Connection, pages: int) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one())

    full = await machine.database.write(lambda c: limit(c, 1))
    accepted, refused = 0, 0
    for number in range(400):
        try:
            await machine.bus.accept(entry(f"m{number}"))
            accepted += 1
        except errors.UpstreamUnavailable:
            refused += 1
            if refused == 3:
                break
    assert refused == 3
    await machine.database.write(lambda c: limit(c, full + 10_000))
    assert (await machine.bus.accept(entry("after"))).seq == accepted + 1
    assert len(await drain(machine.bus)) == accepted + 1
