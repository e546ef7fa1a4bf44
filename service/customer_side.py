"""What the process knows about customers, in one piece for the wiring: profiles, collection, orders, who is who, the night.

Each process that does turns looks every second whether there is anybody to compare with the others, and every ten minutes for
the night's work; the first one to find a new day does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from pydantic import SecretStr
from starlette.routing import BaseRoute

from customers.cleaning.collection import Collection
from customers.directory import Directory
from customers.graph.operations import Operations
from customers.linking import known_pairs
from customers.linking.linker import Linker
from customers.linking.training import Training
from customers.matching.online import Matcher
from customers.nightly import Nightly
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profiles
from foundation import errors
from foundation.bus.contract import Bus
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from operations.identities.desk import IdentityDesk
from operations.identities.models import ModelDesk
from operations.identities.names import Names
from operations.identities.parts import Identities
from operations.identities.person import PersonReading
from operations.identities.reviews import Reviews
from service.operator import Doorman
from service.routes.customers import CustomerRoutes
from service.routes.identities import IdentityRoutes

NIGHT_SECONDS = 600.0
COMPARE_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass
class CustomerSide:
    database: Database
    clock: Clock
    profiles: Profiles
    collection: Collection
    orders: OrderNotes
    nightly: Nightly
    linker: Linker
    training: Training
    identities: Identities
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def routes(self, doorman: Doorman, server_keys: Mapping[str, SecretStr]) -> Sequence[BaseRoute]:
        profiles = CustomerRoutes(
            self.collection, self.profiles, self.database, doorman=doorman, server_keys=server_keys, clock=self.clock
        )  # fmt: skip
        return [
            *IdentityRoutes(self.identities, self.database, doorman).routes(),
            *profiles.routes(),
        ]

    def start(self, tenants: Sequence[TenantId]) -> None:
        loops = (
            _keep("the night's work", NIGHT_SECONDS, tenants, self._night),
            _keep("comparing customers", COMPARE_SECONDS, tenants, self.linker.run),
        )
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        for task in self._tasks:
            task.add_done_callback(_tell)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def _night(self, tenant: TenantId) -> None:
        if await self.nightly.run(tenant) is not None:
            await self.training.night(tenant)


def _tell(task: asyncio.Task[None]) -> None:
    """A loop ends only when the process does; whatever else ends it is a bug that nobody waits for."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("work on customers has stopped", exc_info=error)


async def _keep(
    name: str, seconds: float, tenants: Sequence[TenantId], work: Callable[[TenantId], Awaitable[object]]
) -> None:
    while True:
        await asyncio.sleep(seconds)  # first, so that a start is quick
        for tenant in tenants:
            try:
                await work(tenant)
            except errors.ServiceError as error:
                log.warning(f"{name} was put off", tenant=tenant, code=error.code)


def build(database: Database, bus: Bus, vault: Vault, *, clock: Clock, directory: Directory) -> CustomerSide:
    profiles, graph = Profiles(vault, clock), directory.graph
    collection = Collection(database, profiles, clock)
    operations = Operations(graph, vault, clock)
    matcher = Matcher(vault, clock, labels=known_pairs.customers_of)
    linker = Linker(database, matcher, operations, vault=vault, clock=clock)
    training = Training(database, matcher, linker, clock=clock)
    reading = PersonReading(directory, profiles, matcher)
    desk = IdentityDesk(database, bus, operations, clock=clock)
    identities = Identities(
        reading, desk, Names(database, graph, reading, vault=vault, clock=clock),
        Reviews(database, desk, operations, clock=clock), ModelDesk(database, training, clock=clock),
    )  # fmt: skip
    return CustomerSide(
        database, clock, profiles, collection, OrderNotes(database, profiles, clock),
        Nightly(database, profiles, collection, clock), linker, training, identities,
    )  # fmt: skip
