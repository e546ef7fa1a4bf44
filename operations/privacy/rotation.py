"""Rotating keys while everything runs: a new key for what is sealed and for what is looked up by, then row by row under it.

Staff start it; each process that does turns goes on with it, some rows at a time. The new key is known to every process
before it is used: only an installation of one process uses it at once. Whatever happens in between, old values are opened
and old look-ups hit, because the older keys stay in the ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import sqlalchemy as sa

from customers import rekeying
from customers.matching.online import Matcher
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage import resealing
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore
from operations import audit, reasons
from operations.privacy import rotation_records as records
from operations.privacy.rotation_records import Step
from operations.staff import Member

AT_ONCE = 200
"""Rows of one transaction: some milliseconds, so that turns get in between."""
ROUNDS = 50
"""Transactions of one call."""
HEARD_SECONDS = 60
"""So long before it is used a new key is known, where there may be several processes; each looks more often."""

Work = Callable[[sa.Connection, str], rekeying.Place]


@dataclass(frozen=True, slots=True)
class State:
    """`kid` 0 is the key that comes from the master key itself. `waiting`: a newer key is known and not used yet."""

    kid: int
    known: Sequence[int]
    waiting: bool
    steps: Sequence[Step]

    @property
    def is_done(self) -> bool:
        return not self.waiting and all(one.done_at is not None for one in self.steps)


class Rotation:
    def __init__(self, database: Database, store: KeyStore, matcher: Matcher, *, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._matcher = matcher
        self._clock = clock

    async def load(self) -> None:
        """The ring as it is now; before anything is opened, and again and again for what others have added."""
        keys = await asyncio.to_thread(self._store.load)
        self._database.vault.use(keys, now=to_milliseconds(self._clock()))

    async def begin(self, by: Member, *, reason: str) -> int:
        """Adds a key; its number. Raises `InvalidInput`, and `Conflict` while the last rotation is not done."""
        by.require("keys.rotate")
        reason = reasons.given(reason)
        await self.load()
        if not (await self.state(by)).is_done:
            raise errors.Conflict("The last rotation is not done yet.", code="rotation_runs")
        now = to_milliseconds(self._clock())
        later = 0 if self._database.dialect == "sqlite" else HEARD_SECONDS * 1000
        kid = await asyncio.to_thread(partial(self._store.add, now=now, active_from=now + later))
        await self.load()
        await self._database.write(
            lambda c: audit.write(
                c, by.tenant, actor=by.id, action="keys.rotated", subject=f"key:{kid}", now=self._clock(), detail={"reason": reason}
            )
        )  # fmt: skip
        return kid

    async def state(self, by: Member) -> State:
        by.require("keys.rotate")
        vault = self._database.vault
        done = await self._database.read(lambda c: records.read(c, by.tenant, vault.current))
        steps = (
            [done.get(name, Step(name)) for name in works(vault, self._matcher, by.tenant, clock=self._clock)]
            if vault.current
            else []
        )
        return State(vault.current, vault.known, vault.known[-1] > vault.current, steps)

    async def run(self, tenant: TenantId) -> int:
        """Goes on for a while, with the ring that was loaded last; how many rows were changed. 0 where nothing is left."""
        kid = self._database.vault.current
        if not kid:
            return 0
        done = await self._database.read(lambda c: records.read(c, tenant, kid))
        changed, rounds = 0, 0
        for name, work in works(self._database.vault, self._matcher, tenant, clock=self._clock).items():
            step = done.get(name, Step(name))
            while step.done_at is None and rounds < ROUNDS:
                before = step.changed
                step = await self._database.write(
                    partial(self._advance, tenant=tenant, kid=kid, step=step, work=work)
                )
                changed += step.changed - before
                rounds += 1
        return changed

    def _advance(
        self, connection: sa.Connection, *, tenant: TenantId, kid: int, step: Step, work: Work
    ) -> Step:
        place, changed = work(connection, step.place)
        after = replace(
            step, place=place, changed=step.changed + changed, done_at=None if place else self._clock()
        )
        records.write(connection, tenant, kid, after)
        return after


def works(
    vault: Vault, matcher: Matcher, tenant: TenantId, *, clock: Clock, limit: int = AT_ONCE
) -> Mapping[str, Work]:
    """The steps in their order; each is called with where it goes on until it says that it is at its end."""
    finding: dict[str, Work] = {
        "names": lambda c, after: rekeying.names(c, vault, tenant, after=after, limit=limit),
        "claims": lambda c, after: rekeying.claims(c, vault, tenant, after=after, limit=limit),
        "searches": lambda c, _after: rekeying.searches(c, vault, tenant, limit=limit, now=clock()),
        "blocks": lambda c, after: rekeying.blocks(c, matcher, tenant, after=after, limit=limit),
    }
    return finding | {
        name: partial(_reseal, vault=vault, tenant=tenant, table=name, limit=limit)
        for name in resealing.tables()
    }


def _reseal(
    connection: sa.Connection, _after: str, *, vault: Vault, tenant: TenantId, table: str, limit: int
) -> rekeying.Place:
    changed = resealing.reseal(connection, vault, tenant, table, limit=limit)
    return ("on" if changed == limit else ""), changed
