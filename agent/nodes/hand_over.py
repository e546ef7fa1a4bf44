"""Last node, when a person is needed: tells the customer, and writes down what that person should know.

The turn puts the conversation into the queue, in the transaction that sends this reply. The summary is written for
staff, from facts of the conversation only.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from agent import summary
from agent.context import AgentContext
from agent.state import ReplyState, TurnState


async def hand_over(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context, reply = runtime.context, state["reply"]
    profile = context.profile(state["understood"])
    values = {"reason": state["handoff"], "address": profile.form_of_address if profile else ""}
    said = await context.say("handoff", state["language"], values)
    note = await context.say("handoff_summary", state["language"], summary.facts(state))
    script = state["dialogue"].get("script", "hans") if state["language"] == "zh" else "hans"
    text = context.services.writing.fit(said.text.strip(), script)
    return {
        "reply": ReplyState(
            text=f"{reply['text']}\n\n{text}" if reply["text"] else text,
            choices=[],
            citations=reply["citations"],
        ),
        "summary": {"text": note.text.strip()},
        "prompts": [*state.get("prompts", []), said.digest],
    }
