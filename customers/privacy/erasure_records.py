"""Erasures in SQL: that somebody was erased, how far it is, and a receipt of each step. Nothing here says who it was.

The ids are keyed digests of names that stand nowhere any more. They are kept so that a copy of the database from before
can be erased again after it was restored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, insert_of, metadata

State = Literal["waiting", "erasing", "done"]
"""`waiting`: for a turn of the person that is in work. `erasing`: the rows are gone, what lies outside follows."""

erasure_table = sa.Table(
    "erasure",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("chosen", sa.Text, nullable=False),
    sa.Column("identities", sa.Text, nullable=False),
    sa.Column("conversations", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", Sealed, nullable=False),
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger),
    sa.Index("erasure_order", "tenant", "begun_at"),
    sa.Index("erasure_state", "tenant", "state"),
)

receipt_table = sa.Table(
    "erasure_receipt",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("erasure_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`counts`: how many by place."""

    step: str
    counts: Mapping[str, int]
    at: datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """`chosen` is the identity whose proven group goes, `actor` who of the staff has begun it."""

    id: str
    customer_id: str
    chosen: str
    identities: tuple[str, ...]
    conversations: tuple[str, ...]
    state: State
    actor: str
    reason: str
    begun_at: datetime
    done_at: datetime | None
    receipts: tuple[Receipt, ...] = ()


def add(connection: sa.Connection, tenant: TenantId, one: Erasure) -> None:
    connection.execute(
        sa.insert(erasure_table).values(
            tenant=tenant, id=one.id, customer_id=one.customer_id, chosen=one.chosen,
            identities=json.dumps(one.identities), conversations=json.dumps(one.conversations), state=one.state,
            actor=one.actor, reason=one.reason, begun_at=to_milliseconds(one.begun_at),
        )
    )  # fmt: skip


def find(connection: sa.Connection, tenant: TenantId, erasure_id: str) -> Erasure | None:
    table = erasure_table.c
    row = connection.execute(
        sa.select(erasure_table).where(table.tenant == tenant, table.id == erasure_id)
    ).one_or_none()
    return None if row is None else _erasure(row, receipts(connection, tenant, erasure_id))


def get(connection: sa.Connection, tenant: TenantId, erasure_id: str) -> Erasure:
    found = find(connection, tenant, erasure_id)
    if found is None:
        raise errors.NotFound("There is no such erasure.", code="unknown_erasure")
    return found


def newest(connection: sa.Connection, tenant: TenantId, *, limit: int) -> list[Erasure]:
    table = erasure_table.c
    query = sa.select(erasure_table).where(table.tenant == tenant)
    rows = connection.execute(query.order_by(table.begun_at.desc(), table.id).limit(limit)).all()
    return [_erasure(row, receipts(connection, tenant, row.id)) for row in rows]


def unfinished(connection: sa.Connection, tenant: TenantId) -> list[str]:
    """Oldest first."""
    table = erasure_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.state.in_(["waiting", "erasing"]))
    return list(connection.execute(query.order_by(table.begun_at, table.id)).scalars())


def claim(
    connection: sa.Connection, tenant: TenantId, erasure_id: str, *, identities: tuple[str, ...],
    conversations: tuple[str, ...],
) -> bool:  # fmt: skip
    """From waiting to erasing; True for exactly one of all who try."""
    table = erasure_table.c
    claimed = connection.execute(
        sa.update(erasure_table)
        .where(table.tenant == tenant, table.id == erasure_id, table.state == "waiting")
        .values(
            state="erasing", identities=json.dumps(identities), conversations=json.dumps(conversations)
        )
    )  # fmt: skip
    return claimed.rowcount == 1


def finish(connection: sa.Connection, tenant: TenantId, erasure_id: str, *, now: datetime) -> bool:
    table = erasure_table.c
    done = connection.execute(
        sa.update(erasure_table)
        .where(table.tenant == tenant, table.id == erasure_id, table.state == "erasing")
        .values(state="done", done_at=to_milliseconds(now))
    )
    return done.rowcount == 1


def sign(
    connection: sa.Connection, tenant: TenantId, erasure_id: str, step: str, counts: Mapping[str, int], *,
    now: datetime,
) -> None:  # fmt: skip
    """The first receipt of a step stays."""
    insert = insert_of(connection)(receipt_table).values(
        tenant=tenant, erasure_id=erasure_id, step=step, counts=json.dumps(counts, sort_keys=True),
        at=to_milliseconds(now),
    )  # fmt: skip
    connection.execute(insert.on_conflict_do_nothing())


def receipts(connection: sa.Connection, tenant: TenantId, erasure_id: str) -> tuple[Receipt, ...]:
    table = receipt_table.c
    rows = connection.execute(
        sa.select(receipt_table)
        .where(table.tenant == tenant, table.erasure_id == erasure_id)
        .order_by(table.at, table.step)
    )
    return tuple(Receipt(row.step, json.loads(row.counts), from_milliseconds(row.at)) for row in rows)


def _erasure(row: sa.Row[Any], signed: tuple[Receipt, ...]) -> Erasure:
    return Erasure(
        id=row.id, customer_id=row.customer_id, chosen=row.chosen, identities=tuple(json.loads(row.identities)),
        conversations=tuple(json.loads(row.conversations)), state=row.state, actor=row.actor, reason=row.reason,
        begun_at=from_milliseconds(row.begun_at),
        done_at=None if row.done_at is None else from_milliseconds(row.done_at), receipts=signed,
    )  # fmt: skip
