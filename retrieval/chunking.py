"""Cuts an article into passages: pure, the same text always gives the same ids. Called by ingestion and previews.

A passage stays inside one section and carries the headings above it; sentences are never broken unless one alone
is too long; a table stays whole, or goes by rows under its header. So an edit changes the ids of its own section
only. The title and each question also become passages of their own, which point to the lead paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from retrieval.front_matter import Document
from retrieval.passages import Passage, passage_id

CHINESE_LIMIT = 300
ENGLISH_LIMIT = 120
_WORD_COST = CHINESE_LIMIT / ENGLISH_LIMIT

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_LIST_ITEM = re.compile(r"\s*([-*+]|\d+[.)、])\s+")
_SENTENCE_END = re.compile(r"(?<=[。！？；!?;])[”’」』）)]*\s*|(?<=[.])\s+|\n")
_CLAUSE_END = re.compile(r"(?<=[，、,：:])\s*|\s+")
_UNIT = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\W_]+", re.UNICODE)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, a list, a table or a fenced piece with the headings above it."""

    path: tuple[str, ...]
    text: str
    is_table: bool = False


def cut(document: Document, version: int) -> list[Passage]:
    blocks = _blocks(document.title, document.body)
    lead = lead_paragraph(document)
    pieces = [(path, text) for path, section in _sections(blocks) for text in _pack(section)]
    place = (document.id, document.language)
    seen: dict[str, int] = {}
    passages = []
    for position, (path, text) in enumerate(pieces):
        identity = _unique(passage_id(*place, "body", *path, text), seen)
        heading = " › ".join(path)
        passages.append(Passage(identity, *place, version, position, "body", heading, text, text))
    for question in dict.fromkeys((document.title, *document.questions)):
        identity = _unique(passage_id(*place, "question", question), seen)
        passages.append(
            Passage(identity, *place, version, len(passages), "question", document.title, question, lead)
        )
    return passages


def lead_paragraph(document: Document) -> str:
    """What answers the article's question in one breath: its first piece of text."""
    for _, section in _sections(_blocks(document.title, document.body)):
        for text in _pack(section):
            return text
    return document.title


def length(text: str) -> float:
    """Chinese characters, where an English word counts as two and a half of them."""
    return sum(1.0 if _WIDE.match(unit[0]) else _WORD_COST for unit in _UNIT.findall(text))


def sentences(text: str) -> list[str]:
    """In order and complete: only white space at the joints is lost."""
    return [part.strip() for part in _split_after(_SENTENCE_END, text) if part.strip()]


def _unique(identity: str, seen: dict[str, int]) -> str:
    """The same words twice in one section are two passages."""
    seen[identity] = seen.get(identity, 0) + 1
    return identity if seen[identity] == 1 else passage_id(identity, str(seen[identity]))


def _blocks(title: str, body: str) -> Iterator[_Block]:
    path: list[tuple[int, str]] = [(0, title)]
    lines: list[str] = []
    fence = ""

    def taken() -> Iterator[_Block]:
        text = "\n".join(lines).strip("\n").rstrip()
        lines.clear()
        if text.strip():
            yield _Block(tuple(name for _, name in path), text, _is_table(text))

    for line in body.split("\n"):
        opening = _FENCE.match(line)
        if opening or fence:
            if opening and not fence:
                yield from taken()
            lines.append(line)
            fence = _fence_after(fence, opening)
            if not fence:
                yield from taken()
        elif heading := _HEADING.match(line):
            yield from taken()
            depth = len(heading[1])
            path = [entry for entry in path if entry[0] < depth] + [(depth, heading[2])]
        elif not line.strip():
            yield from taken()
        else:
            lines.append(line)
    yield from taken()


def _fence_after(fence: str, mark: re.Match[str] | None) -> str:
    if mark is None:
        return fence
    if not fence:
        return mark[1]
    return "" if mark[1] == fence else fence


def _is_table(text: str) -> bool:
    lines = text.split("\n")
    return len(lines) >= 2 and "|" in lines[0] and bool(_TABLE_RULE.match(lines[1]))


def _sections(blocks: Iterable[_Block]) -> Iterator[tuple[tuple[str, ...], list[_Block]]]:
    section: list[_Block] = []
    for block in blocks:
        if section and block.path != section[0].path:
            yield section[0].path, section
            section = []
        section.append(block)
    if section:
        yield section[0].path, section


def _pack(section: list[_Block]) -> Iterator[str]:
    """Joins neighbours while they fit, so that short paragraphs of one section are read together."""
    held = ""
    for block in section:
        for text in _fitting(block):
            joined = f"{held}\n\n{text}" if held else text
            if held and length(joined) > CHINESE_LIMIT:
                yield held
                held = text
            else:
                held = joined
    if held:
        yield held


def _fitting(block: _Block) -> Iterator[str]:
    if length(block.text) <= CHINESE_LIMIT:
        yield block.text
    elif block.is_table:
        yield from _rows_under_header(block.text)
    elif _LIST_ITEM.match(block.text):
        yield from _joined(block.text.splitlines(keepends=True))
    else:
        yield from _joined(_split_after(_SENTENCE_END, block.text))


def _rows_under_header(table: str) -> Iterator[str]:
    head, rule, *rows = table.splitlines(keepends=True)
    room = max(CHINESE_LIMIT - length(head), CHINESE_LIMIT / 4)
    for group in _joined(rows, room):
        yield head + rule + group


def _joined(parts: Iterable[str], room: float = CHINESE_LIMIT) -> Iterator[str]:
    held = ""
    for part in (small for whole in parts for small in _shortened(whole, room)):
        if held and length(held + part) > room:
            yield held.strip()
            held = part
        else:
            held += part
    if held.strip():
        yield held.strip()


def _shortened(text: str, room: float) -> Iterator[str]:
    """A sentence that is too long alone is broken after commas, at spaces, and in the end anywhere."""
    if length(text) <= room:
        yield text
        return
    clauses = _split_after(_CLAUSE_END, text)
    if len(clauses) > 1:
        for clause in clauses:
            yield from _shortened(clause, room)
        return
    size = max(int(room), 1)
    yield from (text[start : start + size] for start in range(0, len(text), size))


def _split_after(pattern: re.Pattern[str], text: str) -> list[str]:
    """The parts, one after the other, are the text."""
    ends = [match.end() for match in pattern.finditer(text)]
    bounds = [0, *(end for end in ends if 0 < end < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if start < end]
