"""What every bus promises about replies, dead letters and upkeep, checked on both machines. Numbers in brackets are the failure cases of the design."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foundation import errors
from foundation.bus.contract import Outcome
from foundation.bus.records import inbox_table, outbox_table
from foundation.clock import from_milliseconds
from foundation.messages import TenantId
from tests.fakes.bus_machines import (
    DEMO,
    Machine,
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


async def test_poison_is_buried_and_its_lane_goes_on_and_redrive_puts_it_at_the_end(machine: Machine) -> None:
    """[9]"""
    for number in (1, 2, 3):
        await machine.bus.accept(entry(f"m{number}"))
    assert await machine.bus.bury(
        await take_one(machine.bus), "poison", Outcome([reply("sorry")], [note("x")])
    )
    (dead,) = await machine.bus.dead(DEMO)
    assert (dead.kind, dead.lane, dead.error, dead.attempts) == ("entry", "a", "poison", 1)
    assert (await take_reply(machine.bus)).idempotency_key == "a/1/0"
    assert await notes(machine) == ["x"]
    assert [turn.seq for turn in await machine.bus.take(10)] == [2]
    await machine.bus.redrive(DEMO, "entry", dead.id)
    assert await machine.bus.dead(DEMO) == []
    await machine.advance(machine.bus.lease_seconds + 1)
    worked = []
    while turns := await machine.bus.take(10):
        worked.append((turns[0].seq, turns[0].entry.key, turns[0].attempt))
        await machine.bus.finish(turns[0], Outcome())
    assert [key for _, key, _ in worked] == ["m2", "m3", "m1"]
    assert worked[-1] == (4, "m1", 1)


async def test_redrive_wakes_an_idle_lane_also_after_a_crash(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.bury(await take_one(machine.bus), "poison")
    (dead,) = await machine.bus.dead(DEMO)
    await machine.bus.redrive(DEMO, "entry", dead.id)
    await machine.crash()
    assert (await take_one(machine.bus)).seq == 2


async def test_dead_letters_belong_to_their_tenant(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.bury(await take_one(machine.bus), "poison")
    (dead,) = await machine.bus.dead(DEMO)
    assert await machine.bus.dead(TenantId("second")) == []
    with pytest.raises(errors.NotFound):
        await machine.bus.redrive(TenantId("second"), "entry", dead.id)
    with pytest.raises(errors.NotFound):
        await machine.bus.redrive(DEMO, "reply", dead.id)
    await machine.bus.redrive(DEMO, "entry", dead.id)
    with pytest.raises(errors.NotFound):
        await machine.bus.redrive(DEMO, "entry", dead.id)


async def test_every_dead_letter_is_seen_once_when_paging_over_both_kinds(machine: Machine) -> None:
    for number in range(4):
        await machine.bus.accept(entry(f"m{number}"))
        turn = await take_one(machine.bus)
        await machine.bus.bury(turn, "poison", Outcome([reply(f"r{number}")]))
        await machine.bus.bury_reply(await take_reply(machine.bus), "refused")
    seen: list[tuple[str, int]] = []
    after = 0
    while page := await machine.bus.dead(DEMO, after=after, limit=3):
        seen += [(dead.kind, dead.id) for dead in page]
        after = page[-1].id
    assert len(seen) == len(set(seen)) == 8
    assert (await machine.bus.depth()).dead == 8


async def test_unknown_event_is_buried_when_another_version_wrote_it(machine: Machine) -> None:
    await machine.bus.accept(entry("m1", "a"))
    await machine.bus.accept(entry("m2", "a"))
    await machine.bus.accept(entry("m1", "b"))
    inbox = inbox_table.c
    await machine.database.write(
        lambda c: c.execute(
            sa.update(inbox_table).where(inbox.key == "m1", inbox.lane == "a").values(event="FromTheFuture")
        )
    )
    await machine.database.write(
        lambda c: c.execute(sa.update(inbox_table).where(inbox.lane == "b").values(payload='{"version": 9}'))
    )
    await machine.bus.take(10)
    assert [turn.entry.key for turn in await machine.bus.take(10)] == ["m2"]
    assert {dead.lane for dead in await machine.bus.dead(DEMO)} == {"a", "b"}


async def test_lane_waits_and_nothing_is_buried_when_the_key_is_wrong(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    right = await machine.database.read(
        lambda c: c.exec_driver_sql("SELECT payload FROM bus_inbox").scalar_one()
    )
    raw = sa.table("bus_inbox", sa.column("payload", sa.LargeBinary))
    await machine.database.write(lambda c: c.execute(sa.update(raw).values(payload=b"\x01" + b"0" * 40)))
    assert await machine.bus.take(10) == []
    assert await machine.bus.dead(DEMO) == []
    await machine.database.write(lambda c: c.execute(sa.update(raw).values(payload=right)))
    await machine.advance(61)
    assert (await take_one(machine.bus)).entry.key == "m1"


async def test_replies_leave_in_order_when_the_first_part_fails_twice(machine: Machine) -> None:
    """[19] Other conversations go on meanwhile."""
    await machine.bus.accept(entry("m1"))
    await machine.bus.accept(entry("m2"))
    await machine.bus.accept(entry("m1", "b"))
    for _ in range(2):
        for turn in await machine.bus.take(10):
            texts = [f"{turn.entry.lane}{turn.seq}{part}" for part in (0, 1)]
            await machine.bus.finish(turn, Outcome([reply(text, turn.entry.lane) for text in texts]))
    left: list[str] = []
    failures = 2
    for _ in range(20):
        for outgoing in await machine.bus.take_replies(10):
            if outgoing.message.reply.text == "a10" and failures:
                failures -= 1
                await machine.bus.retry_reply(outgoing, 10, "down")
            else:
                left.append(outgoing.message.reply.text)
                await machine.bus.sent(outgoing, "id")
        await machine.advance(6)
    assert [text for text in left if text.startswith("a")] == ["a10", "a11", "a20", "a21"]
    assert left[:2] == ["b10", "b11"]
    assert failures == 0


async def test_reply_keeps_its_key_and_counts_attempts_when_it_is_tried_again(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.finish(await take_one(machine.bus), Outcome([reply("x"), reply("y")]))
    first = await take_reply(machine.bus)
    assert (first.idempotency_key, first.attempt) == ("a/1/0", 1)
    await machine.bus.retry_reply(first, 5, "down")
    assert await machine.bus.take_replies(10) == []
    await machine.crash()
    await machine.advance(6)
    second = await take_reply(machine.bus)
    assert (second.idempotency_key, second.attempt, second.id) == ("a/1/0", 2, first.id)
    assert second.trace == first.trace != ""


async def test_reply_is_handed_out_again_when_its_sender_died(machine: Machine) -> None:
    """[2] Between the finish and the send, and between the send and the mark."""
    await machine.bus.accept(entry("m1"))
    await machine.bus.finish(await take_one(machine.bus), Outcome([reply("x")]))
    await machine.crash()
    first = await take_reply(machine.bus)
    await machine.crash()
    second = await take_reply(machine.bus)
    assert second.idempotency_key == first.idempotency_key
    await machine.bus.sent(second)
    await machine.crash()
    assert await machine.bus.take_replies(10) == []


async def test_writes_run_once_when_a_reply_is_marked_sent_twice(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.finish(await take_one(machine.bus), Outcome([reply("x")]))
    outgoing = await take_reply(machine.bus)
    await machine.bus.sent(outgoing, "p1", [note("sent")])
    await machine.bus.sent(outgoing, "p2", [note("sent again")])
    await machine.bus.retry_reply(outgoing, 0, "late")
    assert await notes(machine) == ["sent"]
    (row,) = await machine.rows(outbox_table)
    assert (row.provider_id, row.state) == ("p1", 1)


async def test_next_reply_goes_and_an_entry_tells_when_a_reply_is_buried(machine: Machine) -> None:
    await machine.bus.accept(entry("m1"))
    await machine.bus.finish(await take_one(machine.bus), Outcome([reply("x"), reply("y")]))
    outgoing = await take_reply(machine.bus)
    await machine.bus.bury_reply(outgoing, "refused", [entry("failed")])
    assert (await take_one(machine.bus)).entry.key == "failed"
    second = await take_reply(machine.bus)
    assert second.message.reply.text == "y"
    await machine.bus.sent(second)
    (dead,) = await machine.bus.dead(DEMO)
    await machine.bus.redrive(DEMO, "reply", dead.id)
    redriven = await take_reply(machine.bus)
    assert (redriven.message.reply.text, redriven.attempt) == ("x", 1)


async def test_depth_counts_what_waits_runs_rests_and_is_dead(machine: Machine) -> None:
    for lane in "abcd":
        for number in range(3):
            await machine.bus.accept(entry(f"m{number}", lane))
    turns = {turn.entry.lane: turn for turn in await machine.bus.take(10)}
    await machine.bus.retry(turns["a"], 50, "later")
    await machine.bus.bury(turns["b"], "poison")
    await machine.bus.finish(turns["c"], Outcome([reply("x", "c"), reply("y", "c")]))
    depth = await machine.bus.depth()
    assert (depth.running, depth.backing_off, depth.dead, depth.replies_waiting) == (1, 1, 1, 2)
    assert depth.waiting == 12 - 2 - 1 - 1
    assert depth.oldest_age_seconds >= 0


async def test_purge_forgets_the_finished_and_keeps_the_horizon_the_open_and_the_dead(
    machine: Machine,
) -> None:
    """[3, 22]"""
    bus = machine.bus
    await bus.accept(entry("old"))
    await bus.finish(await take_one(bus), Outcome([reply("old")]))
    await bus.sent(await take_reply(bus))
    await bus.accept(entry("dead"))
    await bus.bury(await take_one(bus), "poison", Outcome([reply("open")]))
    await bus.accept(entry("open"))
    (old, *_) = await machine.rows(inbox_table, inbox_table.c.id)
    before = from_milliseconds(old.finished_at)
    assert await bus.purge(entries_before=before, replies_before=before) == 0
    assert not (await bus.accept(entry("old"))).new
    after = before + timedelta(days=1)
    assert await bus.purge(entries_before=after, replies_before=after) == 2
    assert {row.key for row in await machine.rows(inbox_table)} == {"dead", "open"}
    assert len(await machine.rows(outbox_table)) == 1
    assert (await bus.accept(entry("old"))).seq == 4
