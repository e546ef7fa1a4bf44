"""What is worked out once a night from the whole base: fifths of value, tiers, spreads of numbers, odd profiles, and whether
yesterday's guesses came true.

`service` calls `run` for each tenant once a day; the first process to publish the day's version does it, the others find it
done. Reading the base and growing the forest happen outside of any write; the results are written in short transactions, so
that no customer waits behind the night.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog

from customers.cleaning import outliers, pipeline
from customers.cleaning import records as set_aside
from customers.cleaning.collection import SPREADS, Collection
from customers.cleaning.outliers import Spread
from customers.cleaning.records import SetAside
from customers.privacy import copy_records
from customers.privacy.consents import PROFILING, TRAINING, Objectors, nobody
from customers.profile import aggregates, figures, learned, records, risk, value
from customers.profile.aggregates import DAY, Shard
from customers.profile.figures import Figures
from customers.profile.profile import Profiles
from customers.profile.risk import Card, Kind
from customers.profile.value import Cuts, Standing
from foundation.clock import Clock, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database

T = TypeVar("T")

SIZES_READ = 100_000
"""Newest numbers of a kind from which its spread is measured."""
WATCHED = ("order", "refund", "dwell", "page_view")
NIGHT_BEGINS = timedelta(hours=19)
"""Of a day in UTC: three in the morning in China."""
CASE_EVERY = timedelta(days=30)
"""A case is taken of everybody so often, and is over as long after: did they complain, did they stay away?"""
AT_A_TIME = 200
"""Rows written in one transaction."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """All of one customer."""

    identity_ids: tuple[str, ...]
    shard: Shard
    figures: Figures


@dataclass(frozen=True, slots=True)
class Night:
    """What one night found."""

    people: int
    buyers: int
    moved: int
    """Standings that are another than the night before."""
    odd: int
    closed_cases: int
    learned: tuple[Kind, ...]


class Nightly:
    def __init__(
        self, database: Database, profiles: Profiles, collection: Collection, clock: Clock, *, objectors: Objectors = nobody
    ) -> None:  # fmt: skip
        self._database = database
        self._objectors = objectors
        self._profiles = profiles
        self._collection = collection
        self._clock = clock

    async def run(self, tenant: TenantId) -> Night | None:
        """None when today's is done, or being done by somebody else."""
        now = self._clock()
        version = to_milliseconds(now - NIGHT_BEGINS) // DAY
        claimed = await self._database.write(
            lambda c: learned.publish_model(c, tenant, "night", version, {"at": to_milliseconds(now)})
        )
        if not claimed:
            return None
        people = await self._database.read(lambda c: self._people(c, tenant, now))
        untaught = await self._database.read(lambda c: self._objectors(c, tenant, TRAINING))
        odd = await self._find_odd(tenant, people, now)
        base = [one for one, is_odd in zip(people, odd, strict=True) if not is_odd]
        cuts = value.cut([one.figures.buying for one in base], now)
        moved = await self._place(tenant, people, cuts, now) if cuts else 0
        spreads = await self._database.read(lambda c: _spreads(c, tenant))
        closed = await self._close_cases(tenant, people, now)
        found = await self._learn(tenant, untaught)
        await self._database.write(
            lambda c: _publish(c, tenant, version, cuts=cuts, spreads=spreads, cards=found)
        )
        await self._open_cases(
            tenant, [one for one in people if not untaught.intersection(one.identity_ids)], now
        )
        oldest = now - timedelta(days=pipeline.rules()["oldest_days"] + 30)
        await self._database.write(lambda c: records.forget_events(c, tenant, before=oldest))
        await self._database.write(lambda c: copy_records.drop_old(c, tenant, now))
        self._profiles.forget_models()
        self._collection.forget_models()
        night = Night(
            len(people),
            cuts.buyers if cuts else 0,
            moved,
            sum(odd),
            closed,
            tuple(card.kind for card in found),
        )
        _log.info("night", tenant=tenant, people=night.people, moved=moved, odd=night.odd, cases=closed)
        return night

    def _people(self, connection: sa.Connection, tenant: TenantId, now: datetime) -> list[Person]:
        """Without those who object to being judged."""
        objecting = self._objectors(connection, tenant, PROFILING)
        return [
            one for one in _people(connection, tenant, now) if not objecting.intersection(one.identity_ids)
        ]

    async def _find_odd(self, tenant: TenantId, people: Sequence[Person], now: datetime) -> list[bool]:
        """Set aside for a person to look at; one that was let in before stays in."""
        rows = [_numbers(one.figures) for one in people]
        sums, ratios = [row[:_SUMS] for row in rows], [row[_SUMS:] for row in rows]
        odd = await asyncio.to_thread(outliers.odd_ones, sums, ratios)
        found = [one for one, is_odd in zip(people, odd, strict=True) if is_odd]

        def write(connection: sa.Connection) -> set[str]:
            for one in found:
                numbers = dict(zip(_NUMBERS, _numbers(one.figures), strict=True))
                name = f"profile:{one.identity_ids[0]}"
                set_aside.set_aside(connection, tenant, SetAside(
                    name, one.identity_ids[0], "nightly", "profile", "outliers", "odd_profile", numbers, now
                ))  # fmt: skip
            return set_aside.odd_identities(connection, tenant)

        still = await self._database.write(write)
        return [bool(still.intersection(one.identity_ids)) for one in people]

    async def _place(self, tenant: TenantId, people: Sequence[Person], cuts: Cuts, now: datetime) -> int:
        moved = 0
        scored = [(one, score) for one in people if (score := value.score(one.figures.buying, cuts, now))]
        for part in _parts(scored):

            def write(connection: sa.Connection, part: Sequence[tuple[Person, value.Score]] = part) -> int:
                changed = 0
                for one, score in part:
                    before = records.read_standing(connection, tenant, one.identity_ids)
                    standing: Standing = value.advance(before, score.points)
                    changed += before is not None and standing.tier != before.tier
                    records.set_standing(connection, tenant, one.identity_ids, standing, now)
                return changed

            moved += await self._database.write(write)
        return moved

    async def _open_cases(self, tenant: TenantId, people: Sequence[Person], now: datetime) -> None:
        """A thirtieth of the people each day."""
        today = to_milliseconds(now) // DAY
        due = [one for one in people if (hash_of(one.identity_ids[0]) + today) % CASE_EVERY.days == 0]
        for part in _parts(due):

            def write(connection: sa.Connection, part: Sequence[Person] = part) -> None:
                for one in part:
                    known = risk.features(one.figures, now)
                    for kind in risk.KINDS:
                        if known is not None and not (kind == "churn" and known["overdue"] < 0):
                            learned.add_case(
                                connection, tenant, kind, one.identity_ids[0], at=now, features=known
                            )

            await self._database.write(write)

    async def _close_cases(self, tenant: TenantId, people: Sequence[Person], now: datetime) -> int:
        by_identity = {identity: one for one in people for identity in one.identity_ids}
        closed = 0
        for kind in risk.KINDS:
            cases = await self._database.read(
                lambda c, kind=kind: learned.open_cases(c, tenant, kind, before=now - CASE_EVERY)  # type: ignore[misc]
            )
            for part in _parts(cases):

                def write(
                    connection: sa.Connection, kind: Kind = kind, part: Sequence[learned.OpenCase] = part
                ) -> None:
                    for case in part:
                        one = by_identity.get(case.identity_id)
                        came_true = one is not None and _came_true(kind, one.shard, case, now)
                        learned.close_case(connection, tenant, kind, case, came_true=came_true)

                await self._database.write(write)
                closed += len(part)
        return closed

    async def _learn(self, tenant: TenantId, without: set[str]) -> list[Card]:
        found = []
        for kind, card in risk.cards().items():
            cases = await self._database.read(
                lambda c, kind=kind: learned.labelled_cases(c, tenant, kind, without=without)  # type: ignore[misc]
            )
            better = await asyncio.to_thread(risk.fit, cases, card)
            if better is not None:
                found.append(better)
        return found


_NUMBERS = ("orders", "amount", "page_views", "seconds", "messages", "amount_an_order", "seconds_a_page")
_SUMS = 5
"""So many of them are sums, the rest ratios."""


def _numbers(shown: Figures) -> list[float]:
    """What makes a profile odd: its sums, and the two ratios that a slipped unit or a script breaks."""
    buying, looked = shown.buying, shown.interaction
    pages = float(looked.seen.get("page_view", 0))
    return [
        float(buying.orders), buying.amount, pages, looked.seconds_looked, float(sum(looked.contacts.values())),
        buying.amount / buying.orders if buying.orders else 0.0, looked.seconds_looked / pages if pages else 0.0,
    ]  # fmt: skip


def _people(connection: sa.Connection, tenant: TenantId, now: datetime) -> list[Person]:
    """The identities of a customer together, as the staff see them."""
    found: dict[str, tuple[list[str], list[Shard]]] = {}
    for identity_id, customer, shard in records.all_shards(connection, tenant):
        ids, shards = found.setdefault(customer, ([], []))
        ids.append(identity_id)
        shards.append(shard)
    people = []
    for ids, shards in found.values():
        whole = aggregates.combine(shards)
        people.append(Person(tuple(ids), whole, figures.read(whole, now)))
    return people


def _spreads(connection: sa.Connection, tenant: TenantId) -> dict[str, Spread]:
    found = {
        kind: outliers.spread(records.sizes(connection, tenant, kind, limit=SIZES_READ)) for kind in WATCHED
    }
    return {kind: one for kind, one in found.items() if one is not None}


def _publish(
    connection: sa.Connection, tenant: TenantId, version: int, *, cuts: Cuts | None, spreads: dict[str, Spread],
    cards: Iterable[Card],
) -> None:  # fmt: skip
    if cuts is not None:
        learned.publish_model(connection, tenant, "value", version, value.dump(cuts))
    learned.publish_model(connection, tenant, SPREADS, version, outliers.dump(spreads))
    for card in cards:
        learned.publish_model(connection, tenant, card.kind, version, risk.dump(card))


def _came_true(kind: Kind, shard: Shard, case: learned.OpenCase, now: datetime) -> bool:
    """A complaint: there is more of it than what was known would have faded to. A goodbye: nothing was heard since."""
    if kind == "churn":
        last = shard.last.get("active")
        return last is None or last <= to_milliseconds(case.at)
    days = (now - case.at).total_seconds() / 86_400
    left = (case.features["complaints"] + case.features["threats"]) * 2 ** (
        -days / aggregates.HALF_LIVES["complaint"]
    )
    moment = to_milliseconds(now)
    return figures.worth(shard, "complaint", moment) + figures.worth(shard, "threat", moment) > left + 0.25


def hash_of(identity_id: str) -> int:
    """The same in every process, unlike Python's own."""
    return int.from_bytes(identity_id.encode()[-8:], "big")


def _parts(items: Sequence[T]) -> Iterable[Sequence[T]]:
    for start in range(0, len(items), AT_A_TIME):
        yield items[start : start + AT_A_TIME]
