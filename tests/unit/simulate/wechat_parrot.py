"""A server of one channel of WeChat's family, from the door to delivery; only the agent is a parrot."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.applications import Starlette

from channels import endpoints
from channels.contract import Channel, ChannelSpec, Surroundings
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
from foundation.messages import Choice, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate import stage

DEMO = TenantId("demo")
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))


@dataclass
class Parrot:
    """Answers each text with its own words, "menu" with a menu, and an entering with a welcome."""

    spec: ChannelSpec
    settings: BaseModel
    database: Database
    vault: Vault
    heard: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        hub, metrics = Hub(), Metrics()
        bus = EmbeddedBus(self.database)
        await bus.open()
        surroundings = Surroundings(DEMO, "http://localhost", self.database, self.vault, hub, utc_now)
        channel: Channel = self.spec.build(self.settings, surroundings)
        channels: Channels = {(DEMO, self.spec.name): channel}
        intake = Intake(bus, self.database, vault=self.vault, clock=utc_now, metrics=metrics, hub=hub)
        delivery = Delivery(channels, self.database, hub=hub, clock=utc_now, metrics=metrics)
        app = Starlette(routes=list(endpoints.routes(intake, channels, clock=utc_now, metrics=metrics)))
        port = free_port()
        running = [asyncio.create_task(self._work(bus, delivery))]
        if isinstance(channel, Pulling):
            running.append(asyncio.create_task(channel.pull(intake)))
        try:
            async with stage.serving(app, stage.bind(port)):
                yield f"http://127.0.0.1:{port}"
        finally:
            for task in running:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await channel.close()
            await bus.close()

    async def _work(self, bus: EmbeddedBus, delivery: Delivery) -> None:
        while True:
            for turn in await bus.take(10):
                event = turn.entry.event
                assert isinstance(event, MessageReceived)
                self.heard.append(event.message.text or event.message.event)
                await bus.finish(turn, self._answer(event))
            for outgoing in await bus.take_replies(10):
                await bus.sent(outgoing, await delivery.deliver(outgoing))
            await bus.changed(0.2)

    def _answer(self, event: MessageReceived) -> Outcome:
        message = event.message
        text = f"你说：{message.text}" if message.text else "欢迎光临"
        menu = MENU if message.text == "menu" else ()
        reply = OutboundMessage(
            tenant=DEMO, channel=self.spec.name, account=message.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{message.message_id}"), recipient=message.sender[0].value, role="bot",
            reply=Reply(text=text, choices=menu), reply_context=message.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=text, sent_at=utc_now(), state="sending", choices=menu
        )
        return Outcome(
            replies=[reply],
            writes=[lambda c: conversations.append(c, DEMO, event.conversation_id, draft)],
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
