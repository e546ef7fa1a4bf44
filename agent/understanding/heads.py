"""A small classifier for texts: their vector and their characters in, calibrated label probabilities out.

Fitted by `fitting.fit_head` (shop intents, emotion, acts, and whatever intents a user brings), served here with
NumPy alone: no scikit-learn is imported by a serving process, and one message costs well under a millisecond.

How it decides. Vectors are centred on the mean of their writing system and set to length one again, because
languages form clouds of their own. Two linear models (vectors; hashed character n-grams) give scores that are
summed with the two weights that made held-out examples most likely; that sum is also the calibration. Whether a
text belongs to none of the labels is a judgement of its own (`Novelty`): nearness to known examples says more about
that than the classifier's confidence.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.understanding.ngrams import CharacterNgrams
from agent.understanding.scripts import dominant_script
from foundation.errors import ConfigurationError

FloatMatrix = NDArray[np.float32]
FORMAT = 1
ANY_SCRIPT = "any"
BULKY = ("sparse_weights", "examples", "outside_examples")
"""Matrices that are stored in eight bits a number."""
SIGNALS, SIGNALS_WITH_OUTSIDE = 2, 4
"""How many numbers novelty is judged by, without and with texts that are known to lie outside."""


@dataclass(frozen=True)
class Linear:
    """`weights` is (labels, features)."""

    weights: FloatMatrix
    bias: FloatMatrix


@dataclass(frozen=True)
class Novelty:
    """Logistic regression on `signals`; `threshold` was chosen on held-out examples."""

    weights: tuple[float, ...]
    bias: float
    threshold: float


@dataclass(frozen=True)
class Blend:
    """The weights of the two score vectors, found by maximum likelihood on held-out examples."""

    dense: float
    sparse: float


@dataclass(frozen=True)
class Predictions:
    """One row a text. `probabilities` are over the labels, given that the text belongs to one of them."""

    probabilities: FloatMatrix
    out_of_scope: FloatMatrix


@dataclass(frozen=True)
class Learned:
    """What fitting leaves behind. With `has_outside`, the last row of both linear models is "none of the labels"."""

    labels: tuple[str, ...]
    means: Mapping[str, FloatMatrix]
    dense: Linear
    sparse: Linear
    rarity: FloatMatrix
    blend: Blend
    novelty: Novelty
    examples: FloatMatrix
    outside_examples: FloatMatrix
    has_outside: bool
    about: Mapping[str, Any]


class TextHead:
    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._ngrams = CharacterNgrams(learned.rarity)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._learned.labels

    @property
    def novelty(self) -> Novelty:
        return self._learned.novelty

    @property
    def about(self) -> Mapping[str, Any]:
        """How it was made: free notes of the trainer, the chosen strength, the number of rows."""
        return self._learned.about

    def predict(self, texts: Sequence[str], vectors: FloatMatrix) -> Predictions:
        centred = centre(texts, vectors, self._learned.means)
        scores = self.scores(texts, centred)
        measured = signals(
            scores,
            nearness(centred, self._learned.examples),
            nearness(centred, self._learned.outside_examples) if self._learned.has_outside else None,
        )
        odds = measured @ np.array(self.novelty.weights) + self.novelty.bias
        known = scores[:, : len(self.labels)]
        return Predictions(np.exp(log_softmax(known)), (1 / (1 + np.exp(-odds))).astype(np.float32))

    def predict_proba(self, texts: Sequence[str], vectors: FloatMatrix) -> FloatMatrix:
        return self.predict(texts, vectors).probabilities

    def scores(self, texts: Sequence[str], centred: FloatMatrix) -> FloatMatrix:
        dense = log_softmax(centred @ self._learned.dense.weights.T + self._learned.dense.bias)
        sparse = (
            np.stack([self._sparse_score(text) for text in texts]) if len(texts) else np.zeros_like(dense)
        )
        blended: FloatMatrix = self._learned.blend.dense * dense + self._learned.blend.sparse * sparse
        return blended

    def save(self, path: Path) -> None:
        """The same head gives the same bytes: no time stamps, no pickled objects."""
        learned = self._learned
        note = {
            "format": FORMAT,
            "labels": learned.labels,
            "scripts": sorted(learned.means),
            "blend": asdict(learned.blend),
            "novelty": asdict(learned.novelty),
            "has_outside": learned.has_outside,
            "about": dict(learned.about),
        }
        arrays: dict[str, NDArray[Any]] = {
            "note": np.frombuffer(json.dumps(note, ensure_ascii=False, sort_keys=True).encode(), np.uint8),
            "means": np.stack([learned.means[script] for script in sorted(learned.means)]).astype(np.float16),
            "dense_weights": learned.dense.weights.astype(np.float16),
            "dense_bias": learned.dense.bias,
            "sparse_bias": learned.sparse.bias,
            "rarity": learned.rarity.astype(np.float16),
        }
        bulky = (learned.sparse.weights, learned.examples, learned.outside_examples)
        for name, matrix in zip(BULKY, bulky, strict=True):
            arrays[name], arrays[f"{name}_scale"] = quantised(matrix)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> TextHead:
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                return cls._from_arrays({name: stored[name] for name in stored.files})
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise ConfigurationError(
                f"The model {path.name} is missing or cannot be read. Build the models again: `make models`."
            ) from error

    @classmethod
    def _from_arrays(cls, stored: Mapping[str, NDArray[Any]]) -> TextHead:
        note = json.loads(stored["note"].tobytes())
        if note["format"] != FORMAT:
            raise ValueError(f"format {note['format']}")
        bulky = {name: restored(stored[name], stored[f"{name}_scale"]) for name in BULKY}
        novelty = note["novelty"]
        return cls(
            Learned(
                labels=tuple(note["labels"]),
                means=dict(zip(note["scripts"], stored["means"].astype(np.float32), strict=True)),
                dense=Linear(stored["dense_weights"].astype(np.float32), stored["dense_bias"]),
                sparse=Linear(bulky["sparse_weights"], stored["sparse_bias"]),
                rarity=stored["rarity"].astype(np.float32),
                blend=Blend(**note["blend"]),
                novelty=Novelty(tuple(novelty["weights"]), novelty["bias"], novelty["threshold"]),
                examples=bulky["examples"],
                outside_examples=bulky["outside_examples"],
                has_outside=note["has_outside"],
                about=note["about"],
            )
        )

    def _sparse_score(self, text: str) -> FloatMatrix:
        row = self._ngrams.row(text)
        score: FloatMatrix = (
            self._learned.sparse.weights[:, row.buckets] @ row.weights + self._learned.sparse.bias
        )
        return score


def signals(scores: FloatMatrix, near: FloatMatrix, near_outside: FloatMatrix | None) -> NDArray[np.float64]:
    """What novelty is judged by: nearness to examples, the classifier's confidence and, where texts of no label
    were given, their own nearness and score."""
    known = scores if near_outside is None else scores[:, :-1]
    columns = [near, log_softmax(known).max(axis=1)]
    if near_outside is not None:
        columns += [near_outside, np.clip(scores[:, -1] - known.max(axis=1), -20, 20)]
    return np.stack(columns, axis=1).astype(np.float64)


def nearness(centred: FloatMatrix, examples: FloatMatrix, *, neighbours: int = 3) -> FloatMatrix:
    """Mean cosine to the nearest examples."""
    cosines = centred @ examples.T
    count = min(neighbours, len(examples))
    if count == 0:
        return np.zeros(len(centred), dtype=np.float32)
    nearest: FloatMatrix = np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1)
    return nearest


def centre(texts: Sequence[str], vectors: FloatMatrix, means: Mapping[str, FloatMatrix]) -> FloatMatrix:
    chosen = np.stack([means.get(dominant_script(text), means[ANY_SCRIPT]) for text in texts])
    moved = vectors - chosen
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return (moved / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def log_softmax(scores: FloatMatrix) -> FloatMatrix:
    moved = scores - scores.max(axis=1, keepdims=True)
    logs: FloatMatrix = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
    return logs


def quantised(matrix: FloatMatrix) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Eight bits a number and one scale a row: a quarter of the size, no measurable loss on cosines and scores."""
    largest = np.abs(matrix).max(axis=1, keepdims=True, initial=0.0)
    scale = (np.where(largest == 0, 1.0, largest) / 127).astype(np.float16)
    scale = np.where(scale == 0, np.float16(6e-8), scale)
    return np.clip(np.rint(matrix / scale.astype(np.float32)), -127, 127).astype(np.int8), scale


def restored(values: NDArray[np.int8], scale: NDArray[np.float16]) -> FloatMatrix:
    return values.astype(np.float32) * scale.astype(np.float32)
