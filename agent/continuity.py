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
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent import records, summary
from agent.context import Language, Renders
from agent.state import Carried, Line
from agent.tools import verification
from customers import records as places
from customers.directory import Directory
from customers.graph import history
from customers.linking import known_pairs
from foundation import conversations
from foundation.bus.contract import Entry, Outcome, Turn
from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.events import ConversationDivided, CustomersDivided
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database

KEPT = timedelta(hours=24)
"""Who comes back later has a new wish, or names the old one."""
RECENT_LINES, CARRIED_LINES = 8, 4
TAKEN_BACK = ""
"""In place of a summary that told of two people, until it is written anew."""
_TASK = ("form", "parked", "last_order")


class Threads:
    """Hears that a customer was split, between whose conversations a task may have moved."""

    def __init__(self, database: Database, directory: Directory, library: Renders, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._library = library
        self._clock = clock

    async def handle_divided_customers(self, event: CustomersDivided, turn: Turn) -> Outcome:
        """Each conversation that has taken something over hears of it in its own lane, so that no turn is under way there."""
        found = await self._database.read(lambda c: _find_carried(c, event.tenant, event.operation))
        return Outcome(
            entries=[
                Entry(
                    event.tenant, "divided", f"{event.operation}:{one}", one,
                    ConversationDivided(tenant=event.tenant, conversation_id=one),
                )
                for one in found
            ]
        )  # fmt: skip

    async def handle_divided(self, event: ConversationDivided, turn: Turn) -> Outcome:
        """Repeatable: what is still one person's stays."""
        tenant, now = event.tenant, self._clock()

        def divide(connection: sa.Connection) -> tuple[Conversation, list[Line]]:
            here = conversations.get(connection, tenant, event.conversation_id)
            here = _give_back(connection, self._directory, here, now)
            return here, _lines(connection, here, here.last_seq + 1, limit=CARRIED_LINES)

        here, lines = await self._database.write(divide)
        if here.handoff_summary != TAKEN_BACK:
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
    connection: sa.Connection, directory: Directory, here: Conversation, now: datetime, *, proven: bool,
    settles: bool = False,
) -> Conversation:  # fmt: skip
    """The conversation as it is then; nothing is looked for while no account is `proven` in it. `settles`: something has
    just been proven here, and nobody is asked for a code any more. Repeatable: what has come over is found open here."""
    here = _give_back(connection, directory, here, now)
    if settles:
        here = replace(here, dialogue=verification.settled(here.dialogue))
    if not proven or here.holder != "bot" or here.dialogue.get("form"):
        return here
    found = _find(connection, directory, here, now)
    return here if found is None else _move(connection, found, here, now)


def recent(
    connection: sa.Connection, conversation: Conversation, *, before_seq: int | None = None, since: datetime | None = None
) -> list[Line]:  # fmt: skip
    """The last words for a turn: said here, and before them where a task was begun that has just come over. `since`: what
    was said here before was somebody else's."""
    end = conversation.last_seq + 1 if before_seq is None else before_seq
    return [*_carried_lines(connection, conversation), *_lines(connection, conversation, end, since)]


def _carried_lines(connection: sa.Connection, conversation: Conversation) -> list[Line]:
    carried = conversation.dialogue.get("carried")
    if not carried or not carried["fresh"]:
        return []
    there = conversations.get(connection, conversation.tenant, ConversationId(carried["conversation"]))
    return _lines(connection, there, there.last_seq + 1, limit=CARRIED_LINES)


def _lines(
    connection: sa.Connection, there: Conversation, end: int, since: datetime | None = None, *, limit: int = RECENT_LINES
) -> list[Line]:  # fmt: skip
    lines = conversations.read(connection, there.tenant, there.id, before_seq=end, limit=limit)
    return [Line(role=line.role, text=line.words) for line in lines if since is None or line.sent_at >= since]


def _find(
    connection: sa.Connection, directory: Directory, here: Conversation, now: datetime
) -> Conversation | None:
    """The one of this person's other conversations that was left last with a task open."""
    threads = directory.find_threads(connection, here.tenant, here.id)
    recent = records.find_recent(connection, here.tenant, threads, since=now - KEPT)
    waiting = [one for one in recent if _waits(connection, one)]
    return max(waiting, key=lambda one: (one.updated_at, one.id), default=None)


def _find_carried(connection: sa.Connection, tenant: TenantId, operation: int) -> list[ConversationId]:
    ids = known_pairs.members_of(connection, tenant, history.find_customers(connection, tenant, operation))
    found = {*places.find_shown(connection, tenant, ids)}
    found |= {one for _, one in places.find_conversations(connection, tenant, ids)}
    known = (conversations.find(connection, tenant, one) for one in sorted(found))
    return [one.id for one in known if one is not None and one.dialogue.get("carried")]


def _waits(connection: sa.Connection, there: Conversation) -> bool:
    form = there.dialogue.get("form")
    if not form or not form["values"]:
        return False
    last = conversations.read(connection, there.tenant, there.id, before_seq=there.last_seq + 1, limit=1)
    return bool(last) and last[0].role != "customer"


def _move(
    connection: sa.Connection, source: Conversation, target: Conversation, now: datetime
) -> Conversation:
    left, taken = _parted(source.dialogue)
    if not records.change_dialogue(
        connection, source.tenant, source.id, left, seen_seq=source.last_seq, now=now
    ):
        return target  # somebody has just written there
    carried = Carried(conversation=source.id, channel=source.channel, fresh=True)
    dialogue = {**target.dialogue, **taken, "carried": carried}
    conversations.change(connection, target.tenant, target.id, now, dialogue=dialogue)
    return replace(target, dialogue=dialogue)


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
    summary = TAKEN_BACK if taken and here.handoff_summary else here.handoff_summary
    conversations.change(connection, here.tenant, here.id, now, dialogue=left, handoff_summary=summary)
    return replace(here, dialogue=left, handoff_summary=summary)


def _parted(dialogue: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stays, and the task with what hangs on it."""
    taken = {name: dialogue[name] for name in _TASK if dialogue.get(name)}
    return {name: value for name, value in dialogue.items() if name not in (*_TASK, "carried")}, taken
