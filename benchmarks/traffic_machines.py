"""The processes of `benchmarks.traffic`: one that takes the calls of all platforms, and workers that answer.

They are assembled of the real parts as `service.wiring` does it, but for the agent: the turn is an echo, so that what is
measured is the door, the bus and the delivery, and not twenty thousand questions to a classifier.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import structlog
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from channels import endpoints
from channels.contract import Channel, Surroundings
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.promises import Pulling
from channels.registry import CHANNELS
from foundation import conversations, telemetry
from foundation import settings as configuration
from foundation.bus.contract import Outcome, Turn
from foundation.bus.postgres import PostgresBus
from foundation.clock import utc_now
from foundation.events import Event as Happened
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.worker import Pace, Worker

TENANT = TenantId("demo")
VAULT = Vault(b"benchmark benchmark benchmark 00")
KEEP_ALIVE_SECONDS = 600
"""A connection that closes as it is used again is the client's trouble, and is not what is measured."""
MARK = re.compile(r"m(\d{5})x")
"""Stands in every text of a customer; the reply has it with an r."""


@dataclass(frozen=True, slots=True)
class Plan:
    database: str
    port: int
    names: tuple[str, ...]


@dataclass(slots=True)
class Machines:
    database: Database
    bus: PostgresBus
    channels: dict[tuple[TenantId, str], Channel]
    intake: Intake
    delivery: Delivery
    metrics: Metrics


@asynccontextmanager
async def assembled(plan: Plan) -> AsyncIterator[Machines]:
    telemetry.configure("error", "console")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    database, hub, metrics = Database(plan.database, VAULT), Hub(), Metrics()
    await database.open()
    bus = PostgresBus(database)
    await bus.open()
    surroundings = Surroundings(
        TENANT, f"http://127.0.0.1:{plan.port}", database, VAULT, hub, utc_now,
        identity_keys={"demo": SecretStr("benchmark key of thirty-two signs")},
    )  # fmt: skip
    specs = {spec.name: spec for spec in CHANNELS}
    channels = {
        (TENANT, name): specs[name].build(configuration.channel(name, specs[name].settings), surroundings)
        for name in plan.names
    }
    for channel in channels.values():
        await channel.open()
    intake = Intake(bus, database, vault=VAULT, clock=utc_now, metrics=metrics, hub=hub)
    delivery = Delivery(channels, database, hub=hub, clock=utc_now, metrics=metrics)
    try:
        yield Machines(database, bus, channels, intake, delivery, metrics)
    finally:
        for channel in channels.values():
            await channel.close()
        await bus.close()
        await database.close()


def door(plan: Plan, ready: Event, stop: Event) -> None:
    asyncio.run(_door(plan, ready, stop))


async def _door(plan: Plan, ready: Event, stop: Event) -> None:
    async with assembled(plan) as machines:
        routes = endpoints.routes(machines.intake, machines.channels, clock=utc_now, metrics=machines.metrics)
        app = Starlette(routes=list(routes))
        config = uvicorn.Config(
            app, port=plan.port, log_level="error", access_log=False, lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        tasks = [asyncio.create_task(server.serve())]
        for channel in machines.channels.values():
            if isinstance(channel, Pulling):
                tasks.append(asyncio.create_task(channel.pull(machines.intake)))
        while not server.started:  # noqa: ASYNC110  # uvicorn tells by a flag only
            await asyncio.sleep(0.05)
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await tasks[0]
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def worker(plan: Plan, ready: Event, stop: Event) -> None:
    asyncio.run(_worker(plan, ready, stop))


async def _worker(plan: Plan, ready: Event, stop: Event) -> None:
    async with assembled(plan) as machines:
        echo = Echo(machines.database)
        working = Worker(
            machines.bus, {"MessageReceived": echo.answer, "ReplyFailed": echo.ignore, "ReplyRedirected": echo.ignore},
            deliver=machines.delivery.deliver, on_buried=lambda _turn: Outcome(), metrics=machines.metrics,
            pace=Pace(slots=16),
        )  # fmt: skip
        working.start()
        ready.set()
        await asyncio.to_thread(stop.wait)
        await working.stop()


class Echo:
    """In place of the agent: the line of the transcript and the reply, in the turn's own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ignore(self, _event: Happened, _turn: Turn) -> Outcome:
        return Outcome()

    async def answer(self, event: MessageReceived, _turn: Turn) -> Outcome:
        said = event.message
        found = MARK.search(said.text)
        if found is None:
            return Outcome()
        conversation = await self._database.read(
            lambda connection: conversations.get(connection, TENANT, event.conversation_id)
        )
        text = f"收到：r{found[1]}x"
        reply = OutboundMessage(
            tenant=TENANT, channel=said.channel, account=said.account, conversation_id=event.conversation_id,
            message_id=MessageId(f"re-{said.message_id}"), recipient=conversation.recipient, role="bot",
            reply=Reply(text=text), reply_context=conversation.reply_context,
        )  # fmt: skip
        draft = conversations.Draft(
            id=reply.message_id, role="bot", text=text, sent_at=utc_now(), state="sending"
        )
        return Outcome(
            [reply],
            [lambda connection: conversations.append(connection, TENANT, event.conversation_id, draft)],
        )
