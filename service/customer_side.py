"""What the process knows about customers, in one piece for the wiring: profiles, collection, the shop's orders, the night.

The night's work is looked for every ten minutes by each process that does turns; the first one to find a new day does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from pydantic import SecretStr
from starlette.routing import BaseRoute

from customers.cleaning.collection import Collection
from customers.nightly import Nightly
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profiles
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.operator import Doorman
from service.routes.customers import CustomerRoutes

LOOK_SECONDS = 600.0

log = structlog.get_logger(__name__)


@dataclass
class CustomerSide:
    database: Database
    clock: Clock
    profiles: Profiles
    collection: Collection
    orders: OrderNotes
    nightly: Nightly
    _waking: asyncio.Task[None] | None = None

    def routes(self, doorman: Doorman, server_keys: Mapping[str, SecretStr]) -> Sequence[BaseRoute]:
        return CustomerRoutes(
            self.collection, self.profiles, self.database, doorman=doorman, server_keys=server_keys, clock=self.clock
        ).routes()  # fmt: skip

    def start(self, tenants: Sequence[TenantId]) -> None:
        self._waking = asyncio.create_task(self._keep_looking(tenants))

    async def close(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            await asyncio.wait([self._waking])

    async def _keep_looking(self, tenants: Sequence[TenantId]) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)  # first, so that a start is quick
            for tenant in tenants:
                try:
                    await self.nightly.run(tenant)
                except (errors.UpstreamUnavailable, errors.Overloaded) as error:
                    log.warning("the night's work was put off", tenant=tenant, code=error.code)


def build(database: Database, vault: Vault, clock: Clock) -> CustomerSide:
    profiles = Profiles(vault, clock)
    collection = Collection(database, profiles, clock)
    return CustomerSide(
        database, clock, profiles, collection, OrderNotes(database, profiles, clock),
        Nightly(database, profiles, collection, clock),
    )  # fmt: skip
