"""`Turns` hears the bus on behalf of the bot: a message, a decision of staff, a proof, a conversation given back.

Each call takes one conversation from its row, runs one turn through the graph, and answers with an `Outcome` that the
worker commits; nothing is committed here but who the sender is. A conversation that a person holds, or that waits for one,
is a row of ours, and its messages never enter the graph.

One turn has one thread, `<conversation>|<key>`: a message that arrives while an earlier turn waits for staff cannot
touch it. A turn that runs again (a crash, a lost lease) goes on from its checkpoint or from the start, with the same
idempotency keys, and says the same.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command

from agent import continuity, customer, graph, outcome, policy, records
from agent.context import AgentContext, Language, Services
from agent.customer import Customer
from agent.outcome import Frame
from agent.state import Cause, Decision, Dialogue, Line, Message, TurnState, is_fresh
from customers.directory import Directory, Person
from customers.proof.levels import Standing
from foundation import conversations
from foundation.bus.contract import Outcome, Turn
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import Conversation
from foundation.events import (
    ApprovalDecided,
    ConversationReturned,
    IdentityProven,
    MessageForHuman,
    MessageReceived,
)
from foundation.messages import FILES, ConversationId, InboundMessage, MessageId, TenantId
from foundation.storage.database import Database

QUEUE_NOTICE = timedelta(minutes=3)
"""How often a waiting customer is told their place; more often would be noise."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    final: TurnState
    suspended: bool
    milliseconds: float


class Turns:
    def __init__(
        self, database: Database, directory: Directory, services: Services, saver: BaseCheckpointSaver[Any]
    ) -> None:
        self._database = database
        self._directory = directory
        self._services = services
        self._saver = saver
        self._graph = graph.build(saver)
        self._unkept = graph.build(None)

    async def handle_message(self, event: MessageReceived, turn: Turn) -> Outcome:
        message, tenant = event.message, event.tenant

        def enter(connection: sa.Connection) -> tuple[Person, tuple[Conversation, list[Line]]]:
            person = self._directory.resolve(connection, tenant, message, event.conversation_id)
            conversation = self._bring(connection, tenant, event.conversation_id, person)
            return person, (
                conversation,
                continuity.recent(connection, conversation, before_seq=event.seq, since=person.since),
            )

        preparing = asyncio.create_task(self._services.understander.prepare(message.text))
        try:
            person, (conversation, recent) = await self._database.write(enter)
            met = await self._database.read(lambda connection: self._meet(connection, event, person))
            if conversation.holder == "bot":
                await preparing
        finally:
            preparing.cancel()
        frame = self._frame(conversation, key=str(event.seq), seq=event.seq, message=message)
        if conversation.holder != "bot":
            held = await self._while_held(frame, event)
            return self._noting(
                frame, met, held, understood=await self._overhear(event.message, conversation)
            )
        state = _begin(message.text, message, dialogue=_dialogue(conversation), recent=recent)
        return await self._through_graph(frame, state, person, attempt=turn.attempt, met=met)

    async def handle_proof(self, event: IdentityProven, turn: Turn) -> Outcome:
        """Goes on with what had to wait for the sign-in, or with a task that was begun elsewhere; nothing waits: nothing is
        said."""

        def enter(connection: sa.Connection) -> tuple[Person, Conversation, list[Line]]:
            person = self._directory.person(connection, event.tenant, event.conversation_id)
            conversation = self._bring(connection, event.tenant, event.conversation_id, person, settles=True)
            return person, conversation, continuity.recent(connection, conversation, since=person.since)

        person, conversation, recent = await self._database.write(enter)
        dialogue = _dialogue(conversation)
        pending = dialogue.pop("pending", None)
        if conversation.holder != "bot" or not (pending or is_fresh(dialogue)):
            return Outcome()
        frame = self._frame(conversation, key=f"proof-{turn.seq}", seq=conversation.last_seq)
        text = pending["text"] if pending else ""
        state = _begin(text, None, dialogue=dialogue, recent=recent, cause="proof")
        if not text:
            state["message"]["kind"] = "event"
        return await self._through_graph(frame, state, person, attempt=turn.attempt)

    async def handle_approval(self, event: ApprovalDecided, turn: Turn) -> Outcome:
        """Resumes the suspended turn. Without its checkpoint the row alone is enough. Decided and told: silence."""
        row = await self._database.read(
            lambda connection: records.find_approval(connection, event.tenant, event.approval_id)
        )
        if row is None or row.state not in ("approved", "refused"):
            return Outcome()
        conversation, _ = await self._load(event.tenant, event.conversation_id)
        frame = self._frame(conversation, key=f"{row.key}-decision", seq=row.seq)
        decision = Decision(approved=row.state == "approved", by=row.decided_by or "", note=row.note or "")
        context = self._context(
            replace(frame, key=row.key), account=row.payload["account"], standing=Standing(account=True)
        )
        run = await self._resume(row, decision, replace(context, message_id=frame.message_id))
        done = outcome.of_decision(frame, run.final, approval_id=row.id, total_milliseconds=run.milliseconds)
        await self._saver.adelete_thread(_thread(frame.id, row.key))
        return done

    async def handle_return(self, event: ConversationReturned, turn: Turn) -> Outcome:
        """The bot takes over again and has read what was said; what a person has dealt with is not asked anew."""
        conversation, recent = await self._load(event.tenant, event.conversation_id)
        before = _dialogue(conversation)
        kept = Dialogue(
            language=before.get("language", "zh-Hans"),
            script=before.get("script", "hans"),
            approvals=before.get("approvals", []),
            last_order=before.get("last_order", ""),
        )
        frame = self._frame(conversation, key=f"return-{turn.seq}", seq=conversation.last_seq)
        if conversation.holder != "bot" or conversation.status == "closed":
            return self._settled(frame, Outcome(writes=[outcome.remember(frame, kept)]))
        last = next((line["text"] for line in reversed(recent) if line["role"] == "agent"), "")
        text = await self._say(frame, "returned", {"last": last}, kept)
        return self._settled(frame, outcome.of_notice(frame, text, kept))

    async def _while_held(self, frame: Frame, event: MessageReceived) -> Outcome:
        """A person holds the conversation, or it waits for one: the desk hears the message, the graph does not."""
        if event.message.event == "end" and frame.conversation.held_by == conversations.PLATFORM:
            return Outcome(writes=[outcome.leave_platform(frame)])
        heard = MessageForHuman(tenant=frame.tenant, conversation_id=frame.id, seq=event.seq)
        entry = outcome.entry(frame, "for-human", heard)
        if frame.conversation.holder == "human" or event.message.kind == "event":
            return Outcome(entries=[entry])
        dialogue = _dialogue(frame.conversation)
        if policy.leaves_queue(self._services.writing.plain(event.message.text)):
            text = await self._say(frame, "queue_left", {}, dialogue)
            left = outcome.of_notice(frame, text, {**dialogue, "form": None, "misunderstood": 0, "angry": 0})
            return self._settled(frame, replace(left, writes=[*left.writes, outcome.leave_queue(frame)]))
        if not _is_due(dialogue, frame.now):
            return Outcome(entries=[entry])
        place = await self._database.read(
            lambda connection: _place_in_queue(connection, frame.tenant, frame.conversation)
        )
        text = await self._say(frame, "queue_place", {"place": place}, dialogue)
        told: Dialogue = {**dialogue, "queue_told": to_milliseconds(frame.now)}
        return outcome.of_notice(frame, text, told, entries=(entry,))

    async def _through_graph(
        self, frame: Frame, state: TurnState, person: Person, *, attempt: int, met: Customer | None = None
    ) -> Outcome:
        context = self._context(frame, account=person.account or "", standing=person.standing)
        context = replace(context, customer=met)
        frame = replace(frame, account=context.account)
        run = await self._run(state, context, attempt=attempt)
        view = context.profile(run.final["understood"])
        done = outcome.of_turn(
            frame, run.final, suspended=run.suspended, total_milliseconds=run.milliseconds,
            priority=view.priority if view else 0,
        )  # fmt: skip
        done = self._noting(frame, met, done, understood=run.final["understood"], final=run.final)
        if not run.suspended and (attempt > 1 or _waits_for_yes(state)):
            await self._saver.adelete_thread(_thread(frame.id, frame.key))
        _note(frame, run)
        return done

    def _bring(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, person: Person, *,
        settles: bool = False,
    ) -> Conversation:  # fmt: skip
        here, now = conversations.get(connection, tenant, conversation_id), self._services.clock()
        proven = customer.may_see_other_channels(person)
        return continuity.bring(connection, self._directory, here, now, proven=proven, settles=settles)

    def _meet(self, connection: sa.Connection, event: MessageReceived, person: Person) -> Customer | None:
        profiles = self._services.profiles
        if profiles is None:
            return None
        said = customer.spoken(connection, event.tenant, event.conversation_id, event.message, seq=event.seq)
        now = self._services.clock()
        return customer.meet(connection, profiles, event.tenant, person, said=said, now=now)

    async def _overhear(self, message: InboundMessage, conversation: Conversation) -> dict[str, Any]:
        """What a customer says to people, or while waiting for them: the bot answers nothing, their profile hears it."""
        if self._services.profiles is None or message.kind != "text" or not message.text.strip():
            return {}
        before = _dialogue(conversation).get("language") or None
        found = await self._services.understander.understand(message.text, previous_language=before)
        return found.to_json()

    def _noting(
        self, frame: Frame, met: Customer | None, done: Outcome, *, understood: dict[str, Any], final: TurnState | None = None
    ) -> Outcome:  # fmt: skip
        """What was heard goes into the profile when the turn is done, or not at all."""
        profiles = self._services.profiles
        if profiles is None or met is None:
            return done
        heard, priority = met.heard(understood), met.view(understood).priority
        opened = (
            customer.handed_over(frame.id, frame.key, frame.now) if final and final.get("handoff") else None
        )

        def write(connection: sa.Connection) -> None:
            for happened in (heard, opened):
                if happened is not None:
                    profiles.note(connection, frame.tenant, met.identity_id, happened)

        return replace(done, writes=[*done.writes, write, outcome.hurry(frame, priority)])

    def _settled(self, frame: Frame, done: Outcome) -> Outcome:
        """People have given the conversation back: it is no open matter any more."""
        profiles = self._services.profiles
        if profiles is None:
            return done
        closed = customer.given_back(frame.id, frame.key, frame.now)

        def write(connection: sa.Connection) -> None:
            person = self._directory.find(connection, frame.tenant, frame.id)
            if person is not None:
                profiles.note(connection, frame.tenant, person.identity_id, closed)

        return replace(done, writes=[*done.writes, write])

    async def _run(self, state: TurnState, context: AgentContext, *, attempt: int) -> _Run:
        """Every step is kept where an effect waits for its "yes". Before that nothing can happen that a repeat from the
        start would do twice, and nothing can be suspended, so nothing is kept; a repeat is kept in any case."""
        started = time.perf_counter()
        config = _config(context.conversation_id, context.key)
        given: TurnState | None = state
        if attempt > 1:
            before = await self._graph.aget_state(config)
            if before.interrupts or (before.values and not before.next):
                return _Run(cast("TurnState", before.values), bool(before.interrupts), _since(started))
            given = None if before.next else state
        if attempt > 1 or _waits_for_yes(state):
            output = await self._graph.ainvoke(
                given, config, context=context, durability="sync", version="v2"
            )
        else:
            output = await self._unkept.ainvoke(given, context=context, version="v2")
        return _Run(output.value, bool(output.interrupts), _since(started))

    async def _resume(self, row: records.ApprovalRow, decision: Decision, context: AgentContext) -> _Run:
        started = time.perf_counter()
        config = _config(row.conversation_id, row.key)
        before = await self._graph.aget_state(config)
        given: Any = _from_row(row, decision)
        if before.interrupts:
            given = Command(resume=dict(decision))
        elif before.next:
            given = None
        elif before.values and before.values.get("decision"):
            return _Run(cast("TurnState", before.values), False, _since(started))
        output = await self._graph.ainvoke(given, config, context=context, durability="sync", version="v2")
        return _Run(output.value, False, _since(started))

    async def _load(
        self, tenant: TenantId, conversation_id: ConversationId
    ) -> tuple[Conversation, list[Line]]:
        def read(connection: sa.Connection) -> tuple[Conversation, list[Line]]:
            conversation = conversations.get(connection, tenant, conversation_id)
            return conversation, continuity.recent(connection, conversation)

        return await self._database.read(read)

    def _frame(
        self, conversation: Conversation, *, key: str, seq: int, message: InboundMessage | None = None
    ) -> Frame:
        return Frame(
            tenant=conversation.tenant, conversation=conversation, key=key, seq=seq, message_id=MessageId(f"bot-{key}"),
            now=self._services.clock(), reply_context=dict(message.reply_context) if message else {},
        )  # fmt: skip

    def _context(self, frame: Frame, *, account: str, standing: Standing) -> AgentContext:
        return AgentContext(
            services=self._services, tenant=frame.tenant, conversation_id=frame.id, key=frame.key,
            message_id=frame.message_id, account=account, standing=standing,
        )  # fmt: skip

    async def _say(self, frame: Frame, reply: str, values: dict[str, Any], dialogue: Dialogue) -> str:
        language: Language = "en" if frame.conversation.language == "en" else "zh"
        rendered = await self._services.library.render(frame.tenant, f"replies/{reply}", language, **values)
        script = dialogue.get("script", "hans") if language == "zh" else "hans"
        return self._services.writing.fit(rendered.text.strip(), script)


def _begin(
    text: str, message: InboundMessage | None, *, dialogue: Dialogue, recent: list[Line], cause: Cause = "message",
) -> TurnState:  # fmt: skip
    language: Language = "en" if dialogue.get("language", "zh").startswith("en") else "zh"
    said = _said(text, message)
    return TurnState(
        cause=cause, message=said, dialogue=dialogue, recent=recent, language=language, passages=[], answerable=0.0, facts=[], tools=[],
        approval=None, decision=None, handoff="",
    )  # fmt: skip


def _said(text: str, message: InboundMessage | None) -> Message:
    """A voice message whose words are known, and a picture under which something is written, say it as a text does."""
    if message is None:
        return Message(text=text, kind="text", event="", seen="", problem="", network="")
    pictures = [one.reading for one in message.attachments if one.kind == "image" and one.reading]
    return Message(
        text=text,
        kind="text" if message.kind in FILES and text.strip() else message.kind,
        event=message.event,
        seen=" ".join(pictures),
        problem=next((one.problem for one in message.attachments if one.problem), ""),
        network=message.event_data.get("network", ""),
    )


def _from_row(row: records.ApprovalRow, decision: Decision) -> TurnState:
    """The suspended turn without its checkpoint."""
    payload = row.payload
    dialogue = Dialogue(script=payload["script"])
    plan = {"route": "task", "also_answer": False, "tool": row.tool}
    return TurnState(
        cause="approval", message=_said("", None), dialogue=dialogue, recent=[], language=payload["language"],
        understood=payload["understood"], plan=plan, passages=[], answerable=0.0, facts=[], tools=[], parts=[],
        approval=payload["approval"], decision=decision, handoff="",
    )  # fmt: skip


def _waits_for_yes(state: TurnState) -> bool:
    form = state["dialogue"].get("form")
    return form is not None and form["stage"] == "confirming"


def _dialogue(conversation: Conversation) -> Dialogue:
    return cast("Dialogue", dict(conversation.dialogue))


def _is_due(dialogue: Dialogue, now: datetime) -> bool:
    told = dialogue.get("queue_told")
    return told is None or now - from_milliseconds(told) >= QUEUE_NOTICE


def _place_in_queue(connection: Any, tenant: TenantId, conversation: Conversation) -> int:
    waiting = conversations.search(connection, tenant, holder="queue", status="open", limit=1_000)
    ids = [other.id for other in waiting]
    return ids.index(conversation.id) + 1 if conversation.id in ids else len(ids) + 1


def _thread(conversation_id: ConversationId, key: str) -> str:
    return f"{conversation_id}|{key}"


def _config(conversation_id: ConversationId, key: str) -> RunnableConfig:
    return {"configurable": {"thread_id": _thread(conversation_id, key)}}


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _note(frame: Frame, run: _Run) -> None:
    final = run.final
    _log.info(
        "turn", conversation=frame.id, key=frame.key, intent=final["understood"]["intent"], rung=final.get("rung"),
        handoff=final.get("handoff") or None, suspended=run.suspended, milliseconds=round(run.milliseconds, 1),
    )  # fmt: skip
