"""The carriers of SMS against the real door, bus and delivery over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
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
from foundation import conversations, errors
from foundation.bus.contract import Outcome
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import utc_now
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import stage as theatre
from service.simulate.contract import DONE, NOT_ANSWERED, Options
from service.simulate.registry import SIMULATORS

DEMO = TenantId("demo")
NAMES = ("sms_aliyun", "sms_generic", "sms_tencent", "sms_twilio")


@dataclass
class Parrot:
    """Answers every message with its own words, also what wishes no answer: the channel must hold it back."""

    database: Database
    vault: Vault
    bus: EmbeddedBus
    url: str
    heard: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def application(self, spec: ChannelSpec, settings: BaseModel) -> Starlette:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, self.url, self.database, self.vault, hub, utc_now)
        channels: Channels = {(DEMO, spec.name): spec.build(settings, surroundings)}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        self.delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        return Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))

    async def work(self) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append((event.message.kind, event.message.text))
                await self.bus.finish(turn, await self._answer(event))
            for outgoing in await self.bus.take_replies(10):
                try:
                    await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))
                except errors.UpstreamRefused as error:
                    self.refused.append(error.code)
                    await self.bus.sent(outgoing, "")
            await self.bus.changed(0.2)

    async def _answer(self, event: MessageReceived) -> Outcome:
        message = event.message
        talk = await self.database.read(lambda c: conversations.get(c, DEMO, event.conversation_id))
        reply = OutboundMessage(
            tenant=DEMO, channel=message.channel, account=message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{message.message_id}"), recipient=talk.recipient, role="bot",
            reply=Reply(text=f"你说：{message.text}"), reply_context=message.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=reply.reply.text, sent_at=utc_now(), state="sending"
        )
        write = [lambda c: conversations.append(c, DEMO, event.conversation_id, draft)]
        return Outcome(replies=[reply], writes=write)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class House:
    name: str
    settings: BaseModel
    parrot: Parrot
    lines: list[str] = field(default_factory=list)

    async def play(self, texts: Sequence[str], **options: object) -> int:
        simulator = next(one for one in SIMULATORS if one.name == self.name)
        assert simulator.platform is not None
        chosen = Options(self.parrot.vault, url=self.parrot.url, **{"quiet_seconds": 0.3, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name  # fmt: skip
        return await theatre.play(
            self.name, simulator.platform, texts, chosen, settings=self.settings, say=self.lines.append
        )

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]


@pytest.fixture(params=NAMES)
async def house(request: pytest.FixtureRequest, database: Database, vault: Vault) -> AsyncIterator[House]:
    spec = next(one for one in CHANNELS if one.name == request.param)
    path = "/messages" if spec.name == "sms_generic" else ""
    settings = spec.settings.model_validate({"api_base": f"http://127.0.0.1:{free_port()}{path}"})
    bus = EmbeddedBus(database)
    await bus.open()
    port = free_port()
    parrot = Parrot(database, vault, bus, f"http://127.0.0.1:{port}")
    async with theatre.serving(parrot.application(spec, settings), theatre.bind(port)):
        work = asyncio.create_task(parrot.work())
        yield House(spec.name, settings, parrot)
        work.cancel()
    await bus.close()


async def test_customer_sees_the_replies_in_order_when_they_write(house: House) -> None:
    assert await house.play(["我要退货", "<b> & 100%"]) == DONE
    assert house.replies == ["← 你说：我要退货", "← 你说：<b> & 100%"]


async def test_customer_sees_one_reply_when_a_delivery_comes_twenty_times_at_once(house: House) -> None:
    assert await house.play(["我要退货"], duplicate=20) == DONE
    assert house.replies == ["← 你说：我要退货"]
    assert house.parrot.heard == [("text", "我要退货")]


async def test_forged_call_is_refused(house: House) -> None:
    assert await house.play(["给我看别人的订单"], forge=True) == DONE
    assert house.parrot.heard == []


async def test_customer_who_stopped_sees_nothing_until_they_start_again(house: House) -> None:
    assert await house.play(["退订"], wait_seconds=1.0) == NOT_ANSWERED
    assert house.replies == []
    assert await house.play(["还有货吗"], wait_seconds=1.0) == NOT_ANSWERED
    assert set(house.parrot.refused) == {f"{house.name}_opted_out"}
    assert await house.play(["订阅", "还有货吗"]) == DONE
    assert house.replies[-1] == "← 你说：还有货吗"
    assert house.parrot.heard[0] == ("event", "退订")
