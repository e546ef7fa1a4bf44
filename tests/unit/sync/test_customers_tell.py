"""What changes about customers is told: proofs, merges and splits, statements, tags. Ids only, whatever was said."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from customers.directory import ACCOUNT, Directory
from customers.graph.operations import Operations
from customers.profile.facts import Fact
from customers.profile.profile import Profiles
from foundation import conversations
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.outward import outbox
from foundation.outward.outbox import Told
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock

DEMO = TenantId("demo")


class House:
    def __init__(self, database: Database, vault: Vault, clock: StandingClock) -> None:
        self.database, self.clock = database, clock
        self.directory = Directory(database, vault, clock)
        self.operations = Operations(self.directory.graph, vault, clock)
        self.profiles = Profiles(vault, clock)

    async def talk(self, name: str) -> str:
        sender = (Identifier(namespace=f"wechat_oa:{name}", value="1", proven=True),)
        message = InboundMessage(
            tenant=DEMO, channel="x", account="main", thread="t", message_id=MessageId("m"), sender=sender, text="?",
            sent_at=self.clock(),
        )  # fmt: skip

        def work(connection: sa.Connection) -> str:
            conversation = ConversationId(name)
            conversations.ensure(
                connection,
                conversation,
                tenant=DEMO,
                channel="x",
                account="main",
                recipient="r",
                now=self.clock(),
            )
            return self.directory.resolve(connection, DEMO, message, conversation).identity_id

        found = await self.database.write(work)
        self.clock.move(seconds=1)
        return found

    async def told(self, *kinds: str) -> list[Told]:
        await self.database.write(lambda c: outbox.number(c, DEMO))
        found = await self.database.read(lambda c: outbox.read_after(c, DEMO, 0))
        return [one for one in found if one.type in kinds]


@pytest.fixture
def house(either_database: Database, vault: Vault, clock: StandingClock) -> House:
    return House(either_database, vault, clock)


async def test_merge_and_its_undoing_are_told_with_the_operation_and_both_customers(house: House) -> None:
    old, new = await house.talk("a"), await house.talk("b")
    linked = await house.database.write(
        lambda c: house.operations.link(c, DEMO, old, new, actor="staff:li", reason="打过电话")
    )
    assert linked.op is not None
    op = linked.op
    undone = await house.database.write(
        lambda c: house.operations.undo(c, DEMO, op, actor="staff:li", reason="不是")
    )
    merged, parted = await house.told("customer.relabelled")
    assert merged.data == {"identity_ids": [new], "old_customer_id": new, "new_customer_id": old, "op": op}
    assert parted.data == {
        "identity_ids": [new],
        "old_customer_id": old,
        "new_customer_id": new,
        "op": undone,
    }


async def test_proof_is_told_once_and_not_each_time_it_is_renewed(house: House) -> None:
    await house.talk("a")

    def prove(connection: sa.Connection) -> None:
        house.directory.prove(
            connection, DEMO, ConversationId("a"), account="anna", method="sign_in_link", valid_seconds=600,
            display_name="Anna Secret",
        )  # fmt: skip

    await house.database.write(prove)
    house.clock.move(minutes=5)
    await house.database.write(prove)
    [proof] = await house.told("identity.proven")
    account = await house.database.read(lambda c: house.directory.graph.find_account(c, DEMO, "anna"))
    assert account is not None
    assert (proof.lane, proof.data["method"], proof.data["identity_id"]) == ("a", "sign_in_link", account.id)
    assert "anna" not in str(proof).lower()
    house.clock.move(hours=1)
    await house.database.write(prove)
    assert len(await house.told("identity.proven")) == 2
    label = await house.database.read(
        lambda c: house.directory.graph.find_label(
            c, DEMO, Identifier(namespace=ACCOUNT, value="anna", proven=True), ConversationId("a")
        )
    )
    assert label == (account.id, account.customer_id, account.access_id)


async def test_statement_and_tag_are_told_without_what_was_stated(house: House) -> None:
    identity = await house.talk("a")
    fact = Fact(identity, "city", "隐城", "chat", 0, 0.9, house.clock())

    def write(connection: sa.Connection) -> None:
        for occasion in ("first", "second"):
            house.profiles.state(connection, DEMO, fact, occasion=occasion)
        house.profiles.tag(connection, DEMO, identity, tag="vip", author="staff:li", reason="买得多", days=2)
        house.profiles.untag(connection, DEMO, [identity], "vip")

    await house.database.write(write)
    stated, tagged, untagged = await house.told("profile.changed", "tag.added", "tag.removed")
    assert stated.data == {"identity_id": identity, "attribute": "city", "source": "chat"}
    expires = int((house.clock() + timedelta(days=2)).timestamp() * 1000)
    assert tagged.data == {"identity_id": identity, "tag": "vip", "expires_at": expires}
    assert untagged.data == {"identity_id": identity, "tag": "vip"}
    assert "隐城" not in str(stated)
