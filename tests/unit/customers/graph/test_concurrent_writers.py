"""Two processes write into one graph, and it is as if one had written everything."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from customers.graph.graph import Graph
from customers.graph.partition import Rules
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock, open_with_tables
from tests.fakes.graph_child import history, singles, write
from tests.unit.customers.graph.world import VAULT, World, tellers

ROOT = Path(__file__).parents[4]
SEED = 20_261_125
RULES = Rules(members=6)


def serial() -> dict[str, object]:
    """Told backwards, which must not matter either."""
    with tellers(seen=False) as begin:
        world = begin(RULES)
        world.tell([*singles(), *history(SEED)][::-1])
        world.check()
        return world.state()


def look(connection: sa.Connection) -> dict[str, object]:
    world = World(connection, Graph(VAULT, StandingClock(), RULES))
    world.check()
    return world.state()


async def write_in_two_processes(url: str) -> list[int]:
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.graph_child", url, str(SEED), half, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for half in ("0", "1")
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None
        while b"ready" not in (line := await child.stdout.readline()):
            assert line, "the writer ended by itself"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        await child.stdin.drain()
    return [(await child.communicate(), child.returncode or 0)[1] for child in children]


async def test_two_processes_on_postgres_end_as_one_writer_would(postgres_url: str, vault: Vault) -> None:
    database = Database(postgres_url, vault)
    await open_with_tables(database)
    await write(postgres_url, singles(), RULES)
    assert await write_in_two_processes(postgres_url) == [0, 0]
    assert await database.read(look) == serial()
    await database.close()


async def test_many_writers_of_the_embedded_database_end_as_one_would(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'graph.db'}"
    database = Database(url, VAULT)
    await open_with_tables(database)
    await database.close()
    await write(url, [*singles(), *history(SEED)], RULES)
    await database.open()
    assert await database.read(look) == serial()
    await database.close()
