"""The queue of pairs that may be one person: the next one to look at, side by side with what differs, and the decision.

The review page and the API call it. The likeliest pair comes first, but every twentieth decision is about one that is drawn: a
model that only ever hears about likely pairs learns to believe itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from customers.graph.operations import Operations
from customers.graph.partition import ACCOUNT
from customers.graph.records import apart_table, identity_table
from customers.linking import dossier
from customers.linking.dossier import Dossier
from customers.matching import normalise, records
from customers.matching.records import ReviewItem, review_item_table
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.identities import masks
from operations.identities.desk import REFUSALS, IdentityDesk
from operations.staff import Member

DRAWN_EVERY = 20
LISTED = 50
_FIELDS = ("name", "phone", "email", "birth_date", "city", "address", "company", "device", "ip")
_CONFLICTING = ("birth_date",)
"""Of these a person has one value: two of them speak against one person, whatever the score says."""


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute on both sides, masked. `claimed`: somebody only typed it."""

    name: str
    left: str
    right: str
    differs: bool
    claimed: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Side:
    identity_id: str
    customer_id: str
    namespace: str
    value: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """`refused`: why they cannot be united as things are, a code of `desk.REFUSALS`, "" when they can. `drawn`: by lot."""

    item: ReviewItem
    left: Side
    right: Side
    fields: tuple[Field, ...]
    conflicts: tuple[str, ...]
    refused: str
    drawn: bool


class Reviews:
    def __init__(
        self, database: Database, desk: IdentityDesk, operations: Operations, *, clock: Clock
    ) -> None:
        self._database = database
        self._desk = desk
        self._operations = operations
        self._clock = clock

    async def count(self, tenant: TenantId) -> int:
        return await self._database.read(lambda c: _count(c, tenant))

    async def waiting(self, by: Member, *, limit: int = LISTED) -> tuple[int, list[Pair]]:
        """How many wait, and the first of them, in the order in which they come up."""
        by.require("customers.edit")

        def read(connection: sa.Connection) -> tuple[int, list[Pair]]:
            left = _count(connection, by.tenant)
            found = _open(connection, by.tenant, limit=limit)
            lot = self._draw(connection, by.tenant, left)
            if lot is not None:
                found = [lot, *(one for one in found if (one.a, one.b) != (lot.a, lot.b))][:limit]
            return left, [self._pair(connection, by.tenant, one, drawn=one is lot) for one in found]

        return await self._database.read(read)

    async def decide(self, by: Member, one: str, other: str, *, same: bool, reason: str) -> ReviewItem:
        """Links or keeps apart, and closes the question. Raises `NotFound`, `Conflict`, `InvalidInput`."""
        by.require("customers.edit")
        a, b = sorted((one, other))

        def work(connection: sa.Connection) -> tuple[int, ReviewItem]:
            item = records.get_review(connection, by.tenant, a, b)
            if item.status != "open":
                raise errors.Conflict("Somebody has decided about this pair already.", code="already_decided")
            lot = self._draw(connection, by.tenant, _count(connection, by.tenant))
            drawn = lot is not None and (lot.a, lot.b) == (a, b)
            op = 0
            if same:
                self._desk.link_within(connection, by, (a, b), reason=reason)
            else:
                op = self._desk.keep_apart_within(connection, by, (a, b), reason=reason)
            detail = {"pair": [a, b], "same": same, "score": item.score, "drawn": drawn, "reason": reason}
            audit.write(
                connection, by.tenant, actor=by.id, action="review.decided", subject=f"{a}:{b}", now=self._clock(),
                detail=detail,
            )  # fmt: skip
            return op, records.get_review(connection, by.tenant, a, b)

        if same:
            return await self._database.write(lambda connection: work(connection)[1])
        return await self._desk.divide(by, work)

    def _draw(self, connection: sa.Connection, tenant: TenantId, left: int) -> ReviewItem | None:
        """The pair that is drawn by lot, when it is time for one: the same until it is decided, and for everybody who looks."""
        table = review_item_table.c
        decided = connection.execute(
            sa.select(sa.func.count()).where(table.tenant == tenant, table.status != "open")
        ).scalar_one()
        if left < 2 or decided % DRAWN_EVERY != DRAWN_EVERY - 1:
            return None
        lot = int.from_bytes(hashlib.sha256(f"{tenant} {decided}".encode()).digest()[:8], "big")
        drawn = _open(connection, tenant, limit=1, skip=lot % left)
        return drawn[0] if drawn else None

    def _pair(self, connection: sa.Connection, tenant: TenantId, item: ReviewItem, *, drawn: bool) -> Pair:
        known = dossier.read(connection, tenant, [item.a, item.b], now=self._clock())
        left, right = known[item.a], known[item.b]
        refused = self._operations.preview_link(connection, tenant, item.a, item.b).refused
        fields = _fields(left, right)
        conflicts = [one.name for one in fields if one.differs and one.name in _CONFLICTING]
        if refused == "unique":
            conflicts.append(ACCOUNT)
        code = REFUSALS[refused][0] if refused in REFUSALS else refused
        return Pair(item, _side(left), _side(right), fields, tuple(conflicts), code, drawn)


def _fields(left: Dossier, right: Dossier) -> tuple[Field, ...]:
    """What at least one of them says, what both say first."""
    one, two = left.record, right.record
    found = []
    for name in _FIELDS:
        values = [side.attributes.get(name, "") for side in (one, two)]
        if any(values):
            left_shown, right_shown = (_masked(name, value) for value in values)
            claimed = (name in one.claimed, name in two.claimed)
            differs = all(values) and _compared(name, values[0]) != _compared(name, values[1])
            if differs and name == "birth_date" and left_shown == right_shown:
                left_shown, right_shown = (f"{value[:4]}-**-**" for value in values)  # it is the year
            found.append(Field(name, left_shown, right_shown, differs, claimed))
    return tuple(sorted(found, key=lambda field: not (field.left and field.right)))


def _masked(name: str, value: str) -> str:
    if name == "birth_date":
        return f"****{value[4:]}" if len(value) > 4 else value
    return masks.mask(name, value) if name in ("phone", "email", "device", "ip") else value


def _compared(name: str, value: str) -> str:
    """As matching reads it: a number with and without +86 is one number."""
    normal = normalise.find(name, value) if name in ("phone", "email", "birth_date", "address") else None
    return normal.match if normal is not None else normalise.fold(value).casefold()


def _side(found: Dossier) -> Side:
    one = found.identity
    return Side(
        one.id, one.customer_id, one.namespace, masks.mask(one.namespace, one.value), one.first_seen, one.last_seen
    )  # fmt: skip


def _waiting(tenant: TenantId, what: sa.Select[Any]) -> sa.Select[Any]:
    """Those that still are a question: not united or kept apart by anything else meanwhile."""
    item, apart = review_item_table.c, apart_table.c
    one, two = identity_table.alias(), identity_table.alias()
    kept = sa.exists().where(
        apart.tenant == item.tenant, apart.a == item.a, apart.b == item.b, apart.lifted_by.is_(None)
    )
    return (
        what.select_from(review_item_table)
        .join(one, sa.and_(one.c.tenant == item.tenant, one.c.id == item.a))
        .join(two, sa.and_(two.c.tenant == item.tenant, two.c.id == item.b))
        .where(item.tenant == tenant, item.status == "open", one.c.customer_id != two.c.customer_id, ~kept)
    )


def _count(connection: sa.Connection, tenant: TenantId) -> int:
    query = _waiting(tenant, sa.select(sa.func.count()))
    return int(connection.execute(query).scalar_one())


def _open(connection: sa.Connection, tenant: TenantId, *, limit: int, skip: int = 0) -> list[ReviewItem]:
    """The likeliest first."""
    item = review_item_table.c
    query = _waiting(tenant, sa.select(item.a, item.b)).order_by(item.score.desc(), item.a, item.b)
    rows = connection.execute(query.limit(limit).offset(skip)).all()
    return [records.get_review(connection, tenant, row.a, row.b) for row in rows]
