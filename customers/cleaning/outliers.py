"""Numbers that cannot be right: far from the middle of what everybody has, or odd in their combination. Pure but for the
library that grows the forest.

Amounts and times are skewed, so everything is judged on log1p: on raw amounts the same measure would flag every seventh good
customer. `Spread.is_far` is for a single number as it comes in, with the median and MAD of last night; `odd_ones` looks at
whole profiles, at night, and also finds what is odd only as a combination.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

FAR = 5.0
"""Robust z from which a number is not believed: at 3.5 one flagged number in eight was right."""
LEAST = 50
"""Numbers a spread is measured from; with fewer nothing is flagged."""
ODD_SHARE = 0.007
TREES = 100
_LEAST_VARIANCE = 1e-9
_NORMAL = 0.6745
"""MAD of a normal distribution in standard deviations; its quartiles are as far from the middle."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of log1p values. `width` is the MAD, or half the distance of the quartiles where more than half are equal."""

    middle: float
    width: float
    count: int

    def distance(self, value: float) -> float:
        return _NORMAL * abs(math.log1p(max(0.0, value)) - self.middle) / self.width

    def is_far(self, value: float) -> bool:
        return self.distance(value) > FAR


def spread(values: Sequence[float]) -> Spread | None:
    """None while there are too few, or when all but a few are the same and there is no width to measure by."""
    if len(values) < LEAST:
        return None
    logs = sorted(math.log1p(max(0.0, value)) for value in values)
    middle = median(logs)
    width = median(abs(value - middle) for value in logs)
    if width == 0:
        width = (logs[len(logs) * 3 // 4] - logs[len(logs) // 4]) / 2
    return None if width == 0 else Spread(middle, width, len(logs))


def odd_ones(
    sums: Sequence[Sequence[float]], ratios: Sequence[Sequence[float]] = (), *, share: float = ODD_SHARE, seed: int = 0
) -> list[bool]:  # fmt: skip
    """The profiles that fall out of the rest: far in one number, or among the `share` that a forest isolates first. `ratios`
    of the same profiles are looked at one by one only; the forest sees how the sums go together by itself."""
    if len(sums) < LEAST:
        return [False] * len(sums)
    alone = far(sums)
    rough = [one or other for one, other in zip(alone, far(ratios) if ratios else alone, strict=True)]
    return [
        one or other for one, other in zip(rough, isolated(sums, rough, share=share, seed=seed), strict=True)
    ]


def far(rows: Sequence[Sequence[float]]) -> list[bool]:
    """By any single number."""
    spreads = [spread(column) for column in zip(*rows, strict=True)]
    return [
        any(one is not None and one.is_far(value) for one, value in zip(spreads, row, strict=True))
        for row in rows
    ]


def isolated(
    rows: Sequence[Sequence[float]], left_out: Sequence[bool], *, share: float = ODD_SHARE, seed: int = 0
) -> list[bool]:  # fmt: skip
    """The `share` of rows that a forest of random cuts separates from the rest soonest. The numbers are turned so that none
    follows from another: who buys, looks and writes a lot is keen and not odd, and a forest that cuts along single numbers
    finds the keen first. The forest grows on rows that are not `left_out`. About a second for 20,000."""
    from sklearn.ensemble import IsolationForest

    logs = np.log1p(np.maximum(np.asarray(rows, dtype=np.float64), 0.0))
    sound = logs[~np.asarray(left_out, dtype=bool)]
    if len(sound) < LEAST:
        return [False] * len(rows)
    variances, axes = np.linalg.eigh(np.cov(sound.T).reshape(logs.shape[1], logs.shape[1]))
    turn = axes / np.sqrt(np.maximum(variances, _LEAST_VARIANCE))
    middle = np.median(sound, axis=0)
    forest = IsolationForest(n_estimators=TREES, random_state=seed, n_jobs=1).fit((sound - middle) @ turn)
    scores = forest.score_samples((logs - middle) @ turn)
    worst = max(1, round(len(rows) * share))
    border = np.partition(scores, worst - 1)[worst - 1]
    return [bool(score <= border) for score in scores]


def dump(spreads: Mapping[str, Spread]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in spreads.items()}


def load(stored: Mapping[str, Any]) -> dict[str, Spread]:
    return {name: Spread(**one) for name, one in stored.items()}
