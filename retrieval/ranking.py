"""Puts articles in order and says how likely the first one answers: pure arithmetic over candidates.

Called by `search` for every question and by `calibration`, which learns the weights on the knowledge base's own
questions. An article's score adds its best body passage, its best question passage (cosines in a centred space) and
its best lexical score (as a share of the highest of this query). What lies below the candidates counts as the
lowest cosine among them: it cannot be better than that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.passages import Passage, language_family

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """`body` and 1 - `body` share the dense part; `lexical` comes on top. `dense` 0: lexical alone."""

    body: float = 0.5
    lexical: float = 0.1
    dense: float = 1.0

    def apply(self, parts: Floats) -> Floats:
        """Rows of (body, question, lexical) to scores."""
        dense = self.body * parts[:, 0] + (1.0 - self.body) * parts[:, 1]
        scores: Floats = self.dense * dense + self.lexical * parts[:, 2]
        return scores


DEFAULT_WEIGHTS = Weights()
LEXICAL_ONLY = Weights(body=0.5, lexical=1.0, dense=0.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """`dense` is None when only the lexical index found it, `lexical` when only the dense one did."""

    passage: Passage
    title: str
    dense: float | None
    lexical: float | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One article with its best passage. `parts`: body, question, lexical."""

    article: str
    score: float
    parts: tuple[float, float, float]
    best: Candidate
    other_language: bool
    candidates: tuple[Candidate, ...]


def rank(candidates: Sequence[Candidate], weights: Weights, *, language: str) -> list[Ranked]:
    """Best first; every article once, shown in the reader's language where one of its candidates is."""
    articles, parts = article_parts(candidates)
    if not articles:
        return []
    scores = weights.apply(parts)
    order = sorted(range(len(articles)), key=lambda at: (-scores[at], articles[at]))
    grouped = _by_article(candidates)
    family = language_family(language)
    ranked = []
    for at in order:
        mine = grouped[articles[at]]
        same = [candidate for candidate in mine if language_family(candidate.passage.language) == family]
        best = max(same or mine, key=_nearness)
        values = (float(parts[at, 0]), float(parts[at, 1]), float(parts[at, 2]))
        ranked.append(Ranked(articles[at], float(scores[at]), values, best, not same, tuple(mine)))
    return ranked


def article_parts(candidates: Sequence[Candidate]) -> tuple[list[str], Floats]:
    """One row (body, question, lexical) an article."""
    grouped = _by_article(candidates)
    floor = min((candidate.dense for candidate in candidates if candidate.dense is not None), default=0.0)
    highest = max((candidate.lexical or 0.0 for candidate in candidates), default=0.0) or 1.0
    rows = np.empty((len(grouped), 3))
    for at, mine in enumerate(grouped.values()):
        rows[at, 0] = max((_dense(one, floor) for one in mine if one.passage.kind == "body"), default=floor)
        rows[at, 1] = max(
            (_dense(one, floor) for one in mine if one.passage.kind == "question"), default=floor
        )
        rows[at, 2] = max(one.lexical or 0.0 for one in mine) / highest
    return list(grouped), rows


SIGNALS = ("dense", "margin", "coverage", "agreement", "length", "dense_by_length")
LEXICAL_SIGNALS = ("margin", "coverage", "length")
ANSWERED_SHARE = 0.8
"""Of what customers ask a maintained knowledge base; the lessons are half answered, half not."""


def signals(
    ranked: Sequence[Ranked], terms: Mapping[str, float], covered: Collection[str]
) -> dict[str, float]:
    """What tells an answered question from one that only resembles something: no single one does. Fewer signals
    carry over better from the lessons to customers: all that were tried beyond these cost 3 to 6 points of AUROC.

    `terms`: the query's words with their inverse document frequency; `covered`: those in the first article.
    """
    top = ranked[0]
    weight = sum(terms.values())
    length = math.log1p(len(terms))
    dense = (top.parts[0] + top.parts[1]) / 2
    return {
        "dense": dense,
        "margin": top.score - ranked[1].score if len(ranked) > 1 else top.score,
        "coverage": sum(value for term, value in terms.items() if term in covered) / weight
        if weight
        else 0.0,
        "agreement": top.parts[2],
        "length": length,
        "dense_by_length": dense * length,
    }


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic regression over named signals, standardised by the means and deviations it was fitted on."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def probability(self, values: Mapping[str, float]) -> float:
        z = self.intercept + math.log(ANSWERED_SHARE / (1 - ANSWERED_SHARE))
        for name, mean, deviation, coefficient in zip(
            self.names, self.means, self.deviations, self.coefficients, strict=True
        ):
            z += coefficient * (values[name] - mean) / deviation
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))


DEFAULT_ANSWERING = Logistic(
    SIGNALS,
    means=(0.429, 0.110, 0.414, 0.828, 2.225, 0.950),
    deviations=(0.127, 0.102, 0.255, 0.244, 0.323, 0.300),
    coefficients=(1.04, 0.11, 0.37, -0.13, 0.33, -0.14),
    intercept=0.044,
)
DEFAULT_ANSWERING_BY_WORDS = Logistic(
    LEXICAL_SIGNALS,
    means=(0.187, 0.448, 2.225),
    deviations=(0.177, 0.236, 0.323),
    coefficients=(0.27, 0.49, 0.19),
    intercept=0.005,
)
"""For a knowledge base with too few questions to learn from: what the demo shop's taught."""


def fit_logistic(names: Sequence[str], rows: Floats, labels: Floats, *, ridge: float = 1.0) -> Logistic:
    """Newton's method (iteratively reweighted least squares) with an L2 penalty on all but the intercept."""
    means, deviations = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    inputs = np.hstack([(rows - means) / deviations, np.ones((len(rows), 1))])
    penalty = np.diag([ridge] * rows.shape[1] + [1e-6])
    solution = np.zeros(inputs.shape[1])
    for _ in range(50):
        predicted = 1.0 / (1.0 + np.exp(-np.clip(inputs @ solution, -30, 30)))
        gradient = inputs.T @ (labels - predicted) - penalty @ solution
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + penalty
        step = np.linalg.solve(curvature, gradient)
        solution = solution + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return Logistic(
        tuple(names),
        tuple(means.tolist()),
        tuple(deviations.tolist()),
        tuple(solution[:-1].tolist()),
        float(solution[-1]),
    )


def _by_article(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    grouped: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        grouped.setdefault(candidate.passage.article, []).append(candidate)
    return grouped


def _dense(candidate: Candidate, floor: float) -> float:
    return floor if candidate.dense is None else candidate.dense


def _nearness(candidate: Candidate) -> tuple[float, float, int]:
    dense = -1.0 if candidate.dense is None else candidate.dense
    return (dense, candidate.lexical or 0.0, -candidate.passage.position)
