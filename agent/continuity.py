"""The open task follows its customer from one conversation into another, as soon as both have proven to be theirs.

`turn.Turns` calls `bring` before it reads a conversation, in the transaction that has found out who is writing: the task
leaves the other conversation and enters this one, or nothing happens. It is not taken from a conversation whose last word
is the customer's, because a turn may be under way there. A task whose two conversations no longer belong to one person
(a split, a proof that was another's) goes back to where it came from before anything of it is shown.

What would surprise you: it comes over `fresh`. The message that finds it there has not seen its question, so a "yes"
confirms nothing; the question is asked in this turn, and counts from the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent import records, summary
from agent.context import Language, Renders
from agent.state import Carried, Line
from customers.directory import Directory
from foundation import conversations
from foundation.bus.contract import Outcome, Turn
from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.events import ConversationDivided
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database

KEPT = timedelta(hours=24)
"""Who comes back later has a new wish, or names the old one."""
RECENT_LINES = 4
_TASK = ("form", "parked", "last_order")


class Threads:
    """Hears that a customer was split, between whose conversations a task may have moved."""

    def __init__(self, database: Database, directory: Directory, library: Renders, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._library = library
        self._clock = clock

    async def handle_divided(self, event: ConversationDivided, turn: Turn) -> Outcome:
        """Repeatable: what is still one person's stays."""
        tenant, now = event.tenant, self._clock()

        def divide(connection: sa.Connection) -> tuple[bool, Conversation, list[Line]]:
            before = conversations.get(connection, tenant, event.conversation_id)
            after = _give_back(connection, self._directory, before, now)
            return before.dialogue != after.dialogue, after, _last_lines(connection, after)

        divided, here, lines = await self._database.write(divide)
        if not divided or not here.handoff_summary:
            return Outcome()
        language: Language = "en" if here.language == "en" else "zh"
        values = summary.facts_again(here, lines)
        text = (
            await self._library.render(tenant, "replies/handoff_summary", language, **values)
        ).text.strip()

        def write(connection: sa.Connection) -> None:
            conversations.change(connection, tenant, here.id, now, handoff_summary=text)

        return Outcome(writes=[write])


def bring(
    connection: sa.Connection, directory: Directory, tenant: TenantId, conversation_id: ConversationId, now: datetime
) -> None:  # fmt: skip
    """Repeatable: what has come over is found open here."""
    here = conversations.get(connection, tenant, conversation_id)
    here = _give_back(connection, directory, here, now)
    if here.holder != "bot" or here.dialogue.get("form"):
        return
    found = _find(connection, directory, here, now)
    if found is None:
        return
    _move(connection, found, here, now)


def recent(connection: sa.Connection, conversation: Conversation) -> list[Line]:
    """The last words where the task was begun, for a turn that finds it fresh; otherwise nothing."""
    carried = conversation.dialogue.get("carried")
    if not carried or not carried["fresh"]:
        return []
    return _last_lines(
        connection,
        conversations.get(connection, conversation.tenant, ConversationId(carried["conversation"])),
    )


def _last_lines(connection: sa.Connection, there: Conversation) -> list[Line]:
    lines = conversations.read(
        connection, there.tenant, there.id, before_seq=there.last_seq + 1, limit=RECENT_LINES
    )
    return [Line(role=line.role, text=line.words) for line in lines]


def _find(
    connection: sa.Connection, directory: Directory, here: Conversation, now: datetime
) -> Conversation | None:
    """The one of this person's other conversations that was left last with a task open."""
    others = (
        conversations.get(connection, here.tenant, other)
        for other in directory.find_threads(connection, here.tenant, here.id)
    )
    waiting = [one for one in others if _waits(connection, one, now)]
    return max(waiting, key=lambda one: (one.updated_at, one.id), default=None)


def _waits(connection: sa.Connection, there: Conversation, now: datetime) -> bool:
    form = there.dialogue.get("form")
    if there.holder != "bot" or not form or not form["values"] or there.last_customer_at is None:
        return False
    if now - there.last_customer_at > KEPT:
        return False
    last = conversations.read(connection, there.tenant, there.id, before_seq=there.last_seq + 1, limit=1)
    return bool(last) and last[0].role != "customer"


def _move(connection: sa.Connection, source: Conversation, target: Conversation, now: datetime) -> None:
    left, taken = _parted(source.dialogue)
    if not records.change_dialogue(
        connection, source.tenant, source.id, left, seen_seq=source.last_seq, now=now
    ):
        return  # somebody has just written there
    carried = Carried(conversation=source.id, channel=source.channel, fresh=True)
    conversations.change(
        connection, target.tenant, target.id, now, dialogue={**target.dialogue, **taken, "carried": carried}
    )


def _give_back(
    connection: sa.Connection, directory: Directory, here: Conversation, now: datetime
) -> Conversation:
    carried = here.dialogue.get("carried")
    if not carried:
        return here
    left, taken = _parted(here.dialogue)
    if taken and directory.is_one_person(
        connection, here.tenant, here.id, ConversationId(carried["conversation"])
    ):
        return here
    there = conversations.find(connection, here.tenant, ConversationId(carried["conversation"]))
    if taken and there is not None and not there.dialogue.get("form"):
        conversations.change(connection, there.tenant, there.id, now, dialogue={**there.dialogue, **taken})
    conversations.change(connection, here.tenant, here.id, now, dialogue=left)
    return conversations.get(connection, here.tenant, here.id)


def _parted(dialogue: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stays, and the task with what hangs on it."""
    taken = {name: dialogue[name] for name in _TASK if dialogue.get(name)}
    return {name: value for name, value in dialogue.items() if name not in (*_TASK, "carried")}, taken
