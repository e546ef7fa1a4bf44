"""The logistic layer: what labelled pairs teach beyond the weights, and when to leave it out.

Labels come free: pairs proven by a code or a login are one person, pairs that a cannot-link keeps apart are two.
scikit-learn fits; the model keeps plain coefficients, and `scorer.log_odds` needs nothing else.

What would surprise you: the layer stands on the weights and does not replace them, because a few hundred labels alone
do worse than none. And it is dropped when it does not help on labels that it has not seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from customers.matching.models import Model, Offset
from customers.matching.scorer import Scorer, log_odds

Columns = Mapping[str, str]
Pair = tuple[Columns, Columns]

FEWEST_OF_EACH = 200
FEWEST_TOGETHER = 30
"""Two levels met together get a coefficient of their own from so many labels on."""

FOLDS = 3
STRENGTH = 1.0


def fit_offset(
    model: Model, pairs: Sequence[Pair], labels: Sequence[bool], *, candidates: Sequence[Pair] = (), seed: int = 1
) -> Offset | None:  # fmt: skip
    """None when labels are too few or teach nothing. Labelled pairs are rarely mixed as the candidates are; with
    `candidates` (unlabelled) the intercept is set so that these hold as many matches as the weights alone see in
    them. Without, the labels themselves are taken as a fair sample of candidates."""
    wanted = np.asarray(labels, bool)
    if min(int(wanted.sum()), int((~wanted).sum())) < FEWEST_OF_EACH:
        return None
    plain = model.with_offset(None)
    rows = _rows(plain, pairs)
    together = Counter(key for row in rows for key in row.keys - {"bits"})
    kept = sorted(key for key, count in together.items() if "+" not in key or count >= FEWEST_TOGETHER)
    matrix = _matrix(rows, kept)
    if not _helps(matrix, wanted, seed):
        return None
    offset = _offset(matrix, wanted, kept)
    if offset.slope <= 0:
        return None
    return _anchored(plain, offset, candidates) if candidates else offset


class _Row:
    __slots__ = ("bits", "keys", "names", "numbers")

    def __init__(self, scorer: Scorer, pair: Pair) -> None:
        self.names = [one.name for one in scorer.model.comparisons]
        self.numbers = scorer.levels(*pair)
        self.bits = scorer.bits(*pair)
        met = [f"{name}/{number}" for name, number in zip(self.names, self.numbers, strict=True)]
        self.keys = set(met) | {f"{one}+{two}" for place, one in enumerate(met) for two in met[place + 1 :]}


def _rows(model: Model, pairs: Sequence[Pair]) -> list[_Row]:
    scorer = Scorer(model)
    return [_Row(scorer, pair) for pair in pairs]


def _matrix(rows: Sequence[_Row], kept: Sequence[str]) -> NDArray[np.float64]:
    place_of = {key: place + 1 for place, key in enumerate(kept)}
    matrix = np.zeros((len(rows), len(kept) + 1))
    for number, row in enumerate(rows):
        matrix[number, 0] = row.bits
        for key in row.keys:
            if key in place_of:
                matrix[number, place_of[key]] = 1.0
    return matrix


def _offset(matrix: NDArray[np.float64], wanted: NDArray[np.bool_], kept: Sequence[str]) -> Offset:
    from sklearn.linear_model import (
        LogisticRegression,
    )  # only where something is fitted: it is slow to import

    fitted = LogisticRegression(C=STRENGTH, max_iter=2000).fit(matrix, wanted)
    slope, *rest = (float(value) for value in fitted.coef_[0])
    levels = {key: value for key, value in zip(kept, rest, strict=True) if abs(value) > 1e-6}
    return Offset(float(fitted.intercept_[0]), slope, levels)


def _helps(matrix: NDArray[np.float64], wanted: NDArray[np.bool_], seed: int) -> bool:
    """Better than the weights alone with a fitted slope, on labels left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    plain = learned = 0.0
    for fit, test in folds.split(matrix, wanted):
        for columns in (slice(0, 1), slice(None)):
            model = LogisticRegression(C=STRENGTH, max_iter=2000).fit(matrix[fit][:, columns], wanted[fit])
            chance = np.clip(model.predict_proba(matrix[test][:, columns])[:, 1], 1e-9, 1 - 1e-9)
            loss = -float(np.where(wanted[test], np.log(chance), np.log(1 - chance)).sum())
            if columns == slice(None):
                learned += loss
            else:
                plain += loss
    return learned < plain


def _anchored(model: Model, offset: Offset, candidates: Sequence[Pair]) -> Offset:
    rows = _rows(model, candidates)
    plain = np.array([row.bits * math.log(2) for row in rows])
    learned = np.array([log_odds(offset, row.names, row.numbers, row.bits) for row in rows])
    wanted = float(_chance(plain).sum())
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(_chance(learned + middle).sum()) < wanted else (low, middle)
    return Offset(offset.intercept + (low + high) / 2, offset.slope, offset.levels)


def _chance(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -700, 700))))


def sample(size: int, most: int, seed: int) -> NDArray[np.int64]:
    """Places out of `size`, each at most once."""
    return np.random.default_rng(seed).permutation(size)[:most]
