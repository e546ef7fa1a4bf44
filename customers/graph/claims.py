"""What somebody said of themselves and nobody has proven: kept for staff, and for a proof to confirm; it decides nothing.

`graph.py` writes a claim for each name that a channel does not vouch for, and for what a form was told. A claim is found
by the same keyed digest as the name it claims to be, but no node and no edge ever comes of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from customers import changed
from customers.graph.records import chunks
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

VALID_DAYS = 30

claim_table = sa.Table(
    "identity_claim",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("lookup", sa.Text, nullable=False),
    sa.Column("value", Sealed, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("identity_claim_identity", "tenant", "identity_id"),
    sa.Index("identity_claim_lookup", "tenant", "lookup"),
    sa.Index("identity_claim_age", "tenant", "expires_at"),
    sa.Index("identity_claim_conversation", "tenant", "conversation_id"),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody said of themselves: for staff to see, and for a proof to confirm. It decides nothing."""

    id: str
    identity_id: str
    conversation_id: ConversationId
    namespace: str
    value: str
    at: datetime
    expires_at: datetime
    status: str


def add(connection: sa.Connection, tenant: TenantId, claim: Claim, *, lookup: str) -> None:
    insert = insert_of(connection)(claim_table).values(
        tenant=tenant, id=claim.id, identity_id=claim.identity_id, conversation_id=claim.conversation_id,
        namespace=claim.namespace, lookup=lookup, value=claim.value, at=to_milliseconds(claim.at),
        expires_at=to_milliseconds(claim.expires_at), status=claim.status,
    )  # fmt: skip
    new = insert.on_conflict_do_nothing(index_elements=["tenant", "id"]).returning(claim_table.c.id)
    if connection.execute(new).first() is not None:
        changed.mark(connection, tenant, claim.identity_id)


def find(connection: sa.Connection, tenant: TenantId, ids: Collection[str], *, now: datetime) -> list[Claim]:
    table = claim_table.c
    return [
        Claim(
            id=row.id, identity_id=row.identity_id, conversation_id=ConversationId(row.conversation_id),
            namespace=row.namespace, value=row.value, at=from_milliseconds(row.at),
            expires_at=from_milliseconds(row.expires_at), status=row.status,
        )
        for some in chunks(ids)
        for row in connection.execute(
            sa.select(claim_table)
            .where(table.tenant == tenant, table.identity_id.in_(some), table.expires_at > to_milliseconds(now))
            .order_by(table.at, table.id)
        )
    ]  # fmt: skip


def drop(connection: sa.Connection, tenant: TenantId, *, expired_before: datetime) -> int:
    table = claim_table.c
    return connection.execute(
        sa.delete(claim_table).where(
            table.tenant == tenant, table.expires_at <= to_milliseconds(expired_before)
        )
    ).rowcount
