"""The event stream: the outbox of each tenant to the company's own broker, in order, at least once.

One process at a time publishes for a tenant; a lease in the database says which, and the cursor beside it where to go on, after
a restart as well. The cursor moves when the broker has taken the events, so a crash repeats at most one batch, under the same ids.
While the broker is away the outbox waits (two weeks), `trouble` names it, and nothing else is held up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.outward import outbox
from foundation.outward.outbox import Told
from foundation.security import random_token
from foundation.storage.database import Database
from service.sync.brokers import Broker, Target, open_broker, read_target
from service.sync.caller import render
from service.sync.sender import find_text

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
BATCH = 200
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class Trouble:
    """`failures` in a row; nothing is tried before `until`."""

    failures: int = 0
    until: float = 0.0


@dataclass
class Stream:
    database: Database
    clock: Clock
    target: Target
    broker: Broker
    texts: frozenset[TenantId]
    _owner: str = field(default_factory=lambda: random_token(9))
    _is_open: bool = False
    _trouble: Trouble = field(default_factory=Trouble)

    @property
    def receiver(self) -> str:
        """Its cursor's name: another name of the stream starts anew from what is kept."""
        return f"stream:{self.target.scheme}:{self.target.name}"

    @property
    def degraded(self) -> bool:
        return self._trouble.failures > 0

    async def round(self, tenant: TenantId) -> int:
        """Publishes what waits; how many. 0 as well while the broker is left alone."""
        if self._pausing():
            return 0
        newest = await self.database.read(lambda c: outbox.position_of(c, tenant, outbox.NUMBERED))
        stands = await self.database.read(lambda c: outbox.position_of(c, tenant, self.receiver))
        if stands >= newest and not self.degraded:
            return 0
        now = self.clock()
        position = await self.database.write(
            lambda c: outbox.lease(
                c, tenant, self.receiver, owner=self._owner, now=now, seconds=LEASE_SECONDS
            )
        )
        if position is None:
            return 0
        found = await self.database.read(lambda c: self._load(c, tenant, position))
        return await self._publish(tenant, found)

    async def close(self) -> None:
        await self.broker.close()
        self._is_open = False

    async def release(self, tenant: TenantId) -> None:
        """So that another process need not wait for the lease's end."""
        await self.database.write(lambda c: outbox.release(c, tenant, self.receiver, owner=self._owner))

    async def _publish(self, tenant: TenantId, found: list[tuple[Told, bytes]]) -> int:
        """Stops at half the lease, which the next round renews: nobody else publishes meanwhile."""
        done, enough = 0, self.clock() + timedelta(seconds=LEASE_SECONDS / 2)
        try:
            if not self._is_open:
                await self.broker.open()
                self._is_open = True
            for told, body in found:
                await self.broker.publish(told, body)
                done += 1
                if self.clock() > enough:
                    break
        except errors.UpstreamUnavailable as error:
            await self._failed(error)
        else:
            if self.degraded:
                log.info("the event stream is back", receiver=self.receiver)
            self._trouble = Trouble()
        if done:
            last = found[done - 1][0].position
            await self.database.write(
                lambda c: outbox.advance(c, tenant, self.receiver, last, owner=self._owner)
            )
        return done

    async def _failed(self, error: errors.UpstreamUnavailable) -> None:
        """The connection is made anew: a client that has seen trouble is not trusted to mend itself."""
        if not self._trouble.failures:
            log.warning(
                "the event stream waits", receiver=self.receiver, cause=type(error.__cause__).__name__
            )
        await self.close()
        failures = self._trouble.failures + 1
        pause = min(0.5 * 2.0 ** min(failures, 20), LONGEST_PAUSE_SECONDS)
        self._trouble = Trouble(failures, asyncio.get_running_loop().time() + pause)

    def _pausing(self) -> bool:
        return asyncio.get_running_loop().time() < self._trouble.until

    def _load(self, connection: sa.Connection, tenant: TenantId, position: int) -> list[tuple[Told, bytes]]:
        with_texts = self.target.with_texts and tenant in self.texts
        return [
            (one, render(one, find_text(connection, one) if with_texts else None))
            for one in outbox.read_after(connection, tenant, position, limit=BATCH)
        ]


def build(database: Database, clock: Clock, url: str, texts: frozenset[TenantId]) -> Stream | None:
    """None without a URL. Raises `ConfigurationError`."""
    if not url:
        return None
    target = read_target(url)
    return Stream(database, clock, target, open_broker(target), texts)
