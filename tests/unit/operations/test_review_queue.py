"""The queue of pairs: the likeliest first, one in twenty by lot, and what has settled itself is no question any more."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from customers.directory import Directory
from customers.graph.operations import Operations
from customers.matching import records
from customers.matching.records import ReviewItem
from foundation import errors
from foundation.messages import ConversationId, Identifier, TenantId
from operations import audit
from operations.identities.desk import IdentityDesk
from operations.identities.reviews import DRAWN_EVERY, Reviews
from tests.unit.operations.conftest import Office

DEMO = TenantId("demo")
PAIRS = DRAWN_EVERY + 5


class Queue:
    def __init__(self, office: Office) -> None:
        self.office = office
        self.directory = Directory(office.database, office.database.vault, office.clock)
        operations = Operations(self.directory.graph, office.database.vault, office.clock)
        self.desk = IdentityDesk(office.database, office.bus, operations, clock=office.clock)
        self.reviews = Reviews(office.database, self.desk, operations, clock=office.clock)

    async def fill(self) -> None:
        await self.office.database.write(self._fill)

    def _fill(self, connection: sa.Connection) -> None:
        for number in range(PAIRS):
            ids = [
                self.directory.graph.observe(
                    connection, self.office.tenant, [Identifier(namespace="crm", value=f"{side}{number}", proven=True)],
                    conversation_id=ConversationId("c"), seen_at=self.office.clock(),
                ).id
                for side in "ab"
            ]  # fmt: skip
            a, b = sorted(ids)
            item = ReviewItem(a, b, 0.9 + number / 1000, (), None, "open", self.office.clock())
            records.save_review(connection, self.office.tenant, item)


@pytest.fixture
async def queue(office: Office) -> Queue:
    found = Queue(office)
    await found.fill()
    return found


async def test_every_twentieth_decision_is_about_a_pair_drawn_by_lot_the_same_for_all_who_look(
    office: Office, queue: Queue
) -> None:
    boss = await office.hire("boss", "manager")
    for decided in range(DRAWN_EVERY - 1):
        left, pairs = await queue.reviews.waiting(boss)
        assert left == PAIRS - decided
        assert not pairs[0].drawn
        assert pairs[0].item.score == max(one.item.score for one in pairs)
        item = pairs[0].item
        await queue.reviews.decide(boss, item.b, item.a, same=False, reason="not the same")
    _, pairs = await queue.reviews.waiting(boss)
    _, again = await queue.reviews.waiting(boss)
    assert [one.drawn for one in pairs].count(True) == 1
    assert pairs[0].drawn
    assert pairs[0].item == again[0].item
    await queue.reviews.decide(boss, pairs[0].item.a, pairs[0].item.b, same=True, reason="the same")
    _, pairs = await queue.reviews.waiting(boss)
    assert not any(one.drawn for one in pairs)
    entries = await office.database.read(lambda c: audit.read(c, office.tenant))
    told = [entry.detail["drawn"] for entry in entries if entry.action == "review.decided"]
    assert told == [True] + [False] * (DRAWN_EVERY - 1)


async def test_pair_that_was_linked_or_kept_apart_elsewhere_leaves_the_queue_and_comes_back_with_an_undo(
    office: Office, queue: Queue
) -> None:
    boss = await office.hire("boss", "manager")
    agent = await office.hire("mei", "agent")
    _, pairs = await queue.reviews.waiting(boss)
    one, two = pairs[0].item, pairs[1].item
    await queue.desk.link(agent, one.a, one.b, reason="same voice")
    op = await queue.desk.keep_apart(agent, two.a, two.b, reason="sisters")
    assert await queue.reviews.count(office.tenant) == PAIRS - 2
    await queue.desk.undo(agent, op, reason="not sisters")
    with pytest.raises(errors.Conflict):
        await queue.reviews.decide(boss, two.a, two.b, same=True, reason="who knows")
    with pytest.raises(errors.NotPermitted):
        await queue.reviews.waiting(agent)
