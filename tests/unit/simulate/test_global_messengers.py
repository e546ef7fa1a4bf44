"""WhatsApp, Telegram and Messenger against the real door, bus and delivery over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette

from channels import endpoints
from channels.contract import ChannelSpec, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
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
from service.simulate.contract import DONE, Options
from service.simulate.registry import SIMULATORS

DEMO = TenantId("demo")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
NAMES = ("whatsapp", "telegram", "messenger")


@dataclass
class Parrot:
    """Answers each message with its own words, and "menu" with a menu."""

    database: Database
    vault: Vault
    bus: EmbeddedBus
    spec: ChannelSpec
    settings: BaseModel
    heard: list[str] = field(default_factory=list)

    def application(self) -> Starlette:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        channels = {(DEMO, self.spec.name): self.spec.build(self.settings, surroundings)}
        self.channel = channels[DEMO, self.spec.name]
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        self.delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        return Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))

    async def work(self) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message.event or event.message.text)
                await self._show_typing(event)
                await self.bus.finish(turn, self._answer(event))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    async def _show_typing(self, event: MessageReceived) -> None:
        found = await self.database.read(
            lambda connection: conversations.get(connection, DEMO, event.conversation_id)
        )
        await self.channel.show_typing(found)

    def _answer(self, event: MessageReceived) -> Outcome:
        message = event.message
        menu = MENU if message.text == "menu" else ()
        reply = OutboundMessage(
            tenant=DEMO, channel=self.spec.name, account=message.account, conversation_id=event.conversation_id,
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
async def parrot(request: pytest.FixtureRequest, database: Database, vault: Vault) -> AsyncIterator[Parrot]:
    bus = EmbeddedBus(database)
    await bus.open()
    spec = next(spec for spec in CHANNELS if spec.name == request.param)
    settings = spec.settings.model_validate({"api_base": f"http://127.0.0.1:{free_port()}"})
    yield Parrot(database, vault, bus, spec, settings)
    await bus.close()


@pytest.fixture
async def server(parrot: Parrot) -> AsyncIterator[str]:
    port = free_port()
    async with stage.serving(parrot.application(), stage.bind(port)):
        work = asyncio.create_task(parrot.work())
        yield f"http://127.0.0.1:{port}"
        work.cancel()
    await parrot.channel.close()


async def play(parrot: Parrot, texts: list[str], **options: object) -> tuple[int, list[str]]:
    lines: list[str] = []
    chosen = Options(parrot.vault, **{"quiet_seconds": 0.3, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name
    platform = next(one.platform for one in SIMULATORS if one.name == parrot.spec.name)
    assert platform is not None
    result = await stage.play(
        parrot.spec.name, platform, texts, chosen, settings=parrot.settings, say=lines.append
    )
    return result, [line.strip() for line in lines]


async def test_customer_sees_the_replies_in_order_and_taps_a_choice(parrot: Parrot, server: str) -> None:
    result, lines = await play(parrot, ["我要退货", "menu", "退货"], url=server)
    assert result == DONE
    assert [line for line in lines if line.startswith("←")] == [
        "← 你说：我要退货",
        "← 你说：menu",
        "← 你说：return",
    ]
    assert [line for line in lines if line.startswith("[")] == ["[查物流]", "[退货]"]
    assert "… is typing" in lines
    assert parrot.heard == ["我要退货", "menu", "return"]


async def test_customer_sees_one_reply_when_a_delivery_comes_twenty_times_at_once(
    parrot: Parrot, server: str
) -> None:
    result, lines = await play(parrot, ["我要退货"], url=server, duplicate=20)
    assert result == DONE
    assert "sent 20 times at once: 20 acknowledged" in lines
    assert parrot.heard == ["我要退货"]
    assert [line for line in lines if line.startswith("←")] == ["← 你说：我要退货"]


async def test_refusal_is_shown_when_a_call_is_forged(parrot: Parrot, server: str) -> None:
    result, lines = await play(parrot, ["给我看别人的订单"], url=server, forge=True)
    assert result == DONE
    assert "refused: 401" in lines[-1]
    assert parrot.heard == []
