"""Graders of what was understood and done. Each returns a complaint, or None when content."""

from __future__ import annotations

from collections.abc import Sequence

from evals.graders.seen import Seen


def intent_is(wanted: Sequence[str], seen: Seen) -> str | None:
    """One of them."""
    return (
        None if seen.intent in wanted else f"the intent is {seen.intent or 'none'}, not {' or '.join(wanted)}"
    )


def emotion_is(wanted: Sequence[str], seen: Seen) -> str | None:
    return None if seen.emotion in wanted else f"the emotion is {seen.emotion}, not {' or '.join(wanted)}"


def understood_language_is(wanted: Sequence[str], seen: Seen) -> str | None:
    """The code the customer's language was given, e.g. yue."""
    return None if seen.language in wanted else f"the language is {seen.language}, not {' or '.join(wanted)}"


def tool_called(wanted: Sequence[str], seen: Seen) -> str | None:
    """All of them, each at least once with success."""
    missing = [name for name in wanted if name not in _done(seen)]
    return f"not done: {', '.join(missing)}; done: {', '.join(_done(seen)) or 'nothing'}" if missing else None


def no_tool_called(unwanted: Sequence[str], seen: Seen) -> str | None:
    """None of them, not even in vain; an empty list means no tool at all."""
    tried = [str(tool["name"]) for tool in seen.tools]
    wrong = [name for name in tried if not unwanted or name in unwanted]
    return f"it called {', '.join(wrong)}" if wrong else None


def handed_over(reason: str, seen: Seen) -> str | None:
    """For this reason; "any" for whatever reason."""
    if seen.handoff is None:
        return "it was not handed over to a person"
    return None if reason in ("any", seen.handoff) else f"handed over for {seen.handoff}, not {reason}"


def not_handed_over(wanted: bool, seen: Seen) -> str | None:
    if (seen.handoff is None) == wanted:
        return None
    return f"it was handed over: {seen.handoff}" if wanted else "it was not handed over"


def cites(wanted: Sequence[str], seen: Seen) -> str | None:
    """One of these articles, each citation with its words."""
    if any(not str(one.get("quote", "")).strip() for one in seen.citations):
        return "a citation has no quote"
    cited = [str(one["article"]) for one in seen.citations]
    if any(article in cited for article in wanted):
        return None
    return f"it cites {', '.join(cited) or 'nothing'}, not {' or '.join(wanted)}"


def cites_nothing(wanted: bool, seen: Seen) -> str | None:
    if bool(seen.citations) != wanted:
        return None
    return f"it cites {[one['article'] for one in seen.citations]}" if wanted else "it cites nothing"


def _done(seen: Seen) -> list[str]:
    return list(dict.fromkeys(str(tool["name"]) for tool in seen.tools if tool["ok"]))
