"""What a grader looks at: one turn, or a whole conversation, as plain values. Nothing here knows how it came about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Table → rows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Of several turns: replies joined, tools and citations collected, the intent of the first, the rest of the last."""

    said: str
    """What the customer had said up to here."""
    reply: str
    intent: str = ""
    language: str = ""
    emotion: str = ""
    citations: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    handoff: str | None = None
    """The reason, once the conversation waits for a person."""
    choices: tuple[str, ...] = ()
    changes: Rows = field(default_factory=dict)
    """Rows of the shop's database that are new or different since the start."""


_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


def main_language(text: str) -> str:
    """ "zh" or "en" by what the text is mostly written in; "" when it has no words."""
    han, latin = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    if not han and not latin:
        return ""
    return "zh" if han >= latin else "en"
