"""The product on the evaluations' stage: the assembled system on throwaway storage, as `service.rehearsal` opens it.

`mind` needs no storage and opens none. `shelf` opens a system over the suite's articles; `world` opens one for each
journey, so that no journey sees another's returns. Vectors are remembered in the installation's cache, which makes the
second run of a suite quick.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent import policy, records
from agent.understanding import learning, trained
from agent.understanding.intent import IntentModel
from agent.understanding.normalise import normalise_query
from agent.understanding.understand import Understander
from evals.graders.seen import Rows
from evals.world import Classifier, Mind, Retrieved, Shelf, Spoken, Trainer, Understood, World
from foundation import conversations, errors
from foundation.bus.contract import Entry
from foundation.clock import utc_now
from foundation.embedders.cached import CachedEmbedder
from foundation.embedders.contract import Embedder
from foundation.events import ApprovalDecided, IdentityProven
from foundation.messages import ConversationId
from foundation.settings import Settings
from service import rehearsal, wiring

DEPTH = 10
"""Articles asked for; what the deepest metric looks at."""
STAFF = "evaluation"
PROOF_SECONDS = 3600
BOOKKEEPING = frozenset({"done", "events", "items", "sqlite_sequence"})
"""Tables of the demo shop that only repeat what happened elsewhere."""


class RehearsedStage:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trained: trained.Models | None = None

    @asynccontextmanager
    async def mind(self) -> AsyncIterator[Mind]:
        embedder = wiring.build(self._settings).embedder
        self._trained = trained.Models.load(trained.BUNDLED, engine=embedder.engine)
        try:
            yield _ProductMind(embedder, self._trained)
        finally:
            await embedder.close()

    def trainer(self) -> Trainer:
        assert self._trained is not None, "a trainer belongs to an open mind"
        return _ProductTrainer(self._trained)

    @asynccontextmanager
    async def shelf(self, articles: Path) -> AsyncIterator[Shelf]:
        async with rehearsal.rehearse(self._settings, articles=articles) as opened:
            yield _ProductShelf(opened)

    @asynccontextmanager
    async def world(self, *, account: str, channel: str) -> AsyncIterator[World]:
        async with rehearsal.rehearse(self._settings) as opened:
            yield _ProductWorld(opened, account, channel)

    async def about(self) -> Mapping[str, Any]:
        """Digests are those of the release's prompt files; what a tenant published over them has its own per turn."""
        lock = (Path(wiring.ROOT) / "prompts" / "prompts.lock").read_text(encoding="utf-8")
        prompts = {
            name: f"{version}#{digest}"
            for name, version, digest in (
                line.split() for line in lock.splitlines() if not line.startswith("#")
            )
        }
        return {
            "embedder": self._settings.embedder,
            "models": [choice.model for choice in self._settings.models],
            "prompts": prompts,
        }


class _ProductMind:
    def __init__(self, embedder: CachedEmbedder, built: trained.Models) -> None:
        self._embedder = embedder
        self._understander = Understander(embedder, built, today=lambda: utc_now().date())

    @property
    def embedder(self) -> Embedder:
        return self._embedder

    async def understand(self, text: str) -> Understood:
        found = await self._understander.understand(text)
        return Understood(
            likeliest=found.intent or (found.candidates[0].intent if found.candidates else ""),
            status=found.status,
            confidence=found.confidence,
            out_of_scope=found.out_of_scope,
            language=found.language.code,
            emotion=found.emotion.label,
            valence=found.emotion.valence,
            anger=found.emotion.scores.get("angry", 0.0),
        )


class _ProductTrainer:
    def __init__(self, built: trained.Models) -> None:
        self._clouds = built.clouds

    def prepare(self, text: str) -> str:
        return normalise_query(text)

    async def learn(self, examples: Sequence[tuple[str, str | None]], embedder: Embedder) -> Classifier:
        labelled = [learning.Labelled(text, label) for text, label in examples]
        head = await learning.learn(labelled, embedder, clouds=self._clouds)
        return _Learned(IntentModel(head), embedder)


class _Learned:
    """What was learned are labels of one kind; feelings and languages stay empty."""

    def __init__(self, model: IntentModel, embedder: Embedder) -> None:
        self._model = model
        self._embedder = embedder

    async def understand(self, text: str) -> Understood:
        (found,) = await learning.classify([text], self._model, self._embedder)
        scores = {one.intent: one.score for one in found.scores}
        anger = max((scores.get(name, 0.0) for name in ("angry", "anger")), default=0.0)
        return Understood(
            found.scores[0].intent, found.status, found.confidence, found.out_of_scope, "", "", 0.0, anger
        )


class _ProductShelf:
    def __init__(self, opened: rehearsal.Rehearsal) -> None:
        self._system = opened.system

    async def search(self, question: str, *, language: str) -> Retrieved:
        tenant = self._system.tenants[0]
        found = await self._system.knowledge.ask(tenant, question, language=language, limit=DEPTH)
        answered = policy.may_answer(found.answerable, policy.Rules()) == "answer" and found.best is not None
        articles = tuple(hit.article for hit in found.passages)
        return Retrieved(articles, found.answerable, refused=not answered)


class _ProductWorld:
    """Speaks as a customer of a channel; `account` is proven with every message until another is."""

    def __init__(self, opened: rehearsal.Rehearsal, account: str, channel: str) -> None:
        self._opened = opened
        self._system = opened.system
        self._tenant = opened.system.tenants[0]
        self._account = account
        self._channel = channel
        self._events = 0

    async def say(self, text: str) -> Spoken:
        spoken = await self._opened.say(
            text, conversation="journey", account=self._account, channel=self._channel
        )
        return Spoken(
            reply=spoken.reply,
            intent=spoken.intent or "",
            language=spoken.language,
            emotion=str(spoken.emotion["label"]),
            citations=tuple(spoken.citations),
            tools=tuple(spoken.tools),
            handoff=spoken.handoff["reason"] if spoken.handoff else None,
            choices=tuple(choice["label"] for choice in spoken.choices),
            model=spoken.model or "",
        )

    async def sign_in(self, account: str) -> Spoken:
        self._account = account
        conversation = await self._conversation()
        event = IdentityProven(tenant=self._tenant, conversation_id=conversation.id)

        def prove(connection: sa.Connection, _seq: int) -> None:
            self._system.directory.prove(
                connection,
                self._tenant,
                conversation.id,
                account=account,
                method="sign_in",
                valid_seconds=PROOF_SECONDS,
            )

        return await self._cause(conversation, event, prove)

    async def decide(self, *, approve: bool, note: str) -> Spoken:
        conversation = await self._conversation()
        waiting = await self._system.database.read(
            lambda connection: records.waiting_approvals(connection, self._tenant, conversation.id)
        )
        if not waiting:
            raise errors.NotFound("Nothing waits for a decision of staff.")
        approval = waiting[0]
        event = ApprovalDecided(tenant=self._tenant, conversation_id=conversation.id, approval_id=approval.id)

        def decide(connection: sa.Connection, _seq: int) -> None:
            records.decide_approval(
                connection,
                self._tenant,
                approval.id,
                approved=approve,
                by=STAFF,
                now=self._system.clock(),
                note=note,
            )

        return await self._cause(conversation, event, decide)

    async def state(self) -> Rows:
        """Rows of the demo shop's database. Empty where the settings name another order system."""
        if not self._opened.orders.exists():
            return {}
        with closing(sqlite3.connect(f"file:{self._opened.orders}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {
                name: [_plain(row) for row in database.execute(f'SELECT * FROM "{name}"')]  # noqa: S608  # its own names
                for name in names
                if name not in BOOKKEEPING
            }

    async def _conversation(self) -> conversations.Conversation:
        """The only one there is."""
        tenant = self._tenant
        found = await self._system.database.read(
            lambda connection: conversations.search(connection, tenant, status="open", limit=2)
        )
        if len(found) != 1:
            raise errors.NotFound("The customer has not said anything yet; begin the journey with a message.")
        return found[0]

    async def _cause(
        self, conversation: conversations.Conversation, event: IdentityProven | ApprovalDecided, write: Any
    ) -> Spoken:
        self._events += 1
        entry = Entry(self._tenant, "evaluation", f"step-{self._events}", conversation.id, event)
        await self._system.bus.accept(entry, write)
        await self._opened.settle()
        return await self._since(conversation.id, conversation.last_seq)

    async def _since(self, conversation_id: ConversationId, seq: int) -> Spoken:
        tenant = self._tenant

        def look(connection: sa.Connection) -> tuple[list[conversations.Message], Any, list[records.TurnRow]]:
            return (
                conversations.read(connection, tenant, conversation_id, after_seq=seq),
                conversations.get(connection, tenant, conversation_id),
                records.read_turns(connection, tenant, conversation_id),
            )

        messages, conversation, turns = await self._system.database.read(look)
        said = [message for message in messages if message.role == "bot"]
        turn = turns[-1] if turns and said else None
        return Spoken(
            reply="\n".join(message.text for message in said),
            intent=(turn.intent or "") if turn else "",
            language=turn.language if turn else "",
            emotion=turn.emotion if turn else "",
            citations=tuple(citation.model_dump() for message in said for citation in message.citations),
            tools=tuple({"name": tool["name"], "ok": tool["ok"]} for tool in turn.tools) if turn else (),
            handoff=conversation.handoff_reason if conversation.holder == "queue" else None,
            choices=tuple(choice.label for message in said for choice in message.choices),
        )


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    return {name: _decoded(row[name]) for name in row.keys()}  # noqa: SIM118  # a Row iterates over its values


def _decoded(value: Any) -> Any:
    """Lists are stored as JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
