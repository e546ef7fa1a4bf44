"""A small house around the real web chat: database, bus, intake, delivery and routes, with a toy agent.

The toy agent answers through the bus contract as the real one does: transcript row and reply in the turn's outcome,
pieces of a streamed reply by the hub. What it says is chosen by the customer's text.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from channels import endpoints
from channels.adapters.web_chat.connection import Settings, WebChat
from channels.contract import Channel, Surroundings
from channels.families.live_chat.sockets import Timing
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from customers.behaviour import Behaviour
from foundation import conversations
from foundation.bus.contract import Bus, Outcome, Outgoing, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.clock import Clock
from foundation.conversations import Draft
from foundation.events import BehaviourObserved, MessageReceived
from foundation.live import Hub, Signal
from foundation.messages import (
    Choice,
    Citation,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics

TENANT = TenantId("demo")
GUEST = "https://shop.example.com"
IDENTITY_SECRET = "an identity key with 32 characters!"
SERVER_KEY = "the key of a server"

Answerer = Callable[[MessageReceived], Awaitable[Reply | None]]


@dataclass
class House:
    database: Database
    vault: Vault
    clock: Clock
    folder: Path
    public_url: str = "http://127.0.0.1:8080"
    timing: Timing = field(default_factory=Timing)
    answerer: Answerer | None = None
    origins: tuple[str, ...] = (GUEST,)
    brand: str = ""

    def __post_init__(self) -> None:
        self.hub = Hub()
        self.metrics = Metrics()
        machine = EmbeddedBus if self.database.dialect == "sqlite" else PostgresBus
        self.bus: Bus = machine(self.database, self.clock)
        self.intake = Intake(
            self.bus, self.database, vault=self.vault, clock=self.clock, metrics=self.metrics, hub=self.hub
        )
        self.proofs: list[dict[str, Any]] = []
        self.intake.record_proof = self._record_proof
        surroundings = Surroundings(
            TENANT, self.public_url, self.database, self.vault, self.hub, self.clock, data_dir=self.folder,
            origins=self.origins, identity_keys={"k1": SecretStr(IDENTITY_SECRET)},
        )  # fmt: skip
        self.channel = self.make_channel(surroundings)
        channels = {(TENANT, self.channel.name): self.channel}
        self.delivery = Delivery(
            channels, self.database, hub=self.hub, clock=self.clock, metrics=self.metrics
        )
        routes = endpoints.routes(self.intake, channels, clock=self.clock, metrics=self.metrics)
        self.app = Starlette(routes=list(routes))

    def make_channel(self, surroundings: Surroundings) -> Channel:
        settings = Settings(server_key=SecretStr(SERVER_KEY), brand=self.brand)
        return WebChat(settings, surroundings, self.timing)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        await self.bus.open()
        await self.channel.open()
        worker = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await self.channel.close()
            await self.bus.close()

    def client(self) -> httpx.AsyncClient:
        """A browser on our own page, without a network."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=self.public_url,
            headers={"origin": self.public_url},
        )

    async def say(self, conversation_id: ConversationId, text: str, *, number: int, role: Any = "bot") -> int:
        """A line of ours, written as a turn or the desk writes it."""

        def write(connection: sa.Connection) -> int:
            draft = Draft(id=f"m-{number}", role=role, text=text, sent_at=self.clock(), state="sent")
            return conversations.append(connection, TENANT, conversation_id, draft)

        seq = await self.database.write(write)
        self.hub.tell(Signal("changed", conversation_id))
        return seq

    async def _work(self) -> None:
        while True:
            for turn in await self.bus.take(8):
                await self._turn(turn)
            for outgoing in await self.bus.take_replies(8):
                await self._deliver(outgoing)
            await self.bus.changed(0.05)

    async def _turn(self, turn: Turn) -> None:
        event = turn.entry.event
        if isinstance(event, BehaviourObserved):
            await self.bus.finish(turn, await Behaviour(self.clock, lambda *_told: None).handle(event, turn))
            return
        if not isinstance(event, MessageReceived) or self.answerer is None:
            await self.bus.finish(turn, Outcome())
            return
        reply = await self.answerer(event)
        await self.bus.finish(turn, Outcome() if reply is None else self._outcome(event, reply))

    def _outcome(self, event: MessageReceived, reply: Reply) -> Outcome:
        said = event.message
        message = OutboundMessage(
            tenant=TENANT, channel=said.channel, account=said.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"reply-to-{said.message_id}"), recipient=said.sender[0].value, role="bot", reply=reply,
        )  # fmt: skip

        def write(connection: sa.Connection) -> None:
            draft = Draft(
                id=message.message_id, role="bot", text=reply.text, sent_at=self.clock(), state="sending",
                language=reply.language, choices=reply.choices, citations=reply.citations,
            )  # fmt: skip
            conversations.append(connection, TENANT, event.conversation_id, draft)

        return Outcome(replies=[message], writes=[write])

    async def _deliver(self, outgoing: Outgoing) -> None:
        await self.bus.sent(outgoing, await self.delivery.deliver(outgoing))

    def _record_proof(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, account: str,
        method: str, valid_seconds: int,
    ) -> None:  # fmt: skip
        self.proofs.append({"account": account, "method": method, "seconds": valid_seconds})


class ToyAgent:
    """Says what the text asks for; streams like a model when it is asked to."""

    def __init__(self) -> None:
        self.house: House | None = None
        self.heard: list[MessageReceived] = []

    async def __call__(self, event: MessageReceived) -> Reply | None:
        self.heard.append(event)
        text = event.message.text
        if "stream" in text or "退款" in text or "refund" in text:
            return await self._streamed(event)
        if "退货" in text or "return" in text:
            return _offer(text)
        if "人工" in text or "human" in text:
            return await self._hand_over(event)
        if not text and not event.message.attachments:
            return Reply(text="空的消息？请告诉我您需要什么。")
        return Reply(text=f"您说的是：{text}", language="zh")

    async def _streamed(self, event: MessageReceived) -> Reply:
        assert self.house is not None
        chinese = "退款" in event.message.text
        text = (
            "退款会在我们收到退货后 **1–3 个工作日** 内原路退回：\n\n- 微信、支付宝：当天到账\n- 银行卡：1–5 个工作日\n\n超过时间没有收到，请把订单号发给我。"
            if chinese
            else "We refund to your original payment method **within 1–3 working days** after the parcel arrives:\n\n- wallets: the same day\n- cards: 1–5 working days\n\nSend me the order number if it takes longer."
        )
        reply = Reply(
            text=text, language="zh" if chinese else "en",
            citations=(Citation(article="refund-times", title="退款多久到账" if chinese else "How long refunds take", version=3, quote=text.replace("**", "")),),
        )  # fmt: skip
        message_id = f"reply-to-{event.message.message_id}"
        self.house.hub.tell(Signal("typing", event.conversation_id, who="bot"))
        await asyncio.sleep(0.2)
        for index, start in enumerate(range(0, len(text), 4)):
            piece = text[start : start + 4]
            self.house.hub.tell(
                Signal("delta", event.conversation_id, message_id=message_id, index=index, text=piece)
            )
            await asyncio.sleep(0.01)
        return reply

    async def _hand_over(self, event: MessageReceived) -> Reply:
        house = self.house
        assert house is not None
        now = house.clock()
        await house.database.write(
            lambda connection: conversations.change(
                connection, TENANT, event.conversation_id, now, holder="queue", waiting_since=now
            )
        )
        house.hub.tell(Signal("status", event.conversation_id))
        return Reply(text="好的，正在为您转接人工客服，请稍等。")


def _offer(text: str) -> Reply:
    chinese = "退货" in text
    labels = (("质量问题", "不喜欢了", "发错货了") if chinese else ("It is faulty", "I changed my mind", "Wrong item"))  # fmt: skip
    return Reply(
        text="可以的，签收后 7 天内都能退货。请问是什么原因？" if chinese else "Of course. What is the reason?",
        language="zh" if chinese else "en",
        choices=tuple(Choice(label=label, value=f"reason-{number}") for number, label in enumerate(labels)),
        citations=(Citation(article="return-7-days", title="七天无理由退货" if chinese else "7-day returns", version=2, quote="自签收之日起 7 天内，商品完好即可申请退货。"),),
    )  # fmt: skip


def free_port() -> tuple[socket.socket, int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, int(listener.getsockname()[1])


@asynccontextmanager
async def serving(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """A real server in this loop, on a socket that is already bound."""
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws_max_size=2**20, timeout_graceful_shutdown=1
    )  # a long poll would be waited for to its end
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
