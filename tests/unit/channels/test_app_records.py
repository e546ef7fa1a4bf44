"""Devices and waiting pushes of the app in SQL, on both engines: one taker, one owner of a handle, other tenants apart."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from channels.adapters.app import records
from channels.adapters.app.records import Device, Place, Push
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database
from tests.conftest import StandingClock

HERE, OTHER = Place(TenantId("demo"), "main"), Place(TenantId("other"), "main")
LIN, WU = ConversationId("lin's"), ConversationId("wu's")


async def register(
    database: Database, clock: StandingClock, talk: ConversationId, device: str, handle: str, place: Place = HERE
) -> None:  # fmt: skip
    one = Device(device, "ios", handle)
    await database.write(lambda c: records.keep_device(c, place, talk, one, handle_key=handle, now=clock()))


async def devices(database: Database, talk: ConversationId, place: Place = HERE) -> list[tuple[str, str]]:
    found = await database.read(lambda c: records.find_devices(c, place, talk))
    return [(one.device, one.handle) for one in found]


async def test_handle_belongs_to_whoever_registered_it_last(
    either_database: Database, clock: StandingClock
) -> None:
    await register(either_database, clock, LIN, "d1", "h1")
    await register(either_database, clock, LIN, "d1", "h2")
    await register(either_database, clock, LIN, "d2", "h3")
    await register(either_database, clock, LIN, "d1", "h2", OTHER)
    assert await devices(either_database, LIN) == [("d1", "h2"), ("d2", "h3")]
    await register(either_database, clock, WU, "d1", "h2")
    assert await devices(either_database, LIN) == [("d2", "h3")]
    assert await devices(either_database, WU) == [("d1", "h2")]
    assert await devices(either_database, LIN, OTHER) == [("d1", "h2")]
    await either_database.write(lambda c: records.forget_device(c, HERE, WU, "d1"))
    assert await devices(either_database, WU) == []


async def test_what_is_due_is_taken_by_one_and_again_when_it_was_not_settled(
    either_database: Database, clock: StandingClock
) -> None:
    pushes = [Push(f"p{number}", "d1", LIN, "m1", "lin", clock() + timedelta(seconds=number)) for number in range(3)]  # fmt: skip
    for _ in range(2):
        await either_database.write(lambda c: records.add_pushes(c, HERE, pushes))

    async def take() -> list[Push]:
        now = clock()
        return await either_database.write(
            lambda c: records.take_due(c, HERE, now=now, until=now + timedelta(seconds=60), limit=10)
        )

    assert not await either_database.read(lambda c: records.is_due(c, OTHER, clock()))
    clock.move(seconds=1)
    assert await either_database.read(lambda c: records.is_due(c, HERE, clock()))
    first, second = await asyncio.gather(take(), take())
    assert sorted(one.id for one in first + second) == ["p0", "p1"]
    taken = {one.id: one for one in first + second}
    await either_database.write(lambda c: records.settle(c, HERE, taken["p0"]))
    clock.move(seconds=61)
    again = {one.id: one.attempts for one in await take()}
    assert again == {"p1": 2, "p2": 1}
    later = clock() + timedelta(seconds=600)
    await either_database.write(lambda c: records.delay(c, HERE, taken["p1"], later))
    clock.move(seconds=70)
    assert [one.id for one in await take()] == ["p2"]
