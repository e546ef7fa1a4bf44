"""The order in memory: who is ready, who rests, who is held. Pure, so hypothesis may do anything to it."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.bus.schedule import Schedule

LEASE = 100


def schedule() -> Schedule:
    return Schedule(itertools.count(1), LEASE)


def test_lane_is_not_claimed_twice_when_work_arrives_while_it_is_held() -> None:
    lanes = schedule()
    lanes.add("a", 0, now=0)
    (claim,) = lanes.claim(5, now=0)
    lanes.add("a", 0, now=1)
    assert lanes.claim(5, now=1) == []
    lanes.release("a", claim.fence, None, now=2)
    assert [again.lane for again in lanes.claim(5, now=2)] == ["a"]


def test_lane_is_forgotten_when_it_is_released_without_more_work() -> None:
    lanes = schedule()
    lanes.add("a", 0, now=0)
    (claim,) = lanes.claim(5, now=0)
    lanes.release("a", claim.fence, None, now=0)
    assert lanes.claim(5, now=0) == []
    assert lanes.held == 0


def test_backoff_stays_when_more_work_arrives_for_the_lane() -> None:
    lanes = schedule()
    lanes.add("a", 50, now=0)
    lanes.add("a", 0, now=0)
    assert lanes.next_at() == 50
    assert lanes.claim(5, now=49) == []
    assert len(lanes.claim(5, now=50)) == 1


def test_lease_cannot_end_when_its_commit_is_under_way() -> None:
    lanes = schedule()
    lanes.add("a", 0, now=0)
    (claim,) = lanes.claim(1, now=0)
    assert lanes.begin_commit("a", claim.fence)
    assert not lanes.begin_commit("a", claim.fence)
    assert lanes.claim(1, now=LEASE * 10) == []
    lanes.abort_commit("a", claim.fence)
    assert len(lanes.claim(1, now=LEASE * 10)) == 1
    assert not lanes.begin_commit("a", claim.fence)


def test_ripe_lanes_are_reported_once_when_nobody_claims_them() -> None:
    """Otherwise a loop whose slots are full would spin."""
    lanes = schedule()
    lanes.add("a", 10, now=0)
    assert lanes.ripen(now=20)
    assert not lanes.ripen(now=20)
    assert lanes.next_at() is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add later", "claim", "release", "release more", "extend", "pass time"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_every_lane_has_at_most_one_holder_and_none_is_lost_when_anything_happens(
    steps: list[tuple[str, int]],
) -> None:
    lanes = schedule()
    now, pending, held, fences = 0, set[str](), dict[str, int](), set[int]()
    ends: dict[str, int] = {}
    for step, number in steps:
        name = "abcd"[number]
        if step.startswith("add"):
            lanes.add(name, now + (30 if step == "add later" else 0), now)
            pending.add(name)
        elif step == "claim":
            for claim in lanes.claim(number + 1, now):
                assert claim.lane in pending
                assert claim.lane not in held or ends[claim.lane] <= now
                assert claim.fence not in fences
                fences.add(claim.fence)
                held[claim.lane], ends[claim.lane] = claim.fence, claim.lease_until
        elif step.startswith("release") and name in held:
            more = step == "release more"
            lanes.release(name, held.pop(name), now if more else None, now)
        elif step == "extend" and name in held and lanes.extend(name, held[name], now):
            ends[name] = now + LEASE
        elif step == "pass time":
            now += number * 40
    now += LEASE + 31
    left = {claim.lane for claim in lanes.claim(10, now)}
    assert set(held) <= left
