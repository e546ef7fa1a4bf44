"""The outward half of sync in one piece for the wiring: webhooks and the stream, kept going in processes that do turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

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
        self._tasks["webhooks"] = asyncio.create_task(self._keep_sending(tenants))
        if self.stream is not None:
            self._tasks["stream"] = asyncio.create_task(self._keep_streaming(self.stream, tenants))

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

    async def _keep_sending(self, tenants: Sequence[TenantId]) -> None:
        purge_at = time.monotonic()
        while True:
            try:
                done = sum([await self.sender.round(tenant) for tenant in tenants])
                if time.monotonic() >= purge_at:
                    purge_at = time.monotonic() + PURGE_SECONDS
                    for tenant in tenants:
                        await self.sender.purge(tenant)
            except errors.ServiceError as error:
                log.warning("webhooks wait", code=error.code)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            if not done:
                await asyncio.sleep(IDLE_SECONDS)

    async def _keep_streaming(self, stream: Stream, tenants: Sequence[TenantId]) -> None:
        while True:
            try:
                done = sum([await stream.round(tenant) for tenant in tenants])
            except errors.ServiceError as error:
                log.warning("the event stream waits", code=error.code)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            if not done:
                await asyncio.sleep(IDLE_SECONDS)


def build(settings: Settings, database: Database, clock: Clock) -> SyncSide:
    """Opens nothing. Raises `ConfigurationError`."""
    texts = frozenset(TenantId(name) for name in settings.outward_texts)
    caller = HttpCaller(database, clock, trusted=settings.webhook_hosts)
    desk = WebhookDesk(database, caller, clock, may_text=texts.__contains__)
    return SyncSide(
        database, clock, caller, Sender(database, caller, clock, texts=texts),
        streams.build(database, clock, settings.stream_url.get_secret_value(), texts), desk,
    )  # fmt: skip
