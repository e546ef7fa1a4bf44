"""The outbox: told with what happens or not at all, one order that no reader can miss a part of, and an end."""

from __future__ import annotations

import asyncio
import threading

import pytest
import sqlalchemy as sa

from foundation import conversations
from foundation.messages import ConversationId, TenantId
from foundation.outward import catalogue, outbox
from foundation.storage.database import Database
from tests.conftest import StandingClock

DEMO = TenantId("demo")


def tell(connection: sa.Connection, clock: StandingClock, name: str, tenant: TenantId = DEMO) -> None:
    outbox.tell(connection, tenant, "conversation.closed", {"conversation_id": name}, now=clock())


async def heard(database: Database, after: int = 0, tenant: TenantId = DEMO) -> list[str]:
    found = await database.read(lambda c: outbox.read_after(c, tenant, after))
    return [one.lane for one in found]


async def test_page_is_what_the_catalogue_says() -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page()


@pytest.mark.parametrize(
    ("kind", "data"),
    [("conversation.lost", {"conversation_id": "c"}), ("conversation.closed", {"conversation_id": "c", "text": "hi"})],
)  # fmt: skip
async def test_what_the_catalogue_does_not_know_is_not_told(
    database: Database, clock: StandingClock, kind: str, data: dict[str, str]
) -> None:
    with pytest.raises(KeyError):
        await database.write(lambda c: outbox.tell(c, DEMO, kind, data, now=clock()))


async def test_nothing_is_told_when_what_happened_is_rolled_back(
    either_database: Database, clock: StandingClock
) -> None:
    def fail(connection: sa.Connection) -> None:
        tell(connection, clock, "never")
        raise ValueError

    with pytest.raises(ValueError):
        await either_database.write(fail)
    await either_database.write(lambda c: tell(c, clock, "once"))
    assert await either_database.write(lambda c: outbox.number(c, DEMO)) == 1
    assert await heard(either_database) == ["once"]


async def test_tenants_have_orders_of_their_own(either_database: Database, clock: StandingClock) -> None:
    other = TenantId("other")
    for name, tenant in (("a", DEMO), ("b", other), ("c", DEMO)):
        await either_database.write(lambda c, name=name, tenant=tenant: tell(c, clock, name, tenant))  # type: ignore[misc]
    for tenant in (DEMO, other):
        await either_database.write(lambda c, tenant=tenant: outbox.number(c, tenant))  # type: ignore[misc]
    assert (await heard(either_database), await heard(either_database, tenant=other)) == (["a", "c"], ["b"])


async def test_reader_misses_nothing_when_an_earlier_id_is_committed_later(
    postgres_url: str, vault: object, clock: StandingClock
) -> None:
    """The interleaving is forced: the first transaction has its id and is still open when the second is read."""
    from foundation.security import Vault
    from tests.conftest import open_with_tables

    assert isinstance(vault, Vault)
    database = Database(postgres_url, vault)
    await open_with_tables(database)
    inserted, go_on = threading.Event(), threading.Event()

    def slow(connection: sa.Connection) -> None:
        tell(connection, clock, "first")
        inserted.set()
        go_on.wait(20)

    try:
        slowly = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(inserted.wait, 20)
        await database.write(lambda c: tell(c, clock, "second"))
        await database.write(lambda c: outbox.number(c, DEMO))
        assert await heard(database) == ["second"]
        go_on.set()
        await slowly
        await database.write(lambda c: outbox.number(c, DEMO))
        assert await heard(database, after=1) == ["first"]
    finally:
        go_on.set()
        await database.close()


async def test_numbers_are_not_given_twice_when_old_events_are_forgotten(
    either_database: Database, clock: StandingClock
) -> None:
    await either_database.write(lambda c: tell(c, clock, "old"))
    await either_database.write(lambda c: outbox.number(c, DEMO))
    clock.move(days=15)
    before = clock() - outbox.KEPT
    assert await either_database.write(lambda c: outbox.purge(c, DEMO, before=before)) == 1
    assert await either_database.write(lambda c: outbox.purge(c, DEMO, before=before)) == 0
    await either_database.write(lambda c: tell(c, clock, "new"))
    await either_database.write(lambda c: outbox.number(c, DEMO))
    assert await heard(either_database, after=1) == ["new"]
    assert await either_database.write(lambda c: outbox.forget(c, DEMO, ["new"])) == 1
    assert await heard(either_database) == []


async def test_one_process_serves_a_receiver_until_its_lease_ends(
    either_database: Database, clock: StandingClock
) -> None:
    async def lease(owner: str) -> int | None:
        return await either_database.write(
            lambda c: outbox.lease(c, DEMO, "stream", owner=owner, now=clock(), seconds=60)
        )

    assert (await lease("a"), await lease("b"), await lease("a")) == (0, None, 0)
    assert await either_database.write(lambda c: outbox.advance(c, DEMO, "stream", 7, owner="a"))
    assert not await either_database.write(lambda c: outbox.advance(c, DEMO, "stream", 5, owner="b"))
    clock.move(seconds=61)
    assert (await lease("b"), await lease("a")) == (7, None)
    await either_database.write(lambda c: outbox.release(c, DEMO, "stream", owner="b"))
    assert await lease("a") == 7


async def test_conversation_is_told_from_its_beginning_to_its_end(
    either_database: Database, clock: StandingClock
) -> None:
    conversation, now = ConversationId("c1"), clock()

    def live(connection: sa.Connection) -> None:
        for _ in range(2):  # made once, however often it is ensured
            conversations.ensure(
                connection,
                conversation,
                tenant=DEMO,
                channel="web_chat",
                account="site",
                recipient="r",
                now=now,
            )
        for role, name in (("customer", "m1"), ("bot", "m2"), ("agent", "m3"), ("system", "m4")):
            draft = conversations.Draft(id=name, role=role, text="a secret", sent_at=now)  # type: ignore[arg-type]
            conversations.append(connection, DEMO, conversation, draft)
        conversations.change(connection, DEMO, conversation, now, priority=1)
        conversations.change(connection, DEMO, conversation, now, holder="queue", handoff_reason="angry")
        conversations.take_over(connection, DEMO, conversation, staff="s1", now=now)
        conversations.mark_state(connection, DEMO, conversation, "m2", state="sent")
        conversations.mark_state(connection, DEMO, conversation, "m2", state="failed", error="blocked")
        conversations.change(connection, DEMO, conversation, now, holder="bot", status="open")
        conversations.change(connection, DEMO, conversation, now, holder="bot", status="closed")

    await either_database.write(live)
    await either_database.write(lambda c: outbox.number(c, DEMO))
    found = await either_database.read(lambda c: outbox.read_after(c, DEMO, 0))
    assert [one.type for one in found] == [
        "conversation.started", "message.received", "message.sent", "message.sent", "conversation.handed_over",
        "conversation.taken", "message.failed", "conversation.returned", "conversation.closed",
    ]  # fmt: skip
    assert {one.lane for one in found} == {"c1"}
    assert found[4].data == {"conversation_id": "c1", "reason": "angry"}
    assert "secret" not in str(found)
