"""What holds for a customer is the strictest that anybody of them has said, however they are merged and split; and what follows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.graph import records as graph
from customers.privacy import consent_records, consents
from customers.privacy.consents import GUARDIAN, MARKETING, PROFILING, TRAINING, Consents
from customers.profile import objecting
from customers.profile.aggregates import ProfileEvent
from customers.profile.facts import Fact
from customers.profile.profile import Profiles
from customers.profile.records import fact_table
from foundation import errors
from foundation.messages import TenantId
from foundation.outward.outbox import event_table
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.customers.graph.world import DEMO, VAULT

CLOCK = StandingClock()
NAMES = ("a", "b", "c", "d")
STATES = st.sampled_from(consents.STATES)
"""Of each name: its customer, its proven person within it, and what it has said about profiling, in turn."""
CROWD = st.fixed_dictionaries(
    {name: st.tuples(st.integers(0, 1), st.integers(0, 1), st.lists(STATES, max_size=3)) for name in NAMES}
)


@contextmanager
def base() -> Iterator[sa.Connection]:
    """Only the tables that are asked: a database in memory is enough."""
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:"))
    engine.dialect.vault = VAULT  # type: ignore[attr-defined]  # as Database does
    with engine.begin() as connection:
        for table in (
            graph.identity_table,
            consent_records.consent_table,
            fact_table,
            event_table,
        ):
            table.create(connection)
        yield connection


def meet(connection: sa.Connection, tenant: TenantId, name: str, customer: str, person: str) -> None:
    naming = graph.Naming(name, name, "channel", name, proven=True, device=False)
    graph.add_identity(connection, tenant, naming, seen_at=CLOCK())
    graph.change_identity(connection, tenant, [name], customer_id=customer, access_id=f"{customer}-{person}")


@settings(max_examples=40)
@given(CROWD, st.sampled_from(NAMES))
def test_one_refusal_of_the_newest_statements_holds_for_the_whole_customer(
    crowd: dict[str, tuple[int, int, list[consent_records.State]]], asked: str
) -> None:
    known = Consents(CLOCK)
    with base() as connection:
        for name, (customer, person, said) in crowd.items():
            meet(connection, DEMO, name, f"k{customer}", f"{person}")
            for state in said:
                one = consent_records.Statement(name, PROFILING, state, 1, "crm", "", "", CLOCK())
                consent_records.add(connection, DEMO, one)
        together = [one for one in NAMES if crowd[one][0] == crowd[asked][0]]
        refused = any(crowd[one][2] and crowd[one][2][-1] != "granted" for one in together)
        assert known.may(connection, DEMO, [asked], PROFILING) is not refused
        objectors = known.objectors(connection, DEMO, PROFILING)
        assert (asked in objectors) is refused
        # a split of the asked one: what it said itself still holds, what the others said does not
        graph.change_identity(connection, DEMO, [asked], customer_id=asked, access_id=asked)
        own = crowd[asked][2]
        assert known.may(connection, DEMO, [asked], PROFILING) is not bool(own and own[-1] != "granted")
        # and the undo of it
        graph.change_identity(
            connection, DEMO, [asked], customer_id=f"k{crowd[asked][0]}", access_id=f"k{crowd[asked][0]}-{crowd[asked][1]}"
        )  # fmt: skip
        assert known.may(connection, DEMO, [asked], PROFILING) is not refused


@settings(max_examples=40)
@given(CROWD, st.sampled_from(NAMES), st.sampled_from(consents.STATES))
def test_what_was_said_last_holds_within_the_proven_person_unless_somebody_likely_refuses(
    crowd: dict[str, tuple[int, int, list[consent_records.State]]], speaker: str, state: str
) -> None:
    known = Consents(CLOCK)
    with base() as connection:
        for name, (customer, person, said) in crowd.items():
            meet(connection, DEMO, name, f"k{customer}", f"{person}")
            for one in said:
                known.state(connection, DEMO, name, PROFILING, one, source="chat")
        before = consent_records.newest(connection, DEMO, NAMES)
        after = known.state(connection, DEMO, speaker, PROFILING, state, source="chat")
        likely = [
            one for one in NAMES if crowd[one][0] == crowd[speaker][0] and crowd[one][1] != crowd[speaker][1]
        ]
        held = any((one, PROFILING) in before and before[one, PROFILING].state != "granted" for one in likely)
        assert after.may(PROFILING) is (state == "granted" and not held)
        again = consent_records.history(connection, DEMO, NAMES)
        known.state(connection, DEMO, speaker, PROFILING, state, source="chat")
        assert consent_records.history(connection, DEMO, NAMES) == again, "the same again adds nothing"


def test_agreement_counts_only_for_who_is_proven_to_have_given_it() -> None:
    known, strict = Consents(CLOCK), Consents(CLOCK, ask_first=[TRAINING])
    with base() as connection:
        for name, person in (("a", "1"), ("b", "1"), ("c", "2")):
            meet(connection, DEMO, name, "k", person)
        assert not known.may(connection, DEMO, ["a"], MARKETING), "nobody is sent offers who was not asked"
        known.state(connection, DEMO, "a", MARKETING, "granted", source="chat")
        assert known.may(connection, DEMO, ["b"], MARKETING)
        assert not known.may(connection, DEMO, ["c"], MARKETING)
        assert strict.objectors(connection, DEMO, TRAINING) == {"a", "b", "c"}
        strict.state(connection, DEMO, "a", TRAINING, "granted", source="chat")
        assert "a" not in strict.objectors(connection, DEMO, TRAINING)
    with pytest.raises(errors.ConfigurationError):
        Consents(CLOCK, ask_first=["selling"])


@pytest.mark.parametrize(
    ("born", "proof", "said", "child", "profiled"),
    [
        ("2015-06-01", 0, "", True, False),
        ("2015-06-01", 0, "granted", True, True),
        ("1990-06-01", 1, "refused", False, True),
        ("1990-06-01", 0, "refused", True, False),
        ("", 0, "refused", True, False),
        ("", 0, "", False, True),
    ],
)
def test_nothing_optional_is_done_about_a_child_without_a_guardian(
    born: str, proof: int, said: str, child: bool, profiled: bool
) -> None:
    known = Consents(CLOCK)
    with base() as connection:
        meet(connection, DEMO, "a", "k", "1")
        if born:
            fact = fact_table.insert().values(
                tenant=DEMO, id="f", identity_id="a", attribute="birthday", value=born, source="crm", proof=proof,
                confidence=1.0, observed_at=1, times=1,
            )  # fmt: skip
            connection.execute(fact)
        if said:
            known.state(connection, DEMO, "a", GUARDIAN, said, source="staff")
        now = known.read(connection, DEMO, ["a"])
        assert (now.child, now.may(PROFILING), now.may("service")) == (child, profiled, True)
        assert ("a" in known.objectors(connection, DEMO, PROFILING)) is not profiled


async def test_features_go_and_stay_away_and_what_the_service_needs_stays(
    either_database: Database, vault: Vault, clock: StandingClock, tenant: TenantId
) -> None:
    known = Consents(clock)
    known.follow = {PROFILING: lambda c, t, ids: objecting.drop(c, t, ids, now=clock())}
    profiles = Profiles(vault, clock, known.may_profile)

    def write(connection: sa.Connection) -> None:
        meet(connection, tenant, "a", "a", "1")
        profiles.note(
            connection, tenant, "a", ProfileEvent("o1", "order", clock(), amount=900, product="lamp")
        )
        profiles.note(connection, tenant, "a", ProfileEvent("t1", "ticket_opened", clock(), ticket="t"))
        profiles.state(connection, tenant, Fact("a", "name", "林小雨", "crm", 1, 1.0, clock()))
        profiles.state(connection, tenant, Fact("a", "city", "杭州", "inferred", 0, 0.6, clock()))
        assert profiles.view(connection, tenant, ["a"]).risks
        known.state(connection, tenant, "a", PROFILING, "refused", source="chat")
        profiles.note(
            connection, tenant, "a", ProfileEvent("o2", "order", clock(), amount=100, product="rug")
        )
        profiles.note(
            connection, tenant, "a", ProfileEvent("t2", "ticket_closed", clock() + timedelta(1), ticket="t")
        )
        known.state(connection, tenant, "a", PROFILING, "granted", source="chat")
        view = profiles.view(connection, tenant, ["a"])
        assert (view.judged, view.figures.buying.orders, view.figures.interests) == (True, 0, ())
        assert (view.figures.service.opened, view.figures.service.open_since) == (1, ())
        assert [one.fact.value for one in view.facts.values()] == ["林小雨"]

    await either_database.write(write)
    with pytest.raises(errors.InvalidInput, match="erased"):
        await either_database.write(
            lambda c: known.state(c, tenant, "a", "service", "refused", source="chat")
        )
    with pytest.raises(errors.InvalidInput):
        await either_database.write(
            lambda c: known.state(c, tenant, "a", "selling", "granted", source="chat")
        )
