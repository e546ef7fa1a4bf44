"""Sums that can be added in any order and grouping, and what they say: property 10 of the identity design."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.profile import aggregates, figures
from customers.profile.aggregates import EMPTY, ProfileEvent, Shard

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
_ratio = st.floats(-1, 1, allow_nan=False)


@st.composite
def events(draw: st.DrawFn) -> ProfileEvent:
    return ProfileEvent(
        id=draw(st.uuids(version=4)).hex,
        type=draw(st.sampled_from(aggregates.TYPES)),
        at=NOW - timedelta(seconds=draw(st.integers(0, 86_400 * 1500))),
        channel=draw(st.sampled_from(["web_chat", "wechat_oa", "phone"])),
        language=draw(st.sampled_from(["", "zh-Hans", "yue", "en"])),
        valence=draw(st.none() | _ratio),
        confidence=draw(st.floats(0.01, 1)),
        intent=draw(st.sampled_from(["", "complaint", "return_request", "order_status"])),
        signals=draw(st.frozensets(st.sampled_from(["legal_threat", "media_threat", "insult"]))),
        product=draw(st.sampled_from(["", *(f"sku-{number}" for number in range(8))])),
        amount=draw(st.floats(0, 100_000)),
        seconds=draw(st.none() | st.floats(0, 3600)),
        score=draw(st.none() | st.integers(1, 5)),
        ticket=draw(st.sampled_from(["", "t1", "t2", "t3"])),
        first_contact=draw(st.booleans()),
    )


@settings(max_examples=200)
@given(data=st.data(), happened=st.lists(events(), max_size=40))
def test_any_order_and_any_sharding_gives_the_same_view(
    data: st.DataObject, happened: list[ProfileEvent]
) -> None:
    one = _folded(happened)
    shuffled = data.draw(st.permutations(happened))
    shards: list[list[ProfileEvent]] = [[] for _ in range(4)]
    for event in shuffled:
        shards[data.draw(st.integers(0, 3))].append(event)
    stored = [aggregates.load(aggregates.dump(_folded(part))) for part in shards]
    left = aggregates.combine([aggregates.combine(stored[:2]), aggregates.combine(stored[2:])])
    for other in (aggregates.combine(reversed(stored)), left):
        _same(figures.read(one, NOW), figures.read(other, NOW))


def test_nothing_is_added_by_an_empty_shard() -> None:
    shard = _folded([ProfileEvent("a", "order", NOW, amount=10)])
    assert aggregates.combine([EMPTY, shard, EMPTY]) == shard


def test_late_event_counts_as_if_it_had_come_in_time() -> None:
    early = ProfileEvent("a", "message", NOW - timedelta(days=30), channel="phone")
    late = ProfileEvent("b", "message", NOW, channel="phone")
    assert figures.read(_folded([late, early]), NOW).interaction.lately["phone"] == pytest.approx(1.5)


def test_a_script_that_looks_at_everything_does_not_grow_the_row() -> None:
    looked = [
        ProfileEvent(str(at), "page_view", NOW + timedelta(seconds=at), product=f"sku-{at}")
        for at in range(900)
    ]
    shard = _folded([*looked, *[ProfileEvent(f"o{at}", "order", NOW, product="sku-1") for at in range(5)]])
    assert len([name for name in shard.decayed if name.startswith("interest:")]) == aggregates.KEPT_INTERESTS
    top = figures.read(shard, NOW).interests
    assert (len(top), top[0].name) == (figures.TOP_INTERESTS, "sku-1")


def test_mood_of_the_last_week_is_held_against_the_month() -> None:
    def felt(days: int, valence: float) -> ProfileEvent:
        return ProfileEvent(
            f"{days}", "message", NOW - timedelta(days=days), channel="phone", valence=valence
        )

    worse = figures.read(_folded([felt(25, 0.6), felt(20, 0.6), felt(0, -0.9)]), NOW).feeling
    better = figures.read(_folded([felt(25, -0.6), felt(20, -0.6), felt(0, 0.9)]), NOW).feeling
    assert worse.slope < -0.1
    assert better.slope > 0.1
    assert figures.read(_folded([felt(3, 0.5)]), NOW).feeling.mean == pytest.approx(0.5)


def test_a_sure_feeling_counts_for_more_than_a_guess() -> None:
    sure = ProfileEvent("a", "message", NOW, valence=-0.9, confidence=0.9)
    guess = ProfileEvent("b", "message", NOW, valence=0.9, confidence=0.1)
    mean = figures.read(_folded([sure, guess]), NOW).feeling.mean
    assert mean == pytest.approx(-0.72)


def test_tickets_that_are_open_are_those_whose_last_word_is_not_closed() -> None:
    def ticket(name: str, kind: Any, hours: int) -> ProfileEvent:
        return ProfileEvent(f"{name}{kind}{hours}", kind, NOW - timedelta(hours=hours), ticket=name)

    service = figures.read(
        _folded([
            ticket("a", "ticket_closed", 1), ticket("a", "ticket_opened", 9),
            ticket("b", "ticket_opened", 8), ticket("b", "ticket_closed", 5), ticket("b", "ticket_reopened", 2),
        ]),
        NOW,
    ).service  # fmt: skip
    assert service.open_since == (NOW - timedelta(hours=8),)
    assert (service.opened, service.closed, service.reopen_share) == (2, 2, 0.5)


def test_usual_gap_is_between_days_and_not_between_messages() -> None:
    days = [40, 30, 30, 30, 20, 10]
    shard = _folded(
        [ProfileEvent(str(at), "message", NOW - timedelta(days=day)) for at, day in enumerate(days)]
    )
    shown = figures.read(shard, NOW)
    assert (shown.usual_gap_days, shown.silent_days) == (10, 10)


def _folded(happened: list[ProfileEvent]) -> Shard:
    shard = EMPTY
    for event in happened:
        shard = aggregates.after(shard, event)
    return shard


def _same(one: Any, two: Any) -> None:
    """Equal to 1e-6, whatever is inside."""
    if is_dataclass(one):
        assert type(one) is type(two)
        for field in fields(one):
            _same(getattr(one, field.name), getattr(two, field.name))
    elif isinstance(one, float):
        assert two == pytest.approx(one, rel=1e-6, abs=1e-6)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for name in one:
            _same(one[name], two[name])
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            _same(left, right)
    else:
        assert one == two
