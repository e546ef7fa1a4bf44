"""What delivery remembers: which part of which reply went out when, so that a retry goes on with the next part.

The same rows count what we sent since the customer's last action, for channels with a quota.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from foundation.clock import to_milliseconds
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import metadata

delivery_part_table = sa.Table(
    "delivery_part",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("sent_at", sa.BigInteger, nullable=False),
    sa.Index("delivery_part_quota", "tenant", "conversation_id", "sent_at"),
)


def find_sent(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str
) -> dict[int, str]:
    """Part → the provider's id."""
    table = delivery_part_table.c
    rows = connection.execute(
        sa.select(table.part, table.provider_id).where(
            table.tenant == tenant,
            table.conversation_id == conversation_id,
            table.message_id == message_id,
        )
    )
    return {row.part: row.provider_id for row in rows}


def remember_sent(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str, *,
    part: int, provider_id: str, now: datetime,
) -> None:  # fmt: skip
    """Repeatable."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(delivery_part_table)
        .values(
            tenant=tenant, conversation_id=conversation_id, message_id=message_id, part=part,
            provider_id=provider_id, sent_at=to_milliseconds(now),
        )
        .on_conflict_do_nothing()
    )  # fmt: skip


def count_sent_since(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, moment: datetime | None
) -> int:
    table = delivery_part_table.c
    query = (
        sa.select(sa.func.count())
        .select_from(delivery_part_table)
        .where(table.tenant == tenant, table.conversation_id == conversation_id)
    )
    if moment is not None:
        query = query.where(table.sent_at >= to_milliseconds(moment))
    return int(connection.execute(query).scalar_one())
