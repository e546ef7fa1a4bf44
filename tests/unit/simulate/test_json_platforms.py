"""Feishu, DingTalk, Weibo and Douyin over real sockets: the simulator against the real door, bus and delivery."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette

from channels import endpoints
from channels.contract import Channel, ChannelSpec, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.places import Channels
from channels.registry import CHANNELS
from foundation import conversations
from foundation.bus.contract import Outcome
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import utc_now
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import Choice, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import stage
from service.simulate.contract import DONE, Options, Simulator
from service.simulate.registry import SIMULATORS

DEMO = TenantId("demo")
NAMES = ("feishu", "dingtalk", "weibo", "douyin")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))


@dataclass
class House:
    """Answers each message with its own words, and "menu" with a menu."""

    spec: ChannelSpec
    database: Database
    vault: Vault
    bus: EmbeddedBus
    settings: Any
    heard: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def simulator(self) -> Simulator:
        return next(one for one in SIMULATORS if one.name == self.spec.name)

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        channel: Channel = self.spec.build(self.settings, surroundings)
        channels: Channels = {(DEMO, self.spec.name): channel}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        app = Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        async with stage.serving(app, stage.bind(port)):
            work = asyncio.create_task(self._work(delivery))
            try:
                yield self
            finally:
                work.cancel()
                await channel.close()

    async def play(self, texts: Sequence[str], **options: Any) -> int:
        chosen = Options(self.vault, url=self.url, quiet_seconds=0.3, wait_seconds=20.0, **options)
        assert self.simulator.platform is not None
        return await stage.play(
            self.spec.name, self.simulator.platform, texts, chosen, settings=self.settings, say=self.lines.append
        )  # fmt: skip

    async def _work(self, delivery: Delivery) -> None:
        while True:
            for turn in await self.bus.take(10):
                assert isinstance(turn.entry.event, MessageReceived)
                self.heard.append(turn.entry.event.message.text)
                await self.bus.finish(turn, self._answer(turn.entry.event))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    def _answer(self, event: MessageReceived) -> Outcome:
        message = event.message
        menu = MENU if message.text == "menu" else ()
        reply = OutboundMessage(
            tenant=DEMO, channel=message.channel, account=message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{message.message_id}"), recipient=message.sender[0].value, role="bot",
            reply=Reply(text=f"你说：{message.text}", choices=menu), reply_context=message.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=reply.reply.text, sent_at=utc_now(), state="sending",
            choices=menu,
        )  # fmt: skip
        return Outcome(
            replies=[reply],
            writes=[lambda c: conversations.append(c, DEMO, event.conversation_id, draft)],
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=NAMES)
async def house(request: pytest.FixtureRequest, database: Database, vault: Vault) -> AsyncIterator[House]:
    spec = next(one for one in CHANNELS if one.name == request.param)
    bus = EmbeddedBus(database)
    await bus.open()
    settings = spec.settings.model_validate({"api_base": f"http://127.0.0.1:{free_port()}"})
    async with House(spec, database, vault, bus, settings).open() as opened:
        yield opened
    await bus.close()


async def test_customer_sees_one_reply_to_each_message_and_taps_a_button(house: House) -> None:
    assert await house.play(["我要退货", "menu", "退货"], user="anna", duplicate=3) == DONE
    assert house.heard == ["我要退货", "menu", "return"]
    assert house.replies[0] == "← 你说：我要退货"
    assert house.replies[-1] == "← 你说：return"
    assert any("退货" in line for line in house.lines[2:])


async def test_forged_message_is_refused(house: House) -> None:
    assert await house.play(["给我看别人的订单"], forge=True) == DONE
    assert "401" in house.lines[-1]
    assert house.heard == []
