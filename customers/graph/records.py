"""The graph in SQL: names of people, evidence between them, and pairs that are kept apart.

The other modules of this package are the only users. Every function takes an open connection and can be repeated. A
value that names a person is sealed and found by a keyed digest (`lookup`); ids are made of it, and are all that logs,
edges and labels carry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from customers.graph.partition import Edge, EdgeKey, Node, Strength
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import CustomerId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

CHUNK = 400
"""Values in one statement; SQLite takes a limited number of parameters."""

identity_table = sa.Table(
    "identity",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("lookup", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("begins_at", sa.BigInteger, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("value", Sealed, nullable=False),
    sa.Column("proven", sa.Boolean, nullable=False),
    sa.Column("device", sa.Boolean, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("display_name", Sealed),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("access_id", sa.Text, nullable=False),
    sa.Column("first_seen", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
    sa.Index("identity_customer", "tenant", "customer_id"),
    sa.Index("identity_access", "tenant", "access_id"),
    sa.UniqueConstraint("tenant", "lookup", "epoch", name="identity_lookup"),
)

edge_table = sa.Table(
    "identity_edge",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("a", sa.Text, primary_key=True),
    sa.Column("b", sa.Text, primary_key=True),
    sa.Column("evidence", sa.Text, primary_key=True),
    sa.Column("strength", sa.Integer, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("suppressed", sa.Text, nullable=False),
    sa.Column("made_by", sa.BigInteger),
    sa.Column("undone_by", sa.BigInteger),
    sa.Column("split_by", sa.BigInteger),
    sa.Index("identity_edge_b", "tenant", "b"),
    sa.Index("identity_edge_made", "tenant", "made_by"),
    sa.Index("identity_edge_split", "tenant", "split_by"),
    sa.Index("identity_edge_suppressed", "tenant", "suppressed", "at"),
)

apart_table = sa.Table(
    "identity_cannot_link",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("a", sa.Text, primary_key=True),
    sa.Column("b", sa.Text, primary_key=True),
    sa.Column("op", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lifted_by", sa.BigInteger),
    sa.Index("identity_cannot_link_b", "tenant", "b"),
    sa.Index("identity_cannot_link_op", "tenant", "op"),
)


@dataclass(frozen=True, slots=True)
class Naming:
    """What an identity is made of; the rest it gets from being seen. `begins_at` in milliseconds."""

    id: str
    lookup: str
    namespace: str
    value: str
    proven: bool
    device: bool
    epoch: int = 0
    begins_at: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """One name of somebody. `proven`: the channel vouches for it. Of one name the newest `epoch` that had begun is meant:
    a recycled phone number is somebody else from its `begins_at` on."""

    id: str
    lookup: str
    namespace: str
    value: str
    proven: bool
    device: bool
    shared: bool
    epoch: int
    begins_at: datetime
    display_name: str
    customer_id: CustomerId
    access_id: str
    first_seen: datetime
    last_seen: datetime

    @property
    def node(self) -> Node:
        return Node(self.id, self.namespace, to_milliseconds(self.first_seen), self.device, self.shared)


@dataclass(frozen=True, slots=True)
class Evidence:
    """An edge with its story; `suppressed` is the reason why it unites nobody, "" when it may."""

    edge: Edge
    actor: str
    model_version: str
    suppressed: str
    made_by: int | None
    """The operation, for what somebody linked on purpose."""


def find_by_lookup(
    connection: sa.Connection, tenant: TenantId, lookups: Collection[str], at: datetime
) -> dict[str, Identity]:
    """Of each name whoever held it at that moment."""
    table, found = identity_table.c, {}
    for some in chunks(lookups):
        query = sa.select(identity_table).where(
            table.tenant == tenant, table.lookup.in_(some), table.begins_at <= to_milliseconds(at)
        )
        for row in connection.execute(query.order_by(table.epoch)):
            found[row.lookup] = _identity(row)
    return found


def find_many(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> dict[str, Identity]:
    table = identity_table.c
    return {
        row.id: _identity(row)
        for some in chunks(ids)
        for row in connection.execute(
            sa.select(identity_table).where(table.tenant == tenant, table.id.in_(some))
        )
    }


def find_members(
    connection: sa.Connection, tenant: TenantId, *, label: sa.ColumnElement[bool]
) -> list[Identity]:
    """Oldest first. `label` names one of the two partitions, by `of_customer` or `of_access`."""
    table = identity_table.c
    query = sa.select(identity_table).where(table.tenant == tenant, label)
    return [_identity(row) for row in connection.execute(query.order_by(table.first_seen, table.id))]


def of_customer(customer_id: str) -> sa.ColumnElement[bool]:
    return identity_table.c.customer_id == customer_id


def of_access(access_id: str) -> sa.ColumnElement[bool]:
    return identity_table.c.access_id == access_id


def find_holder(
    connection: sa.Connection, tenant: TenantId, identity_id: str, at: datetime
) -> Identity | None:
    """Who has the name of this identity at that moment."""
    one, table = identity_table.alias(), identity_table.c
    query = (
        sa.select(identity_table)
        .join(one, sa.and_(one.c.tenant == table.tenant, one.c.lookup == table.lookup))
        .where(one.c.tenant == tenant, one.c.id == identity_id, table.begins_at <= to_milliseconds(at))
    )
    row = connection.execute(query.order_by(table.epoch.desc()).limit(1)).one_or_none()
    return None if row is None else _identity(row)


def add_identity(connection: sa.Connection, tenant: TenantId, naming: Naming, *, seen_at: datetime) -> None:
    """Somebody of their own, under their own id; of one that is there the earliest and the latest sight are kept."""
    moment = to_milliseconds(seen_at)
    insert = insert_of(connection)(identity_table).values(
        tenant=tenant, id=naming.id, lookup=naming.lookup, epoch=naming.epoch, begins_at=naming.begins_at,
        namespace=naming.namespace, value=naming.value, proven=naming.proven, device=naming.device, shared=False,
        customer_id=naming.id, access_id=naming.id, first_seen=moment, last_seen=moment,
    )  # fmt: skip
    table = identity_table.c
    changes = {
        "first_seen": sa.case((table.first_seen > moment, moment), else_=table.first_seen),
        "last_seen": sa.case((table.last_seen < moment, moment), else_=table.last_seen),
        "device": sa.true() if naming.device else table.device,
    }
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "id"], set_=changes))


def touch(connection: sa.Connection, tenant: TenantId, ids: Collection[str], seen_at: datetime) -> None:
    table, moment = identity_table.c, to_milliseconds(seen_at)
    connection.execute(
        sa.update(identity_table)
        .where(table.tenant == tenant, table.id.in_(ids), table.last_seen < moment)
        .values(last_seen=moment)
    )


def change_identity(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str], **columns: object
) -> None:
    table = identity_table.c
    for some in chunks(ids):
        connection.execute(
            sa.update(identity_table).where(table.tenant == tenant, table.id.in_(some)).values(**columns)
        )


def find_edges(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str], *, limit: int | None = None
) -> dict[EdgeKey, Evidence]:
    """All that touch these nodes and were not taken back."""
    table, found = edge_table.c, {}
    for some in chunks(ids):
        for end in (table.a, table.b):  # one query with OR would read neither index
            query = (
                sa.select(edge_table)
                .where(table.tenant == tenant, end.in_(some), *_stands(table))
                .limit(limit)
            )
            found.update({one.edge.key: one for one in map(_evidence, connection.execute(query))})
    return found


def find_times(connection: sa.Connection, tenant: TenantId, keys: Iterable[EdgeKey]) -> dict[EdgeKey, int]:
    """When each of these edges was first seen; taken-back ones too, because the same event must not bring them back."""
    table = edge_table.c
    query = sa.select(table.a, table.b, table.evidence, table.at).where(
        table.tenant == tenant, sa.or_(*(_is_edge(key) for key in keys))
    )
    return {(row.a, row.b, row.evidence): row.at for row in connection.execute(query)}


def add_edge(
    connection: sa.Connection, tenant: TenantId, edge: Edge, *, actor: str, model_version: str = "",
    made_by: int | None = None,
) -> None:  # fmt: skip
    """Of one that is there only the time changes, to the earlier one."""
    insert = insert_of(connection)(edge_table).values(
        tenant=tenant, a=edge.a, b=edge.b, evidence=edge.evidence, strength=int(edge.strength), score=edge.score,
        at=edge.at, actor=actor, model_version=model_version, suppressed="", made_by=made_by,
    )  # fmt: skip
    table = edge_table.c
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["tenant", "a", "b", "evidence"],
            set_={"at": sa.case((table.at > edge.at, edge.at), else_=table.at)},
        )
    )


def change_edge(connection: sa.Connection, tenant: TenantId, key: EdgeKey, **columns: object) -> None:
    connection.execute(
        sa.update(edge_table).where(edge_table.c.tenant == tenant, _is_edge(key)).values(**columns)
    )


def find_edge(connection: sa.Connection, tenant: TenantId, key: EdgeKey) -> Evidence | None:
    """Also one that was taken back."""
    query = sa.select(edge_table).where(edge_table.c.tenant == tenant, _is_edge(key))
    row = connection.execute(query).one_or_none()
    return None if row is None else _evidence(row)


def find_suppressed(connection: sa.Connection, tenant: TenantId, *, limit: int) -> list[Evidence]:
    """Newest first: evidence that contradicts something, for a person to look at."""
    table = edge_table.c
    query = sa.select(edge_table).where(table.tenant == tenant, table.suppressed != "", *_stands(table))
    ordered = query.order_by(table.at.desc(), table.a, table.b, table.evidence).limit(limit)
    return [_evidence(row) for row in connection.execute(ordered)]


def count_accounts(
    connection: sa.Connection, tenant: TenantId, member: Identity, unique: Collection[str], limit: int
) -> int:
    """Different accounts next to a name, by what `partition.is_shared` counts; counts no further than `limit`."""
    edge, other = edge_table.c, identity_table.c
    found: set[str] = set()
    for here, there in ((edge.a, edge.b), (edge.b, edge.a)):
        query = (
            sa.select(sa.func.coalesce(there, ""))  # or SQLite walks all evidence in this column's order for DISTINCT
            .join(identity_table, sa.and_(other.tenant == edge.tenant, other.id == there))
            .where(
                edge.tenant == tenant, here == member.id, *_stands(edge),
                other.namespace.in_(sorted(unique)),
            )
        )  # fmt: skip
        if not member.device:
            query = query.where(edge.strength.in_([int(Strength.BOUND), int(Strength.PROVEN)]), ~other.device)
        found.update(connection.execute(query.distinct().limit(limit)).scalars())
    return min(len(found), limit)


def find_edges_of(connection: sa.Connection, tenant: TenantId, op: int) -> list[EdgeKey]:
    """What an operation made or cut."""
    table, found = edge_table.c, []
    for by in (table.made_by, table.split_by):  # one query with OR looks through all evidence there is
        query = sa.select(table.a, table.b, table.evidence).where(table.tenant == tenant, by == op)
        found += [(row.a, row.b, row.evidence) for row in connection.execute(query)]
    return list(dict.fromkeys(found))


def keep_apart(
    connection: sa.Connection, tenant: TenantId, pairs: Sequence[tuple[str, str]], op: int
) -> None:
    for some in chunks(pairs):
        connection.execute(
            sa.insert(apart_table), [{"tenant": tenant, "a": a, "b": b, "op": op} for a, b in some]
        )


def lift(connection: sa.Connection, tenant: TenantId, op: int, *, by: int) -> list[str]:
    """The names that the operation had kept apart."""
    table = apart_table.c
    rows = connection.execute(
        sa.update(apart_table)
        .where(table.tenant == tenant, table.op == op, table.lifted_by.is_(None))
        .values(lifted_by=by)
        .returning(table.a, table.b)
    ).all()
    return sorted({name for row in rows for name in (row.a, row.b)})


def find_apart(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> set[tuple[str, str]]:
    """Pairs of which at least the smaller name is one of these."""
    table = apart_table.c
    return {
        (row.a, row.b)
        for some in chunks(ids)
        for row in connection.execute(
            sa.select(table.a, table.b).where(
                table.tenant == tenant, table.a.in_(some), table.lifted_by.is_(None)
            )
        )
    }


def _stands(table: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """Was not taken back. Written so that no index is used for it: nearly all evidence stands, and SQLite, which has no
    statistics, would rather read all of that than the little that touches a name."""
    return (table.undone_by + 0).is_(None), (table.split_by + 0).is_(None)


def chunks(values: Collection[Any]) -> Iterator[list[Any]]:
    listed = list(values)
    for start in range(0, len(listed), CHUNK):
        yield listed[start : start + CHUNK]


def _is_edge(key: EdgeKey) -> sa.ColumnElement[bool]:
    table = edge_table.c
    return sa.and_(table.a == key[0], table.b == key[1], table.evidence == key[2])


def _evidence(row: sa.Row[Any]) -> Evidence:
    edge = Edge(row.a, row.b, row.evidence, Strength(row.strength), row.at, row.score)
    return Evidence(edge, row.actor, row.model_version, row.suppressed, row.made_by)


def _identity(row: sa.Row[Any]) -> Identity:
    return Identity(
        id=row.id, lookup=row.lookup, namespace=row.namespace, value=row.value, proven=row.proven,
        device=row.device, shared=row.shared, epoch=row.epoch, begins_at=from_milliseconds(row.begins_at),
        display_name=row.display_name or "", customer_id=CustomerId(row.customer_id), access_id=row.access_id,
        first_seen=from_milliseconds(row.first_seen), last_seen=from_milliseconds(row.last_seen),
    )  # fmt: skip
