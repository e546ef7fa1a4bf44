"""Text as channels need it: cleaned on the way in, measured and split on the way out. Pure.

`intake` cleans what customers send; `degrade` splits what we say. A cut never falls inside a code point, a grapheme
cluster (the part of Unicode's UAX #29 that occurs in chats: marks, emoji sequences, flags, Hangul, CR LF) or, while
one fits into a part at all, inside a URL. Joined again, the pieces are the text, character by character.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

from foundation.messages import TEXT_LIMIT

Unit = Literal["bytes", "characters", "utf16"]

_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_URL = re.compile(r"https?://[^\s<>\"'，。；！？）】》」]+")
_BREAKS = (
    re.compile(r"\n{2,}\Z"),
    re.compile(r"\n\Z"),
    re.compile(r"(?:[。！？；…]|[.!?;](?=\s))[”’」』）)\"']*\s*\Z|[.!?;][”’」』）)\"']*\s+\Z"),
    re.compile(r"[，、,：:]\s*\Z"),
    re.compile(r"\s\Z"),
)
"""Best first: paragraph, line, sentence, clause, word."""


def clean(text: str) -> tuple[str, bool]:
    """What can be stored everywhere (no NUL, no lone surrogate), at most TEXT_LIMIT long; True when it was cut."""
    safe = _without_surrogates(text).replace("\x00", "")
    if len(safe) <= TEXT_LIMIT:
        return safe, False
    return split(safe, TEXT_LIMIT, "characters")[0], True


def find_links(text: str) -> list[str]:
    """The addresses in a text, each once, without the punctuation that ends a sentence or encloses them."""
    return list(dict.fromkeys(match[0].rstrip(".,;:!?)]") for match in _URL.finditer(text)))


def mend_json(body: str | bytes) -> str | None:
    """The JSON with half surrogate pairs replaced (what remains of an emoji that a client cut); None where that is not
    what is wrong with it."""
    if not _HALF_PAIR.search(body.encode("utf-8", "replace") if isinstance(body, str) else body):
        return None
    try:
        return _without_surrogates(json.dumps(json.loads(body), ensure_ascii=False))
    except (ValueError, RecursionError):
        return None


def size(text: str, unit: Unit) -> int:
    if unit == "bytes":
        return len(text.encode("utf-8", "surrogatepass"))
    if unit == "utf16":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text)


def split(text: str, limit: int, unit: Unit) -> list[str]:
    """Pieces of at most `limit` units, cut at the best place in the second half of each; [] for an empty text."""
    if limit < 4:
        raise ValueError("a part must be able to hold one code point of any kind: at least 4 units")
    atoms = list(_atoms(text, limit, lambda piece: size(piece, unit)))
    pieces: list[str] = []
    start = 0
    while start < len(atoms):
        end = _fill(atoms, start, limit)
        if end < len(atoms):
            end = _best_cut(atoms, start, end)
        pieces.append("".join(atom for atom, _ in atoms[start:end]))
        start = end
    return pieces


def graphemes(text: str) -> Iterator[str]:
    """What a person sees as one character."""
    start = 0
    for index in range(1, len(text)):
        if not _joined(text, index, start):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def _without_surrogates(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def _atoms(text: str, limit: int, measure: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """Indivisible pieces with their sizes: URLs, else graphemes, else (a grapheme larger than a part) code points."""
    position = 0
    for match in _URL.finditer(text):
        yield from _grapheme_atoms(text[position : match.start()], limit, measure)
        url = match.group()
        if measure(url) <= limit:
            yield url, measure(url)
        else:
            yield from _grapheme_atoms(url, limit, measure)
        position = match.end()
    yield from _grapheme_atoms(text[position:], limit, measure)


def _grapheme_atoms(text: str, limit: int, measure: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    for cluster in graphemes(text):
        if (needed := measure(cluster)) <= limit:
            yield cluster, needed
        else:
            yield from ((character, measure(character)) for character in cluster)


def _fill(atoms: list[tuple[str, int]], start: int, limit: int) -> int:
    """How far one part reaches when it takes all it can."""
    used = 0
    for index in range(start, len(atoms)):
        used += atoms[index][1]
        if used > limit:
            return index
    return len(atoms)


def _best_cut(atoms: list[tuple[str, int]], start: int, end: int) -> int:
    """The last border of the best kind in the second half of the part; the whole part where there is none."""
    half = start + (end - start) // 2
    for kind in _BREAKS:
        for index in range(end, max(start, half - 1), -1):
            tail = "".join(atom for atom, _ in atoms[max(start, index - 4) : index])
            if kind.search(tail):
                return index
    return end


def _joined(text: str, index: int, start: int) -> bool:
    before, after = text[index - 1], text[index]
    if before == "\r" and after == "\n":
        return True
    if before in "\r\n" or after in "\r\n":
        return False
    if _extends(after) or before == "\u200d" or _hangul(before, after):
        return True
    if _is_flag(before) and _is_flag(after):
        run = 0
        while index - 1 - run >= start and _is_flag(text[index - 1 - run]):
            run += 1
        return run % 2 == 1
    return False


def _extends(character: str) -> bool:
    code = ord(character)
    return (
        code == 0x200D
        or 0xFE00 <= code <= 0xFE0F
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
        or unicodedata.category(character) in ("Mn", "Me", "Mc")
    )


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _hangul(before: str, after: str) -> bool:
    """Conjoining jamo: leading + vowel + trailing stay together."""
    leading = "\u1100" <= before <= "\u115f"
    vowel = "\u1160" <= before <= "\u11a7" or "\uac00" <= before <= "\ud7a3"
    trailing = "\u11a8" <= before <= "\u11ff"
    return (
        (leading and ("\u1100" <= after <= "\u11a7" or "\uac00" <= after <= "\ud7a3"))
        or (vowel and "\u1160" <= after <= "\u11ff")
        or (trailing and "\u11a8" <= after <= "\u11ff")
    )
