"""One turn of a conversation, to be read from top to bottom. Called by `turn.Turns`; the nodes never call each other.

    understand → recall → (retrieve) → act → compose → guard → (hand_over | consult → act → …)

`consult` suspends the turn until a person has decided; the decision re-enters at `act`. A turn whose checkpoint is gone
enters there directly, with the decision in its input: the database is the record, the checkpoint only carries a turn in flight.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent.context import AgentContext
from agent.nodes import act, compose, consult, guard, hand_over, recall, retrieve, understand
from agent.state import TurnState

Node = Callable[[TurnState, Runtime[AgentContext]], Awaitable[dict[str, Any]]]
Graph = CompiledStateGraph[TurnState, AgentContext, TurnState, TurnState]


def build(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    graph = StateGraph(TurnState, context_schema=AgentContext)
    for name, node in _NODES.items():
        graph.add_node(name, _timed(name, node))
    graph.add_conditional_edges(START, _where_to_begin, ["understand", "act"])
    graph.add_edge("understand", "recall")
    graph.add_conditional_edges("recall", _what_is_needed, ["retrieve", "act"])
    graph.add_edge("retrieve", "act")
    graph.add_edge("act", "compose")
    graph.add_edge("compose", "guard")
    graph.add_conditional_edges("guard", _how_to_end, ["hand_over", "consult", END])
    graph.add_edge("hand_over", END)
    graph.add_edge("consult", "act")
    return graph.compile(checkpointer=saver)


_NODES: dict[str, Node] = {
    "understand": understand.understand,
    "recall": recall.recall,
    "retrieve": retrieve.retrieve,
    "act": act.act,
    "compose": compose.compose,
    "guard": guard.guard,
    "hand_over": hand_over.hand_over,
    "consult": consult.consult,
}


def _where_to_begin(state: TurnState) -> str:
    return "act" if state.get("decision") is not None else "understand"


def _what_is_needed(state: TurnState) -> str:
    plan = state["plan"]
    return "retrieve" if plan["route"] == "answer" or plan["also_answer"] else "act"


def _how_to_end(state: TurnState) -> str:
    if state.get("handoff"):
        return "hand_over"
    waits = state.get("approval") is not None and state.get("decision") is None
    return "consult" if waits else END


def _timed(name: str, node: Node) -> Any:
    """Adds the node's milliseconds to what it returns."""

    async def run(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
        started = time.perf_counter()
        changes = await node(state, runtime)
        return {**changes, "milliseconds": {name: round((time.perf_counter() - started) * 1000, 3)}}

    return run
