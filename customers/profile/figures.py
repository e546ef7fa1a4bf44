"""What a shard says at one moment: contacts, service, feeling, interest, buying. Pure; a shard and a time in, numbers out.

`profile.py` shows it, `value.py`, `risk.py` and `tags.py` judge by it. A ratio with nothing in its denominator is None, not 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from customers.profile.aggregates import DAY, SEEN, Shard, half_life
from foundation.clock import from_milliseconds, to_milliseconds

TOP_INTERESTS = 20
HOURS_OF_A_WEEK = 168
_TIE = 6
"""Digits by which two sums are compared before their names decide: rounding must not choose a channel."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """`lately` fades with 30 days; hours of the week are UTC, Monday 00:00 first."""

    contacts: Mapping[str, int]
    lately: Mapping[str, float]
    preferred_channel: str
    language: str
    first_at: datetime | None
    last_at: datetime | None
    hours: tuple[int, ...]
    reply_seconds: float | None
    repeats: float
    """Messages of the last days, fading with 7."""
    seen: Mapping[str, int]
    seconds_looked: float


@dataclass(frozen=True, slots=True)
class Service:
    opened: int
    closed: int
    reopened: int
    transferred: int
    sla_missed: int
    open_since: tuple[datetime, ...]
    """Of the tickets that are open, oldest first."""
    reopen_share: float | None
    first_contact_share: float | None
    satisfaction: float | None
    ratings: int


@dataclass(frozen=True, slots=True)
class Feeling:
    """From -1 to 1; `slope` is the last week against the last month: below 0 it gets worse."""

    mean: float | None
    slope: float
    angry: float
    complaints: float
    threats: float


@dataclass(frozen=True, slots=True)
class Buying:
    """`frequency` and `monetary` fade with a year."""

    orders: int
    amount: float
    frequency: float
    monetary: float
    refunds: float
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Interest:
    kind: str
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Figures:
    interaction: Interaction
    service: Service
    feeling: Feeling
    buying: Buying
    interests: tuple[Interest, ...]
    usual_gap_days: float | None
    """Between two days on which something was heard of them; None before the third such day."""
    silent_days: float | None


def read(shard: Shard, now: datetime) -> Figures:
    moment = to_milliseconds(now)
    gap = _usual_gap(shard)
    last = shard.last.get("active")
    return Figures(
        interaction=_interaction(shard, moment), service=_service(shard), feeling=_feeling(shard, moment),
        buying=_buying(shard, moment), interests=_interests(shard, moment), usual_gap_days=gap,
        silent_days=None if last is None else max(0.0, (moment - last) / DAY),
    )  # fmt: skip


def worth(shard: Shard, name: str, now: int) -> float:
    found = shard.decayed.get(name)
    return 0.0 if found is None else found.worth(now, half_life(name))


def _interaction(shard: Shard, now: int) -> Interaction:
    contacts = {name: round(value) for name, value in _family(shard.counts, "channel")}
    lately = {name: worth(shard, f"contact:{name}", now) for name in contacts}
    languages = {
        name.partition(":")[2]: worth(shard, name, now)
        for name in shard.decayed
        if name.startswith("language:")
    }
    waits = worth(shard, "waits", now)
    seen = {name: round(shard.counts[name]) for name in SEEN if name in shard.counts}
    return Interaction(
        contacts=contacts, lately=lately, preferred_channel=_strongest(lately), language=_strongest(languages),
        first_at=_moment(shard.first.get("message")), last_at=_moment(shard.last.get("message")),
        hours=tuple(round(shard.counts.get(f"hour:{hour}", 0)) for hour in range(HOURS_OF_A_WEEK)),
        reply_seconds=worth(shard, "wait", now) / waits if waits > 0 else None, repeats=worth(shard, "repeat", now),
        seen=seen, seconds_looked=shard.counts.get("seconds", 0.0),
    )  # fmt: skip


def _service(shard: Shard) -> Service:
    count = {name: round(shard.counts.get(name, 0)) for name in (
        "ticket_opened", "ticket_closed", "ticket_reopened", "ticket_transferred", "sla_missed", "first_contact", "rated",
    )}  # fmt: skip
    closed, ratings = count["ticket_closed"], count["rated"]
    return Service(
        opened=count["ticket_opened"], closed=closed, reopened=count["ticket_reopened"],
        transferred=count["ticket_transferred"], sla_missed=count["sla_missed"],
        open_since=tuple(
            from_milliseconds(at) for at in sorted(one.opened_at for one in shard.tickets.values() if one.is_open)
        ),
        reopen_share=count["ticket_reopened"] / closed if closed else None,
        first_contact_share=count["first_contact"] / closed if closed else None,
        satisfaction=shard.counts.get("score", 0.0) / ratings if ratings else None, ratings=ratings,
    )  # fmt: skip


def _feeling(shard: Shard, now: int) -> Feeling:
    week, fortnight, month = (_mean(shard, days) for days in (7, 14, 30))
    return Feeling(
        mean=fortnight, slope=0.0 if week is None or month is None else week - month, angry=worth(shard, "angry", now),
        complaints=worth(shard, "complaint", now), threats=worth(shard, "threat", now),
    )  # fmt: skip


def _mean(shard: Shard, days: int) -> float | None:
    """Taken when the newest was added: with time both sums fade alike, and in the end into nothing."""
    mass = shard.decayed.get(f"mass{days}")
    return shard.decayed[f"mood{days}"].value / mass.value if mass is not None and mass.value > 0 else None


def _buying(shard: Shard, now: int) -> Buying:
    return Buying(
        orders=round(shard.counts.get("order", 0)), amount=shard.counts.get("amount", 0.0),
        frequency=worth(shard, "frequency", now), monetary=worth(shard, "monetary", now),
        refunds=worth(shard, "refund", now), last_at=_moment(shard.last.get("order")),
    )  # fmt: skip


def _interests(shard: Shard, now: int) -> tuple[Interest, ...]:
    found = []
    for name in shard.decayed:
        family, _, rest = name.partition(":")
        if family == "interest":
            kind, _, what = rest.partition(":")
            found.append(Interest(kind, what, worth(shard, name, now)))
    found.sort(key=lambda one: (-round(one.weight, _TIE), one.kind, one.name))
    return tuple(found[:TOP_INTERESTS])


def _usual_gap(shard: Shard) -> float | None:
    days = shard.days["active"].list() if "active" in shard.days else []
    if len(days) < 3:
        return None
    return float(median(later - earlier for earlier, later in pairwise(days)))


def _family(values: Mapping[str, float], family: str) -> list[tuple[str, float]]:
    return [
        (name.partition(":")[2], value) for name, value in values.items() if name.startswith(f"{family}:")
    ]


def _strongest(weights: Mapping[str, float]) -> str:
    return min(weights, key=lambda name: (-round(weights[name], _TIE), name)) if weights else ""


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_milliseconds(value)
