"""How the staff's erasing goes on: while somebody is being answered, after a crash between two steps, and from two processes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from customers.directory import Directory
from customers.privacy.erasure_records import Erasure
from foundation import conversations, errors
from foundation.bus.records import inbox_table
from foundation.conversations import Draft
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.storage.database import Database
from operations.privacy.desk import ErasureDesk, Outside
from operations.staff import Member
from tests.conftest import StandingClock

TALK = ConversationId("c1")
MANAGER = Member(TenantId("demo"), "m1", "mei", "Mei", "manager")


@dataclass
class Shelf:
    """A place outside that cannot be emptied at first."""

    name: str = "shelf"
    refusals: int = 0
    asked: list[str] = field(default_factory=list)

    async def erase(self, _tenant: TenantId, one: Erasure) -> int | None:
        self.asked.append(one.id)
        self.refusals -= 1
        return None if self.refusals >= 0 else len(one.conversations)


def desk(database: Database, clock: StandingClock, outside: Sequence[Outside] = ()) -> ErasureDesk:
    graph = Directory(database, database.vault, clock).graph
    return ErasureDesk(database, graph, database.vault, clock=clock, outside=outside)


async def meet(database: Database, clock: StandingClock, tenant: TenantId) -> str:
    """A customer who has written once; their id."""
    directory = Directory(database, database.vault, clock)
    sender = (Identifier(namespace="wechat_oa:wx", value="oOne", proven=True),)
    message = InboundMessage(
        tenant=tenant, channel="wechat_oa", account="wx", thread="t", message_id=MessageId("m1"), sender=sender, text="hello",
        sent_at=clock(),
    )  # fmt: skip

    def write(connection: sa.Connection) -> str:
        conversations.ensure(
            connection, TALK, tenant=tenant, channel="wechat_oa", account="wx", recipient="oOne", now=clock()
        )
        draft = Draft(id="m1", role="customer", text="hello", sent_at=clock())
        conversations.append(connection, tenant, TALK, draft)
        return directory.resolve(connection, tenant, message, TALK).customer_id

    return await database.write(write)


async def rows(database: Database, table: str) -> int:
    return await database.read(
        lambda c: int(c.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())
    )


async def test_rows_go_at_once_and_each_step_leaves_a_receipt(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    customer = await meet(either_database, clock, tenant)
    erasures = desk(either_database, clock, [Shelf()])
    look = await erasures.look(MANAGER, customer)
    assert (look.counts["message"], look.counts["identity"], look.conversations) == (1, 1, 1)
    done = await erasures.start(MANAGER, customer, reason="asked by letter")
    assert (done.state, done.actor, done.reason) == ("done", "m1", "asked by letter")
    assert {one.step: dict(one.counts) for one in done.receipts} == {
        "rows": dict(look.counts), "audit": {"audit": 0}, "shelf": {"shelf": 1},
    }  # fmt: skip
    for table in ("message", "identity", "conversation", "conversation_identity", "changed_identity"):
        assert await rows(either_database, table) == 0
    assert await either_database.scrub()


async def test_erasing_begins_when_the_customer_has_been_answered(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    customer = await meet(either_database, clock, tenant)
    open_row = {
        "tenant": tenant, "source": "wechat_oa:wx", "key": "m2", "lane": TALK, "seq": 2, "event": "MessageReceived",
        "payload": "{}", "trace": "", "received_at": 1,
    }  # fmt: skip
    await either_database.write(lambda c: c.execute(sa.insert(inbox_table), open_row))
    erasures = desk(either_database, clock)
    begun = await erasures.start(MANAGER, customer, reason="asked by letter")
    assert (begun.state, begun.receipts) == ("waiting", ())
    assert await rows(either_database, "message") == 1
    assert await erasures.run(tenant) == 1
    assert (await erasures.find(MANAGER, begun.id)).state == "waiting"
    await either_database.write(lambda c: c.execute(sa.update(inbox_table).values(state=1)))
    await erasures.run(tenant)
    assert (await erasures.find(MANAGER, begun.id)).state == "done"
    assert await rows(either_database, "message") == await rows(either_database, "bus_inbox") == 0
    assert await erasures.run(tenant) == 0


async def test_next_process_goes_on_where_the_last_one_died(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    customer = await meet(either_database, clock, tenant)
    first, stubborn = Shelf("first"), Shelf("stubborn", refusals=1)
    begun = await desk(either_database, clock, [first, stubborn]).start(MANAGER, customer, reason="asked")
    assert begun.state == "erasing"
    later = desk(either_database, clock, [first, stubborn])
    await later.run(tenant)
    done = await later.find(MANAGER, begun.id)
    assert done.state == "done"
    assert len(first.asked) == 1, "a step with a receipt is not done again"
    assert len(stubborn.asked) == 2


async def test_two_processes_erase_once(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    customer = await meet(either_database, clock, tenant)
    desks = [desk(either_database, clock) for _ in range(2)]
    both = await asyncio.gather(
        *(one.start(MANAGER, customer, reason="asked") for one in desks), return_exceptions=True
    )
    done = [one for one in both if isinstance(one, Erasure)]
    assert done
    assert all(isinstance(one, Erasure | errors.NotFound) for one in both)
    await asyncio.gather(*(one.run(tenant) for one in desks))
    told = "SELECT count(*) FROM outward_event WHERE type = 'customer.erased'"
    assert await either_database.read(lambda c: c.execute(sa.text(told)).scalar_one()) == 1
    assert {(await desks[0].find(MANAGER, one.id)).state for one in done} == {"done"}


async def test_only_who_may_erases_and_the_reason_names_nobody(
    database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    customer = await meet(database, clock, tenant)
    erasures = desk(database, clock)
    agent = Member(tenant, "a1", "ann", "Ann", "agent")
    with pytest.raises(errors.NotPermitted):
        await erasures.look(agent, customer)
    with pytest.raises(errors.NotPermitted):
        await erasures.start(agent, customer, reason="asked")
    for reason, code in (
        ("oone wrote a letter", "reason_names_person"),
        ("", "reason_missing"),
        ("x" * 301, "reason_missing"),
    ):
        with pytest.raises(errors.InvalidInput) as refused:
            await erasures.start(MANAGER, customer, reason=reason)
        assert refused.value.code == code
    with pytest.raises(errors.NotFound) as unknown:
        await erasures.start(MANAGER, "nobody", reason="asked")
    assert unknown.value.code == "unknown_customer"
    assert await rows(database, "erasure") == 0
