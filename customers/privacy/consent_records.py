"""Statements about what a person's data may be used for, in SQL: added, never changed. `consents.py` is the only user.

A statement hangs on the identity that made it, so that a merge brings it along and a split takes it back without moving a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import sqlalchemy as sa

from customers.graph.records import chunks, identity_table
from customers.profile.records import fact_table
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, metadata

State = Literal["granted", "refused", "withdrawn"]
"""`withdrawn`: after it was granted."""
Source = Literal["chat", "staff", "crm"]

consent_table = sa.Table(
    "consent",
    metadata,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("text_version", sa.Integer, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", Sealed, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("consent_identity", "tenant", "identity_id"),
    sa.Index("consent_purpose", "tenant", "purpose", "state"),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """`actor`: who of the staff, or ""; `reason` in their words."""

    identity_id: str
    purpose: str
    state: State
    text_version: int
    source: Source
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """An identity beside those that are asked about: one customer, and whether one person by proof."""

    id: str
    customer_id: str
    access_id: str


def add(connection: sa.Connection, tenant: TenantId, one: Statement) -> None:
    connection.execute(
        sa.insert(consent_table).values(
            tenant=tenant, identity_id=one.identity_id, purpose=one.purpose, state=one.state, text_version=one.text_version,
            source=one.source, actor=one.actor, reason=one.reason, at=to_milliseconds(one.at),
        )
    )  # fmt: skip


def members(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> list[Member]:
    """All identities of the customers of these."""
    one, all_of = identity_table.alias(), identity_table.c
    found: dict[str, Member] = {}
    for some in chunks(ids):
        query = (
            sa.select(all_of.id, all_of.customer_id, all_of.access_id)
            .join(one, sa.and_(one.c.tenant == all_of.tenant, one.c.customer_id == all_of.customer_id))
            .where(one.c.tenant == tenant, one.c.id.in_(some))
            .distinct()
        )
        found |= {row.id: Member(row.id, row.customer_id, row.access_id) for row in connection.execute(query)}
    return list(found.values())


def newest(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str]
) -> dict[tuple[str, str], Statement]:
    """By identity and purpose what was said last."""
    found: dict[tuple[str, str], Statement] = {}
    for one in history(connection, tenant, ids):
        found[(one.identity_id, one.purpose)] = one
    return found


def history(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> list[Statement]:
    """Oldest first."""
    table, rows = consent_table.c, []
    for some in chunks(ids):
        query = sa.select(consent_table).where(table.tenant == tenant, table.identity_id.in_(some))
        rows += list(connection.execute(query))
    return [
        Statement(
            row.identity_id, row.purpose, row.state, row.text_version, row.source, row.actor, row.reason,
            from_milliseconds(row.at),
        )
        for row in sorted(rows, key=lambda row: row.number)
    ]  # fmt: skip


def who_said(connection: sa.Connection, tenant: TenantId, purpose: str, states: Iterable[State]) -> set[str]:
    """Identities that have ever said so; what they said last is another question."""
    table = consent_table.c
    query = sa.select(table.identity_id).where(
        table.tenant == tenant, table.purpose == purpose, table.state.in_(list(states))
    )
    return set(connection.execute(query.distinct()).scalars())


def everybody(connection: sa.Connection, tenant: TenantId) -> set[str]:
    table = identity_table.c
    return set(connection.execute(sa.select(table.id).where(table.tenant == tenant)).scalars())


def birthdays(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str] | None = None
) -> list[tuple[str, date, int]]:
    """Identity, day and proof; of everybody where `ids` is None. What is no day is left out."""
    table = fact_table.c
    query = sa.select(table.identity_id, table.value, table.proof).where(
        table.tenant == tenant, table.attribute == "birthday"
    )
    if ids is None:
        rows = connection.execute(query).all()
    else:
        rows = [
            row
            for some in chunks(ids)
            for row in connection.execute(query.where(table.identity_id.in_(some)))
        ]
    found = ((row.identity_id, _day(row.value), row.proof) for row in rows)
    return [(identity, day, proof) for identity, day, proof in found if day is not None]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
