"""What was learned from the whole base, by version, and the cases it learns from: in SQL.

Cut points of value, scorecards, spreads of numbers: one row a night and kind, the newest counts, an older one is brought back
by deleting the newer. A case is what was known of somebody on a day; whether it came true is filled in when its time is over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from customers.profile.risk import Case, Kind
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import insert_of, metadata

MOST_CASES = 50_000

model_table = sa.Table(
    "profile_model",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)

case_table = sa.Table(
    "profile_case",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("features", sa.Text, nullable=False),
    sa.Column("came_true", sa.Boolean),
    sa.Index("profile_case_open", "tenant", "kind", "came_true", "at"),
)


@dataclass(frozen=True, slots=True)
class OpenCase:
    identity_id: str
    at: datetime
    features: Mapping[str, float]


def publish_model(
    connection: sa.Connection, tenant: TenantId, kind: str, version: int, body: Mapping[str, Any]
) -> bool:
    """False when this version is there already: somebody else has done this night."""
    insert = insert_of(connection)(model_table).values(
        tenant=tenant, kind=kind, version=version, body=json.dumps(body, ensure_ascii=False)
    )
    new = connection.execute(insert.on_conflict_do_nothing().returning(model_table.c.version))
    return new.one_or_none() is not None


def newest_models(connection: sa.Connection, tenant: TenantId) -> dict[str, dict[str, Any]]:
    """By kind."""
    table = model_table.c
    newest = (
        sa.select(table.kind, sa.func.max(table.version).label("version"))
        .where(table.tenant == tenant)
        .group_by(table.kind)
        .subquery()
    )
    query = (
        sa.select(table.kind, table.body)
        .join(newest, (newest.c.kind == table.kind) & (newest.c.version == table.version))
        .where(table.tenant == tenant)
    )
    return {row.kind: cast("dict[str, Any]", json.loads(row.body)) for row in connection.execute(query)}


def add_case(
    connection: sa.Connection,
    tenant: TenantId,
    kind: Kind,
    identity_id: str,
    *,
    at: datetime,
    features: Mapping[str, float],
) -> None:
    insert = insert_of(connection)(case_table).values(
        tenant=tenant,
        kind=kind,
        identity_id=identity_id,
        at=to_milliseconds(at),
        features=json.dumps(dict(features)),
    )
    connection.execute(insert.on_conflict_do_nothing())


def open_cases(
    connection: sa.Connection,
    tenant: TenantId,
    kind: Kind,
    *,
    before: datetime,
    identity_id: str | None = None,
) -> list[OpenCase]:
    """Nobody has said yet whether they came true, and their time is over."""
    table = case_table.c
    query = sa.select(table.identity_id, table.at, table.features).where(
        table.tenant == tenant,
        table.kind == kind,
        table.came_true.is_(None),
        table.at < to_milliseconds(before),
    )
    if identity_id is not None:
        query = query.where(table.identity_id == identity_id)
    return [
        OpenCase(row.identity_id, from_milliseconds(row.at), json.loads(row.features))
        for row in connection.execute(query)
    ]


def close_case(
    connection: sa.Connection, tenant: TenantId, kind: Kind, case: OpenCase, *, came_true: bool
) -> None:
    table = case_table.c
    connection.execute(
        sa.update(case_table)
        .where(
            table.tenant == tenant, table.kind == kind, table.identity_id == case.identity_id,
            table.at == to_milliseconds(case.at),
        )
        .values(came_true=came_true)
    )  # fmt: skip


def labelled_cases(
    connection: sa.Connection, tenant: TenantId, kind: Kind, *, without: Collection[str] = ()
) -> list[Case]:
    """The newest, in an order that does not hang on who they are about; none about identities that are left out."""
    table = case_table.c
    query = (
        sa.select(table.features, table.came_true, table.identity_id)
        .where(table.tenant == tenant, table.kind == kind, table.came_true.is_not(None))
        .order_by(table.at.desc(), table.identity_id)
        .limit(MOST_CASES)
    )
    rows = (row for row in connection.execute(query) if row.identity_id not in without)
    return [Case(json.loads(row.features), row.came_true) for row in rows]


def forget_cases(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]) -> int:
    table = case_table.c
    return connection.execute(
        sa.delete(case_table).where(table.tenant == tenant, table.identity_id.in_(identity_ids))
    ).rowcount
