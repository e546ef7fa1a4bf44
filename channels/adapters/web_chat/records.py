"""What the web chat keeps: visitors with the generation of their refresh token.

A refresh token is a signature over (visitor's family, generation); nothing of it is stored. Using one moves the
generation on; an old one that turns up again was stolen or copied, and ends the family.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, metadata

visitor_table = sa.Table(
    "web_chat_visitor",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("family", sa.Text, primary_key=True),
    sa.Column("visitor", sa.Text, nullable=False),
    sa.Column("account", Sealed),
    sa.Column("account_until", sa.BigInteger),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("rotated_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Index("web_chat_visitor_age", "expires_at"),
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """`account` is what a signed user token proved, until `account_until`."""

    family: str
    visitor: str
    generation: int
    rotated_at: datetime
    expires_at: datetime
    account: str = ""
    account_until: datetime | None = None
    revoked: bool = False

    def account_at(self, now: datetime) -> str:
        return self.account if self.account_until is not None and now < self.account_until else ""


def find_visitor(connection: sa.Connection, tenant: TenantId, family: str) -> Visitor | None:
    table = visitor_table.c
    row = connection.execute(
        sa.select(visitor_table).where(table.tenant == tenant, table.family == family)
    ).one_or_none()
    if row is None:
        return None
    return Visitor(
        family=row.family,
        visitor=row.visitor,
        generation=row.generation,
        rotated_at=from_milliseconds(row.rotated_at),
        expires_at=from_milliseconds(row.expires_at),
        account=row.account or "",
        account_until=None if row.account_until is None else from_milliseconds(row.account_until),
        revoked=row.revoked,
    )


def add_visitor(connection: sa.Connection, tenant: TenantId, visitor: Visitor) -> None:
    connection.execute(sa.insert(visitor_table).values(tenant=tenant, **_columns(visitor)))


def change_visitor(
    connection: sa.Connection, tenant: TenantId, visitor: Visitor, *, was_generation: int
) -> bool:
    """False when somebody else has moved the generation on in between."""
    table = visitor_table.c
    changed = connection.execute(
        sa.update(visitor_table)
        .where(
            table.tenant == tenant, table.family == visitor.family, table.generation == was_generation
        )
        .values(**_columns(visitor))
    )  # fmt: skip
    return changed.rowcount == 1


def revoke(connection: sa.Connection, tenant: TenantId, family: str) -> None:
    table = visitor_table.c
    connection.execute(
        sa.update(visitor_table).where(table.tenant == tenant, table.family == family).values(revoked=True)
    )


def forget_visitors(connection: sa.Connection, tenant: TenantId, now: datetime) -> None:
    """Families whose last token ran out a day ago."""
    limit = to_milliseconds(now - timedelta(days=1))
    connection.execute(
        sa.delete(visitor_table).where(
            visitor_table.c.tenant == tenant, visitor_table.c.expires_at < limit
        )
    )  # fmt: skip


def _columns(visitor: Visitor) -> dict[str, object]:
    until = visitor.account_until
    return {
        "family": visitor.family,
        "visitor": visitor.visitor,
        "account": visitor.account or None,
        "account_until": None if until is None else to_milliseconds(until),
        "generation": visitor.generation,
        "rotated_at": to_milliseconds(visitor.rotated_at),
        "expires_at": to_milliseconds(visitor.expires_at),
        "revoked": visitor.revoked,
    }
