"""What customers looked at: once each, the newest few, for whoever is the same customer, and not for ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from customers import behaviour
from customers.behaviour import KEPT, KEPT_FOR, Behaviour
from foundation import conversations
from foundation.bus.contract import Entry, Turn
from foundation.events import BehaviourObserved
from foundation.messages import ConversationId, CustomerId, Observation, TenantId
from foundation.storage.database import Database
from tests.conftest import StandingClock

ONE, TWO = ConversationId("c1"), ConversationId("c2")
DEMO, OTHER = TenantId("demo"), TenantId("other")


def seen(number: int, at: datetime, **more: str) -> Observation:
    return Observation(id=f"e{number}", type="page_view", at=at, title=f"page {number}", **more)


def untold(*_told: object) -> None:
    """The profile has tests of its own."""


async def hear(
    database: Database, clock: StandingClock, *observations: Observation, conversation: ConversationId = ONE,
    tenant: TenantId = DEMO,
) -> None:  # fmt: skip
    event = BehaviourObserved(tenant=tenant, conversation_id=conversation, observations=observations)
    turn = Turn(Entry(tenant, "x", "k", "x", event), 1, 1, 1, clock(), clock())
    for write in (await Behaviour(clock, untold).handle(event, turn)).writes:
        await database.write(write)


async def titles(
    database: Database, conversation: ConversationId = ONE, tenant: TenantId = DEMO, limit: int = 8
) -> list[str]:
    found = await database.read(lambda c: behaviour.recent(c, tenant, conversation, limit=limit))
    return [one.title for one in found]


async def test_the_newest_comes_first_and_a_repeat_changes_nothing(
    either_database: Database, clock: StandingClock
) -> None:
    early, late = seen(1, clock() - timedelta(minutes=9)), seen(2, clock())
    await hear(either_database, clock, late, early)
    await hear(either_database, clock, late.model_copy(update={"title": "another"}))
    assert await titles(either_database) == ["page 2", "page 1"]
    assert await titles(either_database, TWO) == []
    assert await titles(either_database, tenant=OTHER) == []


async def test_other_conversations_of_the_same_customer_are_looked_at_as_well(
    database: Database, clock: StandingClock
) -> None:
    def begin(connection: sa.Connection) -> None:
        for name in (ONE, TWO):
            conversations.ensure(
                connection, name, tenant=DEMO, channel="app", account="main", recipient="u", now=clock()
            )
            conversations.change(connection, DEMO, name, clock(), customer_id=CustomerId("lin"))

    await database.write(begin)
    await hear(database, clock, seen(1, clock()), conversation=TWO)
    await hear(database, clock, seen(2, clock()), conversation=ConversationId("a stranger's"))
    assert await titles(database) == ["page 1"]


async def test_only_the_newest_are_kept_and_none_for_ever(
    either_database: Database, clock: StandingClock
) -> None:
    many = [seen(number, clock() - timedelta(seconds=KEPT + 20 - number)) for number in range(KEPT + 20)]
    for start in range(0, len(many), 100):
        await hear(either_database, clock, *many[start : start + 100])
    kept = await titles(either_database, limit=2 * KEPT)
    assert (len(kept), kept[0], kept[-1]) == (KEPT, f"page {KEPT + 19}", "page 20")
    clock.now += KEPT_FOR + timedelta(days=1)
    await hear(either_database, clock, seen(9_999, clock()), conversation=TWO)
    assert await titles(either_database) == []


async def test_what_was_looked_at_is_sealed_at_rest(
    database: Database, clock: StandingClock, tmp_path: Path
) -> None:
    await hear(database, clock, seen(1, clock(), url="https://shop/?mail=wang@example.com"))
    files = b"".join(path.read_bytes() for path in tmp_path.glob("huiliu.db*"))
    assert b"behaviour_event" in files
    assert b"wang@example.com" not in files
