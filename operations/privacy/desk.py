"""Erasing a customer, for the staff: a look before, the start with a reason, and the work until the last receipt.

The rows go in one transaction. What lies outside of it follows step by step, each with a receipt; whoever dies between two
steps leaves the rest to the next round, here or in another process. Steps can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from customers.graph.graph import Graph
from customers.privacy import erasure, erasure_records
from customers.privacy.erasure import Whom
from customers.privacy.erasure_records import Erasure
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault, random_token
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore, Logged
from operations import audit, reasons
from operations.staff import Member

SHORTEST_NAME = 2
SHOWN = 50
ROWS = "rows"
REPLAYED = "replayed after a restore"


@dataclass(frozen=True, slots=True)
class Look:
    """What would go. `stays`: identities that only look like the same person. `in_work`: messages that are being answered."""

    customer_id: str
    identities: tuple[str, ...]
    stays: tuple[str, ...]
    conversations: int
    shared: int
    counts: Mapping[str, int]
    in_work: int


class Outside(Protocol):
    """A place that the transaction does not reach."""

    name: str

    async def erase(self, tenant: TenantId, one: Erasure) -> int | None:
        """How many things it took away, None when it cannot now and must be asked again. Repeatable."""
        ...


class ErasureDesk:
    """`outside` in the order in which it is worked off."""

    def __init__(
        self, database: Database, graph: Graph, vault: Vault, *, clock: Clock, outside: Sequence[Outside],
        log: KeyStore | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._graph = graph
        self._vault = vault
        self._clock = clock
        self._log = log
        self._outside = [AuditTrail(database, clock), *outside]

    @property
    def steps(self) -> tuple[str, ...]:
        return (ROWS, *(one.name for one in self._outside))

    async def look(self, by: Member, customer: str, *, identity: str = "") -> Look:
        """Changes nothing. Raises `NotFound`."""
        by.require("privacy.erase")

        def read(connection: sa.Connection) -> Look:
            whom = self._find(connection, by.tenant, customer, identity)
            return Look(
                whom.customer_id, whom.identities, tuple(one.id for one in whom.stays), len(whom.conversations),
                len(whom.shared), erasure.count(connection, whom), erasure.open_work(connection, whom),
            )  # fmt: skip

        return await self._database.read(read)

    async def start(self, by: Member, customer: str, *, reason: str, identity: str = "") -> Erasure:
        """The rows are gone when it returns, unless the answer says `waiting`. Raises `InvalidInput`, `NotFound`."""
        by.require("privacy.erase")
        reason = reasons.given(reason)
        erasure_id = f"era_{random_token(12)}"

        def begin(connection: sa.Connection) -> None:
            whom = self._find(connection, by.tenant, customer, identity)
            _require_anonymous(reason, erasure.strings_of(connection, whom))
            now = self._clock()
            made = Erasure(
                erasure_id, whom.customer_id, whom.own[0].id, whom.identities, whom.conversations, "waiting", by.id, reason,
                now, None,
            )  # fmt: skip
            erasure_records.add(connection, by.tenant, made)
            audit.write(
                connection, by.tenant, actor=by.id, action="privacy.erasure_begun", subject=erasure_id, now=now,
                detail={"reason": reason, "identities": len(whom.identities)},
            )  # fmt: skip

        await self._database.write(begin)
        await self.advance(by.tenant, erasure_id)
        return await self._database.read(lambda c: erasure_records.get(c, by.tenant, erasure_id))

    async def replay(self, by: Member) -> list[Erasure]:
        """After a copy of the data from before was put back: erases again whoever the log knows and the data does not know to be
        erased. Nothing to do: nothing done."""
        by.require("privacy.erase")
        logged = await asyncio.to_thread(self._log.erasures, by.tenant) if self._log is not None else []
        again = []
        for one in logged:
            for erasure_id in await self._database.write(lambda c, o=one: self._begin_again(c, by, o)):  # type: ignore[misc]
                await self.advance(by.tenant, erasure_id)
                again.append(await self.find(by, erasure_id))
        return again

    def _begin_again(self, connection: sa.Connection, by: Member, logged: Logged) -> list[str]:
        """One erasure for each proven group that the identities make today, the first under its old id."""
        if erasure_records.find(connection, by.tenant, logged.id) is not None:
            return []
        begun: list[str] = []
        covered: set[str] = set()
        for name in logged.identities:
            if name in covered or not erasure.is_known(connection, by.tenant, name):
                continue
            whom = erasure.find(connection, self._graph, by.tenant, name, identity=name)
            covered |= set(whom.identities)
            now = self._clock()
            erasure_id = f"{logged.id}.{len(begun) + 1}" if begun else logged.id
            made = Erasure(
                erasure_id,
                whom.customer_id,
                name,
                whom.identities,
                whom.conversations,
                "waiting",
                by.id,
                REPLAYED,
                now,
                None,
            )
            erasure_records.add(connection, by.tenant, made)
            audit.write(
                connection,
                by.tenant,
                actor=by.id,
                action="privacy.erasure_replayed",
                subject=erasure_id,
                now=now,
            )
            begun.append(erasure_id)
        return begun

    async def find(self, by: Member, erasure_id: str) -> Erasure:
        by.require("privacy.erase")
        return await self._database.read(lambda c: erasure_records.get(c, by.tenant, erasure_id))

    async def newest(self, by: Member) -> list[Erasure]:
        by.require("privacy.erase")
        return await self._database.read(lambda c: erasure_records.newest(c, by.tenant, limit=SHOWN))

    async def run(self, tenant: TenantId) -> int:
        """Goes on with what is not finished; how many that were."""
        unfinished = await self._database.read(lambda c: erasure_records.unfinished(c, tenant))
        for erasure_id in unfinished:
            await self.advance(tenant, erasure_id)
        return len(unfinished)

    async def advance(self, tenant: TenantId, erasure_id: str) -> None:
        """As far as it goes now."""
        try:
            await self._database.write(lambda c: self._erase_rows(c, tenant, erasure_id))
        except errors.Conflict as error:
            if error.code != "in_work":
                raise
            return
        one = await self._database.read(lambda c: erasure_records.get(c, tenant, erasure_id))
        signed = {receipt.step for receipt in one.receipts}
        for outside in self._outside:
            if outside.name in signed:
                continue
            gone = await outside.erase(tenant, one)
            if gone is None:
                return
            await self._sign(tenant, erasure_id, outside.name, {outside.name: gone})
        await self._database.write(lambda c: self._finish(c, tenant, erasure_id))

    def _find(self, connection: sa.Connection, tenant: TenantId, customer: str, identity: str) -> Whom:
        try:
            return erasure.find(connection, self._graph, tenant, customer, identity=identity)
        except errors.NotFound as error:
            if error.code == "unknown_identity" and identity:
                raise
            raise errors.NotFound("There is no such customer.", code="unknown_customer") from error

    def _erase_rows(self, connection: sa.Connection, tenant: TenantId, erasure_id: str) -> None:
        one = erasure_records.get(connection, tenant, erasure_id)
        if one.state != "waiting":
            return
        now = self._clock()
        try:
            whom = erasure.find(connection, self._graph, tenant, one.chosen, identity=one.chosen)
        except errors.NotFound:  # another erasure was quicker
            erasure_records.claim(
                connection, tenant, erasure_id, identities=one.identities, conversations=one.conversations
            )
            erasure_records.sign(connection, tenant, erasure_id, ROWS, {}, now=now)
            return
        if erasure_records.claim(
            connection, tenant, erasure_id, identities=whom.identities, conversations=whom.conversations
        ):
            counts = erasure.erase(connection, self._graph, self._vault, whom, erasure_id=erasure_id, now=now)
            erasure_records.sign(connection, tenant, erasure_id, ROWS, counts, now=now)

    async def _sign(self, tenant: TenantId, erasure_id: str, step: str, counts: Mapping[str, int]) -> None:
        now = self._clock()
        await self._database.write(
            lambda c: erasure_records.sign(c, tenant, erasure_id, step, counts, now=now)
        )

    def _finish(self, connection: sa.Connection, tenant: TenantId, erasure_id: str) -> None:
        now = self._clock()
        if erasure_records.finish(connection, tenant, erasure_id, now=now):
            audit.write(
                connection, tenant, actor="erasure", action="privacy.erased", subject=erasure_id, now=now
            )


class AuditTrail:
    """Who did what stays; what was said about the person goes out of it."""

    name = "audit"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def erase(self, tenant: TenantId, one: Erasure) -> int | None:
        names = {*one.identities, *one.conversations}
        after: int | None = 0
        changed = 0
        while after is not None:
            after, some = await self._database.write(
                lambda c, start=after: audit.redact(  # type: ignore[misc]  # the loop's own value
                    c, tenant, names, by=one.id, after=start, now=self._clock()
                )
            )
            changed += some
        return changed


def _require_anonymous(reason: str, names: set[str]) -> None:
    """The reason outlives the person's data."""
    folded = reason.casefold()
    if any(len(one) >= SHORTEST_NAME and one.casefold() in folded for one in names):
        raise errors.InvalidInput(
            "The reason is kept: write it without the customer's name, number or address.", code="reason_names_person"
        )  # fmt: skip
