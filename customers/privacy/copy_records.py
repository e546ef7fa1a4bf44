"""Copies of personal data in SQL: sealed, for a few days, found by the identity whose proven group they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, metadata

copy_table = sa.Table(
    "personal_copy",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", Sealed, nullable=False),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("body", Sealed, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("personal_copy_identity", "tenant", "identity_id"),
    sa.Index("personal_copy_age", "tenant", "expires_at"),
)


@dataclass(frozen=True, slots=True)
class Copy:
    """Without its content. `counts`: rows by table, of those that have any."""

    id: str
    identity_id: str
    actor: str
    reason: str
    counts: Mapping[str, int]
    made_at: datetime
    expires_at: datetime


def add(connection: sa.Connection, tenant: TenantId, copy: Copy, body: str) -> None:
    connection.execute(
        sa.insert(copy_table).values(
            tenant=tenant, id=copy.id, identity_id=copy.identity_id, actor=copy.actor, reason=copy.reason,
            counts=json.dumps(copy.counts), body=body, made_at=to_milliseconds(copy.made_at),
            expires_at=to_milliseconds(copy.expires_at),
        )
    )  # fmt: skip


def newest(connection: sa.Connection, tenant: TenantId, now: datetime, *, limit: int) -> list[Copy]:
    c = copy_table.c
    query = (
        sa.select(*_SHOWN)
        .where(c.tenant == tenant, c.expires_at > to_milliseconds(now))
        .order_by(c.made_at.desc(), c.id)
    )
    return [_copy(row) for row in connection.execute(query.limit(limit))]


def get(connection: sa.Connection, tenant: TenantId, copy_id: str, now: datetime) -> Copy:
    """Raises `NotFound`, also for one that has run out."""
    return _copy(_one(connection, tenant, copy_id, now, *_SHOWN))


def read_body(connection: sa.Connection, tenant: TenantId, copy_id: str, now: datetime) -> str:
    """Raises as `get`."""
    return str(_one(connection, tenant, copy_id, now, copy_table.c.body).body)


def _one(
    connection: sa.Connection, tenant: TenantId, copy_id: str, now: datetime, *columns: sa.ColumnElement[Any]
) -> sa.Row[Any]:
    c = copy_table.c
    query = sa.select(*columns).where(
        c.tenant == tenant, c.id == copy_id, c.expires_at > to_milliseconds(now)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise errors.NotFound("There is no such copy (any more). Make a new one.", code="unknown_copy")
    return row


def drop_old(connection: sa.Connection, tenant: TenantId, now: datetime) -> int:
    c = copy_table.c
    return connection.execute(
        sa.delete(copy_table).where(c.tenant == tenant, c.expires_at <= to_milliseconds(now))
    ).rowcount


_SHOWN = [
    copy_table.c[name] for name in ("id", "identity_id", "actor", "reason", "counts", "made_at", "expires_at")
]


def _copy(row: Any) -> Copy:
    return Copy(
        row.id, row.identity_id, row.actor, row.reason, json.loads(row.counts), from_milliseconds(row.made_at),
        from_milliseconds(row.expires_at),
    )  # fmt: skip
