"""The agent's tables: one row a turn (what was understood, said and done), and one row a request for a decision.

Turns are what dashboards, quality review and evaluations read; they hold no words of the customer. An approval holds
what is needed to carry the request out even when its checkpoint is gone; that part is sealed. Functions take an open
connection: turns are written in the transaction that finishes them, decisions in the desk's.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from foundation import conversations, errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import Conversation, conversation_table
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

ApprovalState = Literal["waiting", "approved", "refused", "done"]

turn_table = sa.Table(
    "turn",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("rung", sa.Text, nullable=False),
    sa.Column("intent", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("emotion", sa.Text, nullable=False),
    sa.Column("valence", sa.Float, nullable=False),
    sa.Column("answerable", sa.Float),
    sa.Column("citations", sa.Text, nullable=False),
    sa.Column("tools", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("prompts", sa.Text, nullable=False),
    sa.Column("degraded", sa.Text, nullable=False),
    sa.Column("handoff_reason", sa.Text),
    sa.Column("milliseconds", sa.Text, nullable=False),
    sa.Column("total_milliseconds", sa.Float, nullable=False),
    sa.Index("turn_time", "tenant", "at"),
)

approval_table = sa.Table(
    "approval",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("amount", sa.Text, nullable=False),
    sa.Column("order_no", sa.Text, nullable=False),
    sa.Column("payload", Sealed, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("decided_by", sa.Text),
    sa.Column("note", Sealed),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("decided_at", sa.BigInteger),
    sa.Index("approval_waiting", "tenant", "state", "created_at"),
    sa.Index("approval_conversation", "tenant", "conversation_id"),
)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """JSON columns are given as plain values; citations name article, title and version."""

    tenant: TenantId
    conversation_id: ConversationId
    key: str
    seq: int
    at: datetime
    channel: str
    message_id: str
    route: str
    rung: str
    intent: str | None
    status: str
    confidence: float
    language: str
    emotion: str
    valence: float
    answerable: float | None
    citations: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    model: str
    prompts: list[str]
    degraded: list[str]
    handoff_reason: str | None
    milliseconds: dict[str, float]
    total_milliseconds: float


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """`payload`: the values of the tool, the account they are for, language and script of the reply."""

    tenant: TenantId
    id: str
    conversation_id: ConversationId
    key: str
    seq: int
    tool: str
    reason: str
    amount: str
    order_no: str
    payload: dict[str, Any]
    created_at: datetime
    state: ApprovalState = "waiting"
    decided_by: str | None = None
    note: str | None = None
    decided_at: datetime | None = None


_JSON_COLUMNS = ("citations", "tools", "prompts", "degraded", "milliseconds")


def change_dialogue(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, dialogue: dict[str, Any], *,
    seen_seq: int, now: datetime,
) -> bool:  # fmt: skip
    """False, and nothing changed, when a message has come into the conversation since it was read."""
    table = conversation_table.c
    changed = connection.execute(
        sa.update(conversation_table)
        .where(table.tenant == tenant, table.id == conversation_id, table.last_seq == seen_seq)
        .values(dialogue=json.dumps(dialogue), updated_at=to_milliseconds(now))
    )
    return changed.rowcount == 1


def find_recent(
    connection: sa.Connection, tenant: TenantId, ids: Collection[ConversationId], *, since: datetime
) -> list[Conversation]:
    """Those of the bot's in which the customer has written since then."""
    table = conversation_table.c
    query = sa.select(table.id).where(
        table.tenant == tenant, table.id.in_(ids), table.holder == "bot", table.last_customer_at >= to_milliseconds(since)
    )  # fmt: skip
    return [
        conversations.get(connection, tenant, ConversationId(row.id)) for row in connection.execute(query)
    ]


def add_turn(connection: sa.Connection, row: TurnRow) -> None:
    """Repeatable."""
    values: dict[str, Any] = {name: getattr(row, name) for name in turn_table.c.keys()}  # noqa: SIM118  # a column collection
    values["at"] = to_milliseconds(row.at)
    for name in _JSON_COLUMNS:
        values[name] = json.dumps(values[name], ensure_ascii=False)
    insert = insert_of(connection)(turn_table).values(**values)
    connection.execute(insert.on_conflict_do_nothing())


def find_turn(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, key: str
) -> TurnRow | None:
    table = turn_table.c
    row = connection.execute(
        sa.select(turn_table).where(
            table.tenant == tenant, table.conversation_id == conversation_id, table.key == key
        )
    ).one_or_none()
    return None if row is None else _turn(row)


def read_turns(connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> list[TurnRow]:
    table = turn_table.c
    query = (
        sa.select(turn_table)
        .where(table.tenant == tenant, table.conversation_id == conversation_id)
        .order_by(table.seq, table.at)
    )
    return [_turn(row) for row in connection.execute(query)]


def turns_since(connection: sa.Connection, tenant: TenantId, since: datetime) -> list[TurnRow]:
    """For measures, oldest first."""
    table = turn_table.c
    query = (
        sa.select(turn_table)
        .where(table.tenant == tenant, table.at >= to_milliseconds(since))
        .order_by(table.at)
    )
    return [_turn(row) for row in connection.execute(query)]


def add_approval(connection: sa.Connection, row: ApprovalRow) -> None:
    """Repeatable: a turn that runs again asks once."""
    insert = insert_of(connection)(approval_table).values(
        tenant=row.tenant, id=row.id, conversation_id=row.conversation_id, key=row.key, seq=row.seq, tool=row.tool,
        reason=row.reason, amount=row.amount, order_no=row.order_no,
        payload=json.dumps(row.payload, ensure_ascii=False), created_at=to_milliseconds(row.created_at),
    )  # fmt: skip
    connection.execute(insert.on_conflict_do_nothing())


def find_approval(connection: sa.Connection, tenant: TenantId, approval_id: str) -> ApprovalRow | None:
    table = approval_table.c
    row = connection.execute(
        sa.select(approval_table).where(table.tenant == tenant, table.id == approval_id)
    ).one_or_none()
    return None if row is None else _approval(row)


def waiting_approvals(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId | None = None
) -> list[ApprovalRow]:
    """For the desk, oldest first."""
    table = approval_table.c
    query = sa.select(approval_table).where(table.tenant == tenant, table.state == "waiting")
    if conversation_id is not None:
        query = query.where(table.conversation_id == conversation_id)
    return [_approval(row) for row in connection.execute(query.order_by(table.created_at))]


def decide_approval(
    connection: sa.Connection, tenant: TenantId, approval_id: str, *, approved: bool, by: str, now: datetime,
    note: str = "",
) -> None:  # fmt: skip
    """Once. Raises `Conflict` when somebody decided before, `NotFound` when there is no such request."""
    table = approval_table.c
    changed = connection.execute(
        sa.update(approval_table)
        .where(table.tenant == tenant, table.id == approval_id, table.state == "waiting")
        .values(
            state="approved" if approved else "refused",
            decided_by=by,
            note=note,
            decided_at=to_milliseconds(now),
        )
    )
    if changed.rowcount == 0:
        if find_approval(connection, tenant, approval_id) is None:
            raise errors.NotFound("There is no such request.")
        raise errors.Conflict("This request was decided already.", code="already_decided")


def close_approval(connection: sa.Connection, tenant: TenantId, approval_id: str) -> None:
    """The customer has been told."""
    table = approval_table.c
    connection.execute(
        sa.update(approval_table).where(table.tenant == tenant, table.id == approval_id).values(state="done")
    )


def _turn(row: sa.Row[Any]) -> TurnRow:
    values = dict(row._mapping)
    values["at"] = from_milliseconds(values["at"])
    for name in _JSON_COLUMNS:
        values[name] = json.loads(values[name])
    return TurnRow(**values)


def _approval(row: sa.Row[Any]) -> ApprovalRow:
    values = dict(row._mapping)
    values["payload"] = json.loads(values["payload"])
    values["created_at"] = from_milliseconds(values["created_at"])
    if values["decided_at"] is not None:
        values["decided_at"] = from_milliseconds(values["decided_at"])
    return ApprovalRow(**values)
