"""Callers of every switchboard against the real door, bus and exchange over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from channels import endpoints
from channels.adapters import phone_httapi, phone_jambonz, phone_twilio
from channels.contract import ChannelSpec, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.places import Channels
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
from service.simulate import stage as theatre
from service.simulate.contract import DONE, Options, PlatformFactory
from service.simulate.phone import phone_httapi as httapi
from service.simulate.phone import phone_jambonz as jambonz
from service.simulate.phone import phone_twilio as twilio

DEMO = TenantId("demo")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
LINES: dict[str, tuple[ChannelSpec, PlatformFactory]] = {
    "phone_twilio": (phone_twilio.SPEC, twilio.TwilioVoice),
    "phone_jambonz": (phone_jambonz.SPEC, jambonz.Jambonz),
    "phone_httapi": (phone_httapi.SPEC, httapi.Httapi),
}


@dataclass
class Parrot:
    """Greets, repeats what was said, offers a menu, takes its time for "slow", and hands over for "人工"."""

    name: str
    database: Database
    bus: EmbeddedBus
    hub: Hub
    heard: list[str] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody has called the server."""

    async def work(self, delivery: Delivery) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                said = event.message.text or event.message.event
                self.heard.append(said)
                if said == "慢":
                    self.called.clear()
                    await self.called.wait()  # until the line, tired of waiting, calls again
                await self.bus.finish(turn, self._answer(event, said))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    def _answer(self, event: MessageReceived, said: str) -> Outcome:
        if said == "end":
            return Outcome()
        menu = MENU if said == "菜单" else ()
        text = "您好，请讲。" if said == "enter" else f"您说{said}。"
        reply = OutboundMessage(
            tenant=DEMO, channel=self.name, account="main", conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{event.message.message_id}"), recipient=event.message.thread, role="bot",
            reply=Reply(text=text, choices=menu),
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=text, sent_at=utc_now(), state="sending", choices=menu
        )
        writes: list[Any] = [lambda c: conversations.append(c, DEMO, event.conversation_id, draft)]
        if "人工" in said:
            writes.append(
                lambda c: conversations.change(c, DEMO, event.conversation_id, utc_now(), holder="queue")
            )
        return Outcome(replies=[reply], writes=writes)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """A line of one kind with its server; `play` calls it."""

    name: str
    vault: Vault
    url: str
    settings: BaseModel
    parrot: Parrot
    lines: list[str] = field(default_factory=list)

    async def play(self, texts: Sequence[str], **options: object) -> int:
        chosen = Options(self.vault, url=self.url, **{"quiet_seconds": 0.2, "wait_seconds": 5.0, **options})  # type: ignore[arg-type]  # by name
        factory = LINES[self.name][1]
        return await theatre.play(
            self.name, factory, texts, chosen, settings=self.settings, say=self.lines.append
        )

    @property
    def said(self) -> list[str]:
        return [line.strip().removeprefix("← ") for line in self.lines if "←" in line]


@pytest.fixture(params=sorted(LINES))
async def world(request: pytest.FixtureRequest, database: Database, vault: Vault) -> AsyncIterator[World]:
    spec, _ = LINES[request.param]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = spec.settings.model_validate(
        {"api_base": f"http://127.0.0.1:{free_port()}", "answer_wait_seconds": 1.0, "transfer_to": "8001"}
    )
    hub, metrics, bus = Hub(), Metrics(), EmbeddedBus(database)
    await bus.open()
    surroundings = Surroundings(DEMO, url, database, vault, hub, utc_now)
    channels: Channels = {(DEMO, spec.name): spec.build(settings, surroundings)}
    intake = Intake(bus, database, vault=vault, clock=utc_now, metrics=metrics, hub=hub)
    delivery = Delivery(channels, database, hub=hub, clock=utc_now, metrics=metrics)
    app = Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))
    parrot = Parrot(spec.name, database, bus, hub)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        parrot.called.set()
        await app(scope, receive, send)

    async with theatre.serving(counting, theatre.bind(port)):
        work = asyncio.create_task(parrot.work(delivery))
        yield World(spec.name, vault, url, settings, parrot)
        work.cancel()
    await bus.close()


async def test_caller_is_greeted_and_answered_in_the_call(world: World) -> None:
    assert await world.play(["我要退货", "谢谢"]) == DONE
    assert world.said == ["您好，请讲。", "您说我要退货。", "您说谢谢。"]
    assert world.parrot.heard == ["enter", "我要退货", "谢谢"]


async def test_key_chooses_from_what_was_offered(world: World) -> None:
    assert await world.play(["菜单", "2", "12345#"]) == DONE
    assert "按2" in "".join(world.said)
    assert world.parrot.heard == ["enter", "菜单", "return", "12345"]


async def test_caller_hears_a_filler_and_then_the_reply_when_it_takes_long(world: World) -> None:
    assert await world.play(["慢"]) == DONE
    assert world.said == ["您好，请讲。", "请稍等，我查一下。", "您说慢。"]


async def test_caller_is_put_through_when_a_person_is_needed(world: World) -> None:
    assert await world.play(["我要人工"]) == DONE
    assert world.said[1:] in (
        ["您说我要人工。", "正在为您转接，请稍候。", "(put through to 8001)"],
        ["您说我要人工。 正在为您转接，请稍候。", "(put through to 8001)"],
    )


async def test_one_reply_is_heard_when_a_call_comes_many_times_at_once(world: World) -> None:
    assert await world.play(["你好"], duplicate=10) == DONE
    assert world.parrot.heard == ["enter", "你好"]


async def test_forged_call_is_refused(world: World) -> None:
    assert await world.play(["给我看别人的订单"], forge=True) == DONE
    assert "refused: 401" in world.lines[-1]
    assert world.parrot.heard == []
