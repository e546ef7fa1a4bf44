"""Where a turn in flight is kept, on both engines: it survives, it is sealed, it goes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from agent import checkpoints
from foundation.security import Vault

WORDS = "我想退那套床品"
CONFIG: Any = {"configurable": {"thread_id": "c1|7"}}


class State(TypedDict, total=False):
    message: dict[str, str]
    answer: dict[str, str]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        str(tmp_path / "turns.db")
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres_url"))
    )


async def test_a_suspended_turn_is_resumed_by_another_process_and_then_forgotten(
    place: str, vault: Vault
) -> None:
    async with checkpoints.open_saver(place, vault) as saver:
        await _graph(saver).ainvoke({"message": {"text": WORDS}}, CONFIG, durability="sync")
    assert WORDS.encode() not in _stored(place)
    async with checkpoints.open_saver(place, vault) as saver:
        graph = _graph(saver)
        assert (await graph.aget_state(CONFIG)).interrupts
        done = await graph.ainvoke(Command(resume={"by": "mei"}), CONFIG, durability="sync")
        assert done == {"message": {"text": WORDS}, "answer": {"by": "mei"}}
        await saver.adelete_thread("c1|7")
        assert [one async for one in saver.alist(None)] == []


async def test_a_checkpoint_is_unreadable_when_the_master_key_is_another(place: str, vault: Vault) -> None:
    async with checkpoints.open_saver(place, vault) as saver:
        await _graph(saver).ainvoke({"message": {"text": WORDS}}, CONFIG, durability="sync")
    async with checkpoints.open_saver(place, Vault(b"another key of thirty-two bytes!")) as saver:
        with pytest.raises(Exception, match="master key"):
            await _graph(saver).aget_state(CONFIG)


def _graph(saver: Any) -> Any:
    async def wait(state: State) -> State:
        return {"answer": interrupt("who decides?")}

    graph = StateGraph(State)
    graph.add_node("wait", wait)
    graph.add_edge(START, "wait")
    return graph.compile(checkpointer=saver)


def _stored(place: str) -> bytes:
    """Everything that lies on the disk of the engine about the turn."""
    if not place.startswith("postgres"):
        return b"".join(path.read_bytes() for path in Path(place).parent.glob("turns.db*"))
    with psycopg.connect(place.replace("postgresql+psycopg://", "postgresql://")) as connection:
        rows = connection.execute("SELECT checkpoint::text FROM checkpoints").fetchall()
        blobs = connection.execute(
            "SELECT blob FROM checkpoint_blobs UNION ALL SELECT blob FROM checkpoint_writes"
        )
        return b"".join([str(row[0]).encode() for row in rows] + [bytes(row[0] or b"") for row in blobs])
