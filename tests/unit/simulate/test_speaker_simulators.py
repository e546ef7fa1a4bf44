"""The speakers' simulators against the real door, bus and exchange over real sockets; only the agent is a parrot.

The platform plays in a thread of its own, as it is a process of its own: a server that fetches its certificate waits for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette

from channels import endpoints
from channels.adapters.alexa.settings import AlexaSettings
from channels.adapters.aligenie.settings import AligenieSettings
from channels.adapters.dueros.settings import DuerosSettings
from channels.adapters.xiaoai.settings import XiaoaiSettings
from channels.contract import Surroundings
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
from foundation.messages import MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import stage as theatre
from service.simulate.contract import DONE, Options
from service.simulate.registry import SIMULATORS
from service.simulate.speakers.voice import Speaker

DEMO = TenantId("demo")
NAMES = ("alexa", "dueros", "xiaoai", "aligenie")


@dataclass
class Parrot:
    """Says each text again, greets at "enter", and is silent while `held`."""

    database: Database
    vault: Vault
    bus: EmbeddedBus
    heard: list[str] = field(default_factory=list)
    held: asyncio.Event | None = None

    def application(self, name: str, settings: BaseModel) -> Starlette:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        spec = next(one for one in CHANNELS if one.name == name)
        channels: Channels = {(DEMO, name): spec.build(settings, surroundings)}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        self.delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        return Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))

    async def work(self) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message.text or event.message.event)
                if self.held is not None:
                    await self.held.wait()
                await self.bus.finish(turn, self._answer(event))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    def _answer(self, event: MessageReceived) -> Outcome:
        message = event.message
        if message.event not in ("", "enter"):
            return Outcome()
        text = "欢迎光临" if message.event else f"你说：{message.text}"
        reply = OutboundMessage(
            tenant=DEMO, channel=message.channel, account=message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{message.message_id}"), recipient=message.thread, role="bot",
            reply=Reply(text=text),
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=text, sent_at=utc_now(), state="sending"
        )
        return Outcome(
            replies=[reply], writes=[lambda c: conversations.append(c, DEMO, event.conversation_id, draft)]
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(name: str, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(Speaker, "address", address)
    return {
        "alexa": AlexaSettings(api_base=address, deadline_seconds=1.5),
        "dueros": DuerosSettings(api_base=address, deadline_seconds=1.5),
        "xiaoai": XiaoaiSettings(deadline_seconds=1.5),
        "aligenie": AligenieSettings(deadline_seconds=1.5),
    }[name]


@pytest.fixture
async def parrot(database: Database, vault: Vault) -> AsyncIterator[Parrot]:
    bus = EmbeddedBus(database)
    await bus.open()
    yield Parrot(database, vault, bus)
    await bus.close()


@asynccontextmanager
async def serving(parrot: Parrot, name: str, settings: BaseModel) -> AsyncIterator[str]:
    port = free_port()
    async with theatre.serving(parrot.application(name, settings), theatre.bind(port)):
        work = asyncio.create_task(parrot.work())
        yield f"http://127.0.0.1:{port}"
        work.cancel()


@dataclass
class Stage:
    name: str
    settings: BaseModel
    vault: Vault
    lines: list[str] = field(default_factory=list)
    told: Callable[[str], None] = lambda _line: None

    async def play(self, texts: Sequence[str], **options: object) -> int:
        chosen = Options(self.vault, **{"quiet_seconds": 0.05, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name
        platform = next(one.platform for one in SIMULATORS if one.name == self.name)
        assert platform is not None
        played = theatre.play(self.name, platform, texts, chosen, settings=self.settings, say=self._say)
        return await asyncio.to_thread(asyncio.run, played)

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self.told(line)

    @property
    def replies(self) -> str:
        return "\n".join(line for line in self.lines if "←" in line)


@pytest.fixture
def stage(name: str, settings: BaseModel, vault: Vault) -> Stage:
    return Stage(name, settings, vault)


async def test_customer_is_greeted_and_hears_the_answers_in_order(stage: Stage, parrot: Parrot) -> None:
    async with serving(parrot, stage.name, stage.settings) as url:
        assert await stage.play(["open", "我要退货", "订单一"], url=url) == DONE
    assert parrot.heard == ["enter", "我要退货", "订单一"]
    places = [stage.replies.index(text) for text in ("欢迎光临", "你说：我要退货", "你说：订单一")]
    assert places == sorted(places)


async def test_one_call_sent_many_times_is_one_turn(stage: Stage, parrot: Parrot) -> None:
    async with serving(parrot, stage.name, stage.settings) as url:
        assert await stage.play(["我要退货"], url=url, duplicate=8) == DONE
    assert parrot.heard == ["我要退货"]
    assert "  sent 8 times at once: 8 acknowledged" in stage.lines


async def test_forged_call_is_refused(stage: Stage, parrot: Parrot) -> None:
    async with serving(parrot, stage.name, stage.settings) as url:
        assert await stage.play(["给我看别人的订单"], url=url, forge=True) == DONE
    assert "refused: 40" in stage.lines[-1]
    assert parrot.heard == []


async def test_late_answer_is_heard_once_after_go_on(stage: Stage, parrot: Parrot) -> None:
    parrot.held = asyncio.Event()
    loop, held = asyncio.get_running_loop(), parrot.held

    def release(line: str) -> None:
        if "接着说" in line or "go on" in line:
            loop.call_soon_threadsafe(held.set)

    stage.told = release
    async with serving(parrot, stage.name, stage.settings) as url:
        assert await stage.play(["我要退货", "接着说", "接着说"], url=url) == DONE
    assert stage.replies.count("你说：我要退货") == 1
    assert parrot.heard[0] == "我要退货"


async def test_probe_of_dueros_reaches_the_channel(parrot: Parrot) -> None:
    async with (
        serving(parrot, "dueros", DuerosSettings()) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        assert (await client.head(f"{url}/v1/hooks/demo/dueros")).status_code == 204


async def test_refusal_of_alexa_has_the_status_that_certification_asks_for(parrot: Parrot) -> None:
    async with serving(parrot, "alexa", AlexaSettings()) as url, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"{url}/v1/hooks/demo/alexa", content=b"{}")).status_code == 400


async def test_first_protocol_of_aligenie_is_played_with_mode_plain(
    parrot: Parrot, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Speaker, "address", f"http://127.0.0.1:{free_port()}")
    stage = Stage("aligenie", AligenieSettings(), vault)
    async with serving(parrot, "aligenie", stage.settings) as url:
        assert await stage.play(["open", "我要退货"], url=url, mode="plain") == DONE
    assert "你说：我要退货" in stage.replies
