"""The simulator against the real door, bus and delivery over real sockets; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from channels import endpoints
from channels.adapters import wechat_oa
from channels.adapters.wechat_oa.codec import render_passive_reply
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.contract import Channel, Surroundings
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
from service.simulate import registry
from service.simulate import stage as theatre
from service.simulate.contract import DONE, NOT_ANSWERED, NOT_POSSIBLE, Options
from service.simulate.wechat.wechat_oa import WechatOaPlatform

DEMO = TenantId("demo")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))


@dataclass
class Parrot:
    """Answers each message with its own words, and "menu" with a menu; `silent` answers nothing."""

    database: Database
    vault: Vault
    bus: EmbeddedBus
    settings: WechatOaSettings
    heard: list[str] = field(default_factory=list)
    silent: bool = False

    def application(self) -> Starlette:
        hub, metrics = Hub(), Metrics()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        channel: Channel = wechat_oa.SPEC.build(self.settings, surroundings)
        channels: Channels = {(DEMO, "wechat_oa"): channel}
        intake = Intake(self.bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        self.delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        return Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))

    async def work(self) -> None:
        while True:
            for turn in await self.bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message.text)
                await self.bus.finish(turn, Outcome() if self.silent else self._answer(event))
            for outgoing in await self.bus.take_replies(10):
                await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))
            await self.bus.changed(0.2)

    def _answer(self, event: MessageReceived) -> Outcome:
        text = event.message.text
        menu = MENU if text == "menu" else ()
        reply = OutboundMessage(
            tenant=DEMO, channel="wechat_oa", account=event.message.account,
            conversation_id=event.conversation_id, message_id=MessageId(f"re-{event.message.message_id}"),
            recipient=event.message.thread, role="bot", reply=Reply(text=f"你说：{text}", choices=menu),
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


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    port = free_port()
    async with theatre.serving(app, theatre.bind(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def settings() -> WechatOaSettings:
    return WechatOaSettings(api_base=f"http://127.0.0.1:{free_port()}")


@pytest.fixture
async def parrot(database: Database, vault: Vault, settings: WechatOaSettings) -> AsyncIterator[Parrot]:
    bus = EmbeddedBus(database)
    await bus.open()
    yield Parrot(database, vault, bus, settings)
    await bus.close()


@pytest.fixture
async def server(parrot: Parrot) -> AsyncIterator[str]:
    async with serving(parrot.application()) as url:
        work = asyncio.create_task(parrot.work())
        yield url
        work.cancel()


@dataclass
class Stage:
    vault: Vault
    settings: WechatOaSettings
    lines: list[str] = field(default_factory=list)

    async def play(self, texts: Sequence[str], **options: object) -> int:
        chosen = Options(self.vault, **{"quiet_seconds": 0.3, "wait_seconds": 10.0, **options})  # type: ignore[arg-type]  # by name
        return await theatre.play(
            "wechat_oa", WechatOaPlatform, texts, chosen, settings=self.settings, say=self.lines.append
        )

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]


@pytest.fixture
def stage(vault: Vault, settings: WechatOaSettings) -> Stage:
    return Stage(vault, settings)


@pytest.mark.parametrize("mode", ["plain", "secure"])
async def test_customer_sees_the_replies_in_order_when_they_write(
    stage: Stage, server: str, parrot: Parrot, mode: str
) -> None:
    assert await stage.play(["我要退货", "]]> & <b>"], url=server, mode=mode) == DONE
    assert stage.replies == ["← 你说：我要退货", "← 你说：]]> & <b>"]
    assert parrot.heard == ["我要退货", "]]> & <b>"]


async def test_customer_sees_one_reply_when_a_delivery_comes_fifty_times_at_once(
    stage: Stage, server: str, parrot: Parrot
) -> None:
    assert await stage.play(["我要退货"], url=server, duplicate=50) == DONE
    assert stage.replies == ["← 你说：我要退货"]
    assert parrot.heard == ["我要退货"]
    assert "  sent 50 times at once: 50 acknowledged" in stage.lines


@pytest.mark.parametrize("mode", ["plain", "secure"])
async def test_refusal_is_shown_when_the_signature_is_forged(
    stage: Stage, server: str, parrot: Parrot, mode: str
) -> None:
    assert await stage.play(["给我看别人的订单"], url=server, forge=True, mode=mode) == DONE
    assert "401 bad_signature" in stage.lines[-1]
    assert parrot.heard == []


async def test_item_is_tapped_when_the_text_stands_on_the_menu(
    stage: Stage, server: str, parrot: Parrot
) -> None:
    assert await stage.play(["menu", "退货"], url=server) == DONE
    assert [line.strip() for line in stage.lines if "[" in line] == ["[查物流]", "[退货]"]
    assert parrot.heard == ["menu", "return"]


async def test_long_wait_is_named_when_no_reply_comes(stage: Stage, server: str, parrot: Parrot) -> None:
    parrot.silent = True
    assert await stage.play(["有人吗", "喂"], url=server, wait_seconds=0.3) == NOT_ANSWERED
    assert "No reply within" in stage.lines[-2]
    assert parrot.heard == ["有人吗"]


async def test_missing_server_is_named(stage: Stage) -> None:
    assert await stage.play(["hello"], url=f"http://127.0.0.1:{free_port()}") == NOT_POSSIBLE
    assert "huiliu serve" in stage.lines[-1]


async def test_taken_port_is_named(stage: Stage, server: str) -> None:
    port = int(stage.settings.api_base.rsplit(":", 1)[1])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert await stage.play(["hello"], url=server) == NOT_POSSIBLE
    assert f"Port {port} is taken" in stage.lines[-1]


async def test_real_platform_is_never_played_against(vault: Vault) -> None:
    account = WechatOaSettings(
        app_id="wx1", app_secret=SecretStr("s"), token=SecretStr("t"), encoding_aes_key=SecretStr("A" * 43)
    )
    stage = Stage(vault, account)
    assert await stage.play(["hello"]) == NOT_POSSIBLE
    assert "api.weixin.qq.com" in stage.lines[0]


async def test_message_is_repeated_three_times_when_the_server_stumbles(stage: Stage) -> None:
    bodies: list[bytes] = []

    async def stumble(request: Request) -> Response:
        bodies.append(await request.body())
        return PlainTextResponse("oops", 503)

    app = Starlette(routes=[Route("/v1/hooks/demo/wechat_oa", stumble, methods=["POST"])])
    async with serving(app) as url:
        assert await stage.play(["hello"], url=url, mode="plain") == NOT_ANSWERED
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert "gives up" in stage.lines[-1]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (render_passive_reply(recipient="o", account="g", text="同步回复", sent_at=utc_now()), "← 同步回复"),
        (b'{"ok":true}', "cannot read this answer"),
    ],
)
async def test_answer_of_the_webhook_is_shown_as_wechat_would(stage: Stage, answer: bytes, line: str) -> None:
    async def reply(_request: Request) -> Response:
        return Response(answer)

    app = Starlette(routes=[Route("/v1/hooks/demo/wechat_oa", reply, methods=["POST"])])
    async with serving(app) as url:
        await stage.play(["hello"], url=url, wait_seconds=0.1)
    assert any(line in shown for shown in stage.lines)


async def test_forged_message_that_is_taken_is_named(stage: Stage) -> None:
    app = Starlette(
        routes=[Route("/v1/hooks/demo/wechat_oa", lambda _: PlainTextResponse("success"), methods=["POST"])]
    )
    async with serving(app) as url:
        assert await stage.play(["hello"], url=url, forge=True) == NOT_ANSWERED
    assert "wrong signature" in stage.lines[-1]


async def test_unknown_platform_is_named(vault: Vault) -> None:
    lines: list[str] = []
    assert await registry.run("pigeon", ["coo"], Options(vault), say=lines.append) == NOT_POSSIBLE
    assert "wechat_oa" in lines[0]


async def test_registry_plays_with_the_settings_of_the_environment(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUILIU_WECHAT_OA_API_BASE", "https://elsewhere.example.com")
    lines: list[str] = []
    assert await registry.run("wechat_oa", ["hello"], Options(vault), say=lines.append) == NOT_POSSIBLE
    assert "elsewhere.example.com" in lines[0]
