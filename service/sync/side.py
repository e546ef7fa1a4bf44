"""The outward half of sync in one piece for the wiring: webhooks and the stream, kept going in processes that do turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from starlette.routing import BaseRoute

from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.settings import Settings
from foundation.storage.database import Database
from operations.webhooks import records
from operations.webhooks.desk import WebhookDesk
from service.operator import Doorman
from service.routes.webhooks import WebhookRoutes
from service.sync import stream as streams
from service.sync.caller import HttpCaller
from service.sync.sender import Sender
from service.sync.stream import Stream

IDLE_SECONDS = 0.5
TROUBLE_SECONDS = 5.0
PURGE_SECONDS = 3600.0

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass
class SyncSide:
    database: Database
    clock: Clock
    caller: HttpCaller
    sender: Sender
    stream: Stream | None
    desk: WebhookDesk
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _tenants: Sequence[TenantId] = ()

    @property
    def is_sending(self) -> bool:
        return bool(self._tasks)

    def routes(self, doorman: Doorman) -> Sequence[BaseRoute]:
        return WebhookRoutes(self.desk, doorman).routes()

    def start(self, tenants: Sequence[TenantId]) -> None:
        self._tenants = tenants
        loops = {
            "webhooks": _keep("webhooks wait", self.sender.round, tenants),
            "purge": self._keep_purging(tenants),
        }
        if self.stream is not None:
            loops["stream"] = _keep("the event stream waits", self.stream.round, tenants)
        self._tasks = {name: asyncio.create_task(loop) for name, loop in loops.items()}

    async def close(self) -> None:
        """Before the database closes."""
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self.stream is not None:
            await self.stream.close()
            for tenant in self._tenants:
                await self.stream.release(tenant)
        await self.caller.close()
        self._tasks.clear()

    async def degraded(self, tenants: Sequence[TenantId]) -> list[str]:
        """What does not get out: receivers that fail, a broker that is away, a loop that has ended."""
        found = [f"sync:{name}" for name, task in self._tasks.items() if task.done()]
        if self.stream is not None and self.stream.degraded:
            found.append(self.stream.receiver)
        for tenant in tenants:
            webhooks = await self.database.read(
                lambda c, mine=tenant: records.read_all(c, mine, self.clock())  # type: ignore[misc]
            )
            found += [
                f"webhook:{one.id}"
                for one in webhooks
                if one.failing_since is not None or one.state in ("failing", "gone")
            ]
        return found

    async def _keep_purging(self, tenants: Sequence[TenantId]) -> None:
        while True:
            await asyncio.gather(
                *(_once("the outbox's purge waits", self.sender.purge, tenant) for tenant in tenants)
            )
            await asyncio.sleep(PURGE_SECONDS)


async def _keep(waits: str, work: Callable[[TenantId], Awaitable[int]], tenants: Sequence[TenantId]) -> None:
    """Round after round; `work` says how much it did."""
    while True:
        done = [await _once(waits, work, tenant) for tenant in tenants]
        if None in done:
            await asyncio.sleep(TROUBLE_SECONDS)
        elif not any(done):
            await asyncio.sleep(IDLE_SECONDS)


async def _once(waits: str, work: Callable[[TenantId], Awaitable[T]], tenant: TenantId) -> T | None:
    try:
        return await work(tenant)
    except errors.ServiceError as error:
        log.warning(waits, tenant=tenant, code=error.code)
        return None


def build(settings: Settings, database: Database, clock: Clock) -> SyncSide:
    """Opens nothing. Raises `ConfigurationError`."""
    texts = frozenset(TenantId(name) for name in settings.outward_texts)
    caller = HttpCaller(database, clock, trusted=settings.webhook_hosts)
    desk = WebhookDesk(database, caller, clock, may_text=texts.__contains__)
    return SyncSide(
        database, clock, caller, Sender(database, caller, clock, texts=texts),
        streams.build(database, clock, settings.stream_url.get_secret_value(), texts), desk,
    )  # fmt: skip
