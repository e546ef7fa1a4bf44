"""The desk: what waits for people, taking a conversation over, answering in it, giving it back to the bot.

Console pages and the staff's routes call it; `service/handlers.py` sends it what the agent and delivery report. A
conversation held by a person is a row of ours: while it is held, nothing of it goes into the agent's graph. A
person's reply is written to the transcript at once and leaves through the conversation's lane, so it can neither
overtake nor be overtaken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent import records
from foundation import conversations, errors
from foundation.bus.contract import Bus, Entry, Outcome, Turn, Write
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.events import (
    ApprovalDecided,
    ApprovalRequested,
    ConversationReturned,
    HandoffRequested,
    MessageForHuman,
    ReplyFailed,
    ReplyRedirected,
    StaffReplied,
)
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import random_token
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from operations import audit
from operations.records import note_table
from operations.staff import Member

TEXT_LIMIT = 5_000
"""Characters of one reply by a person; the channel splits it where it must."""

NOTE_LIMIT = 2_000
SYSTEM = "system"
"""Author of a note that says by its code why a reply failed; the console has the words."""
REASON_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Note:
    at: int
    author: str
    text: str

    @property
    def moment(self) -> datetime:
        return from_milliseconds(self.at)


class Desk:
    hand_over: Callable[[TenantId, ConversationId], Awaitable[bool]] | None = None
    """Set by the wiring (`Delivery.hand_over`)."""

    def __init__(self, database: Database, bus: Bus, *, hub: Hub, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._bus = bus
        self._hub = hub
        self._clock = clock
        self._metrics = metrics

    async def take_over(self, member: Member, conversation_id: ConversationId) -> None:
        """Repeatable for the same person; raises `Conflict` when another one holds it."""
        member.require("desk.reply")
        now = self._clock()

        def write(connection: sa.Connection) -> None:
            conversations.take_over(connection, member.tenant, conversation_id, staff=member.id, now=now)
            self._audit(connection, member, "desk.taken", conversation_id)

        await self._database.write(write)
        self._tell(member.tenant, conversation_id, "status")

    async def reply(
        self, member: Member, conversation_id: ConversationId, text: str, *, key: str = ""
    ) -> None:
        """Goes out on the customer's channel. `key` makes it repeatable: the same key is said once.
        Raises `Conflict` when the conversation is not held by this person, or the key was used for another text."""
        member.require("desk.reply")
        text = _checked(text, TEXT_LIMIT, code="reply_length")
        conversation = await self.held(member, conversation_id)
        now = self._clock()
        message_id = MessageId(f"staff-{key or random_token(12)}")
        draft = conversations.Draft(
            id=message_id, role="agent", text=text, sent_at=now, author=member.name,
            language=conversation.language, state="sending",
        )  # fmt: skip
        outbound = OutboundMessage(
            tenant=member.tenant, channel=conversation.channel, account=conversation.account,
            conversation_id=conversation_id, message_id=message_id, recipient=conversation.recipient, role="agent",
            reply=Reply(text=text, language=conversation.language), reply_context=conversation.reply_context,
        )  # fmt: skip
        event = StaffReplied(tenant=member.tenant, conversation_id=conversation_id, outbound=outbound)

        def write(connection: sa.Connection, _seq: int) -> None:
            _require_held(connection, member, conversation_id)
            conversations.append(connection, member.tenant, conversation_id, draft)

        entry_key = f"{conversation_id}:{message_id}"
        receipt = await self._bus.accept(
            Entry(member.tenant, "desk", entry_key, conversation_id, event), write
        )
        if not receipt.new:
            said = await self._database.read(
                lambda connection: conversations.find_message(
                    connection, member.tenant, conversation_id, message_id
                )
            )
            if said is None or said.text != text:
                raise errors.Conflict("This key was used for another text.", code="key_reused")
        self._tell(member.tenant, conversation_id, "changed")

    async def resend(self, member: Member, conversation_id: ConversationId, message_id: str) -> None:
        """Tries a reply that failed once more, in its old place; what of it went out already is not repeated. Raises
        `Conflict` when it did not fail, or is on its way again."""
        member.require("desk.reply")
        dead = await self._bus.find_dead_reply(member.tenant, conversation_id, message_id)

        def write(connection: sa.Connection) -> None:
            found = conversations.find_message(connection, member.tenant, conversation_id, message_id)
            if found is None:
                raise errors.NotFound(
                    "There is no such message in this conversation.", code="unknown_message"
                )
            if dead is None or found.state != "failed":
                raise errors.Conflict(
                    "This message has not failed, or is being sent again.", code="not_failed"
                )
            conversations.mark_state(connection, member.tenant, conversation_id, message_id, state="sending")
            self._audit(connection, member, "desk.resent", conversation_id, {"message": message_id})

        await self._database.write(write)
        if dead is not None:
            await self._bus.redrive(member.tenant, "reply", dead)
        self._tell(member.tenant, conversation_id, "changed")

    async def give_back(self, member: Member, conversation_id: ConversationId) -> None:
        """The bot goes on, and reads what was said meanwhile."""
        await self._release(member, conversation_id, action="desk.given_back", status="open")

    async def close(self, member: Member, conversation_id: ConversationId) -> None:
        """Done for now; a later message of the customer opens it again, with the bot."""
        await self._release(member, conversation_id, action="desk.closed", status="closed")

    async def decide(self, member: Member, approval_id: str, *, approved: bool, reason: str = "") -> None:
        """About an exception that a suspended turn waits for; the bot tells the customer. Raises `Conflict` when
        somebody decided before."""
        member.require("desk.approve")
        reason = _checked(reason, REASON_LIMIT, code="reason_length", least=0)
        found = await self._database.read(
            lambda connection: records.find_approval(connection, member.tenant, approval_id)
        )
        if found is None:
            raise errors.NotFound("There is no such request.")
        now = self._clock()
        event = ApprovalDecided(
            tenant=member.tenant, conversation_id=found.conversation_id, approval_id=approval_id
        )

        def write(connection: sa.Connection, _seq: int) -> None:
            records.decide_approval(
                connection,
                member.tenant,
                approval_id,
                approved=approved,
                by=member.name,
                now=now,
                note=reason,
            )
            detail = {"approved": approved, "reason": reason}
            self._audit(connection, member, "desk.decided", approval_id, detail)

        receipt = await self._bus.accept(
            Entry(member.tenant, "desk", f"decision:{approval_id}", found.conversation_id, event), write
        )
        if not receipt.new:
            raise errors.Conflict("This request was decided already.", code="already_decided")
        self._tell(member.tenant, found.conversation_id, "status")

    async def note(self, member: Member, conversation_id: ConversationId, text: str) -> None:
        """An internal note; no customer ever sees it."""
        member.require("desk.reply")
        text, at = _checked(text, NOTE_LIMIT, code="note_length"), self._now()

        def write(connection: sa.Connection) -> None:
            conversations.get(connection, member.tenant, conversation_id)
            _add_note(connection, member.tenant, conversation_id, at, member.name, text)

        await self._database.write(write)
        self._tell(member.tenant, conversation_id, "changed")

    async def notes(self, tenant: TenantId, conversation_id: ConversationId) -> list[Note]:
        table = note_table.c
        query = (
            sa.select(table.at, table.author, table.text)
            .where(table.tenant == tenant, table.conversation_id == conversation_id)
            .order_by(table.at)
        )
        return [
            Note(*row)
            for row in await self._database.read(lambda connection: connection.execute(query).all())
        ]

    async def inbox(self, tenant: TenantId) -> dict[str, list[conversations.Conversation]]:
        """By holder: `queue` (longest wait first), `human`, `bot`; open ones only."""

        def read(connection: sa.Connection) -> dict[str, list[conversations.Conversation]]:
            return {
                "queue": conversations.search(connection, tenant, holder="queue", status="open"),
                "human": conversations.search(connection, tenant, holder="human", status="open"),
                "bot": conversations.search(connection, tenant, holder="bot", status="open", limit=50),
            }

        return await self._database.read(read)

    async def held(self, member: Member, conversation_id: ConversationId) -> conversations.Conversation:
        """The conversation, if this person holds it; raises `Conflict` otherwise."""
        return await self._database.read(
            lambda connection: _require_held(connection, member, conversation_id)
        )

    async def handoff_requested(self, event: HandoffRequested, _turn: Turn) -> Outcome:
        """Where the channel's platform has people of its own, they get the conversation; otherwise it waits here."""
        self._metrics.handoffs.labels(event.reason).inc()
        given = self.hand_over is not None and await self.hand_over(event.tenant, event.conversation_id)
        self._tell(event.tenant, event.conversation_id, "status")
        return Outcome(writes=[self._give_to_platform(event)] if given else [])

    async def message_for_human(self, event: MessageForHuman, _turn: Turn) -> Outcome:
        self._tell(event.tenant, event.conversation_id, "changed")
        return Outcome()

    async def approval_requested(self, event: ApprovalRequested, _turn: Turn) -> Outcome:
        self._tell(event.tenant, event.conversation_id, "status")
        return Outcome()

    async def reply_redirected(self, event: ReplyRedirected, _turn: Turn) -> Outcome:
        self._tell(event.tenant, event.conversation_id, "changed")
        return Outcome(replies=[event.outbound])

    async def staff_replied(self, event: StaffReplied, _turn: Turn) -> Outcome:
        return Outcome(replies=[event.outbound])

    async def reply_failed(self, event: ReplyFailed, _turn: Turn) -> Outcome:
        """A reply that will never arrive becomes visible: a note, and the conversation waits for a person."""
        now, moment = self._clock(), self._now()

        def write(connection: sa.Connection) -> None:
            _add_note(connection, event.tenant, event.conversation_id, moment, SYSTEM, event.code)
            conversation = conversations.find(connection, event.tenant, event.conversation_id)
            if conversation is not None and conversation.holder == "bot":
                conversations.change(
                    connection, event.tenant, event.conversation_id, now,
                    holder="queue", waiting_since=now, handoff_reason="reply_failed",
                )  # fmt: skip

        self._tell(event.tenant, event.conversation_id, "status")
        return Outcome(writes=[write])

    def _give_to_platform(self, event: HandoffRequested) -> Write:
        now = self._clock()

        def write(connection: sa.Connection) -> None:
            found = conversations.find(connection, event.tenant, event.conversation_id)
            if found is not None and found.holder == "queue":
                conversations.change(
                    connection, event.tenant, event.conversation_id, now,
                    holder="human", held_by=conversations.PLATFORM, waiting_since=None,
                )  # fmt: skip

        return write

    async def _release(
        self, member: Member, conversation_id: ConversationId, *, action: str, status: str
    ) -> None:
        member.require("desk.reply")
        await self.held(member, conversation_id)
        now = self._clock()
        event = ConversationReturned(tenant=member.tenant, conversation_id=conversation_id)

        def write(connection: sa.Connection, _seq: int) -> None:
            _require_held(connection, member, conversation_id)
            conversations.change(
                connection, member.tenant, conversation_id, now,
                holder="bot", held_by=None, status=status, handoff_reason=None, handoff_summary=None, waiting_since=None,
            )  # fmt: skip
            self._audit(connection, member, action, conversation_id)

        key = f"{conversation_id}:{random_token(8)}"
        await self._bus.accept(Entry(member.tenant, "desk", key, conversation_id, event), write)
        self._tell(member.tenant, conversation_id, "status")

    def _audit(
        self,
        connection: sa.Connection,
        member: Member,
        action: str,
        subject: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        now = self._clock()
        audit.write(
            connection, member.tenant, actor=member.id, action=action, subject=subject, now=now, detail=detail
        )

    def _tell(self, tenant: TenantId, conversation_id: ConversationId, kind: str) -> None:
        for topic in (conversation_id, f"desk:{tenant}"):
            self._hub.tell(Signal("status" if kind == "status" else "changed", topic))

    def _now(self) -> int:
        return to_milliseconds(self._clock())


def _require_held(
    connection: sa.Connection, member: Member, conversation_id: ConversationId
) -> conversations.Conversation:
    found = conversations.get(connection, member.tenant, conversation_id)
    if found.holder != "human" or found.held_by != member.id:
        raise errors.Conflict("Take the conversation over before answering in it.", code="not_held")
    return found


def _checked(text: str, most: int, *, code: str, least: int = 1) -> str:
    """Without the spaces around it. Half a character, which some keyboards send, cannot be stored."""
    text = text.strip()
    if not least <= len(text) <= most:
        raise errors.InvalidInput(f"Write between {least} and {most} characters.", code=code)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise errors.InvalidInput("The text holds a NUL or half of a character. Remove it.", code="bad_text")
    return text


def _add_note(
    connection: sa.Connection, tenant: TenantId, conversation_id: str, at: int, author: str, text: str
) -> None:
    connection.execute(
        sa.insert(note_table).values(
            tenant=tenant,
            id=random_token(9),
            conversation_id=conversation_id,
            at=at,
            author=author,
            text=text,
        )
    )
