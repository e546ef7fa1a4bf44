"""The word lists under `data/`, read once: lines of tab-separated fields, `#` starts a comment.

`normalise.py` and `names.py` ask here. A list is data so that a deployment's editor can mend it without a programmer.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


@cache
def load_rows(name: str) -> tuple[tuple[str, ...], ...]:
    """Comments are whole lines; a `#` inside a line belongs to it (placeholders use it for digits)."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return tuple(
        tuple(field.strip() for field in line.split("\t"))
        for line in lines
        if line.strip() and not line.startswith("#")
    )


@cache
def load_words(name: str) -> frozenset[str]:
    return frozenset(row[0] for row in load_rows(name))


@cache
def load_letters(name: str) -> dict[int, str]:
    """A table for `str.translate`."""
    return {ord(row[0]): row[1] for row in load_rows(name)}


@cache
def placeholder_pattern(namespace: str) -> re.Pattern[str]:
    """Matches whole values that name nobody: `#` stands for digits, `*` for anything."""
    values = [row[1] for row in load_rows("placeholders.tsv") if row[0] == namespace]
    parts = [re.escape(value).replace(r"\#", r"\d+").replace(r"\*", ".*") for value in values]
    return re.compile("|".join(parts) or r"(?!)")


@cache
def common_surnames() -> frozenset[str]:
    return frozenset("".join(load_words("common_surnames.txt")))


@cache
def surname_readings() -> dict[str, tuple[str, ...]]:
    return {row[0]: tuple(row[1].split()) for row in load_rows("surnames.tsv")}


@cache
def honorifics(kind: str) -> tuple[str, ...]:
    """Longest first, so that 总经理 does not leave 总经."""
    words = next(row[1] for row in load_rows("honorifics.tsv") if row[0] == kind)
    return tuple(sorted(words.split(), key=len, reverse=True))


@cache
def given_roots() -> dict[str, str]:
    """A short given name to the long one; the first long name in the file wins."""
    roots: dict[str, str] = {}
    for long_name, short_names in load_rows("nicknames.tsv"):
        for short in short_names.split():
            roots.setdefault(short, long_name)
    return roots
