"""What is concluded from figures: value with its tiers, risk with its reasons, tags, and which of several statements counts."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.profile import aggregates, facts, figures, risk, tags, value
from customers.profile.aggregates import ProfileEvent
from customers.profile.facts import Fact
from customers.profile.figures import Buying
from customers.profile.risk import Case

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def test_neighbouring_tier_is_believed_after_two_nights_in_a_row() -> None:
    standing = value.advance(None, 8)
    tiers = []
    for points in (10, 8, 10, 10, 10):
        standing = value.advance(standing, points)
        tiers.append(standing.tier)
    assert tiers == ["middle", "middle", "middle", "high", "high"]


def test_tier_a_full_step_away_is_believed_at_once() -> None:
    assert value.advance(value.Standing("low"), 10).tier == "high"
    assert value.advance(value.Standing("top"), 9).tier == "middle"


@given(points=st.lists(st.integers(9, 10), min_size=2, max_size=30))
def test_a_score_that_flutters_at_a_border_never_moves_a_tier_twice_in_two_nights(points: list[int]) -> None:
    standing, tiers = None, []
    for one in points:
        standing = value.advance(standing, one)
        tiers.append(standing.tier)
    moved = [at for at, (before, after) in enumerate(itertools.pairwise(tiers)) if before != after]
    assert all(later - earlier >= value.NIGHTS for earlier, later in itertools.pairwise(moved))


def test_fifths_of_the_base_give_one_to_five_points() -> None:
    base = [
        Buying(1, float(at), float(at), float(at), 0.0, NOW - timedelta(days=100 - at))
        for at in range(1, 101)
    ]
    cuts = value.cut(base, NOW)
    assert cuts is not None
    scores = [value.score(one, cuts, NOW) for one in base]
    assert scores[0] == value.Score(1, 1, 1)
    assert scores[-1] == value.Score(5, 5, 5)
    assert [sum(one is not None and one.monetary == fifth for one in scores) for fifth in range(1, 6)] == [
        20
    ] * 5
    assert value.load(value.dump(cuts)) == cuts
    assert value.cut(base[:10], NOW) is None
    assert value.score(replace(base[0], orders=0), cuts, NOW) is None


def test_two_angry_complaints_make_a_complaint_likely_and_say_why() -> None:
    shown = _figures(*[
        ProfileEvent(str(at), "message", NOW - timedelta(minutes=at), channel="web_chat", valence=-0.85, confidence=0.9, intent="complaint")
        for at in (1, 2)
    ])  # fmt: skip
    found = risk.judge(risk.cards()["complaint"], risk.features(shown, NOW))
    assert found.level == "high"
    assert {"angry", "complaints"} <= {reason.feature for reason in found.reasons}
    assert [one.points for one in found.reasons] == sorted(
        (one.points for one in found.reasons), reverse=True
    )


def test_one_calm_question_makes_no_risk_and_no_reason() -> None:
    shown = _figures(ProfileEvent("a", "message", NOW, channel="web_chat", valence=0.0))
    found = risk.judge(risk.cards()["complaint"], risk.features(shown, NOW))
    assert (found.level, found.reasons) == ("low", ())


def test_churn_is_unknown_without_a_rhythm_and_grows_with_silence() -> None:
    once = _figures(ProfileEvent("a", "message", NOW, channel="web_chat"))
    card = risk.cards()["churn"]
    assert risk.judge(card, risk.features(once, NOW)).level == "unknown"
    weekly = [ProfileEvent(str(at), "order", NOW - timedelta(days=7 * at), amount=9) for at in range(4)]
    shown = _figures(*weekly)
    later = NOW + timedelta(days=60)
    assert risk.judge(card, risk.features(shown, NOW)).level == "low"
    late = risk.judge(card, risk.features(figures.read(_shard(weekly), later), later))
    assert (late.level, late.reasons[0].feature) == ("high", "overdue")


def test_weights_are_learned_only_from_enough_cases_and_only_when_better() -> None:
    seed = random.SystemRandom().randrange(2**32)
    drawn = random.Random(seed)
    card = risk.cards()["complaint"]
    # Here only the age of an open matter makes people complain, which the points set by hand hardly believe.
    cases = []
    for _ in range(3000):
        known = {name: drawn.uniform(0, one.cap) for name, one in card.weights.items()}
        cases.append(Case(known, drawn.random() < 1 / (1 + math.exp(4.5 - known["open_days"] / 2))))
    learned = risk.fit(cases, card)
    assert learned is not None, seed
    strongest = max(
        learned.weights, key=lambda name: learned.weights[name].weight * learned.weights[name].cap
    )
    assert strongest == "open_days", seed
    assert all(one.weight >= 0 for one in learned.weights.values())
    assert learned.learned_from == sum(case.positive for case in cases)
    assert all(abs(said - true) < 0.15 for said, true, _ in learned.reliability), seed
    assert risk.load(risk.dump(learned)) == learned
    assert risk.fit(cases[:300], card) is None
    noise = [Case(case.features, drawn.random() < 0.3) for case in cases]
    unlearned = risk.fit(noise, card)
    assert unlearned is None or unlearned.learned_from >= risk.LEAST_POSITIVES


def test_rules_tag_by_figures_and_say_which() -> None:
    shown = _figures(*[ProfileEvent(str(at), "order", NOW, amount=2000) for at in range(5)])
    found = {one.tag: one for one in tags.derive(shown, {}, tags.rules())}
    assert {"frequent_buyer", "big_spender"} <= found.keys()
    assert found["big_spender"].reason == "monetary=1e+04"
    assert found["big_spender"].origin == "rule"


def test_every_rule_and_weight_names_a_figure_that_exists() -> None:
    shown = _figures(ProfileEvent("a", "message", NOW, valence=0.1), ProfileEvent("b", "rated", NOW, score=4))
    assert {rule.figure for rule in tags.rules()} <= tags.numbers(shown).keys()
    known = risk.features(shown, NOW)
    assert known is not None
    assert {name for card in risk.cards().values() for name in card.weights} <= known.keys()


def fact(word: str, **more: object) -> Fact:
    stated = Fact("i1", "name", word, "crm", 1, 1.0, NOW, 1)
    return replace(stated, **more)  # type: ignore[arg-type]  # the fields by name


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (fact("a", proof=2, source="chat", observed_at=NOW - timedelta(days=400)), fact("b", proof=1, source="staff")),
        (fact("a", source="staff", observed_at=NOW - timedelta(days=400)), fact("b", source="crm", times=9)),
        (fact("a", observed_at=NOW), fact("b", observed_at=NOW - timedelta(seconds=1), times=9)),
        (fact("a", times=3), fact("b", times=2)),
    ],
    ids=["proof", "source", "recency", "frequency"],
)  # fmt: skip
def test_statement_survives_by_proof_then_source_then_age_then_frequency(winner: Fact, loser: Fact) -> None:
    for order in ([winner, loser], [loser, winner]):
        chosen = facts.survivors(order)["name"]
        assert chosen.fact == winner
        assert chosen.conflicts == (loser,)


def test_contact_data_is_shown_by_its_ends() -> None:
    assert facts.masked(fact("13912345678", attribute="phone")) == "139****5678"
    assert facts.masked(fact("lin@example.com", attribute="email")) == "l***@example.com"
    assert facts.masked(fact("1990-05-06", attribute="birthday")) == "****-05-06"
    assert facts.masked(fact("林", attribute="name")) == "林"


def _shard(happened: list[ProfileEvent]) -> aggregates.Shard:
    return aggregates.combine(aggregates.of_event(event) for event in happened)


def _figures(*happened: ProfileEvent) -> figures.Figures:
    return figures.read(_shard(list(happened)), NOW)
