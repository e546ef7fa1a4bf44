"""Moving house: every history of the embedded database is the same one on Postgres and back, and goes on there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from customers.graph import history
from customers.graph.graph import Graph
from foundation import errors
from foundation.security import Vault
from foundation.storage.database import Database, metadata
from foundation.storage.moving import move
from tests.conftest import StandingClock, open_with_tables
from tests.unit.customers.graph.world import (
    ACCOUNTS,
    DEMO,
    EVERYBODY,
    PEOPLE,
    VAULT,
    Guessed,
    Sighted,
    World,
)

State = dict[str, object]


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'old.db'}", VAULT)
    await open_with_tables(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def server(postgres_url: str) -> AsyncIterator[Database]:
    opened = Database(postgres_url, VAULT)
    await open_with_tables(opened)
    yield opened
    await opened.close()


def within(work: Callable[[World], object]) -> Callable[[sa.Connection], object]:
    return lambda connection: work(World(connection, Graph(VAULT, StandingClock())))


def live(random: Random) -> Callable[[World], object]:
    """A history by chance: messages, guesses, links, splits, undone ones."""

    def work(world: World) -> None:
        world.tell([Sighted((name,), 99) for name in EVERYBODY])
        for _ in range(25):
            names = random.sample(PEOPLE, 2)
            account = random.choice([(), (random.choice(ACCOUNTS),)])
            world.see(Sighted((*names[: random.randint(1, 2)], *account), random.randint(1, 9)))
            one, other = random.sample(EVERYBODY, 2)
            world.guess(Guessed(one, other, 0.999))
        left, right = (world.id(name) for name in random.sample(EVERYBODY, 2))
        op = world.operations.link(
            world.connection, DEMO, left, right, actor="staff:1", reason="so they say"
        ).op
        members = sorted(each.id for each in world.graph.component(world.connection, DEMO, left).members)
        if len(members) > 1:
            world.operations.split(world.connection, DEMO, members[:1], actor="staff:1", reason="a mistake")
        assert op is not None
        world.operations.undo(world.connection, DEMO, op, actor="staff:2", reason="nor was that")

    return work


def everything(world: World) -> State:
    """What the graph has decided, its books, and every value, unsealed."""
    connection = world.connection
    world.check()
    assert history.find_break(connection, DEMO) is None
    rows = {
        table.name: sorted(repr(tuple(row)) for row in connection.execute(sa.select(table)))
        for table in metadata.sorted_tables
    }
    return {**world.state(), "rows": rows}


async def test_history_is_the_same_on_postgres_and_back_and_goes_on(
    embedded: Database, server: Database, tmp_path: Path
) -> None:
    random = Random()
    await embedded.write(within(live(random)))
    before = await embedded.read(within(everything))
    told: list[str] = []
    moved = await move(embedded, server, tell=lambda table, _rows: told.append(table))
    assert await server.read(within(everything)) == before
    assert {one.table for one in moved if one.rows} == set(told)
    assert sum(one.rows for one in moved) > 100
    await server.write(within(live(random)))  # numbers go on where they were
    later = await server.read(within(everything))
    assert later != before
    back = Database(f"sqlite:///{tmp_path / 'back.db'}", VAULT)
    await open_with_tables(back)
    await move(server, back)
    assert await back.read(within(everything)) == later
    await back.close()


async def test_nothing_is_copied_when_the_target_holds_something_or_has_another_key(
    embedded: Database, tmp_path: Path
) -> None:
    await embedded.write(within(lambda world: world.see(Sighted((PEOPLE[0],), 1))))
    full = Database(f"sqlite:///{tmp_path / 'full.db'}", VAULT)
    await open_with_tables(full)
    await full.write(within(lambda world: world.see(Sighted((PEOPLE[1],), 1))))
    expected = await full.read(within(everything))
    with pytest.raises(errors.Conflict, match="not empty"):
        await move(embedded, full)
    assert await full.read(within(everything)) == expected
    await full.close()
    other = Database(f"sqlite:///{tmp_path / 'other.db'}", Vault(b"another key of thirty-two letters"))
    with pytest.raises(errors.InvalidInput, match="master key"):
        await move(embedded, other)


async def test_target_stays_empty_when_the_copy_breaks_off(embedded: Database, tmp_path: Path) -> None:
    await embedded.write(within(lambda world: world.see(Sighted((PEOPLE[0],), 1))))
    target = Database(f"sqlite:///{tmp_path / 'target.db'}", VAULT)
    await open_with_tables(target)
    empty = await target.read(within(everything))

    def break_off(table: str, _rows: int) -> None:
        if table == "identity":
            raise errors.UpstreamUnavailable("The line is cut.")

    with pytest.raises(errors.UpstreamUnavailable):
        await move(embedded, target, tell=break_off)
    assert await target.read(within(everything)) == empty
    await target.close()
