"""Erasing one of any crowd: nothing of them stays, and nobody else's customer, access or conversations change."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from customers import records as places
from customers.graph import history, records
from customers.graph.partition import Rules
from customers.privacy import erasure, erasure_records, suppression
from customers.privacy.erasure import Whom
from foundation import errors
from foundation.bus.records import inbox_table
from foundation.conversations import Draft, append, conversation_table
from foundation.messages import ConversationId, Identifier, TenantId
from tests.unit.customers.graph.test_crashes import OPENID, OTHER, UNION, lay, open_file, run, split, world_of
from tests.unit.customers.graph.world import (
    ACCOUNTS,
    BROWSER,
    DEMO,
    EVERYBODY,
    PEOPLE,
    RULES,
    START,
    VAULT,
    Event,
    Guessed,
    Sighted,
    World,
    histories,
    tellers,
)


def erase(world: World, name: Identifier) -> Whom:
    chosen = world.id(name)
    whom = erasure.find(world.connection, world.graph, DEMO, chosen, identity=chosen)
    erasure.erase(world.connection, world.graph, VAULT, whom, erasure_id="era_1", now=START)
    return whom


def talks(world: World) -> dict[str, str]:
    talk = conversation_table.c
    return dict(world.connection.execute(sa.select(talk.id, talk.customer_id)).all())


def traces(world: World, ids: Sequence[str]) -> list[str]:
    """Of these ids in everything that is about identities; what stays of them on purpose is not looked at."""
    edge, apart, identity = records.edge_table.c, records.apart_table.c, records.identity_table.c
    entrance = places.entrance_table.c
    looked: list[tuple[sa.Table, Sequence[sa.Column[Any]]]] = [
        (records.edge_table, (edge.a, edge.b)), (records.apart_table, (apart.a, apart.b)),
        (records.identity_table, (identity.id, identity.customer_id, identity.access_id)),
        (places.entrance_table, (entrance.identity_id, entrance.shown_identity_id)),
        (conversation_table, (conversation_table.c.customer_id,)),
    ]  # fmt: skip
    return [
        table.name
        for table, columns in looked
        for column in columns
        if world.connection.execute(sa.select(column).where(column.in_(ids))).first() is not None
    ]


def test_nobody_else_changes_and_nothing_of_the_erased_stays() -> None:
    with tellers() as begin:

        @settings(max_examples=40)
        @given(histories(), st.sampled_from(EVERYBODY), st.sampled_from(RULES))
        def check(events: list[Event], name: Identifier, rules: Rules) -> None:
            world = begin(rules)
            world.tell(events)
            before, talks_before = world.labels(), talks(world)
            whom = erase(world, name)
            after, gone = world.labels(), set(whom.identities)
            assert world.id(name) in gone
            assert traces(world, whom.identities) == []
            assert set(after) == set(before) - gone
            customer = before[world.id(name)][0]
            strangers = {one for one in after if before[one][0] != customer}
            assert {one: after[one] for one in strangers} == {one: before[one] for one in strangers}
            assert {one: labels[1] for one, labels in after.items()} == {one: before[one][1] for one in after}
            assert set(talks(world)) == {talk for talk in talks_before if talk not in whom.conversations}
            world.check()
            assert history.find_break(world.connection, DEMO) is None

        check()


def test_who_only_looks_like_the_same_person_stays() -> None:
    with tellers(seen=False) as begin:
        world = begin(RULES[0])
        crowd: list[Event] = [
            Sighted((PEOPLE[0], ACCOUNTS[0]), 1), Sighted((BROWSER, ACCOUNTS[0]), 2), Sighted((PEOPLE[4],), 3), Sighted((PEOPLE[6],), 4),
            Guessed(PEOPLE[0], PEOPLE[4], 0.999), Guessed(PEOPLE[4], PEOPLE[6], 0.999),
        ]  # fmt: skip
        world.tell(crowd)
        browser = world.graph.get(world.connection, DEMO, world.id(BROWSER))
        account = world.graph.get(world.connection, DEMO, world.id(ACCOUNTS[0]))
        talk = ConversationId("c-web_chat:main-v")
        assert world.graph.find_access(world.connection, DEMO, browser.access_id) == [browser]
        world.graph.list_conversation(world.connection, DEMO, talk, account)
        assert len({labels[0] for labels in world.labels().values()}) == 1
        whom = erase(world, ACCOUNTS[0])
        assert set(whom.identities) == {world.id(one) for one in (PEOPLE[0], ACCOUNTS[0], BROWSER)}
        assert set(world.labels()) == {world.id(PEOPLE[4]), world.id(PEOPLE[6])}
        assert len({labels[0] for labels in world.labels().values()}) == 1, "their own likeness holds"


def test_browser_that_somebody_else_has_used_stays_with_its_conversation() -> None:
    with tellers(seen=False) as begin:
        world = begin(RULES[0])
        world.tell([Sighted((BROWSER, ACCOUNTS[0]), 1), Sighted((BROWSER, ACCOUNTS[1]), 2)])
        whom = erase(world, ACCOUNTS[0])
        assert whom.identities == (world.id(ACCOUNTS[0]),)
        assert set(world.labels()) == {world.id(BROWSER), world.id(ACCOUNTS[1])}
        assert list(talks(world)) == ["c-web_chat:main-v"]


def test_erasing_waits_for_a_message_that_is_being_answered() -> None:
    with tellers(seen=False) as begin:
        world = begin(RULES[0])
        world.tell([Sighted((PEOPLE[0],), 1)])
        [lane] = talks(world)
        open_row = {
            "tenant": DEMO, "source": "x:main", "key": "m1", "lane": lane, "seq": 1, "event": "MessageReceived", "payload": "{}",
            "trace": "", "received_at": 1,
        }  # fmt: skip
        world.connection.execute(sa.insert(inbox_table), open_row)
        with pytest.raises(errors.Conflict) as refused:
            erase(world, PEOPLE[0])
        assert refused.value.code == "in_work"
        world.connection.execute(sa.update(inbox_table).values(state=1))
        erase(world, PEOPLE[0])
        assert world.connection.execute(sa.select(inbox_table)).all() == []


def test_reasons_of_earlier_steps_go_and_the_chain_still_holds_and_still_tells() -> None:
    with tellers(seen=False) as begin:
        world = begin(RULES[0])
        world.tell([Sighted((one,), 1) for one in (PEOPLE[0], PEOPLE[4], PEOPLE[5], PEOPLE[6])])
        for one, other in ((PEOPLE[0], PEOPLE[4]), (PEOPLE[5], PEOPLE[6])):
            world.operations.link(
                world.connection,
                DEMO,
                world.id(one),
                world.id(other),
                actor="staff:1",
                reason="Mr Ouyang said so",
            )
        world.operations.undo(world.connection, DEMO, 1, actor="staff:1", reason="Ouyang was wrong")
        erase(world, PEOPLE[0])
        told = {one.number: one.reason for one in history.read(world.connection, DEMO)}
        assert told == {1: "erased", 2: "Mr Ouyang said so", 3: "erased", 4: "era_1"}
        assert history.find_break(world.connection, DEMO) is None
        operations = history.operation_table
        for number, forged in (
            (1, {"actor": "staff:2"}),
            (2, {"reason": "erased"}),
            (4, {"payload": '{"redacted": {}}'}),
        ):
            with world.connection.begin_nested() as attempt:
                world.connection.execute(
                    sa.update(operations).where(operations.c.number == number).values(**forged)
                )
                assert history.find_break(world.connection, DEMO) is not None, (
                    f"{number} was changed behind our back"
                )
                attempt.rollback()


def test_erased_names_stay_away_until_the_person_comes_back() -> None:
    with tellers(seen=False) as begin:
        world = begin(RULES[0])
        world.tell([Sighted((PEOPLE[0], ACCOUNTS[0]), 1), Sighted((PEOPLE[5],), 1)])
        erase(world, ACCOUNTS[0])
        ask = (world.connection, VAULT, DEMO)
        for name in (PEOPLE[0], ACCOUNTS[0]):
            assert suppression.is_suppressed(*ask, [(name.namespace, name.value)])
        assert not suppression.is_suppressed(*ask, [(PEOPLE[5].namespace, PEOPLE[5].value)])
        other = (world.connection, VAULT, TenantId("other"))
        assert not suppression.is_suppressed(*other, [(ACCOUNTS[0].namespace, ACCOUNTS[0].value)])
        suppression.lift(*ask, [(PEOPLE[0].namespace, PEOPLE[0].value)])
        assert not suppression.is_suppressed(*ask, [(ACCOUNTS[0].namespace, ACCOUNTS[0].value)])


def test_one_number_is_suppressed_in_all_its_writings() -> None:
    ways = [
        suppression.keys_of(VAULT, DEMO, [("phone", text)]) for text in ("138 4471 6025", "+8613844716025")
    ]
    assert ways[0] & ways[1]
    assert not ways[0] & suppression.keys_of(VAULT, DEMO, [("phone", "13844716026")])


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}


def prepared(world: World) -> object:
    """Something of theirs in several places, and an erasure that waits."""
    talk = ConversationId(f"c-{OPENID.namespace}-{OPENID.value}")
    append(world.connection, DEMO, talk, Draft(id="m1", role="customer", text="my words", sent_at=START))
    chosen = world.id(OPENID)
    world.operations.link(world.connection, DEMO, chosen, world.id(OTHER), actor="staff:1", reason="alike")
    one = erasure_records.Erasure(
        "era_1", chosen, chosen, (chosen,), (), "waiting", "staff:1", "asked for it", START, None
    )
    erasure_records.add(world.connection, DEMO, one)
    return one


def erasing(world: World) -> object:
    assert erasure_records.claim(world.connection, DEMO, "era_1", identities=(), conversations=())
    return erase(world, OPENID)


@pytest.mark.parametrize("before", [[prepared], [prepared, split]], ids=["linked", "split"])
def test_killed_at_any_statement_everything_is_there_or_all_of_it_is_gone(
    tmp_path: Path, before: list[Any]
) -> None:
    path = tmp_path / "graph.db"
    lay(path, before)
    old, statements = dump(path), 0
    while not run(path, erasing, statements=statements):
        assert dump(path) == old
        statements += 1
    assert statements > 20, "there are steps between which it can be killed"
    engine = open_file(path)
    with engine.connect() as connection:
        world = world_of(connection)
        gone = [world.id(one) for one in (OPENID, ACCOUNTS[0])]
        assert traces(world, gone) == []
        assert world.id(OTHER) in world.labels()
        assert connection.execute(sa.text("SELECT count(*) FROM message")).scalar_one() == 0
        assert erasure_records.unfinished(connection, DEMO) == ["era_1"]
    assert UNION
