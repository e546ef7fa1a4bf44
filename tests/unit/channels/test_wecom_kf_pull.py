"""Fetching: every item of every page, once, whatever happens between two pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
import structlog

from channels import degrade
from channels.adapters.wecom_kf.channel import WecomKfChannel
from channels.adapters.wecom_kf.puller import AGAIN_SECONDS
from channels.contract import Door as AnyDoor
from channels.contract import Surroundings
from channels.intake import Intake
from channels.platforms.shelf import Shelf
from channels.promises import Pulling
from foundation import conversations, errors
from foundation.bus.embedded import EmbeddedBus
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.unit.channels.kf import ANNA, BEN, CLEO, KF, SETTINGS, Door, Kf, outbound

SYNC = "/kf/sync_msg"


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def kf(surroundings: Surroundings) -> Kf:
    return Kf(surroundings)


def fill(kf: Kf, count: int) -> list[str]:
    texts = [f"第{number}条" for number in range(count)]
    for text in texts:
        kf.api.write(ANNA, text)
    return texts


@asynccontextmanager
async def pulling(channel: WecomKfChannel, door: AnyDoor) -> AsyncIterator[None]:
    assert isinstance(channel, Pulling)
    running = asyncio.create_task(channel.pull(door))
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def next_arrival(door: Door) -> None:
    async with asyncio.timeout(10):
        await door.came.wait()
    door.came.clear()


async def test_three_customers_are_all_answered_when_they_write_before_one_look(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    for customer in (ANNA, BEN, CLEO):
        kf.api.write(customer, f"hello from {customer}")
    kf.ring(channel)
    await channel.puller.look(door)
    assert [message.sender[0].value for message in door.messages] == [ANNA, BEN, CLEO]
    assert kf.calls.count("kf/sync_msg") == 1
    for message in door.messages:
        reply = outbound("answer", to=message.sender[0].value, context=message.reply_context)
        (part,) = degrade.fit(reply, channel.capabilities)
        await channel.send(part, idempotency_key=str(message.message_id))
    assert [shown.user for shown in kf.seen] == [ANNA, BEN, CLEO]


async def test_nothing_is_lost_when_many_are_retained_and_three_are_new(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    retained = fill(kf, 1200)
    await channel.puller.look(door)
    assert door.texts == retained
    for customer in (ANNA, BEN, CLEO):
        kf.api.write(customer, f"new from {customer}")
    kf.ring(channel)
    await channel.puller.look(door)
    assert door.texts[1200:] == [f"new from {customer}" for customer in (ANNA, BEN, CLEO)]
    assert door.repeats == 0


async def test_retained_and_new_come_together_when_nobody_looked_before(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    texts = [*fill(kf, 1200), "a", "b", "c"]
    for text in texts[1200:]:
        kf.api.write(BEN, text)
    kf.ring(channel)
    await channel.puller.look(door)
    assert door.texts == texts
    assert [asked["limit"] for asked in kf.asked if "limit" in asked] == [1000, 1000]


async def test_nothing_is_lost_or_doubled_when_the_process_dies_between_two_pages(kf: Kf) -> None:
    texts, door = fill(kf, 2500), Door()
    kf.dies_at_page = 3
    with pytest.raises(asyncio.CancelledError):
        await kf.channel().puller.look(door)
    assert len(door.messages) == 2000
    await kf.channel().puller.look(door)
    assert door.texts == texts
    assert door.repeats == 0


async def test_page_is_repeated_when_the_process_dies_within_it(kf: Kf) -> None:
    texts, door = fill(kf, 2500), Door(fail_at=2300, failure=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await kf.channel().puller.look(door)
    await kf.channel().puller.look(door)
    assert door.texts == texts
    assert door.repeats == 299


async def test_the_real_door_knows_the_repeated_page(kf: Kf, database: Database, vault: Vault) -> None:
    bus = EmbeddedBus(database)
    await bus.open()
    around = kf.surroundings
    intake = Intake(bus, database, vault=vault, clock=around.clock, metrics=Metrics(), hub=around.hub)
    texts = fill(kf, 12)
    await kf.channel().puller.look(intake)
    await Shelf("wecom_kf", around).write(f"cursor:{KF}", "")
    await kf.channel().puller.look(intake)
    (row,) = await database.read(lambda c: list(c.execute(sa.select(conversations.conversation_table.c.id))))
    lines = await database.read(lambda c: conversations.read(c, TenantId("demo"), row.id))
    await bus.close()
    assert [line.text for line in lines] == texts


async def test_bell_wakes_the_look_at_once(kf: Kf) -> None:
    channel, door = kf.channel(poll_seconds=3600), Door()
    kf.api.write(ANNA, "before the start")
    async with pulling(channel, door):
        await next_arrival(door)
        kf.api.write(BEN, "after it")
        kf.ring(channel)
        await next_arrival(door)
    assert door.texts == ["before the start", "after it"]


async def test_lost_bell_is_made_up_for_by_the_next_look(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    assert await channel.puller.look(door) == SETTINGS.poll_seconds
    kf.api.write(ANNA, "nobody rang")
    await channel.puller.look(door)
    assert door.texts == ["nobody rang"]
    assert kf.api.calls_without_bell == 2


async def test_bells_of_accounts_that_are_not_ours_are_let_go(surroundings: Surroundings) -> None:
    kf = Kf(surroundings, SETTINGS.model_copy(update={"open_kfid": f"{KF}, wkDemo02"}))
    one, all_of_them, door = kf.channel(open_kfid=KF), kf.channel(open_kfid=""), Door()
    kf.api.write(ANNA, "for the second", account="wkDemo02")
    kf.ring(one, "wkDemo02")
    await one.puller.look(door)
    assert door.texts == []
    await all_of_them.puller.look(door)
    assert door.texts == ["for the second"]
    assert door.messages[0].reply_context == {"open_kfid": "wkDemo02"}


async def test_bells_name_the_accounts_when_these_cannot_be_listed(kf: Kf) -> None:
    channel, door = kf.channel(open_kfid=""), Door()
    kf.next_call("/account/list", faults.status(500))
    kf.api.write(ANNA, "hello")
    kf.ring(channel)
    await channel.puller.look(door)
    assert door.texts == ["hello"]


@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        (faults.timeout, AGAIN_SECONDS),
        (faults.unreachable, AGAIN_SECONDS),
        (faults.status(503, retry_after="17"), 17),
        (faults.errcode(45009), 60),
        (faults.errcode(-1), 5),
        (faults.errcode(48002), SETTINGS.poll_seconds),
        (faults.body(b"<html>"), AGAIN_SECONDS),
    ],
)
async def test_platform_that_is_away_is_asked_again_with_the_same_bell(
    kf: Kf, fault: faults.Fault, pause: float
) -> None:
    channel, door = kf.channel(), Door()
    kf.api.write(ANNA, "hello")
    kf.ring(channel)
    kf.next_call(SYNC, fault)
    assert await channel.puller.look(door) == pause
    await channel.puller.look(door)
    assert door.texts == ["hello"]
    assert kf.api.calls_without_bell == 0


@pytest.mark.parametrize(
    "failure", [ConnectionError(), TimeoutError(), errors.Overloaded("full", retry_after_seconds=2)]
)
async def test_place_is_kept_when_the_door_does_not_take_a_message(kf: Kf, failure: Exception) -> None:
    texts, door = fill(kf, 1500), Door(fail_at=1200, failure=failure)
    channel = kf.channel()
    assert await channel.puller.look(door) in (2, AGAIN_SECONDS)
    assert len(door.messages) == 1199
    await channel.puller.look(door)
    assert door.texts == texts


async def test_items_that_cannot_be_read_or_taken_do_not_hold_up_the_others(kf: Kf) -> None:
    channel = kf.channel()
    door = Door(fail_at=2, failure=errors.InvalidInput("odd"))
    kf.api.write(ANNA, "first")
    kf.api.put(KF, "", {"origin": 3, "msgtype": "text", "text": {"content": "whose?"}})
    kf.api.write(ANNA, "odd")
    kf.api.write(ANNA, "last")
    await channel.puller.look(door)
    assert door.texts == ["first", "last"]


async def test_old_bell_is_left_out(kf: Kf, clock: StandingClock) -> None:
    channel, door = kf.channel(), Door()
    kf.api.write(ANNA, "hello")
    kf.ring(channel)
    clock.move(minutes=11)
    await channel.puller.look(door)
    assert door.texts == ["hello"]
    assert kf.calls.count("kf/sync_msg") == 2


async def test_look_ends_when_the_platform_says_more_and_gives_nothing(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    kf.next_call(SYNC, faults.body(b'{"errcode":0,"has_more":1,"next_cursor":"","msg_list":null}'))
    await channel.puller.look(door)
    assert kf.calls.count("kf/sync_msg") == 1


async def test_only_customers_and_their_sessions_come_in(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    kf.api.put(KF, ANNA, {"origin": 5, "msgtype": "text", "text": {"content": "I am a colleague"}})
    kf.api.put(KF, ANNA, {"origin": 4, "msgtype": "text", "text": {"content": "the platform says"}})
    kf.api.enter(ANNA)
    kf.api.enter(ANNA, welcome=False)
    await channel.puller.look(door)
    assert [message.event for message in door.messages] == ["enter", "reenter"]


async def test_one_line_is_logged_when_looking_fails_and_one_when_it_works_again(kf: Kf) -> None:
    channel, door = kf.channel(), Door()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            kf.next_call(SYNC, faults.errcode(48002))
            await channel.puller.look(door)
        await channel.puller.look(door)
    assert [line["event"] for line in lines] == [
        "wecom_kf cannot fetch messages", "wecom_kf fetches messages again",
    ]  # fmt: skip
