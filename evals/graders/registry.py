"""The explicit list of graders; a new one: a function in a module beside this file, a line here, a field of `Expect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evals.graders import actions, end_state, texts
from evals.graders.seen import Seen

Grader = Callable[[Any, Seen], str | None]

GRADERS: Mapping[str, Grader] = {
    "contains": texts.contains,
    "contains_any": texts.contains_any,
    "excludes": texts.excludes,
    "matches": texts.matches,
    "language_is": texts.language_is,
    "says_no_numbers_beyond": texts.says_no_numbers_beyond,
    "says_something": texts.says_something,
    "offers": texts.offers,
    "intent_is": actions.intent_is,
    "emotion_is": actions.emotion_is,
    "understood_language_is": actions.understood_language_is,
    "tool_called": actions.tool_called,
    "no_tool_called": actions.no_tool_called,
    "handed_over": actions.handed_over,
    "not_handed_over": actions.not_handed_over,
    "cites": actions.cites,
    "cites_nothing": actions.cites_nothing,
    "end_state": end_state.end_state,
}


def grade(expectations: Mapping[str, Any], seen: Seen) -> list[str]:
    """The complaints, each with the name of its grader; empty when all are content."""
    complaints = [(name, GRADERS[name](argument, seen)) for name, argument in expectations.items()]
    return [f"{name}: {complaint}" for name, complaint in complaints if complaint is not None]
