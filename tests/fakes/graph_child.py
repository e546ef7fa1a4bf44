"""A process that writes half of a history into a graph, several messages at once: `python -m tests.fakes.graph_child
URL SEED HALF`. `test_concurrent_writers` starts two."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from random import Random

import sqlalchemy as sa

from customers.graph.graph import Graph
from customers.graph.partition import Rules
from foundation.messages import Identifier
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.customers.graph.world import (
    ACCOUNTS,
    BROWSER,
    PEOPLE,
    VAULT,
    Sighted,
    World,
    vouched,
)

AT_ONCE, TRIPLES = 4, 16
LATE = 99
"""Nobody is seen earlier by a meeting, so that no row is written before the labels are read."""


def singles() -> list[Sighted]:
    """Three names each of some people; told before, so that what follows only ties them."""
    return [Sighted((name,), LATE) for number in range(TRIPLES) for name in _names(number)]


def history(seed: int, length: int = 24) -> list[Sighted]:
    """First two ties at a time that meet in one name, then a throng around few names."""
    random = Random(seed)  # a history, no secret
    meetings = [
        Sighted((name, hub), LATE)
        for number in range(TRIPLES)
        for hub, *others in [_names(number)]
        for name in others
    ]
    throng = [
        Sighted(
            (
                *random.sample([*PEOPLE, BROWSER], random.randint(1, 2)),
                *random.sample(ACCOUNTS, random.choice([0, 0, 1])),
            ),
            random.randint(1, 5),
        )
        for _ in range(length)
    ]
    return meetings + throng


def _names(number: int) -> list[Identifier]:
    return [vouched(namespace, f"t{number}") for namespace in ("union", "wechat", "slack")]


async def write(url: str, events: list[Sighted], rules: Rules, *, wait: bool = False) -> None:
    """`wait`: says that it is ready, and begins with a line on its input, so that two begin together."""
    database = Database(url, VAULT)
    await database.open()
    if wait:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

    def telling(event: Sighted) -> Callable[[sa.Connection], str]:
        return lambda connection: World(connection, Graph(VAULT, StandingClock(), rules)).see(event)

    for start in range(0, len(events), AT_ONCE):
        some = events[start : start + AT_ONCE]
        await asyncio.gather(*(database.write(telling(event)) for event in some))
    await database.close()


if __name__ == "__main__":
    seed, half = map(int, sys.argv[2:])
    asyncio.run(write(sys.argv[1], history(seed)[half::2], Rules(members=6), wait=True))
