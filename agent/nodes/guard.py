"""Sixth node: the last look at a reply before it can be sent, whoever wrote it.

A model's text is judged once more as a whole; nothing that looks like our insides may leave; Chinese gets the script of
the customer. Citations stay as they are published: they are quotes.
"""

from __future__ import annotations

import re
from typing import Any

import structlog
from langgraph.runtime import Runtime

from agent import guard as judgement
from agent.context import AgentContext
from agent.state import ReplyState, TurnState

TEXT_LIMIT = 4_000
_INSIDES = re.compile(
    r"Traceback \(most recent|\{\{.*\}\}|\{%.*%\}|\b(?:sk|pk)-[A-Za-z0-9]{16,}|@sha256|<\|[a-z_]+\|>|File \"[^\"]+\.py\""
)
_log = structlog.get_logger(__name__)


async def guard(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context, reply = runtime.context, state["reply"]
    text = reply["text"]
    if state.get("drafted") and not _still_holds(state):
        text = text.replace(state["drafted"], str(state["passages"][0]["answer"]))
    handoff = state.get("handoff", "")
    if _INSIDES.search(text):
        _log.error("a reply held something internal and was stopped", rung=state.get("rung"))
        rendered = await context.say("trouble", state["language"], {})
        text, handoff = rendered.text.strip(), handoff or "internal"
    script = state["dialogue"].get("script", "hans") if state["language"] == "zh" else "hans"
    fit = context.services.writing.fit
    fitted = ReplyState(
        text=fit(text[:TEXT_LIMIT], script),
        choices=[
            {"label": fit(one["label"], script), "value": fit(one["value"], script)}
            for one in reply["choices"]
        ],
        citations=reply["citations"],
    )
    return {"reply": fitted, "handoff": handoff}


def _still_holds(state: TurnState) -> bool:
    sources = [text for passage in state["passages"] for text in (passage["answer"], passage["text"])]
    return not judgement.keep_supported(state["drafted"], [*sources, *state.get("facts", [])]).dropped
