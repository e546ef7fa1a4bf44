"""Hears how a customer feels and whether they wish for a person; trained on support messages only.

Called by `understand` with the vector of the turn. Anger in a shop's chat is dry ("第三次了", "行,你们继续拖"), and a model of
social-media feelings misses it, so the labels are drawn for what a service does next: five, described with their
borders in `data/GUIDELINE.md`. A complaint told calmly is neutral. Pictures are read from a small table, because the
normalised text no longer has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from agent.understanding.heads import FloatMatrix, TextHead
from agent.understanding.normalise import read_table

EmotionLabel = Literal["neutral", "happy", "anxious", "disappointed", "angry"]

VALENCE: dict[EmotionLabel, float] = {
    "neutral": 0.0,
    "happy": 0.8,
    "anxious": -0.5,
    "disappointed": -0.5,
    "angry": -0.9,
}
"""From -1 (very unpleasant) to 1; a message gets the mean over its labels, weighted by their probabilities."""
PICTURE_FILE = Path(__file__).parent / "lexicons" / "pictures.tsv"


@dataclass(frozen=True)
class Emotion:
    label: EmotionLabel
    valence: float
    confidence: float
    scores: Mapping[EmotionLabel, float]


class EmotionModel:
    def __init__(self, head: TextHead) -> None:
        self._head = head
        self._pictures = {
            picture: (label, float(weight)) for picture, label, weight in read_table(PICTURE_FILE)
        }

    def predict(self, text: str, vector: FloatMatrix, *, typed: str = "") -> Emotion:
        """`typed` is the message with its pictures."""
        found = self._head.predict([text], vector[np.newaxis]).probabilities[0]
        logs = dict(zip(self._head.labels, np.log(np.maximum(found, 1e-6)).tolist(), strict=True))
        for label, weight in {self._pictures[sign] for sign in typed if sign in self._pictures}:
            logs[label] += weight
        total = sum(np.exp(log) for log in logs.values())
        scores = {cast("EmotionLabel", label): float(np.exp(log) / total) for label, log in logs.items()}
        label = max(scores, key=lambda name: scores[name])
        valence = sum(VALENCE[name] * score for name, score in scores.items())
        return Emotion(label, round(valence, 4), scores[label], scores)


class HumanWishModel:
    """The probability that the customer asks for a person instead of the machine."""

    def __init__(self, head: TextHead) -> None:
        self._head = head
        self._yes = head.labels.index("yes")

    def predict(self, text: str, vector: FloatMatrix) -> float:
        return float(self._head.predict([text], vector[np.newaxis]).probabilities[0, self._yes])
