"""The night over a whole base: fifths and tiers, spreads and odd profiles, guesses that came true, done by one process only."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from customers.cleaning import records as set_aside
from customers.cleaning.collection import Collection
from customers.graph import records as identities
from customers.nightly import CASE_EVERY, Nightly
from customers.profile import learned, risk
from customers.profile.aggregates import ProfileEvent
from customers.profile.profile import Profile, Profiles
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock

PEOPLE = 120


@pytest.fixture
def kept(vault: Vault, clock: StandingClock) -> Profiles:
    return Profiles(vault, clock)


@pytest.fixture
def collection(database: Database, kept: Profiles, clock: StandingClock) -> Collection:
    return Collection(database, kept, clock)


@pytest.fixture
def nightly(database: Database, kept: Profiles, collection: Collection, clock: StandingClock) -> Nightly:
    return Nightly(database, kept, collection, clock)


async def fill(database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock) -> None:
    """The higher the number, the more, the newer and the dearer; the last one's amounts are a hundred times too high."""
    drawn = random.Random(11)

    def write(connection: sa.Connection) -> None:
        for at in range(PEOPLE):
            naming = identities.Naming(f"i{at}", f"i{at}", "account", str(at), proven=True, device=False)
            identities.add_identity(connection, tenant, naming, seen_at=clock())
            for number in range(1 + at // 25):
                placed = clock() - timedelta(days=PEOPLE - at + number)
                amount = (50 + at) * drawn.uniform(0.8, 1.2) * (1000 if at == PEOPLE - 1 else 1)
                event = ProfileEvent(f"o{at}-{number}", "order", placed, amount=amount)
                kept.note(connection, tenant, f"i{at}", event, size=amount)

    await database.write(write)


async def seen(database: Database, kept: Profiles, tenant: TenantId, identity_id: str) -> Profile:
    return await database.read(lambda c: kept.view(c, tenant, [identity_id]))


async def test_base_is_cut_into_fifths_once_a_night_and_tiers_follow_slowly(
    database: Database, kept: Profiles, nightly: Nightly, tenant: TenantId, clock: StandingClock
) -> None:
    await fill(database, kept, tenant, clock)
    assert (await seen(database, kept, tenant, "i100")).tier is None
    nights = await asyncio.gather(*(nightly.run(tenant) for _ in range(3)))
    [night] = [one for one in nights if one is not None]
    assert (night.people, night.moved) == (PEOPLE, 0)
    poor, rich = await seen(database, kept, tenant, "i2"), await seen(database, kept, tenant, "i110")
    assert (poor.tier, rich.tier) == ("low", "top")
    assert rich.score is not None
    assert rich.buyers_compared == night.buyers
    bought = ProfileEvent("late", "order", clock(), amount=1)
    await database.write(lambda c: kept.note(c, tenant, "i80", bought))
    before = (await seen(database, kept, tenant, "i80")).tier
    tiers = []
    for _ in range(2):
        clock.move(days=1)
        await nightly.run(tenant)
        tiers.append((await seen(database, kept, tenant, "i80")).tier)
    assert [before, *tiers] == ["high", "high", "top"]


async def test_odd_profile_is_set_aside_and_compared_with_nobody_until_a_person_lets_it_in(
    database: Database,
    kept: Profiles,
    nightly: Nightly,
    collection: Collection,
    tenant: TenantId,
    clock: StandingClock,
) -> None:
    await fill(database, kept, tenant, clock)
    night = await nightly.run(tenant)
    assert night is not None
    assert night.buyers == PEOPLE - night.odd
    waiting = await database.read(lambda c: set_aside.waiting(c, tenant))
    found = {one.identity_id: one for one in waiting if one.kind == "profile"}
    assert f"i{PEOPLE - 1}" in found
    for one in found.values():
        await collection.decide(tenant, one.id, release=True, by="Mei")
    clock.move(days=1)
    again = await nightly.run(tenant)
    assert again is not None
    assert f"i{PEOPLE - 1}" not in await database.read(lambda c: set_aside.odd_identities(c, tenant))
    assert again.buyers >= night.buyers + len(found) - 1


async def test_amount_far_from_all_known_is_set_aside_after_the_first_night(
    database: Database,
    kept: Profiles,
    nightly: Nightly,
    collection: Collection,
    tenant: TenantId,
    clock: StandingClock,
) -> None:
    row = {
        "type": "order",
        "at": clock().isoformat(),
        "amount": 9_000_000,
        "identity": {"namespace": "account", "value": "z"},
    }
    [first] = await collection.add_events(tenant, [{**row, "id": "a"}], source="api")
    await fill(database, kept, tenant, clock)
    await nightly.run(tenant)
    [far, near] = await collection.add_events(
        tenant, [{**row, "id": "b", "amount": 9_000_001}, {**row, "id": "c", "amount": 120}], source="api"
    )
    assert (first.status, far.status, far.reason, near.status) == (
        "accepted",
        "quarantined",
        "far:order",
        "accepted",
    )


async def test_guess_is_labelled_a_month_later_by_what_happened(
    database: Database, kept: Profiles, nightly: Nightly, tenant: TenantId, clock: StandingClock
) -> None:
    def write(connection: sa.Connection) -> None:
        for at in range(60):
            for days in (20, 10, 0):
                event = ProfileEvent(
                    f"m{at}-{days}", "message", clock() - timedelta(days=days), channel="phone", valence=-0.1
                )
                kept.note(connection, tenant, f"i{at}", event)

    await database.write(write)
    for _ in range(CASE_EVERY.days):
        await nightly.run(tenant)
        clock.move(days=1)
    opened = await database.read(
        lambda c: learned.open_cases(c, tenant, "complaint", before=clock() + timedelta(days=1))
    )
    assert len({case.identity_id for case in opened}) == 60

    def complain(connection: sa.Connection) -> None:
        for at in range(30):
            event = ProfileEvent(
                f"c{at}", "message", clock(), channel="phone", valence=-0.9, intent="complaint"
            )
            kept.note(connection, tenant, f"i{at}", event)

    await database.write(complain)
    clock.move(days=CASE_EVERY.days)
    await nightly.run(tenant)
    complaints = await database.read(lambda c: learned.labelled_cases(c, tenant, "complaint"))
    churned = await database.read(lambda c: learned.labelled_cases(c, tenant, "churn"))
    assert (len(complaints), sum(case.positive for case in complaints)) == (60, 30)
    assert sum(case.positive for case in churned) == 30
    assert risk.fit(complaints, risk.cards()["complaint"]) is None
