"""What happens to conversations, as other systems hear it; `foundation.conversations` calls this where it changes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from foundation.clock import utc_now
from foundation.messages import ConversationId, TenantId
from foundation.outward import outbox

if TYPE_CHECKING:
    from foundation.conversations import Draft


def began(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, channel: str, account: str,
    now: datetime,
) -> None:  # fmt: skip
    data = {"conversation_id": conversation_id, "channel": channel, "account": account}
    outbox.tell(connection, tenant, "conversation.started", data, now=now)


def wrote(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, seq: int, draft: Draft
) -> None:
    data = {
        "conversation_id": conversation_id,
        "message_id": draft.id,
        "seq": seq,
        "language": draft.language,
    }
    if draft.role == "customer":
        outbox.tell(connection, tenant, "message.received", data | {"kind": draft.kind}, now=draft.sent_at)
    elif draft.role in ("bot", "agent"):
        outbox.tell(connection, tenant, "message.sent", data | {"role": draft.role}, now=draft.sent_at)


def failed(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str, code: str
) -> None:
    data = {"conversation_id": conversation_id, "message_id": message_id, "code": code}
    outbox.tell(connection, tenant, "message.failed", data, now=utc_now())


def changed(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, now: datetime,
    columns: Mapping[str, Any],
) -> None:  # fmt: skip
    """Of a change of columns what matters outside: who holds it, and whether it is over."""
    data: dict[str, Any] = {"conversation_id": conversation_id}
    if columns.get("status") == "closed":
        outbox.tell(connection, tenant, "conversation.closed", data, now=now)
    elif columns.get("holder") == "queue":
        reason = columns.get("handoff_reason") or ""
        outbox.tell(connection, tenant, "conversation.handed_over", data | {"reason": reason}, now=now)
    elif columns.get("holder") == "human":
        staff = columns.get("held_by") or ""
        outbox.tell(connection, tenant, "conversation.taken", data | {"staff_id": staff}, now=now)
    elif columns.get("holder") == "bot":
        outbox.tell(connection, tenant, "conversation.returned", data, now=now)
