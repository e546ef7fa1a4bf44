"""Finding a customer by a whole value that they know, and opening a masked value with a reason. Both are in the audit.

The search's entry says by what kind of value was looked and how many were found, never the value: the audit is kept longer than
the customer's data. Who looks for many in a short time is stopped, because exact numbers can be tried one after another, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import limits
import sqlalchemy as sa
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from customers import search
from customers.graph import claims
from customers.graph.graph import Component, Graph
from customers.linking import known_pairs
from customers.profile import records as profile_records
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from operations import audit, reasons
from operations.identities.person import PersonReading
from operations.staff import Member

SEARCHES_A_MINUTE = 30
LONGEST = 320


@dataclass(frozen=True, slots=True)
class Hit:
    """A customer, and by what they were found."""

    customer_id: str
    by: tuple[str, ...]
    """Kinds of `customers.search`, or "id"."""
    name: str
    account: str
    identities: int
    conversations: int


class Names:
    def __init__(
        self, database: Database, graph: Graph, reading: PersonReading, *, vault: Vault, clock: Clock
    ) -> None:
        self._database = database
        self._graph = graph
        self._reading = reading
        self._vault = vault
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rate = limits.RateLimitItemPerMinute(SEARCHES_A_MINUTE)

    async def find(self, by: Member, text: str) -> list[Hit]:
        """A phone number, e-mail address, account, order number, name, or an id of ours: whole. Raises `InvalidInput`, `Exhausted`."""
        by.require("desk.reply")
        text = text.strip()
        if not text or len(text) > LONGEST:
            raise errors.InvalidInput(f"Give 1 to {LONGEST} characters.", code="bad_search")
        if not await self._limiter.hit(self._rate, by.tenant, by.id):
            raise errors.Exhausted(
                "You have searched very often; wait a minute.", code="searches", retry_after_seconds=60
            )

        def write(connection: sa.Connection) -> list[Hit]:
            found = self._find(connection, by.tenant, text)
            detail = {"by": sorted({kind for one in found for kind in one.by}), "found": len(found)}
            audit.write(
                connection, by.tenant, actor=by.id, action="customer.searched", subject="customers", now=self._clock(),
                detail=detail,
            )  # fmt: skip
            return found

        return await self._database.write(write)

    async def open(self, by: Member, customer: str, what: str, *, reason: str) -> str:
        """The whole value of `identity:<id>`, `claim:<id>` or `fact:<attribute>` of this customer. Raises `InvalidInput` without a
        reason, `NotFound`."""
        by.require("desk.reply")
        reason = reasons.given(reason)

        def write(connection: sa.Connection) -> str:
            found = self._reading.component(connection, by.tenant, customer)
            value = self._value(connection, by.tenant, found, what)
            audit.write(
                connection, by.tenant, actor=by.id, action="customer.opened", subject=found.customer_id, now=self._clock(),
                detail={"what": what, "reason": reason},
            )  # fmt: skip
            return value

        return await self._database.write(write)

    def _find(self, connection: sa.Connection, tenant: TenantId, text: str) -> list[Hit]:
        ways: list[tuple[str, str]] = [*search.find(connection, self._vault, tenant, text)]
        account = self._graph.find_account(connection, tenant, text)
        if account is not None:
            ways.append(("account", account.id))
        customers = known_pairs.customers_of(connection, tenant, {one for _, one in ways} | {text})
        if text in customers:
            ways.append(("id", text))
        by: dict[str, set[str]] = {}
        for kind, identity_id in ways:
            if identity_id in customers:
                by.setdefault(customers[identity_id], set()).add(kind)
        return [
            self._hit(connection, tenant, customer, tuple(sorted(kinds))) for customer, kinds in sorted(by.items())
        ]  # fmt: skip

    def _hit(self, connection: sa.Connection, tenant: TenantId, customer: str, by: tuple[str, ...]) -> Hit:
        whole = self._reading.whole(connection, tenant, customer)
        return Hit(customer, by, whole.name, whole.account, len(whole.identities), len(whole.talks))

    def _value(self, connection: sa.Connection, tenant: TenantId, found: Component, what: str) -> str:
        kind, _, name = what.partition(":")
        ids = [one.id for one in found.members]
        if kind == "identity":
            values = [one.value for one in found.members if one.id == name]
        elif kind == "claim":
            known = claims.find(connection, tenant, ids, now=self._clock())
            values = [one.value for one in known if one.id == name]
        elif kind == "fact":
            values = list(dict.fromkeys(
                one.value for one in profile_records.read_facts(connection, tenant, ids) if one.attribute == name
            ))  # fmt: skip
        else:
            values = []
        if not values:
            raise errors.NotFound("This customer has no such value.", code="unknown_value")
        return " · ".join(values)
