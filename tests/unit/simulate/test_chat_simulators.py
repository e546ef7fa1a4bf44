"""The simulators of Slack, Teams and LINE against the real door, bus and delivery over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette

from channels import endpoints
from channels.contract import ChannelSpec, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.places import Channels
from channels.registry import CHANNELS
from foundation import conversations
from foundation.bus.contract import Outcome
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import utc_now
from foundation.conversations import Conversation
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import Choice, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import stage
from service.simulate.contract import DONE, Options
from service.simulate.registry import SIMULATORS

DEMO = TenantId("demo")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
NAMES = ("slack", "teams", "line")


@dataclass
class Parrot:
    """Answers each message with its own words, and "menu" with a menu; shows that it types before."""

    spec: ChannelSpec
    settings: BaseModel
    database: Database
    vault: Vault
    bus: EmbeddedBus
    heard: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        self.channel = self.spec.build(self.settings, surroundings)
        await self.channel.open()
        channels: Channels = {(DEMO, self.spec.name): self.channel}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        self.delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        app = Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))
        port = free_port()
        async with stage.serving(app, stage.bind(port)):
            work = asyncio.create_task(self.work())
            yield f"http://127.0.0.1:{port}"
            work.cancel()
        await self.channel.close()

    async def play(self, *texts: str, url: str, **options: object) -> int:
        simulator = next(one for one in SIMULATORS if one.name == self.spec.name)
        assert simulator.platform is not None
        chosen = Options(self.vault, **{"url": url, "quiet_seconds": 0.3, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name
        return await stage.play(
            self.spec.name, simulator.platform, texts, chosen, settings=self.settings, say=self.lines.append
        )

    async def work(self) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message.text)
                conversation = await self._conversation(event)
                await self.channel.show_typing(conversation)
                await self.bus.finish(turn, self._answer(event, conversation))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    async def _conversation(self, event: MessageReceived) -> Conversation:
        return await self.database.read(lambda c: conversations.get(c, DEMO, event.conversation_id))

    def _answer(self, event: MessageReceived, conversation: Conversation) -> Outcome:
        text = event.message.text
        menu = MENU if text == "menu" else ()
        reply = OutboundMessage(
            tenant=DEMO, channel=self.spec.name, account=event.message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{event.message.message_id}"), recipient=conversation.recipient, role="bot",
            reply=Reply(text=f"你说：{text}", choices=menu), reply_context=conversation.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id,
            role="bot",
            text=reply.reply.text,
            sent_at=utc_now(),
            state="sending",
            choices=menu,
        )
        return Outcome(
            replies=[reply], writes=[lambda c: conversations.append(c, DEMO, event.conversation_id, draft)]
        )

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=NAMES)
async def parrot(request: pytest.FixtureRequest, database: Database, vault: Vault) -> AsyncIterator[Parrot]:
    spec = next(one for one in CHANNELS if one.name == request.param)
    bus = EmbeddedBus(database)
    await bus.open()
    settings = spec.settings.model_validate({"api_base": f"http://127.0.0.1:{free_port()}"})
    yield Parrot(spec, settings, database, vault, bus)
    await bus.close()


async def test_customer_sees_the_replies_and_taps_a_button(parrot: Parrot) -> None:
    async with parrot.serving() as url:
        assert await parrot.play("<b>我要退货</b> & 📦", "menu", "退货", url=url) == DONE
    assert parrot.replies == ["← 你说：<b>我要退货</b> & 📦", "← 你说：menu", "← 你说：return"]
    assert parrot.heard == ["<b>我要退货</b> & 📦", "menu", "return"]
    assert [line.strip() for line in parrot.lines if "[" in line] == ["[查物流]", "[退货]"]
    assert ("  … is typing" in parrot.lines) == parrot.channel.capabilities.typing


async def test_customer_sees_one_reply_when_a_delivery_comes_often(parrot: Parrot) -> None:
    async with parrot.serving() as url:
        assert await parrot.play("我要退货", url=url, duplicate=20) == DONE
    assert parrot.replies == ["← 你说：我要退货"]


async def test_forged_call_is_refused(parrot: Parrot) -> None:
    async with parrot.serving() as url:
        assert await parrot.play("给我看别人的订单", url=url, forge=True) == DONE
    assert "401 bad_signature" in parrot.lines[-1]
    assert parrot.heard == []
