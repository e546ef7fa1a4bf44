"""How much a customer is worth to the shop: recency, frequency and amount against the whole base, and a tier that does not
flutter. Pure.

The nightly job cuts the base into fifths (`cut`) and moves each customer's standing by one night (`advance`); a score between
two nights is read with the cuts of the last one. The tier is for the staff's order of work; no customer hears of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from customers.profile.aggregates import DAY
from customers.profile.figures import Buying

Tier = Literal["low", "middle", "high", "top"]
TIERS: tuple[Tier, ...] = get_args(Tier)

STEP = 3
"""Points of a tier: three fifths give 3 to 15 points, low is 3–6, middle 7–9, high 10–12, top 13–15."""
FIRST_BORDER = 7
NIGHTS = 2
LEAST_BUYERS = 25
"""With fewer, a fifth is a handful of people and says nothing."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Four borders each between the fifths of the base."""

    recency_days: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]
    buyers: int


@dataclass(frozen=True, slots=True)
class Score:
    """1 (weakest fifth) to 5 each."""

    recency: int
    frequency: int
    monetary: int

    @property
    def points(self) -> int:
        return self.recency + self.frequency + self.monetary


@dataclass(frozen=True, slots=True)
class Standing:
    """`candidate` was seen on `nights` nights in a row and is not the tier yet."""

    tier: Tier
    candidate: Tier | None = None
    nights: int = 0


def cut(base: Sequence[Buying], now: datetime) -> Cuts | None:
    """None while there are too few buyers to compare with."""
    buyers = [one for one in base if one.last_at is not None and one.orders > 0]
    if len(buyers) < LEAST_BUYERS:
        return None
    return Cuts(
        recency_days=_fifths([_recency(one, now) for one in buyers]),
        frequency=_fifths([one.frequency for one in buyers]),
        monetary=_fifths([one.monetary for one in buyers]),
        buyers=len(buyers),
    )


def score(buying: Buying, cuts: Cuts, now: datetime) -> Score | None:
    """None for somebody who has bought nothing."""
    if buying.last_at is None or buying.orders <= 0:
        return None
    return Score(
        recency=5 - bisect_left(cuts.recency_days, _recency(buying, now)),
        frequency=1 + bisect_left(cuts.frequency, buying.frequency),
        monetary=1 + bisect_left(cuts.monetary, buying.monetary),
    )


def tier_of(points: int) -> Tier:
    return TIERS[min(max((points - FIRST_BORDER) // STEP + 1, 0), len(TIERS) - 1)]


def advance(standing: Standing | None, points: int) -> Standing:
    """One night: the neighbouring tier has to be seen twice in a row; one a full step further is believed at once."""
    target = tier_of(points)
    if standing is None or target == standing.tier:
        return Standing(target)
    if abs(TIERS.index(target) - TIERS.index(standing.tier)) > 1:
        return Standing(target)
    nights = standing.nights + 1 if target == standing.candidate else 1
    return Standing(target) if nights >= NIGHTS else Standing(standing.tier, target, nights)


def dump(cuts: Cuts) -> dict[str, Any]:
    return {
        "recency_days": list(cuts.recency_days), "frequency": list(cuts.frequency), "monetary": list(cuts.monetary),
        "buyers": cuts.buyers,
    }  # fmt: skip


def load(stored: dict[str, Any]) -> Cuts:
    return Cuts(
        tuple(stored["recency_days"]), tuple(stored["frequency"]), tuple(stored["monetary"]), stored["buyers"]
    )


def _recency(buying: Buying, now: datetime) -> float:
    assert buying.last_at is not None
    return max(0.0, (now - buying.last_at).total_seconds() * 1000 / DAY)


def _fifths(values: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(values)
    return tuple(ordered[len(ordered) * part // 5 - 1] for part in (1, 2, 3, 4))
