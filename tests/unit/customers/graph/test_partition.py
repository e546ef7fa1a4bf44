"""Which names are one person: the rules by example, and as properties of any set of evidence."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.graph.partition import (
    ACCOUNT,
    Division,
    Edge,
    Labels,
    Node,
    Rules,
    Strength,
    divide,
    fingerprint,
    is_proven,
    is_shared,
)

TIGHT = Rules(accounts=1, members=4)
NORMAL = Rules()


def node(name: str, seen: int = 0, *, device: bool = False, shared: bool = False) -> Node:
    return Node(name, ACCOUNT if name.startswith("acc") else "phone", seen, device, shared)


def edge(
    one: str,
    other: str,
    strength: Strength = Strength.PROVEN,
    *,
    at: int = 0,
    score: float = 1.0,
    by: str = "e",
) -> Edge:
    a, b = sorted((one, other))
    return Edge(a, b, by, strength, at, score)


def groups(division: Division, *, access: bool = False) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, labels in division.labels.items():
        found.setdefault(labels.access if access else labels.customer, set()).add(name)
    return {frozenset(members) for members in found.values()}


def divided(nodes: list[Node], edges: list[Edge], apart: set[tuple[str, str]], rules: Rules) -> Division:
    """With shared names found as the database finds them: from all evidence there is."""
    known = {one.id: one for one in nodes}
    marked = [
        replace(one, shared=is_shared(one, [e for e in edges if one.id in (e.a, e.b)], known, rules))
        for one in nodes
    ]
    return divide(marked, edges, apart, rules)


def test_oldest_name_gives_the_label_when_names_are_one() -> None:
    division = divide([node("b", 5), node("a", 7)], [edge("a", "b")], [], NORMAL)
    assert division.labels == {"a": Labels("b", "b"), "b": Labels("b", "b")}
    assert division.suppressed == {}


@pytest.mark.parametrize("strength", [Strength.LIKELY, Strength.STATED])
def test_link_without_proof_is_for_staff_only(strength: Strength) -> None:
    division = divide([node("a"), node("b")], [edge("a", "b", strength)], [], NORMAL)
    assert groups(division) == {frozenset("ab")}
    assert groups(division, access=True) == {frozenset("a"), frozenset("b")}


def test_two_accounts_stay_two_and_the_earlier_proof_has_the_name() -> None:
    nodes = [node("acc1"), node("acc2"), node("phone")]
    division = divide(nodes, [edge("acc2", "phone", at=1), edge("acc1", "phone", at=2)], [], NORMAL)
    assert groups(division) == {frozenset({"acc2", "phone"}), frozenset({"acc1"})}
    assert division.suppressed == {("acc1", "phone", "e"): "unique"}


def test_proof_wins_over_what_staff_say_and_staff_over_a_score() -> None:
    nodes = [node("acc1"), node("acc2"), node("acc3"), node("phone")]
    edges = [
        edge("acc1", "phone", Strength.LIKELY, at=1),
        edge("acc2", "phone", Strength.STATED, at=2),
        edge("acc3", "phone", Strength.BOUND, at=3),
    ]
    assert frozenset({"acc3", "phone"}) in groups(divide(nodes, edges, [], NORMAL))
    assert frozenset({"acc2", "phone"}) in groups(divide(nodes, edges[:2], [], NORMAL))


def test_pair_kept_apart_is_not_joined_by_a_third() -> None:
    nodes = [node("a"), node("b"), node("c")]
    division = divide(nodes, [edge("a", "c", at=1), edge("b", "c", at=2)], [("a", "b")], NORMAL)
    assert groups(division) == {frozenset("ac"), frozenset("b")}
    assert division.suppressed == {("b", "c", "e"): "apart"}


def test_customer_does_not_grow_beyond_the_limit() -> None:
    names = [node(f"n{number}") for number in range(6)]
    edges = [edge(f"n{number}", f"n{number + 1}", at=number) for number in range(5)]
    division = divide(names, edges, [], TIGHT)
    assert sorted(map(len, groups(division))) == [2, 4]
    assert division.suppressed == {("n3", "n4", "e"): "size"}


def test_hotline_with_3000_accounts_joins_nobody() -> None:
    accounts = [node(f"acc{number}") for number in range(3_000)]
    edges = [edge(one.id, "hotline") for one in accounts]
    division = divided([*accounts, node("hotline")], edges, set(), NORMAL)
    assert len(groups(division)) == 3_001
    assert set(division.suppressed.values()) == {"shared"}
    nine = divided([*accounts[:8], node("hotline")], edges[:8], set(), NORMAL)
    assert len(groups(nine)) == 8


def test_browser_is_likely_its_only_account_and_nobody_when_two_sign_in() -> None:
    browser = node("browser", device=True)
    nodes = [browser, node("acc1"), node("acc2")]
    edges = [edge("acc1", "browser", Strength.LIKELY), edge("acc2", "browser", Strength.LIKELY)]
    one = divided(nodes[:2], edges[:1], set(), NORMAL)
    assert groups(one) == {frozenset({"acc1", "browser"})}
    assert len(groups(one, access=True)) == 2
    assert len(groups(divided(nodes, edges, set(), NORMAL))) == 3


def test_device_proves_nothing_whatever_its_edge_says() -> None:
    nodes = [node("browser", device=True), node("acc1")]
    division = divide(nodes, [edge("acc1", "browser", Strength.PROVEN)], [], NORMAL)
    assert len(groups(division, access=True)) == 2


def test_guesses_make_nobody_shared_but_a_device() -> None:
    edges = [edge(f"acc{number}", "name", Strength.LIKELY) for number in range(9)]
    around = {f"acc{number}": node(f"acc{number}") for number in range(9)}
    assert not is_shared(node("name"), edges, around, NORMAL)
    assert is_shared(node("name", device=True), edges, around, NORMAL)
    assert not is_shared(node("acc9"), [replace(one, b="acc9") for one in edges], around, NORMAL)


def test_fingerprint_is_of_the_members_alone() -> None:
    assert fingerprint(["a", "b"]) == fingerprint(["b", "a"]) != fingerprint(["a"])
    assert fingerprint(["ab"]) != fingerprint(["a", "b"])


NAMES = [*(f"acc{number}" for number in range(3)), *(f"n{number}" for number in range(6)), "browser"]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Node], list[Edge], set[tuple[str, str]]]:
    nodes = [node(name, draw(st.integers(0, 3)), device=name == "browser") for name in NAMES]
    pair = st.sampled_from(list(itertools.combinations(sorted(NAMES), 2)))
    edges = draw(
        st.lists(
            st.builds(
                lambda two, strength, at, score, by: Edge(two[0], two[1], by, strength, at, score),
                pair,
                st.sampled_from(list(Strength)),
                st.integers(0, 3),
                st.sampled_from([0.5, 0.99, 1.0]),
                st.sampled_from(["x", "y"]),
            ),
            max_size=18,
            unique_by=lambda one: one.key,
        )
    )
    return nodes, edges, set(draw(st.lists(pair, max_size=3)))


@pytest.mark.parametrize("rules", [NORMAL, TIGHT], ids=["normal", "tight"])
def test_division_is_a_function_of_the_set_and_keeps_the_rules(rules: Rules) -> None:
    @settings(max_examples=80)
    @given(worlds(), st.randoms(use_true_random=False))
    def hold(world: tuple[list[Node], list[Edge], set[tuple[str, str]]], random: Random) -> None:
        nodes, edges, apart = world
        division = divided(nodes, edges, apart, rules)
        some, others = random.sample(nodes, len(nodes)), random.sample(edges, len(edges))
        assert divided(some, others, apart, rules) == division
        known = {one.id: one for one in nodes}
        for members in groups(division):
            assert len(members) <= rules.members
            assert sum(known[name].namespace == ACCOUNT for name in members) <= 1
            assert not any(a in members and b in members for a, b in apart)
        for members in groups(division, access=True):
            assert any(members <= whole for whole in groups(division))
        proven = [one for one in edges if is_proven(one, known)]
        assert groups(divided(nodes, proven, apart, rules), access=True) == groups(division, access=True)
        united = {members for members in groups(division) if len(members) > 1}
        linked = {frozenset((one.a, one.b)) for one in edges if one.key not in division.suppressed}
        assert all(any(two <= members for members in united) for two in linked)

    hold()


@pytest.mark.parametrize("rules", [NORMAL, TIGHT], ids=["normal", "tight"])
def test_parts_that_share_no_way_can_be_divided_alone(rules: Rules) -> None:
    """What the database relies on: it divides only what evidence leads to, not through shared names."""

    @settings(max_examples=50)
    @given(worlds())
    def hold(world: tuple[list[Node], list[Edge], set[tuple[str, str]]]) -> None:
        nodes, edges, apart = world
        whole = divided(nodes, edges, apart, rules)
        known = {one.id: one for one in nodes}
        shared = {
            one.id
            for one in nodes
            if is_shared(one, [e for e in edges if one.id in (e.a, e.b)], known, rules)
        }
        for start in known:
            area, frontier = {start}, {start}
            while frontier:
                opened = frontier - shared
                frontier = {e.other(name) for e in edges for name in opened if name in (e.a, e.b)} - area
                area |= frontier
            part = [replace(known[name], shared=name in shared) for name in area]
            inside = [e for e in edges if {e.a, e.b} & (area - shared)]
            division = divide(part, inside, apart, rules)
            assert division.labels[start] == whole.labels[start]

    hold()
