"""A reply that its channel cannot take any more: a template, the customer's other channel, or the desk. And links of a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from channels.contract import Capabilities, Part
from channels.outbound.delivery import Delivery
from channels.outbound.elsewhere import Elsewhere
from channels.outbound.exchange import Exchange
from channels.promises import Companion, Reach
from customers.directory import Directory
from foundation import conversations, errors
from foundation.bus.contract import Outgoing
from foundation.bus.embedded import EmbeddedBus
from foundation.conversations import Conversation, Draft, Message
from foundation.events import ReplyRedirected
from foundation.live import Hub
from foundation.messages import (
    Choice,
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.unit.channels.test_delivery import Pigeons
from tests.unit.channels.test_exchange import Phone

TENANT = TenantId("demo")
HERE, THERE, STRANGER = ConversationId("c-here"), ConversationId("c-there"), ConversationId("c-stranger")
TITLES = {"pigeons": {"zh": "信鸽", "en": "Pigeons"}, "doves": {"zh": "白鸽", "en": "Doves"}}


class Template(Pigeons):
    reopens = True

    async def reopen(self, part: Part, *, idempotency_key: str) -> str:
        self.carried.append(f"template:{part.text}")
        return "t-1"


class Telegraph(Pigeons):
    def reach(self, phone: str) -> Reach:
        return Reach(f"955|{phone}", phone, {"from": "955"})


class Voice(Phone):
    def companion(self, conversation: Conversation) -> Companion | None:
        return Companion("doves", "+8613800000000")


@dataclass
class House:
    database: Database
    bus: EmbeddedBus
    clock: StandingClock
    directory: Directory
    vault: Vault
    pigeons: Pigeons = field(
        default_factory=lambda: Pigeons(Capabilities(text_limit=400, reply_window_seconds=3600))
    )
    doves: Pigeons = field(default_factory=lambda: Pigeons(Capabilities(text_limit=400), name="doves"))

    @property
    def elsewhere(self) -> Elsewhere:
        channels = {(TENANT, "pigeons"): self.pigeons, (TENANT, "doves"): self.doves}
        return Elsewhere(
            channels, self.bus, self.database, vault=self.vault, clock=self.clock,
            find_others=self.directory.find_others, titles=TITLES,
        )  # fmt: skip

    async def deliver(self, reply: Reply, message_id: str = "m-1") -> str:
        channels = {(TENANT, "pigeons"): self.pigeons, (TENANT, "doves"): self.doves}
        delivery = Delivery(
            channels, self.database, hub=Hub(), clock=self.clock, metrics=Metrics(), elsewhere=self.elsewhere
        )
        message = OutboundMessage(
            tenant=TENANT, channel="pigeons", account="main", conversation_id=HERE, message_id=MessageId(message_id),
            recipient="anna", role="bot", reply=reply,
        )  # fmt: skip
        return await delivery.deliver(Outgoing(1, HERE, message, "k", 1))

    async def talk(
        self,
        conversation_id: ConversationId,
        channel: str,
        who: str,
        *,
        proven: bool = True,
        account: str = "SQ1",
    ) -> None:
        """A customer writes, and has proven an account."""
        message = InboundMessage(
            tenant=TENANT, channel=channel, account="main", thread=who, message_id=MessageId(f"in-{who}"),
            sender=(Identifier(namespace=channel, value=who, proven=proven),), text="?", sent_at=self.clock(),
        )  # fmt: skip

        def write(connection: sa.Connection) -> None:
            conversations.ensure(
                connection, conversation_id, tenant=TENANT, channel=channel, account="main", recipient=who,
                now=self.clock(),
            )  # fmt: skip
            draft = Draft(id=message.message_id, role="customer", text="?", sent_at=self.clock())
            conversations.append(connection, TENANT, conversation_id, draft)
            draft = Draft(id="m-1", role="bot", text="好", sent_at=self.clock(), state="sending")
            conversations.append(connection, TENANT, conversation_id, draft)
            self.directory.resolve(connection, TENANT, message, conversation_id)
            if account:
                self.directory.prove(
                    connection, TENANT, conversation_id, account=account, method="test", valid_seconds=600
                )

        await self.database.write(write)

    async def lines(self, conversation_id: ConversationId) -> list[Message]:
        return await self.database.read(lambda c: conversations.read(c, TENANT, conversation_id))

    async def redirected(self) -> list[OutboundMessage]:
        turns = await self.bus.take(10)
        return [turn.entry.event.outbound for turn in turns if isinstance(turn.entry.event, ReplyRedirected)]


@pytest.fixture
async def house(database: Database, clock: StandingClock, vault: Vault) -> AsyncIterator[House]:
    bus = EmbeddedBus(database, clock)
    await bus.open()
    yield House(database, bus, clock, Directory(database, vault, clock), vault)
    await bus.close()


async def test_late_reply_goes_to_the_other_proven_channel(house: House) -> None:
    await house.talk(HERE, "pigeons", "anna")
    house.clock.move(minutes=50)
    await house.talk(THERE, "doves", "anna@doves")
    await house.talk(STRANGER, "doves", "bob", account="SQ2")
    house.clock.move(minutes=11)
    assert await house.deliver(Reply(text="已退款", choices=(Choice(label="谢谢", value="谢谢"),))) == ""
    assert house.pigeons.carried == []
    here = (await house.lines(HERE))[-1]
    assert (here.state, here.error) == ("redirected", "doves")
    [outbound] = await house.redirected()
    assert (outbound.conversation_id, outbound.recipient) == (THERE, "anna@doves")
    assert outbound.reply.text == "您在信鸽问过我们，那边现在不能再发消息，答复写在这里：\n\n已退款"
    assert outbound.reply.choices[0].label == "谢谢"
    assert [line.text for line in await house.lines(THERE)][-1] == outbound.reply.text
    assert len(await house.lines(STRANGER)) == 2
    await house.deliver(Reply(text="已退款"))  # the worker died in between: nothing is written twice
    assert await house.redirected() == []
    assert len(await house.lines(THERE)) == 3


@pytest.mark.parametrize(
    ("proven", "account", "minutes"),
    [(False, "SQ1", 0), (True, "", 0), (True, "SQ2", 0), (True, "SQ1", 61)],
    ids=["not vouched for", "nobody proven", "somebody else", "that window is over as well"],
)
async def test_without_another_proven_way_it_is_for_the_desk(
    house: House, proven: bool, account: str, minutes: int
) -> None:
    house.doves.capabilities = Capabilities(text_limit=400, reply_window_seconds=3600)
    await house.talk(THERE, "doves", "anna@doves", proven=proven, account=account)
    house.clock.move(minutes=minutes)
    await house.talk(HERE, "pigeons", "anna", account="SQ1" if account else "")
    house.clock.move(minutes=61 - minutes if minutes < 61 else 61)
    if not minutes:
        await house.database.write(
            lambda c: conversations.append(
                c, TENANT, THERE, Draft(id="in-2", role="customer", text="?", sent_at=house.clock())
            )
        )
    with pytest.raises(errors.WindowClosed):
        await house.deliver(Reply(text="已退款"))
    here = (await house.lines(HERE))[-1]
    assert (here.state, here.error) == ("failed", "reply_window_closed")


async def test_template_comes_before_another_channel(house: House) -> None:
    house.pigeons = Template(Capabilities(text_limit=400, reply_window_seconds=3600, reply_quota=1))
    await house.talk(HERE, "pigeons", "anna")
    await house.talk(THERE, "doves", "anna@doves")
    house.clock.move(minutes=61)
    assert await house.deliver(Reply(text="已退款")) == "t-1"
    assert house.pigeons.carried == ["template:已退款"]
    assert (await house.lines(HERE))[-1].state == "sent"
    assert await house.redirected() == []


async def test_what_was_written_elsewhere_is_not_sent_on_a_second_time(house: House) -> None:
    await house.talk(HERE, "pigeons", "anna")
    await house.talk(THERE, "doves", "anna@doves")
    house.clock.move(minutes=61)
    with pytest.raises(errors.WindowClosed):
        await house.deliver(Reply(text="已退款"), message_id="elsewhere-1")


async def test_links_of_a_call_go_to_the_number_that_calls(house: House) -> None:
    house.doves = Telegraph(Capabilities(text_limit=400), name="doves")
    voice = Voice(Capabilities(text_limit=400, synchronous_deadline_seconds=1))
    await house.talk(HERE, "pigeons", "call-1", account="")
    exchange = Exchange(house.database, Hub(), house.elsewhere)
    link = Draft(
        id="m-2",
        role="bot",
        text="请在 https://shop.example/s?a=1 登录。",
        sent_at=house.clock(),
        state="sending",
    )
    await house.database.write(lambda c: conversations.append(c, TENANT, HERE, link))
    message = OutboundMessage(
        tenant=TENANT, channel="pigeons", account="main", conversation_id=HERE, message_id=MessageId("m-2"),
        recipient="call-1", role="bot", reply=Reply(text=link.text),
    )  # fmt: skip
    parts = await exchange._fit(message, voice)
    assert {part.links_went for part in parts} == {"白鸽"}
    [outbound] = await house.redirected()
    assert outbound.recipient == "+8613800000000"
    assert outbound.reply_context == {"from": "955"}
    assert outbound.reply.text == "这是您在信鸽里要的链接：\nhttps://shop.example/s?a=1"
    assert {part.links_went for part in await exchange._fit(message, voice)} == {"白鸽"}
    assert await house.redirected() == []
