"""The simulated mailbox against the real pulling, door, bus and delivery over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from channels.adapters import email
from channels.adapters.email.settings import EmailSettings
from channels.contract import Channel, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.places import Channels
from channels.promises import Pulling
from foundation import conversations
from foundation.bus.contract import Outcome
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import utc_now
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import InboundMessage, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import registry
from service.simulate.contract import DONE, NOT_ANSWERED, NOT_POSSIBLE, Options
from service.simulate.mail import email as simulator
from service.simulate.stage import bind
from tests.unit.simulate.test_wechat_simulator import free_port

DEMO = TenantId("demo")


@dataclass
class Parrot:
    """Answers each text with its own words; events are not answered."""

    database: Database
    vault: Vault
    bus: EmbeddedBus
    settings: EmailSettings
    heard: list[InboundMessage] = field(default_factory=list)
    silent: bool = False

    async def run(self) -> None:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        channel: Channel = email.SPEC.build(self.settings, surroundings)
        assert isinstance(channel, Pulling)
        channels: Channels = {(DEMO, "email"): channel}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.pull(intake))
            tasks.create_task(self._work(delivery))

    async def _work(self, delivery: Delivery) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message)
                quiet = self.silent or event.message.kind == "event"
                await self.bus.finish(turn, Outcome() if quiet else await self._answer(event))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    async def _answer(self, event: MessageReceived) -> Outcome:
        conversation = await self.database.read(lambda c: conversations.get(c, DEMO, event.conversation_id))
        reply = OutboundMessage(
            tenant=DEMO, channel="email", account=event.message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{event.message.message_id}"), recipient=conversation.recipient, role="bot",
            reply=Reply(text=f"你说：{event.message.text}"), reply_context=conversation.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=reply.reply.text, sent_at=utc_now(), state="sending"
        )
        return Outcome(
            replies=[reply],
            writes=[lambda c: conversations.append(c, DEMO, event.conversation_id, draft)],
        )


@pytest.fixture
def settings(vault: Vault) -> EmailSettings:
    return EmailSettings(imap_port=free_port(), smtp_port=free_port())


@pytest.fixture
async def parrot(database: Database, vault: Vault, settings: EmailSettings) -> AsyncIterator[Parrot]:
    bus = EmbeddedBus(database)
    await bus.open()
    yield Parrot(database, vault, bus, settings)
    await bus.close()


@pytest.fixture
async def server(parrot: Parrot) -> AsyncIterator[None]:
    running = asyncio.create_task(parrot.run())
    yield
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@dataclass
class Stage:
    vault: Vault
    settings: EmailSettings
    lines: list[str] = field(default_factory=list)

    async def play(self, texts: Sequence[str], **options: object) -> int:
        chosen = Options(self.vault, **{"quiet_seconds": 0.3, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name
        return await simulator.play(texts, chosen, settings=self.settings, say=self.lines.append)

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]


@pytest.fixture
def stage(vault: Vault, settings: EmailSettings) -> Stage:
    return Stage(vault, settings)


async def test_customer_gets_replies_in_one_conversation_when_they_write_back(
    stage: Stage, server: None, parrot: Parrot
) -> None:
    assert await stage.play(["我要退货", "订单 1001"]) == DONE
    assert stage.replies == ["← [Re: 您的咨询] 你说：我要退货", "← [Re: 您的咨询] 你说：订单 1001"]
    assert [message.text for message in parrot.heard] == ["我要退货", "订单 1001"]
    assert len({message.thread for message in parrot.heard}) == 1
    assert all(message.sender[0].proven for message in parrot.heard)


async def test_mail_is_answered_once_when_it_lies_in_the_mailbox_many_times(
    stage: Stage, server: None, parrot: Parrot
) -> None:
    assert await stage.play(["hello"], duplicate=5) == DONE
    assert len(stage.replies) == len(parrot.heard) == 1


async def test_forged_sender_is_not_proven(stage: Stage, server: None, parrot: Parrot) -> None:
    assert await stage.play(["hello"], forge=True) == DONE
    assert [message.sender[0].proven for message in parrot.heard] == [False]


async def test_next_simulation_is_another_mailbox(stage: Stage, server: None, parrot: Parrot) -> None:
    assert await stage.play(["one"]) == DONE
    assert await stage.play(["two"], user="王小明") == DONE
    assert [message.text for message in parrot.heard] == ["one", "two"]


async def test_silence_is_said_when_nobody_answers(stage: Stage, server: None, parrot: Parrot) -> None:
    parrot.silent = True
    assert await stage.play(["hello"], wait_seconds=0.5) == NOT_ANSWERED
    assert any("No reply" in line for line in stage.lines)


async def test_nothing_is_played_when_a_port_is_taken_or_the_mailbox_is_elsewhere(stage: Stage) -> None:
    taken = bind(stage.settings.smtp_port)
    taken.listen()
    assert await stage.play(["hello"]) == NOT_POSSIBLE
    taken.close()
    stage.settings = EmailSettings(address="a@x.example", imap_host="x", smtp_host="x", password="x")
    assert await stage.play(["hello"]) == NOT_POSSIBLE


def test_address_of_a_user_is_always_an_address() -> None:
    assert simulator.address_of("guest") == "guest@customers.invalid"
    assert simulator.address_of("王小明") == simulator.address_of("王小明")
    assert simulator.address_of("a b@c").isascii()
    assert "email" in [one.name for one in registry.SIMULATORS]
