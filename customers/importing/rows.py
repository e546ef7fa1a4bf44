"""A row of a table becomes one customer's draft, or a list of reasons, each with its column. Pure.

A row is wholly in or wholly out: one cell that cannot be believed keeps all of it out, and the person who has the file mends
it there. A cell that stands for nothing (无, n/a, 13800138000) is an empty cell, and counted. What is changed in a cell is the
same as in every other collected row, by the same steps.

What would surprise you: nothing in a table proves anything. A row without a key of its own is kept under a digest of its phone
number or address, a name that no channel ever vouches for, so it opens no history to whoever has that number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from customers.cleaning import pipeline, reading, statements
from customers.cleaning.pipeline import Counts
from customers.importing import columns
from customers.importing.files import Row
from customers.matching import normalise, vocabulary
from foundation import errors

IMPORTED = "imported"
"""Namespace of rows that have no key but contact data."""

Digest = Callable[[str, str], str]
"""Kind and normal form of contact data in, the name of the row out."""

_SCIENTIFIC = re.compile(r"\d([.,]\d+)?E\+?\d+", re.IGNORECASE)
_DECIMAL = re.compile(r"(\+?\d{4,})\.0+")
_SLASHED = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_NUMBERS = frozenset({*columns.KEYS, "phone"})
_STRICT = frozenset({*columns.KEYS, "email"})


@dataclass(frozen=True, slots=True)
class Problem:
    """`column` as the header names it; "" is the row as a whole."""

    column: str
    code: str

    def sentence(self, language: str) -> str:
        return str(_sentences().get(self.code, _sentences()["other"])[language])


@dataclass(slots=True)
class Draft:
    """What a row says. It goes in only when `problems` is empty."""

    number: int
    namespace: str = ""
    value: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None
    problems: list[Problem] = field(default_factory=list)

    def as_row(self, now: datetime) -> dict[str, Any]:
        """For the collection's door. `now` is when the import began, the same however often this is sent."""
        return {
            "id": str(self.number), "identity": {"namespace": self.namespace, "value": self.value},
            "facts": self.facts, "observed_at": (self.at or now).isoformat(),
        }  # fmt: skip

    def content(self) -> tuple[object, ...]:
        """Equal for rows that say the same."""
        return (self.namespace, self.value, self.at, tuple(sorted(self.facts.items())))


@dataclass(frozen=True, slots=True)
class Reader:
    """How the rows of one table are read: its header, what each column is, the moment by which ages are judged."""

    header: Sequence[str]
    targets: Sequence[str]
    now: datetime
    digest: Digest

    def read(self, row: Row, counts: Counts) -> Draft:
        """`counts` gets what was changed and why, by step and reason."""
        draft = Draft(row.number)
        if row.trouble:
            return _end(draft, "", row.trouble, counts)
        for column, target, cell in zip(self.header, self.targets, row.cells, strict=True):
            if target and cell:
                self._take(draft, column, target, cell, counts)
        if not draft.problems and not draft.namespace:
            self._name(draft, counts)
        if not draft.problems and not draft.facts:
            _end(draft, "", "nothing_said", counts)
        return draft

    def _take(self, draft: Draft, column: str, target: str, cell: str, counts: Counts) -> None:
        text = pipeline.tidy_text(cell)
        if text != cell:
            counts[("tidy", f"width_or_blanks:{_counted(target)}")] += 1
        if target in _NUMBERS and _SCIENTIFIC.fullmatch(text):
            _end(draft, column, "scientific", counts, target)
            return
        if target in _NUMBERS and (found := _DECIMAL.fullmatch(text)):
            text = found[1]
            counts[("types", f"decimal:{_counted(target)}")] += 1
        if _looks_alike(target, text):
            _end(draft, column, "lookalike", counts, target)
        elif target in columns.KEYS:
            _take_key(draft, column, (target, text), counts)
        elif target == columns.MOMENT:
            self._take_moment(draft, column, text, counts)
        else:
            self._take_fact(draft, column, (target, text), counts)

    def _take_fact(self, draft: Draft, column: str, told: tuple[str, str], counts: Counts) -> None:
        target, text = told
        if target == "language" and (code := columns.language_code(text)) != text:
            text = code
            counts[("types", "code_from_name:language")] += 1
        if target in ("phone", "email") and _is_made_up(target, text):
            counts[("types", f"placeholder:{target}")] += 1
            return
        stated = statements.clean(target, text, self.now, counts)
        if stated.status == "accepted":
            draft.facts[target] = stated.value
        elif stated.reason != "placeholder" and text:
            draft.problems.append(Problem(column, stated.reason))

    def _take_moment(self, draft: Draft, column: str, text: str, counts: Counts) -> None:
        read = reading.read_time(_iso(text))
        if read is None:
            _end(draft, column, "bad_time", counts)
            return
        if read.changed:
            counts[("types", f"{read.changed}:at")] += 1
        stored = pipeline.rules()
        if read.value > self.now + timedelta(minutes=stored["future_minutes"]):
            _end(draft, column, "in_the_future", counts)
            return
        oldest = self.now - timedelta(days=stored["oldest_days"] - 1)
        if read.value < oldest:  # true still, and older than whatever else is known
            counts[("ranges", "old_moment:at")] += 1
        draft.at = max(read.value, oldest)

    def _name(self, draft: Draft, counts: Counts) -> None:
        if any(target in columns.KEYS for target in self.targets):
            key = next(name for name, at in zip(self.header, self.targets, strict=True) if at in columns.KEYS)
            _end(draft, key, "missing_key", counts)
            return
        for kind in ("phone", "email"):
            found = normalise.find(kind, draft.facts.get(kind, ""))
            if found is not None and not found.shared:
                draft.namespace, draft.value = IMPORTED, self.digest(kind, found.match)
                return
        _end(draft, "", "no_contact_key", counts)


def _take_key(draft: Draft, column: str, told: tuple[str, str], counts: Counts) -> None:
    target, text = told
    if pipeline.is_placeholder(text) or not text:
        _end(draft, column, "placeholder_key", counts, target)
        return
    try:
        draft.value = normalise.parse(target, text).key
        draft.namespace = target
    except errors.InvalidInput as error:
        code = "placeholder_key" if error.code.endswith("_placeholder") else "bad_key"
        _end(draft, column, code, counts, target)
        return
    if len(text) > 200:
        _end(draft, column, "bad_key", counts, target)


def _is_made_up(kind: str, text: str) -> bool:
    try:
        normalise.parse(kind, text)
    except errors.InvalidInput as error:
        return error.code == f"{kind}_placeholder"
    return False


def _looks_alike(target: str, text: str) -> bool:
    """Letters of another script among Latin ones, or a key made of nothing but such letters."""
    if text.isascii() or target not in (*_STRICT, "name"):
        return False
    table = vocabulary.load_letters("lookalikes.tsv")
    strange = any(ord(sign) in table for sign in text.lower())
    latin = any(sign.isascii() and sign.isalpha() for sign in text)
    return strange and (latin or (target in _STRICT and normalise.skeleton(text).isascii()))


def _iso(text: str) -> str:
    found = _SLASHED.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).isoformat()
    except ValueError:
        return text


def _counted(target: str) -> str:
    return "custom" if target.startswith("custom.") else target


def _end(draft: Draft, column: str, code: str, counts: Counts, target: str = "") -> Draft:
    draft.problems.append(Problem(column, code))
    counts[("formats", f"{code}:{_counted(target)}" if target else code)] += 1
    return draft


@cache
def _sentences() -> Mapping[str, Mapping[str, str]]:
    stored: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        (Path(__file__).parent / "reasons.yaml").read_text(encoding="utf-8")
    )
    return stored
