"""One invented customer service account: its channel, its platform with faults on demand, and a door that remembers."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from channels.adapters.wecom_kf.channel import WecomKfChannel
from channels.adapters.wecom_kf.connection import Connection
from channels.adapters.wecom_kf.settings import NAME, WecomKfSettings
from channels.contract import Accepted, Receipt, Surroundings, Watermark, Webhook
from channels.platforms.shelf import Shelf
from foundation.messages import (
    Choice,
    ConversationId,
    InboundMessage,
    MessageId,
    Observation,
    OutboundMessage,
    Reply,
    TenantId,
)
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat.wecom_kf import WecomKfPlatform

KF = "wkDemo01"
ANNA, BEN, CLEO = "wmAnna", "wmBen", "wmCleo"
SETTINGS = WecomKfSettings(
    corp_id="ww00112233445566aa",
    secret=SecretStr("invented-secret"),
    token=SecretStr("csgwtoken2026"),
    encoding_aes_key=SecretStr("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
    open_kfid=KF,
)


@dataclass
class Door:
    """Holds what came, once each; `fail_at` stumbles before the message of this number, once."""

    messages: list[InboundMessage] = field(default_factory=list)
    repeats: int = 0
    fail_at: int = 0
    failure: BaseException = field(default_factory=ConnectionError)
    reports: list[Receipt | Watermark] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(self, message: InboundMessage, raw: bytes) -> Accepted:
        assert json.loads(raw)["msgid"]
        if self.fail_at and len(self.messages) + 1 == self.fail_at:
            self.fail_at = 0
            raise self.failure
        new = message.message_id not in {one.message_id for one in self.messages}
        if new:
            self.messages.append(message)
        self.repeats += not new
        self.came.set()
        return Accepted(ConversationId(message.thread), len(self.messages), new)

    def conversation_id(self, message: InboundMessage) -> ConversationId:
        return ConversationId(message.thread)

    async def prove(self, message: InboundMessage, *, account: str, valid_seconds: int) -> None:
        raise AssertionError(account, valid_seconds, message.kind)

    async def observe(
        self, tenant: TenantId, conversation_id: ConversationId, observations: Sequence[Observation]
    ) -> None:
        raise AssertionError(tenant, conversation_id, observations)

    async def report(self, tenant: TenantId, channel: str, receipt: Receipt | Watermark) -> None:
        self.reports.append(receipt)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]


class Kf(httpx.AsyncBaseTransport):
    """The platform behind the connection. `seen` is what reached customers, `calls` the paths that were called."""

    def __init__(self, surroundings: Surroundings, settings: WecomKfSettings = SETTINGS) -> None:
        self.surroundings = surroundings
        self.settings = settings
        self.seen: list[Shown] = []
        self.calls: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.platform = WecomKfPlatform(
            settings, Options(surroundings.vault), surroundings.clock, self.seen.append
        )
        self.api = self.platform.api
        self.dies_at_page = 0
        self._inner = httpx.ASGITransport(self.platform.application())
        self._faults: deque[tuple[str, Callable[[httpx.Request], httpx.Response]]] = deque()

    def channel(self, **changed: Any) -> WecomKfChannel:
        """A process of its own: another one knows only what lies on the shelf."""
        settings = self.settings.model_copy(update=changed)
        connection = Connection(settings, Shelf(NAME, self.surroundings), transport=self)
        return WecomKfChannel(settings, self.surroundings, connection)

    def ring(self, channel: WecomKfChannel, account: str = KF) -> None:
        call = webhook(self.platform.bell(account), self.surroundings)
        channel.verify(call)
        assert list(channel.read(call)) == []
        assert channel.acknowledge(call).body == b"success"

    def next_call(self, path: str, fault: Callable[[httpx.Request], httpx.Response]) -> None:
        self._faults.append((path, fault))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path.removeprefix("/cgi-bin/"))
        body = await request.aread()
        self.asked.append(json.loads(body) if body else {})
        if self.dies_at_page and self.calls.count("kf/sync_msg") == self.dies_at_page:
            self.dies_at_page = 0
            raise asyncio.CancelledError
        for planned in self._faults:
            if request.url.path.endswith(planned[0]):
                self._faults.remove(planned)
                return planned[1](request)
        return await self._inner.handle_async_request(request)


def webhook(call: Call, surroundings: Surroundings) -> Webhook:
    return Webhook(call.method, call.query, call.headers, call.body, surroundings.clock())


def outbound(reply: Reply | str, *, to: str = ANNA, context: dict[str, str] | None = None) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel=NAME, account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=to, role="bot",
        reply=Reply(text=reply) if isinstance(reply, str) else reply,
        reply_context={"open_kfid": KF} if context is None else context,
    )  # fmt: skip


CHOICES = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
