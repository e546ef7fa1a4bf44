"""Turns the last state of the graph into what has to happen: a reply, changed rows, entries for the desk. Pure.

Everything commits in the transaction that finishes the turn, or not at all; `turn.Turns` is the only caller. The
writes look at the row they change: a person who took the conversation over meanwhile keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent import records
from agent.state import Approval, Dialogue, ReplyState, TurnState
from foundation import conversations
from foundation.bus.contract import Entry, Outcome, Write
from foundation.conversations import Conversation, Draft
from foundation.events import ApprovalRequested, Event, HandoffRequested
from foundation.messages import Choice, Citation, ConversationId, MessageId, OutboundMessage, Reply, TenantId

SOURCE = "agent"


@dataclass(frozen=True, slots=True)
class Frame:
    """Which turn of which conversation this is, and where its reply goes."""

    tenant: TenantId
    conversation: Conversation
    key: str
    seq: int
    message_id: MessageId
    now: datetime
    account: str = ""
    reply_context: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> ConversationId:
        return self.conversation.id


def of_turn(
    frame: Frame, final: TurnState, *, suspended: bool, total_milliseconds: float, priority: int = 0
) -> Outcome:  # fmt: skip
    """The outcome of a turn that came through the graph; `priority` for the queue, if it goes there."""
    language = final["language"]
    replies, writes = _spoken(frame, final["reply"], language)
    entries: list[Entry] = []
    writes.append(remember(frame, final["dialogue"], language))
    handoff = final.get("handoff", "")
    if handoff:
        writes.append(_queue(frame, handoff, final.get("summary", {}).get("text", ""), priority))
        entries.append(
            entry(
                frame,
                "handoff",
                HandoffRequested(tenant=frame.tenant, conversation_id=frame.id, reason=handoff),
            )
        )
    approval = final.get("approval")
    if suspended and approval is not None:
        writes.append(_ask_staff(frame, approval, final))
        requested = ApprovalRequested(
            tenant=frame.tenant, conversation_id=frame.id, approval_id=approval["id"]
        )
        entries.append(entry(frame, "approval", requested))
    row = _row(frame, final, total_milliseconds)
    writes.append(lambda connection: records.add_turn(connection, row))
    return Outcome(replies=replies, writes=writes, entries=entries)


def of_decision(frame: Frame, final: TurnState, *, approval_id: str, total_milliseconds: float) -> Outcome:
    """The second half of a suspended turn: what the customer did meanwhile is kept, only the request is taken off."""
    replies, writes = _spoken(frame, final["reply"], final["language"])
    dialogue = frame.conversation.dialogue
    left = [waiting for waiting in dialogue.get("approvals", []) if waiting["id"] != approval_id]
    writes.append(remember(frame, {**dialogue, "approvals": left}, frame.conversation.language))  # type: ignore[typeddict-item]
    writes.append(lambda connection: records.close_approval(connection, frame.tenant, approval_id))
    entries: list[Entry] = []
    handoff = final.get("handoff", "")
    if handoff:
        writes.append(_queue(frame, handoff, final.get("summary", {}).get("text", "")))
        requested = HandoffRequested(tenant=frame.tenant, conversation_id=frame.id, reason=handoff)
        entries.append(entry(frame, "handoff", requested))
    row = _row(frame, final, total_milliseconds)
    writes.append(lambda connection: records.add_turn(connection, row))
    return Outcome(replies=replies, writes=writes, entries=entries)


def of_notice(frame: Frame, text: str, dialogue: Dialogue, *, entries: tuple[Entry, ...] = ()) -> Outcome:
    """A reply that needed no graph: a place in the queue, a welcome back."""
    reply = ReplyState(text=text, choices=[], citations=[])
    replies, writes = _spoken(frame, reply, frame.conversation.language)
    writes.append(remember(frame, dialogue, frame.conversation.language))
    return Outcome(replies=replies, writes=writes, entries=entries)


def entry(frame: Frame, what: str, event: Event) -> Entry:
    return Entry(frame.tenant, SOURCE, f"{frame.id}:{frame.key}:{what}", frame.id, event)


def leave_queue(frame: Frame) -> Write:
    """Back to the bot, unless a person has just taken the conversation."""

    def write(connection: sa.Connection) -> None:
        if conversations.get(connection, frame.tenant, frame.id).holder == "queue":
            conversations.change(
                connection, frame.tenant, frame.id, frame.now,
                holder="bot", waiting_since=None, handoff_reason=None, handoff_summary=None,
            )  # fmt: skip

    return write


def hurry(frame: Frame, priority: int) -> Write:
    """Who gets angrier while they wait moves up; nobody moves down."""

    def write(connection: sa.Connection) -> None:
        found = conversations.get(connection, frame.tenant, frame.id)
        if found.holder == "queue" and found.priority < priority:
            conversations.change(connection, frame.tenant, frame.id, frame.now, priority=priority)

    return write


def leave_platform(frame: Frame) -> Write:
    """The people of the channel's platform are done: the bot hears the customer again."""

    def write(connection: sa.Connection) -> None:
        if conversations.get(connection, frame.tenant, frame.id).held_by == conversations.PLATFORM:
            conversations.change(
                connection, frame.tenant, frame.id, frame.now,
                holder="bot", held_by=None, handoff_reason=None, handoff_summary=None,
            )  # fmt: skip

    return write


def _spoken(frame: Frame, reply: ReplyState, language: str) -> tuple[list[OutboundMessage], list[Write]]:
    """The reply on its way, and its line in the transcript under the same id. Silence is neither."""
    if not reply["text"]:
        return [], []
    said = Reply(
        text=reply["text"],
        language=language,
        choices=tuple(Choice(**choice) for choice in reply["choices"]),
        citations=tuple(Citation(**citation) for citation in reply["citations"]),
    )
    conversation = frame.conversation
    outbound = OutboundMessage(
        tenant=frame.tenant, channel=conversation.channel, account=conversation.account, conversation_id=frame.id,
        message_id=frame.message_id, recipient=conversation.recipient, role="bot", reply=said,
        reply_context=frame.reply_context or conversation.reply_context,
    )  # fmt: skip
    draft = Draft(
        id=frame.message_id, role="bot", text=said.text, sent_at=frame.now, language=language, state="sending",
        choices=said.choices, citations=said.citations,
    )  # fmt: skip
    return [outbound], [lambda connection: conversations.append(connection, frame.tenant, frame.id, draft)]


def remember(frame: Frame, dialogue: Dialogue, language: str = "") -> Write:
    language = language or frame.conversation.language
    return lambda connection: conversations.change(
        connection, frame.tenant, frame.id, frame.now, dialogue=dict(dialogue), language=language
    )


def _queue(frame: Frame, reason: str, summary: str, priority: int = 0) -> Write:
    def write(connection: sa.Connection) -> None:
        if conversations.get(connection, frame.tenant, frame.id).holder == "bot":
            conversations.change(
                connection, frame.tenant, frame.id, frame.now,
                holder="queue", waiting_since=frame.now, handoff_reason=reason, handoff_summary=summary,
                priority=priority,
            )  # fmt: skip

    return write


def _ask_staff(frame: Frame, approval: Approval, final: TurnState) -> Write:
    row = records.ApprovalRow(
        tenant=frame.tenant, id=approval["id"], conversation_id=frame.id, key=frame.key, seq=frame.seq,
        tool=approval["tool"], reason=approval["reason"], amount=approval["amount"], order_no=approval["order_no"],
        payload={
            "approval": approval,
            "account": frame.account,
            "language": final["language"],
            "understood": final["understood"],
            "script": final["dialogue"].get("script", "hans"),
        },
        created_at=frame.now,
    )  # fmt: skip
    return lambda connection: records.add_approval(connection, row)


def _row(frame: Frame, final: TurnState, total_milliseconds: float) -> records.TurnRow:
    understood: dict[str, Any] = final["understood"]
    cited = [
        {name: citation[name] for name in ("article", "title", "version")}
        for citation in final["reply"]["citations"]
    ]
    return records.TurnRow(
        tenant=frame.tenant, conversation_id=frame.id, key=frame.key, seq=frame.seq, at=frame.now,
        channel=frame.conversation.channel, message_id=frame.message_id, route=final.get("plan", {}).get("route", "decision"),
        rung=final.get("rung", ""), intent=understood["intent"], status=understood["status"],
        confidence=understood["confidence"], language=understood["language"]["code"],
        emotion=understood["emotion"]["label"], valence=understood["emotion"]["valence"],
        answerable=final.get("answerable"), citations=cited, tools=final.get("tools", []),
        model=final.get("model", ""), prompts=final.get("prompts", []), degraded=final.get("degraded", []),
        handoff_reason=final.get("handoff") or None, milliseconds=final.get("milliseconds", {}),
        total_milliseconds=round(total_milliseconds, 3),
    )  # fmt: skip
