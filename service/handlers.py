"""Who hears what: the one table from events to handlers, and what follows when work is given up.

The worker is given `table(…)`. A test keeps `HEARD` equal to the events there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from foundation import conversations
from foundation.bus.contract import Entry, Outcome, Turn
from foundation.clock import Clock
from foundation.events import BehaviourObserved, HandoffRequested
from foundation.messages import ConversationId
from service.worker import Handler

if TYPE_CHECKING:
    from service.wiring import System

HEARD: Mapping[str, str] = {
    "MessageReceived": "hearing.handle_message",
    "IdentityProven": "turns.handle_proof",
    "CodeWanted": "proving.handle_wanted",
    "CustomersDivided": "threads.handle_divided_customers",
    "ConversationDivided": "threads.handle_divided",
    "BehaviourObserved": "behaviour.handle",
    "ApprovalDecided": "turns.handle_approval",
    "ConversationReturned": "turns.handle_return",
    "HandoffRequested": "desk.handoff_requested",
    "MessageForHuman": "desk.message_for_human",
    "ApprovalRequested": "desk.approval_requested",
    "StaffReplied": "desk.staff_replied",
    "ReplyRedirected": "desk.reply_redirected",
    "ReplyFailed": "desk.reply_failed",
    "ArticlePublished": "ingestion.handle",
    "ArticleIndexed": "ingestion.handle_indexed",
}


def table(system: System) -> dict[str, Handler]:
    handlers: dict[str, Handler] = {}
    for event, address in HEARD.items():
        part, method = address.split(".")
        handlers[event] = getattr(getattr(system, part), method)
    return handlers


class GivenUp:
    """A turn that failed for good becomes a conversation that waits for a person: never silence."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, turn: Turn) -> Outcome:
        conversation_id = getattr(turn.entry.event, "conversation_id", None)
        if conversation_id is None or isinstance(turn.entry.event, HandoffRequested | BehaviourObserved):
            return Outcome()
        tenant, now = turn.entry.tenant, self._clock()

        def write(connection: sa.Connection) -> None:
            found = conversations.find(connection, tenant, ConversationId(conversation_id))
            if found is not None and found.holder == "bot":
                conversations.change(
                    connection,
                    tenant,
                    found.id,
                    now,
                    holder="queue",
                    waiting_since=now,
                    handoff_reason="failed",
                )

        event = HandoffRequested(tenant=tenant, conversation_id=conversation_id, reason="failed")
        key = f"{turn.entry.source}:{turn.entry.key}"
        return Outcome(writes=[write], entries=[Entry(tenant, "given-up", key, conversation_id, event)])
