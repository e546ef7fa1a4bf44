"""Reads single values of collected rows: numbers, times and flags as systems really write them. Pure.

Each reader gives the value and what it had to change, or None when there is no such value in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,39}(:[\w.@-]{1,80})?")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_PHONE_MARKS = re.compile(r"[\s().\-/]")
_PHONE = re.compile(r"\+?\d{7,15}")
_NUMBER = re.compile(r"-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_MONEY = re.compile(r"^[¥￥$€]|元$")
_MILLISECONDS = 100_000_000_000
"""A plain number above it is a time in milliseconds: in seconds it would be the year 5138."""
_LATEST = 32_503_680_000
"""Seconds; the year 3000."""
_FLAGS = {"true": True, "yes": True, "1": True, "y": True, "是": True, "false": False, "no": False, "0": False, "n": False, "否": False}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    value: Any
    changed: str = ""


def read_text(value: Any) -> Read | None:
    if isinstance(value, str):
        return Read(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Read(str(value), "text_from_number")
    return None


def read_number(value: Any) -> Read | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        number = float(value) if abs(value) < 1e300 else math.inf
        return Read(number) if math.isfinite(number) else None
    if isinstance(value, str):
        bare = _MONEY.sub("", value).strip()
        if _NUMBER.fullmatch(bare) and len(bare) < 40:
            return Read(float(bare.replace(",", "")), "number_from_text")
    return None


def read_time(value: Any) -> Read | None:
    """ISO 8601 with a zone, or Unix seconds or milliseconds. Without a zone it is taken as UTC, and said so."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and not value.isdecimal():
        try:
            found = datetime.fromisoformat(value)
            return (
                Read(found.astimezone(UTC))
                if found.tzinfo
                else Read(found.replace(tzinfo=UTC), "zone_assumed")
            )
        except (ValueError, OverflowError):
            return None
    if not isinstance(value, int | float | str) or (isinstance(value, str) and len(value) > 16):
        return None
    number = float(value) if not isinstance(value, int) or abs(value) < 10**16 else math.inf
    seconds = number / 1000 if abs(number) >= _MILLISECONDS else number
    if not 0 <= seconds < _LATEST:
        return None
    return Read(datetime.fromtimestamp(seconds, UTC), "time_from_number")


def read_flag(value: Any) -> Read | None:
    if isinstance(value, bool):
        return Read(value)
    known = _FLAGS.get(str(value).casefold()) if isinstance(value, str | int) else None
    return None if known is None else Read(known, "flag_from_text")


READERS: Mapping[str, Callable[[Any], Read | None]] = {
    "text": read_text,
    "number": read_number,
    "time": read_time,
    "flag": read_flag,
}


def read_date(text: str) -> date | None:
    """2001-02-03, 2001/2/3, 20010203, 2001年2月3日."""
    parts = re.fullmatch(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?", text)
    if parts is None:
        return None
    try:
        return date(*(int(part) for part in parts.groups()))
    except ValueError:
        return None


def read_phone(text: str) -> str | None:
    bare = _PHONE_MARKS.sub("", text)
    return bare if _PHONE.fullmatch(bare) else None


def read_email(text: str) -> str | None:
    lower = text.casefold()
    return lower if EMAIL.fullmatch(lower) else None
