"""Rows from outside become events and statements, or are sent back or set aside, each with the step and the reason. Pure.

The steps, in this order: width and blanks → placeholders and types → formats → units and ranges → duplicates → outliers. Each
counts what it changed and why. What cannot be read is rejected, and the sender is told; what can be read and is not
believable is quarantined, for a person to let in or to throw away. Nothing disappears without a count.

What would surprise you: the text of a row is put into its common form (NFKC) before anything looks at it, so that full-width
digits and compatible letters cannot hide a repeat.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from customers.cleaning import reading
from customers.cleaning.outliers import Spread
from customers.profile import aggregates

Status = Literal["accepted", "duplicate", "quarantined", "rejected"]
Counts = Counter[tuple[str, str]]
"""By step and reason."""

_RULES = Path(__file__).parent / "rules.yaml"
_ID_NAMES = frozenset({"phone", "email"})
"""Contact data that a system has written down proves nothing about who writes to us: it is stated, not an identity."""


@dataclass(slots=True)
class Draft:
    """One row on its way. `status` stays "accepted" until a step decides otherwise."""

    index: int
    fields: dict[str, Any]
    namespace: str = ""
    value: str = ""
    status: Status = "accepted"
    step: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    """What was changed in it: step and reason."""

    def end(self, status: Status, step: str, reason: str) -> None:
        self.status, self.step, self.reason = status, step, reason

    @property
    def is_open(self) -> bool:
        return self.status == "accepted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the steps compare with: the time, and what is known of the numbers."""

    now: datetime
    spreads: Mapping[str, Spread] = field(default_factory=dict)


Step = Callable[[Draft, Bounds, Counts], None]


def clean(rows: Sequence[Any], bounds: Bounds, counts: Counts) -> list[Draft]:
    """All steps that look at one row alone; `count_end` closes the books after the duplicates were found."""
    drafts = []
    for index, row in enumerate(rows):
        draft = _begin(index, row)
        for step in (_tidy, _types, _formats, _units, _ranges, _outliers):
            if draft.is_open:
                step(draft, bounds, counts)
        drafts.append(draft)
    return drafts


def mark_duplicates(
    drafts: Sequence[Draft], keys: Sequence[tuple[str, tuple[str, str]]], known_ids: set[str],
    known_contents: set[tuple[str, str]],
) -> None:  # fmt: skip
    """First by id, then by who did what in which minute, against what is stored and within the batch. `keys` has both for
    each draft."""
    ids, contents = set(known_ids), set(known_contents)
    for draft, (event_id, content) in zip(drafts, keys, strict=True):
        if draft.status not in ("accepted", "quarantined"):
            continue
        if event_id in ids:
            draft.end("duplicate", "duplicates", "same_id")
        elif content in contents:
            draft.end("duplicate", "duplicates", "same_content")
        ids.add(event_id)
        contents.add(content)


def count_end(drafts: Sequence[Draft], counts: Counts) -> None:
    counts[("rows", "received")] += len(drafts)
    for draft in drafts:
        counts[("rows", draft.status)] += 1
        if draft.step:
            counts[(draft.step, draft.reason)] += 1


def content_of(draft: Draft) -> str:
    """Type, minute and everything told beside the id, for the digest that finds the same thing told twice."""
    told = {name: value for name, value in draft.fields.items() if name not in ("id", "at")}
    minute = int(draft.fields["at"].timestamp() // 60)
    return json.dumps([minute, told], ensure_ascii=False, sort_keys=True, default=str)


def size_of(kind: str, fields: Mapping[str, Any]) -> float | None:
    """The number of an event whose spread is watched."""
    if kind in ("order", "refund"):
        return float(fields["amount"])
    return None if fields.get("seconds") is None else float(fields["seconds"])


def sentence(reason: str) -> str:
    """What the sender of a row is told; "" for a row that was taken."""
    name, _, about = reason.partition(":")
    return _sentences()[name].format(field=about or "This") if reason else ""


def tidy_text(text: str) -> str:
    """NFKC, without control characters, blanks in a row as one."""
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(
        " " if one.isspace() else one
        for one in folded
        if one.isspace() or unicodedata.category(one)[0] != "C"
    )
    return " ".join(kept.split())


def is_placeholder(text: str) -> bool:
    return text.casefold() in rules()["placeholders"]


@cache
def rules() -> dict[str, Any]:
    stored: dict[str, Any] = yaml.safe_load(_RULES.read_text(encoding="utf-8"))
    stored["placeholders"] = frozenset(str(one).casefold() for one in stored["placeholders"])
    return stored


@cache
def _sentences() -> dict[str, str]:
    return dict(yaml.safe_load((_RULES.parent / "reasons.yaml").read_text(encoding="utf-8")))


def _begin(index: int, row: Any) -> Draft:
    if not isinstance(row, dict):
        draft = Draft(index, {})
        draft.end("rejected", "types", "not_an_object")
        return draft
    fields = dict(row)
    identity = fields.pop("identity", None)
    draft = Draft(index, fields)
    if not isinstance(identity, dict) or not all(
        isinstance(identity.get(name), str) for name in ("namespace", "value")
    ):
        draft.end("rejected", "types", "identity_missing")
        return draft
    draft.namespace, draft.value = identity["namespace"], identity["value"]
    return draft


def _tidy(draft: Draft, _bounds: Bounds, counts: Counts) -> None:
    draft.namespace, draft.value = tidy_text(draft.namespace), tidy_text(draft.value)
    for name, value in draft.fields.items():
        if isinstance(value, str) and (tidied := tidy_text(value)) != value:
            draft.fields[name] = tidied
            _note(draft, counts, "tidy", f"width_or_blanks:{_shown(name)}")


def _types(draft: Draft, _bounds: Bounds, counts: Counts) -> None:
    known = rules()["fields"]
    for name in list(draft.fields):
        value = draft.fields[name]
        if name not in known:
            del draft.fields[name]
            _note(draft, counts, "types", "unknown_field")
        elif value is None or value == "" or (isinstance(value, str) and is_placeholder(value)):
            del draft.fields[name]
            if value not in (None, ""):
                _note(draft, counts, "types", f"placeholder:{name}")
        else:
            read = reading.READERS[known[name]["kind"]](value)
            if read is None:
                draft.end("rejected", "types", f"bad_{known[name]['kind']}:{name}")
                return
            if read.changed:
                _note(draft, counts, "types", f"{read.changed}:{name}")
            draft.fields[name] = read.value
    if is_placeholder(draft.value) or not draft.value:
        draft.end("rejected", "types", "placeholder:identity")


def _formats(draft: Draft, _bounds: Bounds, _counts: Counts) -> None:
    stored = rules()
    if not reading.NAMESPACE.fullmatch(draft.namespace) or len(draft.value) > 200:
        draft.end("rejected", "formats", "bad_identity")
        return
    if draft.namespace in _ID_NAMES:
        draft.end("rejected", "formats", "identity_is_contact_data")
        return
    for name, value in draft.fields.items():
        longest = stored["fields"][name].get("longest")
        if longest is not None and len(value) > longest:
            draft.end("rejected", "formats", f"too_long:{name}")
            return
    kind = draft.fields.get("type")
    if kind is not None and kind not in aggregates.TYPES:
        draft.end("rejected", "formats", "unknown_type")
        return
    for name in ("id", "type", "at", *stored["needs"].get(kind, ())):
        if name not in draft.fields:
            draft.end("rejected", "formats", f"missing:{name}")
            return
    if "language" in draft.fields and not reading.LANGUAGE.fullmatch(draft.fields["language"]):
        draft.end("rejected", "formats", "bad_language")


def _units(draft: Draft, _bounds: Bounds, counts: Counts) -> None:
    unit = draft.fields.pop("unit", None)
    if unit is None:
        return
    factor = rules()["units"].get(unit.casefold())
    if factor is None:
        draft.end("rejected", "ranges", "unknown_unit")
        return
    for name in ("amount", "seconds"):
        if name in draft.fields and factor != 1:
            draft.fields[name] = round(draft.fields[name] * factor, 6)
            _note(draft, counts, "ranges", f"unit:{name}")


def _ranges(draft: Draft, bounds: Bounds, _counts: Counts) -> None:
    stored, told = rules(), draft.fields
    reasons = {
        "other_currency": told.pop("currency", stored["currency"]).upper() != stored["currency"],
        "in_the_future": told["at"] > bounds.now + timedelta(minutes=stored["future_minutes"]),
        "too_old": told["at"] < bounds.now - timedelta(days=stored["oldest_days"]),
        "amount_out_of_range": not 0 <= told.get("amount", 0.0) <= stored["largest_amount"],
        "seconds_out_of_range": not 0 <= told.get("seconds", 0.0) <= stored["longest_seconds"],
        "score_out_of_range": not 1 <= told.get("score", 1) <= 5,
    }
    reason = next((name for name, holds in reasons.items() if holds), "")
    if reason:
        draft.end("quarantined", "ranges", reason)


def _outliers(draft: Draft, bounds: Bounds, _counts: Counts) -> None:
    kind = draft.fields["type"]
    size, spread = size_of(kind, draft.fields), bounds.spreads.get(kind)
    if size is not None and spread is not None and spread.is_far(size):
        draft.end("quarantined", "outliers", f"far:{kind}")


def _note(draft: Draft, counts: Counts, step: str, reason: str) -> None:
    draft.notes.append(f"{step}:{reason}")
    counts[(step, reason)] += 1


def _shown(name: Any) -> str:
    """A stranger's field name is data too: only ours are counted by name."""
    return str(name) if name in rules()["fields"] else "other"
