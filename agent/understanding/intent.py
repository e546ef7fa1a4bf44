"""Names what a message is about, or says honestly that it does not know.

Called by `understand` and by whoever serves intents of a user's own. The text must be normalised, and the vector be its
embedding on the query side. No intent is named for two different reasons, which call for different replies: `unsure`
(ask which of the likely ones is meant) and `out_of_scope` (say what we can help with).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.understanding.heads import FloatMatrix, TextHead

Status = Literal["sure", "unsure", "out_of_scope"]

LIKELIER_RIGHT_THAN_WRONG = 0.5
"""The calibrated probability from which naming the intent does more good than asking back."""
SHOWN = 5


@dataclass(frozen=True)
class ScoredIntent:
    intent: str
    score: float


@dataclass(frozen=True)
class IntentResult:
    intent: str | None
    """None unless the status is `sure`."""
    confidence: float
    """Chance that the first of `scores` is right, strangers included in the count."""
    scores: tuple[ScoredIntent, ...]
    out_of_scope: float
    status: Status


class IntentModel:
    def __init__(self, head: TextHead) -> None:
        self._head = head

    @property
    def labels(self) -> tuple[str, ...]:
        return self._head.labels

    def predict(self, text: str, vector: FloatMatrix) -> IntentResult:
        return self.predict_many([text], vector[np.newaxis])[0]

    def predict_many(self, texts: Sequence[str], vectors: FloatMatrix) -> list[IntentResult]:
        found = self._head.predict(texts, vectors)
        return [
            self._judge(probabilities, float(stranger))
            for probabilities, stranger in zip(found.probabilities, found.out_of_scope, strict=True)
        ]

    def _judge(self, probabilities: FloatMatrix, out_of_scope: float) -> IntentResult:
        order = np.argsort(-probabilities, kind="stable")[:SHOWN]
        scores = tuple(ScoredIntent(self._head.labels[label], float(probabilities[label])) for label in order)
        best = scores[0]
        status: Status = "sure" if best.score >= LIKELIER_RIGHT_THAN_WRONG else "unsure"
        if out_of_scope > self._head.novelty.threshold:
            status = "out_of_scope"
        return IntentResult(
            intent=best.intent if status == "sure" else None,
            confidence=best.score * (1 - out_of_scope),
            scores=scores,
            out_of_scope=out_of_scope,
            status=status,
        )
