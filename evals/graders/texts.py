"""Graders of what was said. Each takes its argument from the case and returns a complaint, or None when content."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evals.graders.seen import Seen, main_language

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def contains(wanted: Sequence[str], seen: Seen) -> str | None:
    """All of them, upper and lower case alike."""
    missing = [text for text in wanted if text.casefold() not in seen.reply.casefold()]
    return f"the reply lacks {', '.join(map(repr, missing))}" if missing else None


def contains_any(wanted: Sequence[str], seen: Seen) -> str | None:
    if any(text.casefold() in seen.reply.casefold() for text in wanted):
        return None
    return f"the reply has none of {', '.join(map(repr, wanted))}"


def excludes(unwanted: Sequence[str], seen: Seen) -> str | None:
    present = [text for text in unwanted if text.casefold() in seen.reply.casefold()]
    return f"the reply has {', '.join(map(repr, present))}" if present else None


def matches(pattern: str, seen: Seen) -> str | None:
    found = re.search(pattern, seen.reply, re.IGNORECASE)
    return None if found else f"the reply does not match {pattern!r}"


def language_is(wanted: str, seen: Seen) -> str | None:
    """The language the reply is written in: zh or en."""
    found = main_language(seen.reply)
    return None if found == wanted else f"the reply is in {found or 'no language'}, not {wanted}"


def says_no_numbers_beyond(allowed: Sequence[str], seen: Seen) -> str | None:
    """Every number of the reply is allowed, said by the customer, or stands in what is cited: nothing is invented."""
    quotes = " ".join(str(citation.get("quote", "")) for citation in seen.citations)
    known = {_plain(number) for text in (*allowed, seen.said, quotes) for number in _NUMBER.findall(text)}
    invented = [number for number in _NUMBER.findall(seen.reply) if _plain(number) not in known]
    return f"the reply states {', '.join(invented)}, which nothing supports" if invented else None


def says_something(wanted: bool, seen: Seen) -> str | None:
    spoke = bool(seen.reply.strip())
    return None if spoke == wanted else ("nothing was said" if wanted else f"it said {seen.reply[:80]!r}")


def offers(wanted: Sequence[str], seen: Seen) -> str | None:
    """Each stands in one of the choices (buttons) of the reply."""
    missing = [text for text in wanted if not any(text.casefold() in one.casefold() for one in seen.choices)]
    return (
        f"no choice has {', '.join(map(repr, missing))}; choices: {list(seen.choices)}" if missing else None
    )


def _plain(number: str) -> str:
    """1,699.00 and 1699 are one number."""
    text = number.replace(",", "")
    return text.rstrip("0").rstrip(".") if "." in text else text
