"""What cleaning set aside and what it counted, in SQL. Rows set aside are sealed; counts hold no word of anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, insert_of, metadata

State = Literal["waiting", "released", "discarded"]

quarantine_table = sa.Table(
    "quarantine",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", Sealed, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", sa.BigInteger),
    sa.Index("quarantine_waiting", "tenant", "state", "at"),
    sa.Index("quarantine_identity", "tenant", "identity_id"),
)

count_table = sa.Table(
    "cleaning_count",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class SetAside:
    """`kind`: event, fact, or profile (a whole profile that is odd; nobody is punished for it, it only stays out of the
    base that others are compared with)."""

    id: str
    identity_id: str
    source: str
    kind: str
    step: str
    reason: str
    body: Mapping[str, Any]
    at: datetime
    state: State = "waiting"
    decided_by: str | None = None


def set_aside(connection: sa.Connection, tenant: TenantId, one: SetAside) -> bool:
    """False when it is there already, whatever was decided about it."""
    insert = insert_of(connection)(quarantine_table).values(
        tenant=tenant, id=one.id, identity_id=one.identity_id, source=one.source, kind=one.kind, step=one.step,
        reason=one.reason, body=json.dumps(dict(one.body), ensure_ascii=False, default=str), at=to_milliseconds(one.at),
    )  # fmt: skip
    new = connection.execute(insert.on_conflict_do_nothing().returning(quarantine_table.c.id))
    return new.one_or_none() is not None


def known(connection: sa.Connection, tenant: TenantId, ids: list[str]) -> set[str]:
    table = quarantine_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.id.in_(ids))
    return set(connection.execute(query).scalars())


def waiting(connection: sa.Connection, tenant: TenantId, *, limit: int = 100) -> list[SetAside]:
    """Newest first."""
    table = quarantine_table.c
    query = (
        sa.select(quarantine_table)
        .where(table.tenant == tenant, table.state == "waiting")
        .order_by(table.at.desc(), table.id)
        .limit(limit)
    )
    return [_set_aside(row) for row in connection.execute(query)]


def decide(
    connection: sa.Connection, tenant: TenantId, one_id: str, *, state: State, by: str, now: datetime
) -> SetAside:
    """Once. Raises `NotFound`, and `Conflict` when somebody decided before."""
    table = quarantine_table.c
    mine = (table.tenant == tenant) & (table.id == one_id)
    changed = connection.execute(
        sa.update(quarantine_table)
        .where(mine, table.state == "waiting")
        .values(state=state, decided_by=by, decided_at=to_milliseconds(now))
    )
    row = connection.execute(sa.select(quarantine_table).where(mine)).one_or_none()
    if row is None:
        raise errors.NotFound("Nothing of this id was set aside.", code="unknown_quarantine")
    if changed.rowcount == 0:
        raise errors.Conflict("Somebody has decided about this already.", code="already_decided")
    return _set_aside(row)


def add_counts(
    connection: sa.Connection,
    tenant: TenantId,
    *,
    source: str,
    day: int,
    counts: Mapping[tuple[str, str], int],
) -> None:
    for (step, reason), number in sorted(counts.items()):
        insert = insert_of(connection)(count_table).values(
            tenant=tenant, day=day, source=source, step=step, reason=reason, n=number
        )
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["tenant", "day", "source", "step", "reason"],
                set_={"n": count_table.c.n + number},
            )
        )


def counted(
    connection: sa.Connection, tenant: TenantId, *, since_day: int
) -> list[tuple[str, str, str, int]]:
    """Source, step, reason and how often since that day, most first."""
    table = count_table.c
    total = sa.func.sum(table.n).label("total")
    query = (
        sa.select(table.source, table.step, table.reason, total)
        .where(table.tenant == tenant, table.day >= since_day)
        .group_by(table.source, table.step, table.reason)
        .order_by(total.desc(), table.step, table.reason, table.source)
    )
    return [(row.source, row.step, row.reason, int(row.total)) for row in connection.execute(query)]


def odd_identities(connection: sa.Connection, tenant: TenantId) -> set[str]:
    """Whose profile was found odd and not let in again."""
    table = quarantine_table.c
    query = sa.select(table.identity_id).where(
        table.tenant == tenant, table.kind == "profile", table.state != "released"
    )
    return set(connection.execute(query).scalars())


def forget(connection: sa.Connection, tenant: TenantId, identity_ids: list[str]) -> int:
    table = quarantine_table.c
    return connection.execute(
        sa.delete(quarantine_table).where(table.tenant == tenant, table.identity_id.in_(identity_ids))
    ).rowcount


def _set_aside(row: sa.Row[Any]) -> SetAside:
    return SetAside(
        id=row.id, identity_id=row.identity_id, source=row.source, kind=row.kind, step=row.step, reason=row.reason,
        body=cast("dict[str, Any]", json.loads(row.body)), at=from_milliseconds(row.at), state=row.state,
        decided_by=row.decided_by,
    )  # fmt: skip
