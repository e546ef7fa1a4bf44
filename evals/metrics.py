"""The numbers of a report, from plain arrays. Pure; the kinds call them. Definitions where names leave room:

macro F1 averages over the labels that were expected; coverage at a risk is the largest share of messages that can be
answered, surest first, while the share of wrong answers stays within the risk; the calibration error uses ten bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def accuracy(expected: Sequence[str], got: Sequence[str]) -> float:
    return float(np.mean([a == b for a, b in zip(expected, got, strict=True)])) if expected else 0.0


def recall(expected: Sequence[str], got: Sequence[str], label: str) -> float | None:
    """None when the label is never expected."""
    hits = [b == label for a, b in zip(expected, got, strict=True) if a == label]
    return float(np.mean(hits)) if hits else None


def precision(expected: Sequence[str], got: Sequence[str], label: str) -> float | None:
    """None when the label was never given."""
    hits = [a == label for a, b in zip(expected, got, strict=True) if b == label]
    return float(np.mean(hits)) if hits else None


def macro_f1(expected: Sequence[str], got: Sequence[str]) -> float:
    scores = []
    for label in sorted(set(expected)):
        found, right = recall(expected, got, label) or 0.0, precision(expected, got, label) or 0.0
        scores.append(2 * found * right / (found + right) if found + right else 0.0)
    return float(np.mean(scores)) if scores else 0.0


def mcc(expected: Sequence[str], got: Sequence[str]) -> float:
    """Matthews' correlation for any number of labels (Gorodkin's R_K)."""
    labels = {label: place for place, label in enumerate(sorted({*expected, *got}))}
    table = np.zeros((len(labels), len(labels)))
    for a, b in zip(expected, got, strict=True):
        table[labels[a], labels[b]] += 1
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = math.sqrt(total**2 - float(columns @ columns)) * math.sqrt(total**2 - float(rows @ rows))
    return float((np.trace(table) * total - float(rows @ columns)) / spread) if spread else 0.0


def coverage_at_risk(confidence: Sequence[float], right: Sequence[bool], risk: float) -> float:
    if not confidence:
        return 0.0
    scores, hits = np.asarray(confidence), np.asarray(right)
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(~hits[order])
    counts = np.arange(1, len(order) + 1)
    # Cases of equal confidence are answered together or not at all.
    ends = np.append(scores[order][1:] != scores[order][:-1], True)
    allowed = counts[ends & (wrong / counts <= risk)]
    return float(allowed.max() / len(order)) if len(allowed) else 0.0


def calibration_error(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    if not confidence:
        return 0.0
    scores, hits = np.asarray(confidence), np.asarray(right, dtype=float)
    places = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        (places == place).mean() * abs(hits[places == place].mean() - scores[places == place].mean())
        for place in range(bins)
        if (places == place).any()
    ]
    return float(sum(gaps))


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The chance that a positive scores above a negative, ties counted half; None when one side is empty."""
    values, marks = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    wins, losses = int(marks.sum()), int((~marks).sum())
    if not wins or not losses:
        return None
    ranks = _mean_ranks(values)
    return float((ranks[marks].sum() - wins * (wins + 1) / 2) / (wins * losses))


def reciprocal_rank(found: Sequence[str], relevant: Sequence[str]) -> float:
    return next((1 / place for place, item in enumerate(found, 1) if item in relevant), 0.0)


def ndcg(found: Sequence[str], relevant: Sequence[str], depth: int = 10) -> float:
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(found[:depth], 1) if item in relevant)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(relevant), depth) + 1))
    return gain / ideal if ideal else 0.0


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _unique, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: NDArray[np.float64] = ((ends - counts + 1 + ends) / 2)[places]
    return mean
