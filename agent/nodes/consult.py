"""Waits for a person's decision. The first line suspends the turn; nothing may stand before it.

The customer already has the reply that says so, and their next messages run in turns of their own. `turn.Turns` resumes
here with the decision, and `act` carries it out.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agent.context import AgentContext
from agent.state import TurnState


async def consult(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    approval = state["approval"]
    assert approval is not None
    decision = interrupt({"approval": approval["id"]})
    return {"decision": decision, "parts": [], "drafted": "", "handoff": ""}
