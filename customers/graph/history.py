"""What was done to the graph on purpose, and which labels changed: two append-only books.

`operations.py` writes an operation before it changes anything; each is chained to the one before by a hash, and an undo
is an operation of its own. They hold ids, and a reason in the words of the person, sealed. `area.py` notes each changed
label; whoever keeps a copy outside reads on from the last number it has seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Literal

import sqlalchemy as sa

from customers.graph.partition import Labels
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.outward import outbox
from foundation.storage.database import Sealed, metadata

Kind = Literal["link", "split", "apart", "epoch", "undo", "erase"]
"""`erase` takes the words out of earlier entries and vouches for what is left of them; it concerns nobody who is still known."""

ERASED = "erased"
"""In place of a reason that was taken out."""

operation_table = sa.Table(
    "identity_op",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", Sealed, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("undoes", sa.BigInteger),
    sa.Column("chain", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant", "undoes", name="identity_op_undoes"),
)

relabelling_table = sa.Table(
    "identity_relabelling",
    metadata,
    sa.Column(
        "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("op", sa.BigInteger),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("old_customer_id", sa.Text, nullable=False),
    sa.Column("new_customer_id", sa.Text, nullable=False),
    sa.Column("old_access_id", sa.Text, nullable=False),
    sa.Column("new_access_id", sa.Text, nullable=False),
    sa.Index("identity_relabelling_order", "tenant", "number"),
    sa.Index("identity_relabelling_op", "tenant", "op"),
    sa.Index("identity_relabelling_identity", "tenant", "identity_id"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    number: int
    at: datetime
    kind: Kind
    actor: str
    reason: str
    payload: dict[str, Any]
    """Ids only."""
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Relabelling:
    """For whoever keeps a copy outside; `op` is None when evidence did it, not a person."""

    number: int
    at: datetime
    op: int | None
    identity_id: str
    old: Labels
    new: Labels


def lock(connection: sa.Connection, tenant: TenantId) -> None:
    """One operation at a time in a tenant, until the transaction ends: a chain has one end. Taken before anything else
    is held, or two operations could wait for each other."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": f"identity_op {tenant}"},
        )


def record(
    connection: sa.Connection, tenant: TenantId, *, kind: Kind, actor: str, reason: str, payload: dict[str, Any],
    now: datetime, undoes: int | None = None,
) -> int:  # fmt: skip
    """Its number. The caller has the lock."""
    table = operation_table.c
    last = connection.execute(
        sa.select(table.number, table.chain)
        .where(table.tenant == tenant)
        .order_by(table.number.desc())
        .limit(1)
    ).one_or_none()
    number = 1 if last is None else int(last.number) + 1
    body = json.dumps(payload, sort_keys=True)
    values = (tenant, number, to_milliseconds(now), kind, actor, reason, body, undoes)
    connection.execute(
        sa.insert(operation_table).values(
            tenant=tenant, number=number, at=to_milliseconds(now), kind=kind, actor=actor, reason=reason,
            payload=body, undoes=undoes, chain=_chain("" if last is None else last.chain, values),
        )
    )  # fmt: skip
    return number


def find(connection: sa.Connection, tenant: TenantId, number: int) -> Operation | None:
    table = operation_table.c
    row = connection.execute(
        sa.select(operation_table).where(table.tenant == tenant, table.number == number)
    ).one_or_none()
    return None if row is None else _operation(row)


def is_undone(connection: sa.Connection, tenant: TenantId, number: int) -> bool:
    table = operation_table.c
    query = sa.select(table.number).where(table.tenant == tenant, table.undoes == number)
    return connection.execute(query).first() is not None


def read(
    connection: sa.Connection, tenant: TenantId, *, before: int | None = None, limit: int = 100
) -> list[Operation]:
    """Newest first."""
    table = operation_table.c
    query = sa.select(operation_table).where(table.tenant == tenant)
    if before is not None:
        query = query.where(table.number < before)
    return [_operation(row) for row in connection.execute(query.order_by(table.number.desc()).limit(limit))]


def find_break(connection: sa.Connection, tenant: TenantId) -> int | None:
    """The number of the first operation that does not follow from the one before, or None. One whose reason was taken out
    must be vouched for by the operation that did it."""
    chain, expected, redacted = "", 1, dict[int, str]()
    table = operation_table.c
    for row in connection.execute(
        sa.select(operation_table).where(table.tenant == tenant).order_by(table.number)
    ):
        values = (row.tenant, row.number, row.at, row.kind, row.actor, row.reason, row.payload, row.undoes)
        follows = row.chain == _chain(chain, values)
        if row.number != expected or not (follows or row.reason == ERASED):
            return int(row.number)
        if not follows:
            redacted[row.number] = _rest_of(row)
        if row.kind == "erase" and follows:
            for number, rest in json.loads(row.payload)["redacted"].items():
                if redacted.get(int(number)) == rest:
                    del redacted[int(number)]
        chain, expected = row.chain, expected + 1
    return min(redacted, default=None)


def redact(
    connection: sa.Connection, tenant: TenantId, names: Collection[str], *, erasure_id: str, now: datetime
) -> int:  # fmt: skip
    """Takes the reasons out of all operations about these identities; how many. Before their evidence is deleted, because the
    operations are found by it."""
    table = operation_table.c
    numbers = numbers_about(connection, tenant, names)
    query = sa.select(operation_table).where(
        table.tenant == tenant, table.number.in_(numbers) | table.undoes.in_(numbers), table.kind != "erase"
    )
    rests = {row.number: _rest_of(row) for row in connection.execute(query) if row.reason != ERASED}
    if not rests:
        return 0
    lock(connection, tenant)
    connection.execute(
        sa.update(operation_table)
        .where(table.tenant == tenant, table.number.in_(rests))
        .values(reason=ERASED)
    )
    payload = {"identities": [], "redacted": rests}
    record(connection, tenant, kind="erase", actor="erasure", reason=erasure_id, payload=payload, now=now)
    return len(rests)


def numbers_about(connection: sa.Connection, tenant: TenantId, names: Collection[str]) -> set[int]:
    """By what they did to evidence and pairs; a new holder of a name is found by its ids alone."""
    edge, apart = metadata.tables["identity_edge"].c, metadata.tables["identity_cannot_link"].c
    found: set[int] = set()
    for table, columns in (
        (edge, (edge.made_by, edge.split_by, edge.undone_by)),
        (apart, (apart.op, apart.lifted_by)),
    ):
        for column, end in product(columns, (table.a, table.b)):
            query = sa.select(column).where(table.tenant == tenant, end.in_(names), column.is_not(None))
            found |= set(connection.execute(query.distinct()).scalars())
    done = operation_table.c
    epochs = sa.select(done.number, done.payload).where(done.tenant == tenant, done.kind == "epoch")
    return found | {
        row.number
        for row in connection.execute(epochs)
        if set(json.loads(row.payload)["identities"]) & set(names)
    }


def note_relabelling(
    connection: sa.Connection, tenant: TenantId, changes: Iterable[tuple[str, Labels, Labels]], *, at: datetime,
    op: int | None,
) -> None:  # fmt: skip
    """Also for other systems: identities that moved together from one customer to another are one event."""
    rows: list[dict[str, Any]] = []
    moved: dict[tuple[str, str], list[str]] = {}
    for identity_id, old, new in changes:
        rows.append({
            "tenant": tenant, "at": to_milliseconds(at), "op": op, "identity_id": identity_id,
            "old_customer_id": old.customer, "new_customer_id": new.customer,
            "old_access_id": old.access, "new_access_id": new.access,
        })  # fmt: skip
        if old.customer != new.customer:
            moved.setdefault((old.customer, new.customer), []).append(identity_id)
    if rows:
        connection.execute(sa.insert(relabelling_table), rows)
    for (before, after), identity_ids in moved.items():
        data = {
            "identity_ids": identity_ids,
            "old_customer_id": before,
            "new_customer_id": after,
            "op": op,
        }
        outbox.tell(connection, tenant, "customer.relabelled", data, now=at)


def find_customers(connection: sa.Connection, tenant: TenantId, op: int) -> set[str]:
    """Between whom this operation has moved names."""
    table = relabelling_table.c
    query = sa.select(table.old_customer_id, table.new_customer_id).where(
        table.tenant == tenant, table.op == op
    )
    return {one for row in connection.execute(query) for one in row}


def read_relabellings(
    connection: sa.Connection, tenant: TenantId, *, after: int = 0, limit: int = 500
) -> list[Relabelling]:
    table = relabelling_table.c
    query = sa.select(relabelling_table).where(table.tenant == tenant, table.number > after)
    return [
        Relabelling(
            number=row.number, at=from_milliseconds(row.at), op=row.op, identity_id=row.identity_id,
            old=Labels(row.old_customer_id, row.old_access_id), new=Labels(row.new_customer_id, row.new_access_id),
        )
        for row in connection.execute(query.order_by(table.number).limit(limit))
    ]  # fmt: skip


def _operation(row: sa.Row[Any]) -> Operation:
    return Operation(
        row.number,
        from_milliseconds(row.at),
        row.kind,
        row.actor,
        row.reason,
        json.loads(row.payload),
        row.undoes,
    )


def _chain(previous: str, values: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([previous, *values], ensure_ascii=False).encode()).hexdigest()


def _rest_of(row: sa.Row[Any]) -> str:
    """Of everything but the reason, the place in the chain included."""
    rest = [row.tenant, row.number, row.at, row.kind, row.actor, row.payload, row.undoes, row.chain]
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()
