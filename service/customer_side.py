"""What the process knows about customers, in one piece for the wiring: profiles, collection, orders, who is who, the night.

Each process that does turns looks every second whether there is anybody to compare with the others, and every ten minutes for
the night's work; the first one to find a new day does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
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
from customers.privacy import consents
from customers.privacy.consents import Consents
from customers.profile import learned, objecting
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profiles
from foundation import errors
from foundation.bus.contract import Bus
from foundation.clock import Clock
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore
from operations.console.pages import CustomerDesks
from operations.console.privacy.copy_page import CopyPage
from operations.customer_data.desk import LARGEST, ImportDesk
from operations.customer_data.job import ImportJob
from operations.identities.desk import IdentityDesk
from operations.identities.models import ModelDesk
from operations.identities.names import Names
from operations.identities.parts import Identities
from operations.identities.person import PersonReading
from operations.identities.reviews import Reviews
from operations.privacy.consenting import ConsentDesk
from operations.privacy.copying import CopyDesk
from operations.privacy.desk import ErasureDesk, Outside
from operations.privacy.rotation import Rotation
from service.operator import Doorman
from service.privacy.outside import ErasureLog, FreedPages, PendingImports, TurnsInFlight
from service.privacy.own import OwnDataOf
from service.routes.keys import KeyRoutes
from service.routes.people.consents import ConsentRoutes
from service.routes.people.copies import CopyRoutes
from service.routes.people.customer_data import CustomerDataRoutes
from service.routes.people.customers import CustomerRoutes
from service.routes.people.identities import IdentityRoutes
from service.routes.people.privacy import PrivacyRoutes

NIGHT_SECONDS = 600.0
COMPARE_SECONDS = 1.0
ERASE_SECONDS = 1.0
ROTATE_SECONDS = 1.0
IMPORT_SECONDS = 1.0
KEYS_SECONDS = 10.0
"""Several times within the minute in which a new key is known and not used yet (`rotation.HEARD_SECONDS`)."""

log = structlog.get_logger(__name__)


@dataclass
class CustomerSide:
    database: Database
    directory: Directory
    clock: Clock
    profiles: Profiles
    collection: Collection
    orders: OrderNotes
    nightly: Nightly
    linker: Linker
    training: Training
    identities: Identities
    erasures: ErasureDesk
    turns_in_flight: TurnsInFlight
    rotation: Rotation
    imports: ImportDesk
    import_job: ImportJob
    consenting: ConsentDesk
    copying: CopyDesk
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def own_data(self, tenant: TenantId, conversation_id: ConversationId) -> OwnDataOf:
        """For the chat's tools."""
        return OwnDataOf(self.database, self.directory, self.consenting.known, tenant, conversation_id)

    def desks(self) -> CustomerDesks:
        return CustomerDesks(self.identities, self.erasures, self.imports, self.consenting, self.copying)

    def routes(self, doorman: Doorman, server_keys: Mapping[str, SecretStr]) -> Sequence[BaseRoute]:
        profiles = CustomerRoutes(
            self.collection, self.profiles, self.database, doorman=doorman, server_keys=server_keys, clock=self.clock
        )  # fmt: skip
        return [
            *CustomerDataRoutes(self.imports, doorman).routes(),
            *IdentityRoutes(self.identities, self.database, doorman).routes(),
            *profiles.routes(),
            *ConsentRoutes(self.consenting, doorman).routes(),
            *CopyRoutes(self.copying, doorman).routes(),
            *PrivacyRoutes(self.erasures, doorman).routes(),
            *KeyRoutes(self.rotation, doorman).routes(),
        ]

    async def open(self) -> None:
        """Before the database: nothing is read with a key that is not known. Where there are several processes each looks for
        keys that another one has added, also one that does no turns."""
        await self.rotation.load()
        if self.database.dialect == "postgresql":
            self._go(
                [_keep("looking for new keys", KEYS_SECONDS, [TenantId("")], lambda _: self.rotation.load())]
            )

    def start(self, tenants: Sequence[TenantId]) -> None:
        loops = (
            _keep("the night's work", NIGHT_SECONDS, tenants, self._night),
            _keep("comparing customers", COMPARE_SECONDS, tenants, self.linker.run),
            _keep("erasing", ERASE_SECONDS, tenants, self.erasures.run),
            _keep("rotating keys", ROTATE_SECONDS, tenants, self.rotation.run),
            _keep("importing customers", IMPORT_SECONDS, tenants, self.import_job.run),
        )
        self._go(loops)

    def _go(self, loops: Iterable[Coroutine[Any, Any, None]]) -> None:
        for loop in loops:
            task = asyncio.create_task(loop)
            task.add_done_callback(_tell)
            self._tasks.append(task)

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


def build(
    database: Database, bus: Bus, store: KeyStore, *, clock: Clock, directory: Directory, largest_import: int = LARGEST,
    ask_first: Sequence[str] = (), titles: Mapping[str, Mapping[str, str]],
) -> CustomerSide:  # fmt: skip
    """`ask_first`: purposes that nothing is done for before somebody agreed. `titles`: of channels, by name and language."""
    vault = database.vault
    known = _consents(clock, ask_first)
    profiles, graph = Profiles(vault, clock, known.may_profile), directory.graph
    collection = Collection(database, profiles, clock, known)
    operations = Operations(graph, vault, clock)
    matcher = Matcher(vault, clock, labels=known_pairs.customers_of)
    linker = Linker(database, matcher, operations, vault=vault, clock=clock)
    training = Training(database, matcher, linker, clock=clock, objectors=known.objectors)
    reading = PersonReading(directory, profiles, matcher)
    desk = IdentityDesk(database, bus, operations, clock=clock)
    identities = Identities(
        reading, desk, Names(database, graph, reading, vault=vault, clock=clock),
        Reviews(database, desk, operations, clock=clock), ModelDesk(database, training, clock=clock),
    )  # fmt: skip
    in_flight = TurnsInFlight()
    outside: list[Outside] = [ErasureLog(store), in_flight, PendingImports(database), FreedPages(database)]
    erasures = ErasureDesk(database, graph, vault, clock=clock, outside=outside, log=store)
    imports = ImportDesk(database, collection, clock, largest=largest_import)
    return CustomerSide(
        database, directory, clock, profiles, collection, OrderNotes(database, profiles, clock),
        Nightly(database, profiles, collection, clock, objectors=known.objectors), linker, training, identities, erasures, in_flight,
        Rotation(database, store, matcher, clock=clock), imports,
        ImportJob(database, collection, imports, clock=clock), ConsentDesk(database, graph, known, clock=clock),
        CopyDesk(database, graph, vault, clock=clock, render=CopyPage(titles).render),
    )  # fmt: skip


def _consents(clock: Clock, ask_first: Sequence[str]) -> Consents:
    """With what is dropped when somebody refuses."""
    known = Consents(clock, ask_first=ask_first)

    def drop_features(connection: sa.Connection, tenant: TenantId, ids: Sequence[str]) -> None:
        objecting.drop(connection, tenant, ids, now=clock())

    def drop_cases(connection: sa.Connection, tenant: TenantId, ids: Sequence[str]) -> None:
        learned.forget_cases(connection, tenant, ids)

    known.follow = {consents.PROFILING: drop_features, consents.TRAINING: drop_cases}
    return known
