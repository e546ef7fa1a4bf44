"""Sums about one identity that can be added in any order and any grouping: events in, a `Shard` out. Pure.

`of_event` turns one event into the smallest shard, `combine` adds shards; both together are all there is, so the
profile of a merged customer is `combine` of the shards of its identities, and a split needs no recomputation. A decayed
sum is a value and the moment it is of; an event that comes late is decayed into the past instead of being dropped.
`profile.py` stores one shard an identity, `figures.py` reads what a shard says at a moment.

What would surprise you: nothing here knows averages or ratios. They are sums of a numerator and of a denominator, because
only sums can be added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Literal, get_args

from foundation.clock import to_milliseconds

Seen = Literal["page_view", "dwell", "click", "search"]
EventType = Literal[
    "message", "order", "refund", "rated", "sla_missed",
    "ticket_opened", "ticket_closed", "ticket_reopened", "ticket_transferred",
    "page_view", "dwell", "click", "search",
]  # fmt: skip
TYPES: tuple[EventType, ...] = get_args(EventType)
SEEN: tuple[str, ...] = get_args(Seen)

DAY = 86_400_000
"""Milliseconds."""

HALF_LIVES: Mapping[str, float] = {
    "contact": 30, "repeat": 7, "language": 90, "wait": 30, "waits": 30,
    "mood7": 7, "mass7": 7, "mood14": 14, "mass14": 14, "mood30": 30, "mass30": 30,
    "angry": 14, "complaint": 90, "threat": 90,
    "interest": 30, "seen": 30, "frequency": 365, "monetary": 365, "refund": 365,
}  # fmt: skip
"""Days, by the family of a sum: what stands before the colon of its name."""

MOODS = (7, 14, 30)
ANGRY = -0.35
"""Valence at or below which a message counts as an angry one, by how much."""
THREATS = frozenset({"legal_threat", "media_threat"})
WEIGHTS: Mapping[str, float] = {
    "order": 3.0,
    "click": 2.0,
    "page_view": 1.0,
    "search": 1.0,
    "dwell": 0.5,
    "message": 1.0,
}
"""What an event says about the interest in its product."""

SERVICE = frozenset(
    {
        "ticket_opened", "ticket_closed", "ticket_reopened", "ticket_transferred", "sla_missed", "first_contact", "rated", "score",
        "message", "channel", "contact", "language",
    }
)  # fmt: skip
"""Families of sums that serving somebody needs: their matters with us, where they write and in which language."""

KEPT_INTERESTS = 200
"""Of one shard; the weakest go first. Twenty are shown, so a person is far below it, and a script that looks at
everything cannot make the row grow."""
KEPT_TICKETS = 100
KEPT_DAYS = 731
_DAY_MASK = (1 << KEPT_DAYS) - 1


@dataclass(frozen=True, slots=True)
class ProfileEvent:
    """One thing that happened, already clean. `id` is unique in the tenant and makes a repeat harmless.

    `valence` from -1 to 1, None where no feeling was read, weighted by `confidence`; `amount` in the shop's currency;
    `seconds` is how long a page was looked at, or (message) how long the customer took to answer us; `score` 1 to 5.
    """

    id: str
    type: EventType
    at: datetime
    channel: str = ""
    language: str = ""
    valence: float | None = None
    confidence: float = 1.0
    intent: str = ""
    signals: frozenset[str] = frozenset()
    product: str = ""
    amount: float = 0.0
    seconds: float | None = None
    score: float | None = None
    ticket: str = ""
    first_contact: bool = False
    """A ticket that was closed without anybody having to ask twice."""


@dataclass(frozen=True, slots=True)
class Decayed:
    value: float
    at: int
    """Unix milliseconds."""

    def worth(self, now: int, half_life_days: float) -> float:
        return float(self.value * 2.0 ** ((self.at - now) / (half_life_days * DAY)))


@dataclass(frozen=True, slots=True)
class Days:
    """On which days something happened: bit i is `last` minus i days, UTC."""

    last: int
    bits: int

    def list(self) -> list[int]:
        """Ascending day numbers."""
        return [self.last - at for at in range(self.bits.bit_length() - 1, -1, -1) if self.bits >> at & 1]


@dataclass(frozen=True, slots=True)
class Ticket:
    """The latest word about it counts, and opening counts from the first."""

    opened_at: int
    changed_at: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Shard:
    counts: Mapping[str, float] = field(default_factory=dict)
    decayed: Mapping[str, Decayed] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, int] = field(default_factory=dict)
    days: Mapping[str, Days] = field(default_factory=dict)
    tickets: Mapping[str, Ticket] = field(default_factory=dict)


EMPTY = Shard()


def combine(shards: Iterable[Shard]) -> Shard:
    """Commutative and associative (to rounding); `EMPTY` changes nothing."""
    return reduce(_add, shards, EMPTY)


def after(shard: Shard, event: ProfileEvent) -> Shard:
    return _add(shard, of_event(event))


def of_event(event: ProfileEvent) -> Shard:
    at = to_milliseconds(event.at)
    counts: dict[str, float] = {event.type: 1.0}
    sums: dict[str, float] = {}
    moments: dict[str, int] = {event.type: at}
    active = {"active"} if event.type in ("message", "order", *SEEN) else set()
    tickets: dict[str, Ticket] = {}
    if event.type == "message":
        _message(event, at, counts, sums)
    elif event.type == "order":
        counts["amount"] = event.amount
        sums |= {"frequency": 1.0, "monetary": event.amount}
        active.add("order")
    elif event.type == "refund":
        counts["amount"] = -event.amount
        sums |= {"refund": 1.0, "monetary": -event.amount}
    elif event.type == "rated" and event.score is not None:
        counts["score"] = event.score
    elif event.type in SEEN:
        sums[f"seen:{event.type}"] = 1.0
        counts["seconds"] = event.seconds or 0.0
    elif event.type.startswith("ticket_"):
        counts |= {"first_contact": 1.0} if event.first_contact and event.type == "ticket_closed" else {}
        if event.ticket:
            tickets[event.ticket] = Ticket(at, at, event.type != "ticket_closed")
    if event.product and event.type in WEIGHTS:
        sums[f"interest:product:{event.product}"] = WEIGHTS[event.type]
    if active:
        moments["active"] = at
    return Shard(
        counts=counts, decayed={name: Decayed(value, at) for name, value in sums.items()}, first=moments, last=moments,
        days={name: Days(at // DAY, 1) for name in active}, tickets=tickets,
    )  # fmt: skip


def _message(event: ProfileEvent, at: int, counts: dict[str, float], sums: dict[str, float]) -> None:
    counts[f"channel:{event.channel}"] = 1.0
    counts[f"hour:{at // 3_600_000 % 24 + 24 * ((at // DAY + 3) % 7)}"] = 1.0  # Monday 00:00 UTC is 0
    sums |= {f"contact:{event.channel}": 1.0, "repeat": 1.0}
    if event.language:
        sums[f"language:{event.language}"] = 1.0
    if event.seconds is not None:
        sums |= {"wait": event.seconds, "waits": 1.0}
    if event.valence is not None:
        for days in MOODS:
            sums[f"mood{days}"] = event.confidence * event.valence
            sums[f"mass{days}"] = event.confidence
        if event.valence <= ANGRY:
            sums["angry"] = event.confidence * -event.valence
    if event.intent:
        sums[f"interest:intent:{event.intent}"] = WEIGHTS["message"]
    if event.intent == "complaint":
        sums["complaint"] = 1.0
    if threats := len(THREATS & event.signals):
        sums["threat"] = float(threats)


def of_service(shard: Shard) -> Shard:
    """What is kept of somebody who objected to being judged."""
    return Shard(
        counts={name: value for name, value in shard.counts.items() if _serves(name)},
        decayed={name: value for name, value in shard.decayed.items() if _serves(name)},
        first={name: at for name, at in shard.first.items() if _serves(name)},
        last={name: at for name, at in shard.last.items() if _serves(name)}, tickets=shard.tickets,
    )  # fmt: skip


def _serves(name: str) -> bool:
    return name.partition(":")[0] in SERVICE


def half_life(name: str) -> float:
    return HALF_LIVES[name.partition(":")[0]]


def _add(one: Shard, two: Shard) -> Shard:
    counts = dict(one.counts)
    for name, value in two.counts.items():
        counts[name] = counts.get(name, 0.0) + value
    decayed = dict(one.decayed)
    for name, more in two.decayed.items():
        decayed[name] = _add_decayed(decayed[name], more, half_life(name)) if name in decayed else more
    first = dict(one.first)
    for name, at in two.first.items():
        first[name] = min(first.get(name, at), at)
    last = dict(one.last)
    for name, at in two.last.items():
        last[name] = max(last.get(name, at), at)
    days = dict(one.days)
    for name, seen in two.days.items():
        days[name] = _add_days(days[name], seen) if name in days else seen
    tickets = dict(one.tickets)
    for name, ticket in two.tickets.items():
        tickets[name] = _add_tickets(tickets[name], ticket) if name in tickets else ticket
    return Shard(counts, _strongest(decayed), first, last, days, _newest(tickets))


def _add_decayed(one: Decayed, two: Decayed, half_life_days: float) -> Decayed:
    at = max(one.at, two.at)
    return Decayed(one.worth(at, half_life_days) + two.worth(at, half_life_days), at)


def _add_days(one: Days, two: Days) -> Days:
    last = max(one.last, two.last)
    return Days(last, (one.bits << (last - one.last) | two.bits << (last - two.last)) & _DAY_MASK)


def _add_tickets(one: Ticket, two: Ticket) -> Ticket:
    """At the same moment "closed" wins, so that the order of arrival cannot decide."""
    newest = max(one, two, key=lambda ticket: (ticket.changed_at, not ticket.is_open))
    return Ticket(min(one.opened_at, two.opened_at), newest.changed_at, newest.is_open)


def _strongest(decayed: dict[str, Decayed]) -> dict[str, Decayed]:
    if len(decayed) <= KEPT_INTERESTS:
        return decayed
    names = [name for name in decayed if name.startswith("interest:")]
    if len(names) <= KEPT_INTERESTS:
        return decayed
    now = max(decayed[name].at for name in names)
    names.sort(key=lambda name: (-decayed[name].worth(now, half_life(name)), name))
    for name in names[KEPT_INTERESTS:]:
        del decayed[name]
    return decayed


def _newest(tickets: dict[str, Ticket]) -> dict[str, Ticket]:
    if len(tickets) <= KEPT_TICKETS:
        return tickets
    names = sorted(tickets, key=lambda name: (-tickets[name].changed_at, name))
    return {name: tickets[name] for name in names[:KEPT_TICKETS]}


def dump(shard: Shard) -> str:
    return json.dumps(
        {
            "counts": shard.counts,
            "decayed": {name: [one.value, one.at] for name, one in shard.decayed.items()},
            "first": shard.first,
            "last": shard.last,
            "days": {name: [one.last, f"{one.bits:x}"] for name, one in shard.days.items()},
            "tickets": {name: [one.opened_at, one.changed_at, one.is_open] for name, one in shard.tickets.items()},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )  # fmt: skip


def load(text: str) -> Shard:
    stored = json.loads(text)
    return Shard(
        counts=stored["counts"], decayed={name: Decayed(*one) for name, one in stored["decayed"].items()},
        first=stored["first"], last=stored["last"],
        days={name: Days(last, int(bits, 16)) for name, (last, bits) in stored["days"].items()},
        tickets={name: Ticket(*one) for name, one in stored["tickets"].items()},
    )  # fmt: skip
