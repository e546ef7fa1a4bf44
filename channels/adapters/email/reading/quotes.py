"""What is new in a mail: quoted text and signatures stripped, for Chinese and English clients; pure.

`codec` calls `strip` on the text of each mail. New text may stand above, below or between quotes. A mail is never
emptied: where nothing would be left, everything stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from channels.adapters.email.reading.words import BLOCK_FIRST, BLOCK_OTHERS, CLIENT_SIGNATURE, DIVIDER, INTRO

JOINED = 3
"""Lines over which a client wraps the line above a quote."""
LONGEST_INTRO = 400
BLOCK_REACH = 3
RULE = 10
"""Underscores of a rule that Outlook draws above a header block."""


class _Mark(NamedTuple):
    end: int
    """The first line behind it."""
    marks_quotes: bool
    """Lines of the quote begin with `>`, so that what has none is new."""


def strip(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    new = re.sub(r"\n{3,}", "\n\n", "\n".join(_without_signature(_new(lines)))).strip()
    return new if says(new) else text.strip()


def says(text: str) -> bool:
    """Something to see stands in it."""
    return any(
        not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc", "Cs")
        for character in text
    )


def _new(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    place = 0
    while place < len(lines):
        mark = _mark(lines, place)
        if mark is None:
            if not _is_quoted(lines[place]):
                kept.append(lines[place])
            place += 1
            continue
        if kept and lines[place].lstrip().startswith(("于", "於")) and _is_name_line(kept[-1]):
            kept.pop()
        if not mark.marks_quotes:
            break
        place = mark.end
    return kept


def _mark(lines: Sequence[str], place: int) -> _Mark | None:
    line = lines[place].strip()
    if not line or line.startswith(">"):
        return None
    if DIVIDER.match(line) or _is_block(lines, place) or _is_rule(lines, place):
        return _Mark(place + 1, marks_quotes=False)
    end = _intro_end(lines, place)
    return None if not end else _Mark(end, marks_quotes=_is_quoted(_next_said(lines, end)))


def _intro_end(lines: Sequence[str], place: int) -> int:
    """Behind the line above a quote that begins here; 0 where none does."""
    joined = ""
    for count in range(JOINED):
        if place + count >= len(lines):
            break
        line = lines[place + count].strip()
        if not line or line.startswith(">"):
            break
        if count and len(line) <= LONGEST_INTRO and INTRO.match(line):
            break
        joined = f"{joined} {line}".strip()
        if len(joined) > LONGEST_INTRO:
            break
        if INTRO.match(joined):
            return place + count + 1
    return 0


def _is_block(lines: Sequence[str], place: int) -> bool:
    if not BLOCK_FIRST.match(lines[place].strip()):
        return False
    return any(BLOCK_OTHERS.match(line.strip()) for line in lines[place + 1 : place + 1 + BLOCK_REACH])


def _is_rule(lines: Sequence[str], place: int) -> bool:
    line = lines[place].strip()
    if len(line) < RULE or set(line) != {"_"}:
        return False
    behind = [number for number in range(place + 1, min(place + 4, len(lines))) if lines[number].strip()]
    return bool(behind) and _is_block(lines, behind[0])


def _is_name_line(line: str) -> bool:
    """What is left of a wrapped line above a quote: a name and an address."""
    return "@" in line and line.rstrip().endswith((">", "＞"))


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _next_said(lines: Sequence[str], place: int) -> str:
    return next((line for line in lines[place:] if line.strip()), "")


def _without_signature(lines: list[str]) -> list[str]:
    """Without what follows a `-- ` line, and without the lines that a client adds at the end."""
    first = next(
        (place for place, line in enumerate(lines) if says(line) and line.strip() != "--"), len(lines)
    )
    end = next((place for place in range(first + 1, len(lines)) if lines[place].strip() == "--"), len(lines))
    while end > first + 1 and (not lines[end - 1].strip() or CLIENT_SIGNATURE.match(lines[end - 1].strip())):
        end -= 1
    return lines[:end]
