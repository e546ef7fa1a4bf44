"""Statements about a customer, cleaned by the same steps as rows: an attribute and what was written, a value or a reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from customers.cleaning import pipeline, reading
from customers.cleaning.pipeline import Counts, Status
from customers.profile import facts
from customers.profile.facts import Attribute


@dataclass(slots=True)
class Stated:
    """`value` is what can be kept; empty unless accepted or quarantined."""

    attribute: str
    value: str = ""
    status: Status = "accepted"
    step: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def clean(attribute: str, written: Any, now: datetime, counts: Counts) -> Stated:
    stated = Stated(attribute)
    rule = facts.attribute(attribute)
    if rule is None:
        return _end(stated, "rejected", "formats", "unknown_attribute", counts)
    read = reading.read_text(written)
    if read is None:
        return _end(stated, "rejected", "types", "bad_text", counts)
    text = pipeline.tidy_text(read.value)
    if text != read.value:
        stated.notes.append("tidy:width_or_blanks")
        counts[("tidy", f"width_or_blanks:{attribute.partition('.')[0]}")] += 1
    if not text or pipeline.is_placeholder(text):
        return _end(stated, "rejected", "types", "placeholder", counts)
    if len(text) > rule.longest:
        return _end(stated, "rejected", "formats", "too_long", counts)
    return _by_kind(stated, text, rule, now, counts)


def _by_kind(stated: Stated, text: str, rule: Attribute, now: datetime, counts: Counts) -> Stated:
    if rule.kind == "date":
        return _date(stated, text, now, counts)
    if rule.kind == "language":
        kept = text if reading.LANGUAGE.fullmatch(text) else None
    else:
        readers = {"phone": reading.read_phone, "email": reading.read_email}
        kept = readers[rule.kind](text) if rule.kind in readers else text
    if kept is None:
        return _end(stated, "rejected", "formats", f"bad_{rule.kind}", counts)
    if pipeline.is_placeholder(kept) or (rule.kind == "phone" and len(set(kept.lstrip("+"))) == 1):
        return _end(stated, "rejected", "types", "placeholder", counts)
    stated.value = kept
    return stated


def _date(stated: Stated, text: str, now: datetime, counts: Counts) -> Stated:
    found = reading.read_date(text)
    if found is None:
        return _end(stated, "rejected", "formats", "bad_date", counts)
    stated.value = found.isoformat()
    if found > now.date():
        return _end(stated, "quarantined", "ranges", "in_the_future", counts)
    if _years(found, now.date()) > pipeline.rules()["oldest_age"]:
        return _end(stated, "quarantined", "ranges", "too_old", counts)
    return stated


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _end(stated: Stated, status: Status, step: str, reason: str, counts: Counts) -> Stated:
    stated.status, stated.step, stated.reason = status, step, reason
    counts[
        (
            step,
            f"{reason}:{stated.attribute.partition('.')[0] if facts.attribute(stated.attribute) else 'other'}",
        )
    ] += 1
    return stated
