"""What the process knows about one-time codes, in one piece for the wiring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from starlette.routing import BaseRoute

from channels.families.live_chat.admission import Pace
from channels.intake import Intake
from channels.outbound.contacts import Contacts
from channels.places import Channels
from customers import records as places
from customers.directory import Directory
from customers.verification.limits import Answers
from customers.verification.sending import Sending
from customers.verification.verification import Verification
from foundation.bus.contract import Bus, Outcome, Turn
from foundation.clock import Clock
from foundation.events import CodeWanted
from foundation.messages import ConversationId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from operations import audit
from prompts.library import Library
from service.proving.courier import Courier, Deliver
from service.routes.people.verifications import VerificationRoutes


@dataclass(frozen=True, slots=True)
class Machines:
    database: Database
    bus: Bus
    vault: Vault
    clock: Clock
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Outlet:
    """How a code leaves."""

    channels: Channels
    library: Library
    deliver: Deliver
    titles: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ProvingSide:
    verification: Verification
    sending: Sending
    outlet: Outlet

    def routes(self) -> Sequence[BaseRoute]:
        pace = Pace(self.verification.clock)
        return VerificationRoutes(self.verification, self.outlet.channels, self.outlet.library, pace).routes()

    async def handle_wanted(self, event: CodeWanted, turn: Turn) -> Outcome:
        return await self.sending.handle_wanted(event, turn)

    async def degraded(self, tenants: Sequence[TenantId]) -> list[str]:
        """Tenants whose codes are stopped."""
        return [f"codes:{one}" for one in tenants if await self.verification.is_stopped(one)]


def build(
    machines: Machines, outlet: Outlet, directory: Directory, intake: Intake, *, fresh_days: int
) -> ProvingSide:
    """Also tells the door which texts hold a code."""
    database, vault, clock, metrics = machines.database, machines.vault, machines.clock, machines.metrics
    contacts = Contacts(outlet.channels, vault, clock, find_conversations=_came_in_by)
    courier = Courier(contacts, database, outlet.library, clock, outlet.deliver, outlet.titles)
    verification = Verification(
        database, machines.bus, directory, vault, clock, contacts.can_reach, partial(_sound, clock=clock),
        stopped=metrics.code_stops.inc,
    )  # fmt: skip
    intake.awaits_code = verification.is_awaited

    def count(outcome: str) -> None:
        metrics.codes.labels(outcome).inc()

    sending = Sending(database, directory, vault, clock, courier, fresh_days, count)
    return ProvingSide(verification, sending, outlet)


def _came_in_by(connection: sa.Connection, tenant: TenantId, identity_id: str) -> list[ConversationId]:
    return [one for _, one in places.find_conversations(connection, tenant, [identity_id])]


def _sound(connection: sa.Connection, tenant: TenantId, answers: Answers, *, clock: Clock) -> None:
    audit.write(
        connection, tenant, actor="service", action="codes.stopped", subject=tenant, now=clock(),
        detail={"wrong": answers.wrong, "right": answers.right},
    )  # fmt: skip
