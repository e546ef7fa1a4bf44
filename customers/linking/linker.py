"""Works off the list of identities about whom something new is known: indexed, compared, then linked for staff, asked, or left.

`service/customer_side.py` runs it beside the turns, which it never holds up: reading and scoring happen in reading threads,
writing in short transactions. The list is first indexed to its end and compared afterwards, so that the rows of an import meet
each other. Whatever was done twice (a crash, a second process) changes nothing.

What would surprise you: a link made here is for staff. It is never a proof, and it touches nobody's `access_id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from customers import changed, search
from customers.changed import Changed, Stage
from customers.graph.operations import Grounds, Operations
from customers.graph.partition import Strength
from customers.linking import dossier, known_pairs
from customers.linking.dossier import Dossier
from customers.matching.online import Matcher, Proposal
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database

MATCHER = "matcher"
"""The actor of its operations."""
INDEXED_AT_ONCE = 100
COMPARED_AT_ONCE = 25
RECOUNTED_FROM = 100
"""So many new records at once are an import, after which thresholds are based on the new number of people."""
TRIES = 5
"""Who already has an account cannot be one person with another account; then the next best is looked at."""


@dataclass(slots=True)
class Worked:
    indexed: int = 0
    linked: int = 0
    asked: int = 0
    """Pairs that wait for a person now."""


class Linker:
    def __init__(
        self, database: Database, matcher: Matcher, operations: Operations, *, vault: Vault, clock: Clock
    ) -> None:
        self._database = database
        self._matcher = matcher
        self._operations = operations
        self._vault = vault
        self._clock = clock
        self._working = asyncio.Lock()

    async def run(self, tenant: TenantId) -> Worked:
        """Until the list is empty; returns at once when it is."""
        worked = Worked()
        async with self._working:
            while waiting := await self._waiting(tenant, Stage.INDEX, INDEXED_AT_ONCE):
                worked.indexed += await self._database.write(lambda c, w=waiting: self._index(c, tenant, w))  # type: ignore[misc]
            if worked.indexed >= RECOUNTED_FROM:
                await self._database.write(lambda c: self._matcher.recount(c, tenant))
            while waiting := await self._waiting(tenant, Stage.COMPARE, COMPARED_AT_ONCE):
                found = await self._database.read(lambda c, w=waiting: self._compare(c, tenant, w))  # type: ignore[misc]
                worked.linked += await self._database.write(
                    lambda c, f=found, w=waiting: self._act(c, tenant, f, w)  # type: ignore[misc]
                )
                worked.asked += sum(one.decision == "review" for one in found)
        return worked

    async def reindex(self, tenant: TenantId) -> None:
        """For a model that looks for candidates by other rules; may be stopped and begun again."""
        place: str | None = ""
        while place is not None:
            place = await self._database.write(
                lambda c, after=place: self._matcher.reindex(c, tenant, after=after, limit=INDEXED_AT_ONCE)  # type: ignore[misc]
            )

    async def _waiting(self, tenant: TenantId, stage: Stage, limit: int) -> list[Changed]:
        return await self._database.read(lambda c: changed.waiting(c, tenant, stage, limit=limit))

    def _index(self, connection: sa.Connection, tenant: TenantId, waiting: Sequence[Changed]) -> int:
        known = dossier.read(connection, tenant, [one.identity_id for one in waiting], now=self._clock())
        records = {one: found.record for one, found in known.items()}
        for one, found in known.items():
            search.replace(connection, self._vault, tenant, one, found.searched)
        told = {one: record for one, record in records.items() if record.attributes}
        self._matcher.index(connection, tenant, told)
        changed.advance(connection, tenant, [one for one in waiting if one.identity_id in told])
        changed.finish(connection, tenant, [one for one in waiting if one.identity_id not in told])
        return len(told)

    def _compare(
        self, connection: sa.Connection, tenant: TenantId, waiting: Sequence[Changed]
    ) -> list[Proposal]:
        known = dossier.read(connection, tenant, [one.identity_id for one in waiting], now=self._clock())
        found = (self._propose(connection, tenant, one) for one in known.values())
        return [one for one in found if one.decision != "none"]

    def _propose(self, connection: sa.Connection, tenant: TenantId, about: Dossier) -> Proposal:
        identity = about.identity
        if identity.shared:
            return Proposal("none", identity.id)
        own = known_pairs.members_of(connection, tenant, [identity.customer_id])
        excluded = own | known_pairs.kept_apart(connection, tenant, own)
        excluded |= known_pairs.taken_back(connection, tenant, identity.id)
        for _ in range(TRIES):
            found = self._matcher.propose(connection, tenant, identity.id, about.record, excluded=excluded)
            accounts = known_pairs.accounts_of(connection, tenant, {identity.customer_id, found.customer})
            if found.decision == "none" or len(accounts) < 2:
                return found
            excluded |= known_pairs.members_of(connection, tenant, [found.customer])
        return Proposal("none", identity.id)

    def _act(
        self, connection: sa.Connection, tenant: TenantId, found: Sequence[Proposal], waiting: Sequence[Changed]
    ) -> int:  # fmt: skip
        """How many were linked that were not before: two who found each other are one link."""
        linked = 0
        for one in found:
            if one.decision == "auto":
                linked += self._link(connection, tenant, one)
            else:
                self._matcher.ask(connection, tenant, one)
        changed.finish(connection, tenant, waiting)
        return linked

    def _link(self, connection: sa.Connection, tenant: TenantId, found: Proposal) -> bool:
        version = str(found.model_version)
        grounds = Grounds(Strength.LIKELY, found.probability, f"match:{version}", version)
        done = self._operations.link(
            connection, tenant, found.identity_id, found.other, actor=MATCHER,
            reason=f"probability {found.probability:.5f}, {found.bits:.1f} bits", grounds=grounds,
        )  # fmt: skip
        return done.op is not None
