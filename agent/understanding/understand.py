"""Turns one customer message into everything the agent needs to know about it, with one call of the embedder.

Called by the node `understand` once a turn. The vector it returns is the query vector of the whole normalised message, so
that retrieval embeds nothing again. A message of several clauses is embedded clause by clause in the same call: "取消订单,另外
发票怎么开" holds two wishes, of which a classifier of the whole sees one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.understanding import slots, trained
from agent.understanding.acts import ActModel, ScoredAct
from agent.understanding.emotion import Emotion, EmotionModel, HumanWishModel
from agent.understanding.heads import FloatMatrix
from agent.understanding.intent import IntentModel, IntentResult, ScoredIntent, Status
from agent.understanding.language import Language, detect_language
from agent.understanding.normalise import fold, normalise_query
from agent.understanding.signals import SignalFinder, Signals
from foundation.embedders.contract import Embedder

SOCIAL = frozenset(
    {"greeting", "thanks", "goodbye", "chitchat", "affirm", "deny", "repetition", "cancel", "correction"}
)
"""What people say around a wish; beside a wish in the same message it is not what the message is about."""
LONGEST_READ = 4_000
"""Characters that are searched for slots and language."""
BEGINNING, ENDING = 400, 200
"""Characters of a longer message that are embedded: more than one window of 512 tokens costs seconds, and a wish stands
at either end of a long story."""
MOST_CLAUSES = 4
SURE_OF_A_CLAUSE = 0.6
"""A clause stands without its context, so it must be clearer than a whole message to count by itself."""
_SENTENCE_END = re.compile(r"[。!?!?;;\n…]+|\.(?=\s)")
_NEXT_WISH = re.compile(
    r"[,,、]?\s*(?:另外|还有就是|还有个|顺便|对了|以及|再就是|同时也?|然后再?|还想|also|and also|by the way|btw|plus|and then)(?=[\s,,\u3400-\u9fff])",
    re.IGNORECASE,
)
_EDGE = re.compile(r"^[\s,,]+|[\s,,]+$")
_COMMA = re.compile(r"[,,]\s*")
SHORTEST_CLAUSE = 3
LONG_CLAUSE = 4


@dataclass(frozen=True)
class Understanding:
    text: str
    normalised: str
    vector: FloatMatrix
    language: Language
    intents: tuple[ScoredIntent, ...]
    """What the message wants, most important first; two where it clearly holds two wishes, empty unless sure."""
    candidates: tuple[ScoredIntent, ...]
    """The five likeliest readings of the whole message, for asking back."""
    intent: str | None
    status: Status
    confidence: float
    out_of_scope: float
    emotion: Emotion
    wants_human: float
    acts: tuple[ScoredAct, ...]
    slots: slots.Slots
    signals: Signals

    def to_json(self) -> dict[str, Any]:
        """Everything but the vector, as plain values."""
        return {
            "text": self.text,
            "normalised": self.normalised,
            "language": asdict(self.language),
            "intent": self.intent,
            "status": self.status,
            "confidence": round(self.confidence, 4),
            "out_of_scope": round(self.out_of_scope, 4),
            "intents": [{"intent": one.intent, "score": round(one.score, 4)} for one in self.intents],
            "candidates": [{"intent": one.intent, "score": round(one.score, 4)} for one in self.candidates],
            "emotion": {
                "label": self.emotion.label,
                "valence": self.emotion.valence,
                "confidence": round(self.emotion.confidence, 4),
            },
            "wants_human": round(self.wants_human, 4),
            "acts": [{"act": one.act, "score": round(one.score, 4)} for one in self.acts],
            "slots": self.slots.to_json(),
            "signals": list(self.signals.names()),
        }


class Understander:
    """`today` gives the customer's calendar day, from which "tomorrow" is counted."""

    def __init__(
        self,
        embedder: Embedder,
        built: trained.Models | Path = trained.BUNDLED,
        *,
        today: Callable[[], datetime.date],
        order_pattern: re.Pattern[str] = slots.SHOP_ORDER,
    ) -> None:
        loaded = (
            built if isinstance(built, trained.Models) else trained.Models.load(built, engine=embedder.engine)
        )
        self._embedder = embedder
        self._intent = IntentModel(loaded.intent)
        self._emotion = EmotionModel(loaded.emotion)
        self._wish = HumanWishModel(loaded.wants_human)
        self._acts = ActModel(loaded.acts)
        self._signals = SignalFinder()
        self._today = today
        self._order_pattern = order_pattern

    async def prepare(self, text: str) -> None:
        """Begins with what takes longest, the vectors, before it is known in which conversation the text stands; a cached
        embedder then has them at hand."""
        normalised = normalise_query(_ends(text[:LONGEST_READ]))
        await self._embedder.embed_queries([normalised, *split_clauses(normalised)])

    async def understand(self, text: str, *, previous_language: str | None = None) -> Understanding:
        typed = text[:LONGEST_READ]
        normalised = normalise_query(_ends(typed))
        clauses = split_clauses(normalised)
        vectors = await self._embedder.embed_queries([normalised, *clauses])
        whole, vector = self._intent.predict(normalised, vectors[0]), vectors[0]
        parts = self._intent.predict_many(clauses, vectors[1:]) if clauses else []
        intents = combine(whole, parts)
        return Understanding(
            text=text,
            normalised=normalised,
            vector=vector,
            language=detect_language(typed, previous_language),
            intents=intents,
            candidates=whole.scores,
            intent=intents[0].intent if intents else None,
            status="sure" if intents else whole.status,
            confidence=intents[0].score if intents else whole.confidence,
            out_of_scope=whole.out_of_scope,
            emotion=self._emotion.predict(normalised, vector, typed=fold(typed)),
            wants_human=self._wish.predict(normalised, vector),
            acts=self._acts.predict(normalised, vector, clauses=clauses),
            slots=slots.find_slots(typed, today=self._today(), order_pattern=self._order_pattern),
            signals=self._signals.find(normalised),
        )


def _ends(text: str) -> str:
    return text if len(text) <= BEGINNING + ENDING else f"{text[:BEGINNING]}\n{text[-ENDING:]}"


def combine(whole: IntentResult, parts: Sequence[IntentResult]) -> tuple[ScoredIntent, ...]:
    """The whole message decides; its clauses add a second wish, and speak where the whole says nothing or mere politeness."""
    found = {whole.intent: whole.confidence} if whole.intent is not None else {}
    for part in parts:
        if part.intent is not None and part.confidence >= SURE_OF_A_CLAUSE and part.intent not in SOCIAL:
            found.setdefault(part.intent, part.confidence)
    wishes = {intent: score for intent, score in found.items() if intent not in SOCIAL}
    return tuple(ScoredIntent(intent, score) for intent, score in list((wishes or found).items())[:2])


def split_clauses(normalised: str) -> list[str]:
    """Empty for a message of one clause; commas divide only long parts, because most of them join one thought."""
    sentences = [part for piece in _SENTENCE_END.split(normalised) for part in _NEXT_WISH.split(piece)]
    clauses = [clause for sentence in sentences for clause in _divide(_EDGE.sub("", sentence))]
    clauses = [
        clause for clause in clauses if len(clause) >= SHORTEST_CLAUSE or (len(sentences) > 1 and clause)
    ]
    return clauses[:MOST_CLAUSES] if len(clauses) > 1 else []


def _divide(sentence: str) -> list[str]:
    parts = [part for part in _COMMA.split(sentence) if part]
    return parts if parts and all(_long(part) for part in parts) else [sentence] if sentence else []


def _long(part: str) -> bool:
    return (
        len(part.split()) >= LONG_CLAUSE
        or sum("\u3400" <= character <= "\u9fff" for character in part) >= LONG_CLAUSE
    )
