"""`kill -9` with two hundred messages in flight: all are answered afterwards, each once, in order. On both buses.

A real child process (`tests/fakes/bus_child.py`) accepts and works; the test kills it at moments it chooses by what
the child reports. On Postgres two children share the work, and both are killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foundation.bus.records import DONE, inbox_table, outbox_table
from foundation.storage.database import Database
from tests.fakes.bus_child import SLOTS, answered_table
from tests.fakes.bus_machines import VAULT, test_metadata

ROOT = Path(__file__).parent.parent.parent
MESSAGES = {f"k{number}": f"lane{number % 20}" for number in range(200)}
REPLIES = 2 * len(MESSAGES)
LEASE_SECONDS = "2"

Place = tuple[int, int]
"""(seq, part) in a lane."""


@dataclass
class Story:
    """What the children said. The test sends again what was not acknowledged, as a provider does, and a few more."""

    url: str
    provider: Path
    acknowledged: dict[str, int] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    ready: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, line: str) -> None:
        match line.split():
            case ["ready"]:
                self.ready += 1
            case ["accepted", key, seq]:
                assert self.acknowledged.setdefault(key, int(seq)) == int(seq), "one message got two places"
            case ["sent", idempotency_key]:
                self.sent.add(idempotency_key)
            case other:
                raise AssertionError(f"the child said {other}")
        self.heard.set()


@dataclass
class Child:
    process: asyncio.subprocess.Process
    listening: asyncio.Task[None]

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@pytest.fixture(params=["sqlite", "postgres"])
async def story(request: pytest.FixtureRequest, tmp_path: Path) -> Story:
    url = (
        f"sqlite:///{tmp_path / 'bus.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres_url"))
    )
    database = Database(url, VAULT)
    await database.open()
    await database.write(test_metadata.create_all)
    await database.close()
    return Story(url, tmp_path / "provider.txt")


@pytest.mark.slow
async def test_all_are_answered_once_and_in_order_when_the_process_is_killed_again_and_again(
    story: Story,
) -> None:
    count = 1 if story.url.startswith("sqlite") else 2
    moments: list[Callable[[], bool]] = [
        lambda: len(story.acknowledged) >= 40,
        lambda: len(story.sent) >= REPLIES * 0.2,
        lambda: len(story.acknowledged) == len(MESSAGES) and len(story.sent) >= REPLIES * 0.4,
        lambda: len(story.sent) >= REPLIES * 0.6,
        lambda: len(story.sent) >= REPLIES * 0.8,
    ]
    for number, moment in enumerate(moments):
        async with children(story, count) as spawned:
            send(story, spawned, number)
            await until(story, spawned, moment)
            for child in spawned:
                child.process.kill()
    async with children(story, count) as spawned:
        send(story, spawned, len(moments))
        await until(story, spawned, lambda: len(story.sent) == REPLIES)
        for child in spawned:
            child.write("quit")
        for child in spawned:
            await child.listening
            assert await child.process.wait() == 0
    await check(story, kills=len(moments) * count)


async def check(story: Story, *, kills: int) -> None:
    inbox, outbox, answered = await rows_of(story.url)
    assert story.acknowledged.keys() == MESSAGES.keys()
    assert {row.key: row.seq for row in inbox} == story.acknowledged
    assert {row.state for row in inbox} == {row.state for row in outbox} == {DONE}
    for seqs in by_lane((row.lane, row.seq) for row in inbox).values():
        assert sorted(seqs) == list(range(1, 11)), "places are dense"
    for seqs in by_lane((row.lane, row.seq) for row in answered).values():
        assert seqs == list(range(1, 11)), "each turn committed once, in order"
    check_sends(story.provider, {row.idempotency_key for row in outbox}, kills)


def check_sends(provider: Path, keys: set[str], kills: int) -> None:
    sends = provider.read_text().split()
    assert len(keys) == REPLIES
    assert set(sends) == keys
    assert len(sends) - len(keys) <= kills * SLOTS, "only what was on its way at a kill may repeat"
    for places in by_lane(place_of(key) for key in sends).values():
        assert places == sorted(places)


async def rows_of(url: str) -> list[list[sa.Row[Any]]]:
    database = Database(url, VAULT)
    await database.open()
    tables = (inbox_table, outbox_table, answered_table)
    rows = await database.read(
        lambda connection: [
            list(connection.execute(sa.select(table).order_by(table.c.id))) for table in tables
        ]
    )
    await database.close()
    return rows


@asynccontextmanager
async def children(story: Story, count: int) -> AsyncIterator[list[Child]]:
    """The messages go in when all are ready; all have ended when this returns."""
    spawned = [await spawn(story) for _ in range(count)]
    expected = story.ready + count
    try:
        await until(story, spawned, lambda: story.ready == expected)
        yield spawned
    finally:
        for child in spawned:
            if child.process.returncode is None:
                child.process.kill()
            await child.process.wait()
        await asyncio.gather(*(child.listening for child in spawned))


async def spawn(story: Story) -> Child:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.bus_child", story.url, str(story.provider), LEASE_SECONDS,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    return Child(process, asyncio.create_task(listen(story, process)))


async def listen(story: Story, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.endswith(b"\n"):  # a kill may cut the last one
            story.hear(line.decode())
    story.heard.set()


def send(story: Story, spawned: list[Child], number: int) -> None:
    for place, (key, lane) in enumerate(MESSAGES.items()):
        if key not in story.acknowledged or place % 7 == number:
            spawned[place % len(spawned)].write(f"accept {lane} {key}")
            if place % 11 == number:  # delivered twice at once, to two processes where there are two
                spawned[(place + 1) % len(spawned)].write(f"accept {lane} {key}")


async def until(story: Story, spawned: list[Child], condition: Callable[[], bool]) -> None:
    while not condition():
        assert not any(child.listening.done() for child in spawned), "a child ended by itself"
        story.heard.clear()
        await story.heard.wait()


def by_lane(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    lanes: dict[str, list[Any]] = defaultdict(list)
    for lane, value in pairs:
        lanes[lane].append(value)
    return lanes


def place_of(idempotency_key: str) -> tuple[str, Place]:
    lane, seq, part = idempotency_key.split("/")
    return lane, (int(seq), int(part))
