"""What delivery remembers: which part of which reply went out when, so that a retry goes on with the next part.

The same rows count what we sent since the customer's last action, for channels with a quota, and lead a platform's
receipt to the message it is about.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from channels.contract import Receipt, Watermark
from foundation import conversations
from foundation.clock import to_milliseconds
from foundation.messages import ConversationId, OutboundMessage, TenantId
from foundation.storage.database import insert_of, metadata

delivery_part_table = sa.Table(
    "delivery_part",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("sent_at", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, server_default="sent"),
    sa.Index("delivery_part_quota", "tenant", "conversation_id", "sent_at"),
    sa.Index("delivery_part_provider", "provider_id"),
)


def find_sent(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str
) -> dict[int, str]:
    """Part → the provider's id, of what is known to have gone out."""
    table = delivery_part_table.c
    rows = connection.execute(
        sa.select(table.part, table.provider_id).where(
            table.tenant == tenant,
            table.conversation_id == conversation_id,
            table.message_id == message_id,
            table.outcome == "sent",
        )
    )
    return {row.part: row.provider_id for row in rows}


def remember_sent(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str, *,
    part: int, provider_id: str, now: datetime,
) -> None:  # fmt: skip
    """Repeatable; also of a part whose outcome was unknown before."""
    insert = insert_of(connection)
    table = delivery_part_table.c
    moment = to_milliseconds(now)
    connection.execute(
        insert(delivery_part_table)
        .values(
            tenant=tenant, conversation_id=conversation_id, message_id=message_id, part=part,
            provider_id=provider_id, sent_at=moment,
        )
        .on_conflict_do_update(
            index_elements=["tenant", "conversation_id", "message_id", "part"],
            set_={"provider_id": provider_id, "sent_at": moment, "outcome": "sent"}, where=table.outcome == "unknown",
        )
    )  # fmt: skip


def remember_unknown(connection: sa.Connection, message: OutboundMessage, part: int, now: datetime) -> None:
    """The part may have gone out. It counts against a quota, and is sent again only by whoever may."""
    insert = insert_of(connection)
    connection.execute(
        insert(delivery_part_table)
        .values(
            tenant=message.tenant, conversation_id=message.conversation_id, message_id=message.message_id, part=part,
            provider_id="", sent_at=to_milliseconds(now), outcome="unknown",
        )
        .on_conflict_do_nothing()
    )  # fmt: skip


def count_sent_since(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, moment: datetime | None
) -> int:
    """`moment`: of the customer's last message. Many platforms tell it in whole seconds: within that second the transcript
    says what was before it."""
    part, line = delivery_part_table.c, conversations.message_table.c
    query = (
        sa.select(sa.func.count())
        .select_from(delivery_part_table)
        .where(part.tenant == tenant, part.conversation_id == conversation_id)
    )
    if moment is not None:
        began = to_milliseconds(moment)
        own = (line.tenant == tenant, line.conversation_id == conversation_id)
        asked = sa.select(sa.func.max(line.seq)).where(*own, line.role == "customer").scalar_subquery()
        behind = sa.exists().where(*own, line.id == part.message_id, line.seq > asked)
        doubtful = part.sent_at < began + SECOND_MILLISECONDS
        query = query.where(part.sent_at >= began, sa.or_(sa.not_(doubtful), behind))
    return int(connection.execute(query).scalar_one())


SECOND_MILLISECONDS = 1000

_RANK = {"accepted": 0, "sending": 1, "redirected": 2, "sent": 2, "delivered": 3, "read": 4, "failed": 5}


def note_receipt(
    connection: sa.Connection, tenant: TenantId, channel: str, receipt: Receipt
) -> ConversationId | None:
    """States only move forward; what was read cannot fail any more. None when nothing of ours is meant."""
    part, talk = delivery_part_table.c, conversations.conversation_table.c
    if not receipt.provider_id:
        return None
    found = connection.execute(
        sa.select(part.conversation_id, part.message_id)
        .join(conversations.conversation_table, talk.id == part.conversation_id)
        .where(part.provider_id == receipt.provider_id, part.tenant == tenant, talk.channel == channel)
    ).first()
    if found is None:
        return None
    message = conversations.find_message(connection, tenant, found.conversation_id, found.message_id)
    if message is None or message.state == "read" or _RANK[message.state] >= _RANK[receipt.state]:
        return None
    conversations.mark_state(
        connection, tenant, found.conversation_id, found.message_id, state=receipt.state, error=receipt.code or None
    )  # fmt: skip
    return ConversationId(found.conversation_id)


_BEFORE = {"delivered": ("sent",), "read": ("sent", "delivered")}
SLACK = timedelta(seconds=10)
"""A part counts as sent when the platform's answer is here, which is later than the moment the platform gives it; and the
two clocks differ."""


def note_watermark(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, watermark: Watermark
) -> ConversationId | None:
    """Like `note_receipt`, for all messages of ours that were written before that moment and have gone out whole. None when
    there is none whose state it moves."""
    message, part = conversations.message_table.c, delivery_part_table.c
    until = to_milliseconds(watermark.until)
    gone_out = (
        sa.select(part.message_id)
        .where(part.tenant == tenant, part.conversation_id == conversation_id)
        .group_by(part.message_id)
        .having(sa.func.max(part.sent_at) <= until + SLACK // timedelta(milliseconds=1))
    )
    moved = connection.execute(
        sa.update(conversations.message_table)
        .where(
            message.tenant == tenant, message.conversation_id == conversation_id, message.sent_at <= until,
            message.state.in_(_BEFORE[watermark.state]), message.id.in_(gone_out),
        )
        .values(state=watermark.state)
    )  # fmt: skip
    return conversation_id if moved.rowcount else None
