"""How likely a complaint or a goodbye is, and why: figures in, a `Risk` with its reasons out. Pure.

The points stand in `scorecards.yaml`, set by hand, until a tenant has enough labelled cases; then `fit` learns weights of
the same form from them and calibrates them on cases it has not seen, so that a probability of 0.3 is right three times in
ten. An answer always names the features that made it. Nothing here is said to a customer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from customers.profile.figures import Figures

Kind = Literal["complaint", "churn"]
Level = Literal["low", "medium", "high", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LEAST_POSITIVES = 200
LEAST_NEGATIVES = 200
REASONS = 3
LEAST_POINTS = 0.05
HELD_OUT = 3
"""Every third case is kept from learning and used to calibrate and to judge."""
BINS = 5
_FILE = Path(__file__).parent / "scorecards.yaml"


@dataclass(frozen=True, slots=True)
class Weight:
    weight: float
    cap: float


@dataclass(frozen=True, slots=True)
class Card:
    """`slope` and `offset` are the calibration. `reliability`: said probability, share that came true, number of cases."""

    kind: Kind
    intercept: float
    weights: Mapping[str, Weight]
    medium: float
    high: float
    slope: float = 1.0
    offset: float = 0.0
    learned_from: int = 0
    """Positive cases; 0 for the points set by hand."""
    reliability: tuple[tuple[float, float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    feature: str
    value: float
    points: float


@dataclass(frozen=True, slots=True)
class Risk:
    kind: Kind
    probability: float
    level: Level
    reasons: tuple[Reason, ...]
    learned: bool


@dataclass(frozen=True, slots=True)
class Case:
    """What was known, and whether it came true."""

    features: Mapping[str, float]
    positive: bool


def cards() -> dict[Kind, Card]:
    stored = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {
        kind: Card(
            kind=kind, intercept=stored[kind]["intercept"],
            weights={name: Weight(**one) for name, one in stored[kind]["features"].items()},
            medium=stored[kind]["bands"]["medium"], high=stored[kind]["bands"]["high"],
        )
        for kind in KINDS
    }  # fmt: skip


def features(figures: Figures, now: datetime) -> dict[str, float] | None:
    """None for somebody of whom nothing is known."""
    feeling, silent = figures.feeling, figures.silent_days
    if silent is None:
        return None
    gap = figures.usual_gap_days
    oldest = figures.service.open_since[0] if figures.service.open_since else None
    return {
        "angry": feeling.angry,
        "complaints": feeling.complaints,
        "threats": feeling.threats,
        "bad_mood": max(0.0, -(feeling.mean or 0.0)),
        "falling_mood": max(0.0, -feeling.slope),
        "open_days": 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds() / 86_400),
        "repeats": max(0.0, figures.interaction.repeats - 1),
        "overdue": -1.0 if gap is None else max(0.0, silent / max(gap, 1.0) - 1),
        "refunds": figures.buying.refunds,
    }  # fmt: skip


def judge(card: Card, known: Mapping[str, float] | None) -> Risk:
    """`unknown` while there is too little: nothing at all, or for churn no rhythm to compare a silence with."""
    if known is None or (card.kind == "churn" and known["overdue"] < 0):
        return Risk(card.kind, 0.0, "unknown", (), card.learned_from > 0)
    points = [
        Reason(name, known[name], one.weight * min(known[name], one.cap))
        for name, one in card.weights.items()
    ]
    total = card.intercept + sum(reason.points for reason in points)
    probability = _logistic(card.slope * total + card.offset)
    level: Level = "high" if probability >= card.high else "medium" if probability >= card.medium else "low"
    reasons = sorted((one for one in points if one.points >= LEAST_POINTS), key=lambda one: -one.points)
    return Risk(card.kind, probability, level, tuple(reasons[:REASONS]), card.learned_from > 0)


def fit(cases: Sequence[Case], card: Card) -> Card | None:
    """Learned weights for the features of `card`. None with too few cases, or when the learned ones judge unseen cases no
    better than `card` (by the Brier score): then the points set by hand stay."""
    positives = sum(case.positive for case in cases)
    if positives < LEAST_POSITIVES or len(cases) - positives < LEAST_NEGATIVES:
        return None
    kept = [case for at, case in enumerate(cases) if at % HELD_OUT == 0]
    shown = [case for at, case in enumerate(cases) if at % HELD_OUT]
    learned = _calibrated(_weighed(shown, card), kept)
    if _brier(learned, kept) >= _brier(_calibrated(card, kept), kept):
        return None
    return replace(learned, learned_from=positives, reliability=_reliability(learned, kept))


def dump(card: Card) -> dict[str, Any]:
    return {
        "kind": card.kind, "intercept": card.intercept, "medium": card.medium, "high": card.high, "slope": card.slope,
        "offset": card.offset, "learned_from": card.learned_from, "reliability": [list(one) for one in card.reliability],
        "weights": {name: [one.weight, one.cap] for name, one in card.weights.items()},
    }  # fmt: skip


def load(stored: Mapping[str, Any]) -> Card:
    weights = {name: Weight(*one) for name, one in stored["weights"].items()}
    reliability = tuple((said, true, count) for said, true, count in stored["reliability"])
    return Card(**{**stored, "weights": weights, "reliability": reliability})


def _weighed(cases: Sequence[Case], card: Card) -> Card:
    """A feature that would speak for the customer by being bad is noise, and no reason that could be told: it is left out."""
    from sklearn.linear_model import LogisticRegression

    names = list(card.weights)
    while names:
        rows = [[min(case.features[name], card.weights[name].cap) for name in names] for case in cases]
        model = LogisticRegression(max_iter=1000).fit(rows, [case.positive for case in cases])
        found = {name: float(value) for name, value in zip(names, model.coef_[0], strict=True)}
        if all(value >= 0 for value in found.values()):
            weights = {name: Weight(found[name], card.weights[name].cap) for name in names}
            return replace(card, intercept=float(model.intercept_[0]), weights=weights, slope=1.0, offset=0.0)
        names = [name for name in names if found[name] >= 0]
    share = sum(case.positive for case in cases) / len(cases)
    return replace(card, intercept=math.log(share / (1 - share)), weights={}, slope=1.0, offset=0.0)


def _calibrated(card: Card, cases: Sequence[Case]) -> Card:
    """Platt's two numbers, on cases the weights have not seen."""
    from sklearn.linear_model import LogisticRegression

    bare = replace(card, slope=1.0, offset=0.0)
    rows = [[_total(bare, case.features)] for case in cases]
    model = LogisticRegression(max_iter=1000).fit(rows, [case.positive for case in cases])
    return replace(card, slope=max(0.0, float(model.coef_[0][0])), offset=float(model.intercept_[0]))


def _total(card: Card, known: Mapping[str, float]) -> float:
    return card.intercept + sum(one.weight * min(known[name], one.cap) for name, one in card.weights.items())


def _chance(card: Card, known: Mapping[str, float]) -> float:
    return _logistic(card.slope * _total(card, known) + card.offset)


def _brier(card: Card, cases: Sequence[Case]) -> float:
    return sum((_chance(card, case.features) - case.positive) ** 2 for case in cases) / len(cases)


def _reliability(card: Card, cases: Sequence[Case]) -> tuple[tuple[float, float, int], ...]:
    said = sorted((_chance(card, case.features), case.positive) for case in cases)
    parts = [said[len(said) * at // BINS : len(said) * (at + 1) // BINS] for at in range(BINS)]
    return tuple(
        (
            round(sum(chance for chance, _ in part) / len(part), 4),
            round(sum(true for _, true in part) / len(part), 4),
            len(part),
        )
        for part in parts
    )


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
