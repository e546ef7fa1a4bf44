"""kill -9 after every single statement of a link, a split and an undo: what was before, or what would have been, never between."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from customers.graph.graph import Graph
from foundation.storage.database import metadata
from service import revise
from tests.conftest import StandingClock
from tests.unit.customers.graph.world import ACCOUNTS, DEMO, PEOPLE, VAULT, Sighted, World

OPENID, OTHER, UNION = PEOPLE[0], PEOPLE[1], PEOPLE[3]
Deed = Callable[[World], object]


def link(world: World) -> object:
    one, other = world.id(OPENID), world.id(OTHER)
    return world.operations.link(world.connection, DEMO, one, other, actor="staff:1", reason="they said so")


def split(world: World) -> object:
    return world.operations.split(
        world.connection, DEMO, [world.id(UNION)], actor="staff:1", reason="a mistake"
    )


def undo(world: World) -> object:
    return world.operations.undo(world.connection, DEMO, 1, actor="staff:2", reason="it was right")


def proof(world: World) -> object:
    return world.see(Sighted((OTHER, ACCOUNTS[0]), 7))


def open_file(path: Path) -> sa.Engine:
    """As `Database` writes it: the transaction begins by our word, and is durable."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=NullPool)
    engine.dialect.vault = VAULT  # type: ignore[attr-defined]  # read by Sealed

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def world_of(connection: sa.Connection) -> World:
    return World(connection, Graph(VAULT, StandingClock()))


def look(path: Path) -> dict[str, object]:
    engine = open_file(path)
    with engine.connect() as connection:
        world = world_of(connection)
        world.check()
        numbers = connection.execute(sa.text("SELECT number, kind, undoes FROM identity_op ORDER BY 1")).all()
        return {**world.state(), "operations": [tuple(row) for row in numbers]}


def run(path: Path, deed: Deed, *, statements: int) -> bool:
    """In a child that is killed after so many statements; True when it got to its end before."""
    child = os.fork()
    if child == 0:
        engine, done = open_file(path), 0

        @sa.event.listens_for(engine, "after_cursor_execute")
        def count(*_of: object) -> None:
            nonlocal done
            done += 1
            if done > statements:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with engine.begin() as connection:
                deed(world_of(connection))
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the deed failed by itself"
    return True


def lay(path: Path, before: list[Deed]) -> None:
    revise.declare_tables()
    engine = open_file(path)
    with engine.begin() as connection:
        metadata.create_all(connection)
        world = world_of(connection)
        world.tell([Sighted((OPENID, UNION), 1), Sighted((OPENID, ACCOUNTS[0]), 2), Sighted((OTHER,), 3)])
        for deed in before:
            deed(world)


@pytest.mark.parametrize(
    ("before", "deed"),
    [([], link), ([], split), ([split], undo), ([link], undo), ([], proof)],
    ids=["link", "split", "undo of a split", "undo of a link", "proof"],
)
def test_state_is_the_old_or_the_new_one_wherever_the_process_is_killed(
    tmp_path: Path, before: list[Deed], deed: Deed
) -> None:
    path = tmp_path / "graph.db"
    lay(path, before)
    old, statements = look(path), 0
    while not run(path, deed, statements=statements):
        assert look(path) == old
        statements += 1
    assert statements > 5, "the deed has steps between which it can be killed"
    assert look(path) != old
