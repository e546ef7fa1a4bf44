"""Any history of messages, guesses and deeds: the order does not matter, and what is taken back leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.graph.partition import Rules
from foundation import errors
from foundation.messages import Identifier
from tests.unit.customers.graph.world import (
    BROWSER,
    DEMO,
    EVERYBODY,
    PEOPLE,
    RULES,
    Event,
    Guessed,
    Sighted,
    World,
    guesses,
    histories,
    tellers,
)

FEW = settings(max_examples=8)
Begin = Callable[[Rules], World]
randoms = st.randoms(use_true_random=False)

pytestmark = pytest.mark.parametrize("rules", RULES, ids=["normal", "tight"])


@pytest.fixture(scope="module")
def begin() -> Iterator[Begin]:
    with tellers() as begin:
        yield begin


def test_order_of_events_decides_nothing(begin: Begin, rules: Rules) -> None:
    @FEW
    @given(histories(), randoms)
    def hold(events: list[Event], random: Random) -> None:
        one = begin(rules)
        one.tell(events)
        expected = one.state()
        one.check()
        other = begin(rules)
        other.tell(random.sample(events, len(events)))
        assert other.state() == expected

    hold()


def test_what_is_told_again_changes_nothing(begin: Begin, rules: Rules) -> None:
    @FEW
    @given(histories(), randoms)
    def hold(events: list[Event], random: Random) -> None:
        world = begin(rules)
        world.tell(events)
        before, size = world.state(), world.count()
        world.tell(random.sample(events, len(events)))
        world.tell(events[::-1])
        assert (world.state(), world.count()) == (before, size)

    hold()


def do_something(world: World, random: Random) -> int | None:
    """A link, a split or a pair kept apart, by chance; its number."""
    one, other = (world.id(name) for name in random.sample(EVERYBODY, 2))
    does, connection, reason = world.operations, world.connection, "told us"
    deed = random.choice(["link", "split", "split", "apart"])
    if deed == "link":
        return does.link(connection, DEMO, one, other, actor="staff:1", reason=reason).op
    if deed == "apart":
        return does.keep_apart(connection, DEMO, one, other, actor="staff:1", reason=reason)
    members = sorted(each.id for each in world.graph.component(connection, DEMO, one).members)
    if len(members) == 1:
        return None
    side = random.sample(members, random.randint(1, len(members) - 1))
    return does.split(connection, DEMO, side, actor="staff:1", reason=reason)


def test_deeds_leave_no_trace_when_they_are_undone_in_any_order(begin: Begin, rules: Rules) -> None:
    @FEW
    @given(histories(), randoms)
    def hold(events: list[Event], random: Random) -> None:
        world = begin(rules)
        world.tell(events)
        expected = world.state()
        world = begin(rules)
        done = []
        for event in events:
            done.append(do_something(world, random))
            world.tell([event])
            world.check()
        numbers = [number for number in done if number is not None]
        for number in random.sample(numbers, len(numbers)):
            world.operations.undo(world.connection, DEMO, number, actor="staff:2", reason="a mistake")
            world.check()
        assert world.state() == expected
        for number in numbers:
            with pytest.raises(errors.Conflict):
                world.operations.undo(world.connection, DEMO, number, actor="staff:2", reason="again")

    hold()


def test_halves_stay_apart_when_the_evidence_is_told_again(begin: Begin, rules: Rules) -> None:
    @FEW
    @given(histories(), randoms)
    def hold(events: list[Event], random: Random) -> None:
        world = begin(rules)
        world.tell([*events, Sighted((PEOPLE[0], PEOPLE[3]), 1)])
        customer = world.labels()[world.id(PEOPLE[3])][0]
        members = [name for name, labels in world.labels().items() if labels[0] == customer]
        if len(members) == 1:
            return
        side = random.sample(members, random.randint(1, len(members) - 1))
        world.operations.split(world.connection, DEMO, side, actor="staff:1", reason="two people")
        later = [
            Sighted(event.sender, event.minute + 50) if isinstance(event, Sighted) else event
            for event in events
        ]
        world.tell([*events, *later, *events[::-1]])
        world.check()
        labels = world.labels()
        halves = ({labels[name][0] for name in some} for some in (side, set(members) - set(side)))
        assert set.isdisjoint(*halves)

    hold()


def test_claims_change_nobody_and_whoever_names_everybody_gets_nothing(begin: Begin, rules: Rules) -> None:
    claimed = [name.model_copy(update={"proven": False}) for name in EVERYBODY]
    mallory = Identifier(namespace="line:bot", value="mallory", proven=True)

    @FEW
    @given(histories(), st.lists(st.sampled_from(claimed), min_size=1, max_size=4))
    def hold(events: list[Event], claims: list[Identifier]) -> None:
        world = begin(rules)
        world.tell(events)
        expected, size = world.state(), world.count()
        for event in events:
            if isinstance(event, Sighted):
                world.see(event, *claims)
        assert (world.state(), world.count()) == (expected, size)
        attacker = world.see(Sighted((mallory,), 50), *claimed)
        labels = world.labels()
        assert labels.pop(attacker) == (attacker, attacker, False)
        assert labels == expected["labels"]
        found = world.graph.component(world.connection, DEMO, attacker)
        assert [member.id for member in found.members] == [attacker]
        assert len(found.claims) == len(EVERYBODY)
        assert found.evidence == ()

    hold()


def test_no_link_reaches_what_may_be_disclosed(begin: Begin, rules: Rules) -> None:
    @FEW
    @given(histories(guessed=False), st.lists(guesses(), min_size=1, max_size=6), st.booleans())
    def hold(events: list[Event], links: list[Guessed], by_staff: bool) -> None:
        world = begin(rules)
        world.tell(events)
        access = world.access()
        for link in links:
            if by_staff:
                world.operations.link(
                    world.connection,
                    DEMO,
                    world.id(link.one),
                    world.id(link.other),
                    actor="staff:1",
                    reason="I know",
                )
            else:
                world.guess(link)
            world.check()
        assert world.access() == access
        assert access[world.id(BROWSER)] == world.id(BROWSER)

    hold()
