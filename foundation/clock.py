"""The time, in one form: aware UTC datetimes. Everyone who needs "now" takes a `Clock`, so tests can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_milliseconds(moment: datetime) -> int:
    """Unix milliseconds: how every table stores a moment."""
    return round(moment.timestamp() * 1000)


def from_milliseconds(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)
