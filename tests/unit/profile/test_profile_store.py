"""Profiles in both databases: counted once, added under concurrency, combined at read, tags that run out, all forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from customers.graph import records as identities
from customers.profile import aggregates
from customers.profile import profile as profiles
from customers.profile.aggregates import ProfileEvent
from customers.profile.facts import Fact
from customers.profile.profile import Profiles
from foundation import errors
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock

OTHER = TenantId("other")


@pytest.fixture
def kept(vault: Vault, clock: StandingClock) -> Profiles:
    return Profiles(vault, clock)


async def test_event_is_counted_once_however_often_and_from_wherever_it_comes(
    either_database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    order = ProfileEvent("o1", "order", clock(), amount=100)
    for _ in range(2):
        counted = await asyncio.gather(*(
            either_database.write(lambda c: kept.note(c, tenant, "i1", order)) for _ in range(8)
        ))  # fmt: skip
    assert not any(counted)
    others = [replace(order, id=f"o{number}") for number in range(2, 42)]
    await asyncio.gather(*(
        either_database.write(partial(kept.note, tenant=tenant, identity_id="i1", event=one)) for one in others
    ))  # fmt: skip
    assert await either_database.write(lambda c: kept.note(c, OTHER, "i1", order))
    buying = (await either_database.read(lambda c: kept.view(c, tenant, ["i1"]))).figures.buying
    assert (buying.orders, round(buying.amount, 6)) == (41, 4100)
    assert (await either_database.read(lambda c: kept.view(c, OTHER, ["i1"]))).figures.buying.orders == 1


async def test_customer_is_the_sum_of_identities_and_a_split_leaves_each_its_own(
    database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    def write(connection: sa.Connection) -> None:
        kept.note(connection, tenant, "web", ProfileEvent("a", "message", clock(), channel="web_chat"))
        kept.note(connection, tenant, "phone", ProfileEvent("b", "message", clock(), channel="phone"))

    await database.write(write)
    both = await database.read(lambda c: kept.view(c, tenant, ["web", "phone", "web"]))
    alone = await database.read(lambda c: kept.view(c, tenant, ["phone"]))
    assert dict(both.figures.interaction.contacts) == {"web_chat": 1, "phone": 1}
    assert dict(alone.figures.interaction.contacts) == {"phone": 1}


async def test_what_may_be_seen_below_a_proven_account_is_only_the_identity_itself(
    database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    def write(connection: sa.Connection) -> None:
        for name in ("web", "account"):
            naming = identities.Naming(name, name, name, name, proven=True, device=False)
            identities.add_identity(connection, tenant, naming, seen_at=clock())
            identities.change_identity(connection, tenant, [name], access_id="account")

    await database.write(write)
    own = await database.read(lambda c: kept.own(c, tenant, "web", "account", proven=False))
    proven = await database.read(lambda c: kept.own(c, tenant, "web", "account", proven=True))
    assert own == ["web"]
    assert set(proven) == {"web", "account"}


async def test_statement_is_counted_once_an_occasion(
    either_database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    stated = Fact("i1", "name", "林小雨", "crm", 1, 1.0, clock())
    later = replace(stated, observed_at=clock() + timedelta(days=1))
    for one in (later, stated, stated, later):
        await either_database.write(partial(kept.state, tenant=tenant, fact=one))
    found = (await either_database.read(lambda c: kept.view(c, tenant, ["i1"]))).facts["name"].fact
    assert (found.value, found.times, found.observed_at) == ("林小雨", 2, later.observed_at)


async def test_nothing_personal_is_readable_in_the_tables(
    database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    def write(connection: sa.Connection) -> None:
        kept.note(connection, tenant, "i1", ProfileEvent("a", "page_view", clock(), product="gold-ring"))
        kept.state(connection, tenant, Fact("i1", "phone", "13912345678", "crm", 1, 1.0, clock()))
        kept.tag(connection, tenant, "i1", tag="vip", author="Mei", reason="knows the founder")

    await database.write(write)

    def everything(connection: sa.Connection) -> str:
        tables = ("profile_shard", "profile_event", "profile_fact", "profile_tag")
        return "".join(str(connection.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in tables)

    stored = await database.read(everything)
    assert "i1" in stored
    assert not any(secret in stored for secret in ("gold-ring", "13912345678", "founder"))


async def test_tag_by_hand_has_a_reason_and_runs_out(
    either_database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    async def shown() -> list[str]:
        return [one.tag for one in (await either_database.read(lambda c: kept.view(c, tenant, ["i1"]))).tags]

    await either_database.write(
        lambda c: kept.tag(c, tenant, "i1", tag="vip", author="Mei", reason="why", days=2)
    )
    await either_database.write(lambda c: kept.tag(c, tenant, "i1", tag="press", author="Mei", reason="why"))
    assert await shown() == ["press", "vip"]
    clock.move(days=3)
    assert await shown() == ["press"]
    await either_database.write(lambda c: kept.untag(c, tenant, ["i1"], "press"))
    with pytest.raises(errors.NotFound):
        await either_database.write(lambda c: kept.untag(c, tenant, ["i1"], "press"))
    for tag, reason, days in ((" ", "b", 1), ("a", "", 1), ("a", "b", 0)):
        with pytest.raises(errors.InvalidInput):
            await either_database.write(
                partial(
                    kept.tag, tenant=tenant, identity_id="i1", tag=tag, author="Mei", reason=reason, days=days
                )
            )


async def test_customer_who_objects_is_served_and_not_judged(
    database: Database, vault: Vault, tenant: TenantId, clock: StandingClock
) -> None:
    kept = Profiles(vault, clock, may_profile=lambda _connection, _tenant, ids: "i1" not in ids)
    angry = ProfileEvent("a", "message", clock(), channel="phone", valence=-0.9)
    await database.write(lambda c: kept.note(c, tenant, "i1", angry))
    found = await database.read(lambda c: kept.view(c, tenant, ["i1"]))
    assert (found.judged, found.risks, found.tags, found.tier) == (False, {}, (), None)
    assert found.figures.interaction.preferred_channel == "phone"
    assert profiles.shown(found)["risks"] == {}


async def test_forgetting_leaves_no_row(
    database: Database, kept: Profiles, tenant: TenantId, clock: StandingClock
) -> None:
    def write(connection: sa.Connection) -> None:
        for name in ("i1", "i2"):
            kept.note(connection, tenant, name, ProfileEvent(f"a{name}", "order", clock(), amount=1))
            kept.state(connection, tenant, Fact(name, "name", "林", "crm", 1, 1.0, clock()))
            kept.tag(connection, tenant, name, tag="vip", author="Mei", reason="b")

    await database.write(write)
    assert await database.write(lambda c: kept.forget(c, tenant, ["i1"])) == 5
    left = await database.read(lambda c: kept.find(c, tenant, ["i1"]))
    assert (left.shard, left.facts, left.tags) == (aggregates.EMPTY, (), ())
    assert (await database.read(lambda c: kept.view(c, tenant, ["i2"]))).figures.buying.orders == 1
