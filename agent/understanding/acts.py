"""Hears what a message does in the dialogue: agrees, refuses, stops, corrects, thanks, leaves, complains of repetition.

Called by `understand`; a form asks these before it asks the intent. Short answers ("嗯", "唔係", "nope") are looked up as
whole clauses, where a statistical model has nothing to hold on to; longer ones ("不对,是另一个订单") go to a small head.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from agent.understanding.heads import FloatMatrix, TextHead
from agent.understanding.normalise import normalise_query, read_table

Act = Literal["affirm", "deny", "cancel", "correction", "thanks", "goodbye", "repetition"]

NO_ACT = "none"
LOOKED_UP = 0.99
SURE = 0.5
PHRASE_FILE = Path(__file__).parent / "lexicons" / "acts.tsv"
_EDGE = re.compile(r"^[\s\W_]+|[\s\W_]+$")


@dataclass(frozen=True)
class ScoredAct:
    act: Act
    score: float


class ActModel:
    def __init__(self, head: TextHead) -> None:
        self._head = head
        self._phrases = {
            normalise_query(phrase).lower(): cast("Act", act) for act, phrase in read_table(PHRASE_FILE)
        }

    def predict(
        self, text: str, vector: FloatMatrix, *, clauses: Sequence[str] = ()
    ) -> tuple[ScoredAct, ...]:
        """Best first. `clauses` are the parts of the text; each may be an act by itself ("好的,谢谢")."""
        found = dict.fromkeys(self._looked_up([text, *clauses]), LOOKED_UP)
        if self._phrase(text) is None:
            chances = self._head.predict([text], vector[np.newaxis]).probabilities[0]
            best = int(np.argmax(chances))
            label, chance = self._head.labels[best], float(chances[best])
            if label != NO_ACT and chance >= SURE:
                found.setdefault(cast("Act", label), chance)
        scored = [ScoredAct(act, score) for act, score in found.items()]
        return tuple(sorted(scored, key=lambda act: -act.score))

    def _looked_up(self, parts: Sequence[str]) -> list[Act]:
        acts = [self._phrase(part) for part in parts]
        return [act for act in acts if act is not None]

    def _phrase(self, clause: str) -> Act | None:
        return self._phrases.get(_EDGE.sub("", clause).lower() or clause)


def truth_of(acts: Sequence[ScoredAct]) -> bool | None:
    """Yes, no or neither, for a question that was asked."""
    if not acts or acts[0].act not in ("affirm", "deny"):
        return None
    return acts[0].act == "affirm"
