"""Conversations and their transcript: who talks to whom on which channel, who holds it, and every message in order.

Functions take an open connection, so that a message is written in the transaction of whoever causes it: intake (the
customer's), the turn (the bot's), the desk (an agent's). `seq` is dense and gapless per conversation: the web chat
replays by it. A conversation is held by the bot, waits in the queue, or is held by one person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import Attachment, Choice, Citation, ConversationId, CustomerId, Role, TenantId
from foundation.outward import talk
from foundation.storage.database import Sealed, insert_of, metadata

Holder = Literal["bot", "queue", "human"]
Status = Literal["open", "closed"]
DeliveryState = Literal["accepted", "sending", "sent", "delivered", "read", "failed", "redirected"]
"""Redirected: it could not go out here and was written to the customer on another channel, which `error` names."""
PLATFORM = "platform"
"""Holds a conversation that was given to people of the channel's platform; nobody of our staff is called so."""

conversation_table = sa.Table(
    "conversation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("recipient", Sealed, nullable=False),
    sa.Column("customer_id", sa.Text),
    sa.Column("holder", sa.Text, nullable=False, server_default="bot"),
    sa.Column("held_by", sa.Text),
    sa.Column("status", sa.Text, nullable=False, server_default="open"),
    sa.Column("language", sa.Text, nullable=False, server_default="zh"),
    sa.Column("handoff_reason", sa.Text),
    sa.Column("handoff_summary", Sealed),
    sa.Column("dialogue", Sealed),
    sa.Column("reply_context", Sealed),
    sa.Column("last_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("customer_delivered_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("customer_read_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("waiting_since", sa.BigInteger),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_customer_at", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("conversation_desk", "tenant", "status", "holder", "waiting_since"),
    sa.Index("conversation_customer", "tenant", "customer_id"),
)

message_table = sa.Table(
    "message",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False, server_default="text"),
    sa.Column("text", Sealed, nullable=False),
    sa.Column("extras", Sealed),
    sa.Column("language", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("sent_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("tenant", "conversation_id", "id", name="message_id"),
)

HEAD_START = 600_000
"""Milliseconds that one step of priority is worth in the queue: who waits long enough comes first all the same."""

queue_order = conversation_table.c.waiting_since - conversation_table.c.priority * HEAD_START
"""Smallest first."""

raw_payload_table = sa.Table(
    "raw_payload",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("body", Sealed, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Index("raw_payload_age", "received_at"),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the transcript. `extras` travel with it: buttons, citations, attachments, an event's name."""

    conversation_id: ConversationId
    seq: int
    id: str
    role: Role
    text: str
    sent_at: datetime
    author: str = ""
    kind: str = "text"
    language: str = ""
    state: DeliveryState = "accepted"
    error: str | None = None
    choices: tuple[Choice, ...] = ()
    citations: tuple[Citation, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @property
    def words(self) -> str:
        """What was said in it: written, or else made out by a model in a voice message or a picture."""
        return self.text or " ".join(one.reading for one in self.attachments if one.reading)


@dataclass(frozen=True, slots=True)
class Conversation:
    id: ConversationId
    tenant: TenantId
    channel: str
    account: str
    recipient: str
    customer_id: CustomerId | None
    holder: Holder
    held_by: str | None
    status: Status
    language: str
    handoff_reason: str | None
    handoff_summary: str | None
    dialogue: dict[str, Any]
    reply_context: dict[str, str]
    last_seq: int
    customer_delivered_seq: int
    customer_read_seq: int
    created_at: datetime
    waiting_since: datetime | None
    last_customer_at: datetime | None
    updated_at: datetime
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it has its place; `id` is unique in the conversation (a repeat raises `Conflict`)."""

    id: str
    role: Role
    text: str
    sent_at: datetime
    author: str = ""
    kind: str = "text"
    language: str = ""
    state: DeliveryState = "accepted"
    choices: tuple[Choice, ...] = ()
    citations: tuple[Citation, ...] = ()
    attachments: tuple[Attachment, ...] = ()


def ensure(
    connection: sa.Connection, conversation_id: ConversationId, *, tenant: TenantId, channel: str, account: str,
    recipient: str, now: datetime,
) -> None:  # fmt: skip
    """Repeatable: makes the conversation when it is new, changes nothing when it is not."""
    moment = to_milliseconds(now)
    insert = insert_of(connection)(conversation_table).values(
        id=conversation_id, tenant=tenant, channel=channel, account=account, recipient=recipient,
        created_at=moment, updated_at=moment,
    )  # fmt: skip
    made = insert.on_conflict_do_nothing(index_elements=["id"]).returning(conversation_table.c.id)
    if connection.execute(made).first() is not None:
        talk.began(connection, tenant, conversation_id, channel=channel, account=account, now=now)


def append(connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, draft: Draft) -> int:
    """Gives the message the next `seq` and returns it. A customer's message reopens a closed conversation."""
    moment = to_milliseconds(draft.sent_at)
    table = conversation_table.c
    changes: dict[str, Any] = {"last_seq": table.last_seq + 1, "updated_at": moment}
    if draft.role == "customer":
        changes |= {"last_customer_at": moment, "status": "open"}
    seq = connection.execute(
        sa.update(conversation_table)
        .where(table.id == conversation_id, table.tenant == tenant)
        .values(**changes)
        .returning(table.last_seq)
    ).scalar_one_or_none()
    if seq is None:
        raise errors.NotFound("This conversation does not exist.")
    try:
        connection.execute(
            sa.insert(message_table).values(
                conversation_id=conversation_id, seq=seq, tenant=tenant, id=draft.id, role=draft.role,
                author=draft.author, kind=draft.kind, text=draft.text, extras=_pack(draft), language=draft.language,
                state=draft.state, sent_at=moment,
            )
        )  # fmt: skip
    except sa.exc.IntegrityError as error:
        raise errors.Conflict(
            "A message with this id is already in the conversation.", code="duplicate"
        ) from error
    talk.wrote(connection, tenant, conversation_id, int(seq), draft)
    return int(seq)


def find(connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Conversation | None:
    row = connection.execute(
        sa.select(conversation_table).where(
            conversation_table.c.id == conversation_id, conversation_table.c.tenant == tenant
        )
    ).one_or_none()
    return None if row is None else _conversation(row)


def get(connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Conversation:
    found = find(connection, tenant, conversation_id)
    if found is None:
        raise errors.NotFound("This conversation does not exist.")
    return found


def search(
    connection: sa.Connection, tenant: TenantId, *, holder: Holder | None = None, status: Status | None = None,
    customer_id: CustomerId | None = None, limit: int = 200,
) -> list[Conversation]:  # fmt: skip
    """For the desk: waiting ones first in the order of the queue, then the most recently changed."""
    table = conversation_table.c
    query = sa.select(conversation_table).where(table.tenant == tenant)
    if holder is not None:
        query = query.where(table.holder == holder)
    if status is not None:
        query = query.where(table.status == status)
    if customer_id is not None:
        query = query.where(table.customer_id == customer_id)
    query = query.order_by(table.waiting_since.is_(None), queue_order, table.updated_at.desc()).limit(limit)
    return [_conversation(row) for row in connection.execute(query)]


def read(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, after_seq: int = 0,
    before_seq: int | None = None, limit: int = 100,
) -> list[Message]:  # fmt: skip
    """Ascending. With `before_seq` the last `limit` messages before it, otherwise the first `limit` after."""
    table = message_table.c
    query = sa.select(message_table).where(table.tenant == tenant, table.conversation_id == conversation_id)
    if before_seq is not None:
        latest = query.where(table.seq < before_seq).order_by(table.seq.desc()).limit(limit)
        return [_message(row) for row in reversed(connection.execute(latest).all())]
    following = query.where(table.seq > after_seq).order_by(table.seq).limit(limit)
    return [_message(row) for row in connection.execute(following)]


def find_message(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str
) -> Message | None:
    table = message_table.c
    row = connection.execute(
        sa.select(message_table).where(
            table.tenant == tenant, table.conversation_id == conversation_id, table.id == message_id
        )
    ).one_or_none()
    return None if row is None else _message(row)


def mark_state(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str, *,
    state: DeliveryState, error: str | None = None,
) -> None:  # fmt: skip
    table = message_table.c
    connection.execute(
        sa.update(message_table)
        .where(table.tenant == tenant, table.conversation_id == conversation_id, table.id == message_id)
        .values(state=state, error=error)
    )
    if state == "failed":
        talk.failed(connection, tenant, conversation_id, message_id, error or "")


def mark_seen(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, delivered: int = 0, read: int = 0
) -> None:  # fmt: skip
    """Receipts of the customer's side, cumulative and only forward."""
    table = conversation_table.c
    delivered = max(delivered, read)
    connection.execute(
        sa.update(conversation_table)
        .where(table.id == conversation_id, table.tenant == tenant)
        .values(
            customer_delivered_seq=_greatest(table.customer_delivered_seq, delivered),
            customer_read_seq=_greatest(table.customer_read_seq, read),
        )
    )


def change(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, now: datetime, **columns: Any
) -> None:  # fmt: skip
    """Set columns of one conversation; `dialogue` and `reply_context` are given as dictionaries."""
    values = {name: _stored(value) for name, value in columns.items()}
    connection.execute(
        sa.update(conversation_table)
        .where(conversation_table.c.id == conversation_id, conversation_table.c.tenant == tenant)
        .values(updated_at=to_milliseconds(now), **values)
    )
    talk.changed(connection, tenant, conversation_id, now, columns)


def take_over(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, staff: str, now: datetime
) -> None:
    """A person takes the conversation, also back from people of the platform. Raises `Conflict` when another one of ours
    holds it."""
    table = conversation_table.c
    taken = connection.execute(
        sa.update(conversation_table)
        .where(
            table.id == conversation_id,
            table.tenant == tenant,
            sa.or_(table.holder != "human", table.held_by.in_([staff, PLATFORM])),
        )
        .values(
            holder="human", held_by=staff, waiting_since=None, status="open", updated_at=to_milliseconds(now)
        )
    )
    if taken.rowcount == 0:
        get(connection, tenant, conversation_id)
        raise errors.Conflict("Somebody else has already taken this conversation.", code="already_taken")
    talk.changed(connection, tenant, conversation_id, now, {"holder": "human", "held_by": staff})


def store_raw(
    connection: sa.Connection, *, tenant: TenantId, source: str, key: str, body: bytes, now: datetime
) -> None:
    """Keep what the platform sent, as it was; repeatable."""
    insert = insert_of(connection)(raw_payload_table).values(
        tenant=tenant, source=source, key=key, body=body.decode("utf-8", "backslashreplace"),
        received_at=to_milliseconds(now),
    )  # fmt: skip
    connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "source", "key"]))


def _greatest(column: sa.ColumnElement[int], value: int) -> sa.ColumnElement[int]:
    return sa.case((column < value, value), else_=column)


def _pack(draft: Draft) -> str | None:
    extras = {
        "choices": [choice.model_dump() for choice in draft.choices],
        "citations": [citation.model_dump() for citation in draft.citations],
        "attachments": [attachment.model_dump() for attachment in draft.attachments],
    }
    return json.dumps(extras, ensure_ascii=False) if any(extras.values()) else None


def _stored(value: object) -> object:
    if isinstance(value, datetime):
        return to_milliseconds(value)
    return json.dumps(value) if isinstance(value, dict) else value


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_milliseconds(value)


def _message(row: sa.Row[Any]) -> Message:
    extras = json.loads(row.extras) if row.extras else {}
    return Message(
        conversation_id=ConversationId(row.conversation_id), seq=row.seq, id=row.id, role=row.role, text=row.text,
        sent_at=from_milliseconds(row.sent_at), author=row.author, kind=row.kind, language=row.language,
        state=row.state, error=row.error,
        choices=tuple(Choice(**choice) for choice in extras.get("choices", ())),
        citations=tuple(Citation(**citation) for citation in extras.get("citations", ())),
        attachments=tuple(Attachment(**attachment) for attachment in extras.get("attachments", ())),
    )  # fmt: skip


def _conversation(row: sa.Row[Any]) -> Conversation:
    return Conversation(
        id=ConversationId(row.id), tenant=TenantId(row.tenant), channel=row.channel, account=row.account,
        recipient=row.recipient, customer_id=None if row.customer_id is None else CustomerId(row.customer_id),
        holder=row.holder, held_by=row.held_by, status=row.status, language=row.language,
        handoff_reason=row.handoff_reason, handoff_summary=row.handoff_summary,
        dialogue=json.loads(row.dialogue) if row.dialogue else {},
        reply_context=json.loads(row.reply_context) if row.reply_context else {},
        last_seq=row.last_seq, customer_delivered_seq=row.customer_delivered_seq,
        customer_read_seq=row.customer_read_seq, created_at=from_milliseconds(row.created_at),
        waiting_since=_moment(row.waiting_since), last_customer_at=_moment(row.last_customer_at),
        updated_at=from_milliseconds(row.updated_at), priority=row.priority,
    )  # fmt: skip
