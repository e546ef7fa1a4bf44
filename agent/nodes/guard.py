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
    r"(?P<traceback>Traceback \(most recent|File \"[^\"]+\.py\")|(?P<template>\{\{.*\}\}|\{%.*%\})"
    r"|(?P<key>(?<![\w.-])(?:sk|pk)-[A-Za-z0-9]{16,})|(?P<digest>@sha256)|(?P<model_token><\|[a-z_]+\|>)"
)
"""A key begins a word: within the random part of a sign-in link the same letters come by chance."""
_log = structlog.get_logger(__name__)


async def guard(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context, reply = runtime.context, state["reply"]
    text = reply["text"]
    if state.get("drafted") and not _still_holds(state):
        text = text.replace(state["drafted"], str(state["passages"][0]["answer"]))
    handoff = state.get("handoff", "")
    if held := insides_of(text):
        _log.error("a reply held something internal and was stopped", rung=state.get("rung"), held=held)
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


def insides_of(text: str) -> str:
    """The kind of thing in this text that no customer may see, or ""."""
    found = _INSIDES.search(text)
    return str(found.lastgroup) if found else ""


def _still_holds(state: TurnState) -> bool:
    sources = [text for passage in state["passages"] for text in (passage["answer"], passage["text"])]
    return not judgement.keep_supported(state["drafted"], [*sources, *state.get("facts", [])]).dropped
