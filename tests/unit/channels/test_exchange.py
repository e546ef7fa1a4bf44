"""Replies that stand in the answer to a call: waited for, handed over once, again for a repeated call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from channels.contract import Acknowledgement, Capabilities, Part, Webhook
from channels.intake import Intake
from foundation import conversations
from foundation.bus.embedded import EmbeddedBus
from foundation.conversations import Draft
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.unit.channels.test_delivery import Pigeons

TENANT = TenantId("demo")


class Phone(Pigeons):
    """A body is what the caller says: "" only listens, "bye" hangs up."""

    def listens(self, webhook: Webhook) -> InboundMessage | None:
        return None if webhook.body else self._message("", "listening")

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        said = webhook.body.decode()
        return [self._message(said, webhook.query.get("id", said))] if said else []

    def respond(self, webhook: Webhook, parts: Sequence[Part], *, waiting: bool) -> Acknowledgement:
        return Acknowledgement(
            "|".join([*(part.text for part in parts), *(["…"] if waiting else [])]).encode()
        )

    def _message(self, said: str, name: str) -> InboundMessage:
        return InboundMessage(
            tenant=TENANT, channel="pigeons", account="main", thread="call-1", message_id=MessageId(name),
            sender=(Identifier(namespace="pigeons", value="caller", proven=True),),
            kind="event" if said == "bye" else "text", event="end" if said == "bye" else "", text=said,
            sent_at=StandingClock().now,
        )  # fmt: skip


class Line:
    def __init__(self, intake: Intake, database: Database, hub: Hub, clock: StandingClock) -> None:
        self.intake, self.database, self.hub, self.clock = intake, database, hub, clock
        self.phone = Phone(Capabilities(text_limit=200, synchronous_deadline_seconds=0.05))
        self.numbers = iter(range(100))

    async def call(self, said: str, **query: str) -> str:
        webhook = Webhook("POST", query, {}, said.encode(), self.clock())
        return (await self.intake.receive(TENANT, self.phone, webhook)).body.decode()

    async def answer(self, text: str) -> None:
        conversation_id = self.conversation_id

        def write(connection: sa.Connection) -> None:
            name = f"reply-{next(self.numbers)}"
            draft = Draft(id=name, role="bot", text=text, sent_at=self.clock(), state="sending")
            conversations.append(connection, TENANT, conversation_id, draft)

        await self.database.write(write)
        self.hub.tell(Signal("changed", conversation_id))

    @property
    def conversation_id(self) -> ConversationId:
        return self.intake.conversation_id(self.phone._message("", "x"))


@pytest.fixture
async def line(database: Database, vault: Vault, clock: StandingClock) -> Line:
    hub, bus = Hub(), EmbeddedBus(database, clock)
    await bus.open()
    intake = Intake(bus, database, vault=vault, clock=clock, metrics=Metrics(), hub=hub)
    return Line(intake, database, hub, clock)


async def test_reply_stands_in_the_answer_when_it_is_ready_in_time(line: Line) -> None:
    line.phone.capabilities = Capabilities(text_limit=200, synchronous_deadline_seconds=30)
    calling = asyncio.create_task(line.call("我的订单到哪了"))
    while await line.database.read(
        lambda connection: conversations.find(connection, TENANT, line.conversation_id) is None
    ):
        await asyncio.sleep(0)
    await line.answer("今天送到。")
    assert await calling == "今天送到。"


async def test_line_is_held_when_the_reply_is_late_and_the_next_call_brings_it_once(line: Line) -> None:
    assert await line.call("我的订单到哪了") == "…"
    assert await line.call("") == "…"
    await line.answer("今天送到。")
    assert await line.call("") == "今天送到。"
    assert await line.call("") == "…"


async def test_repeated_call_gets_the_same_answer_again(line: Line) -> None:
    assert await line.call("运费多少", id="m1") == "…"
    await line.answer("满 99 元包邮。")
    assert await line.call("运费多少", id="m1") == "满 99 元包邮。"
    assert await line.call("运费多少", id="m1") == "满 99 元包邮。"


async def test_nothing_is_waited_for_when_the_caller_hung_up(line: Line) -> None:
    line.phone.capabilities = Capabilities(text_limit=200, synchronous_deadline_seconds=3600)
    assert await line.call("bye") == ""


async def test_reply_to_the_new_question_is_waited_for_when_an_old_one_was_late(line: Line) -> None:
    """Else every answer would come one question too late from then on."""
    assert await line.call("运费多少", id="m1") == "…"
    await line.answer("满 99 元包邮。")
    line.phone.capabilities = Capabilities(text_limit=200, synchronous_deadline_seconds=30)
    calling = asyncio.create_task(line.call("多久送到", id="m2"))
    while await line.database.read(
        lambda connection: conversations.get(connection, TENANT, line.conversation_id).last_seq < 3
    ):
        await asyncio.sleep(0)
    await line.answer("两到三天。")
    assert await calling == "满 99 元包邮。|两到三天。"


async def test_what_a_person_says_is_heard_as_well(line: Line) -> None:
    await line.call("转人工")
    await line.answer("正在为您转接。")
    await line.answer("您好，我是小王。")
    assert await line.call("") == "正在为您转接。|您好，我是小王。"
