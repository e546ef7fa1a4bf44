"""Reading a platform's JSON without believing it: whatever stands there, a value of the wanted kind comes out. Pure.

Codecs call it in `read`. Absent, mistyped and hostile are all "", {} or []; only a body that is no JSON object at all is
refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.contract import BODY_LIMIT
from foundation import errors

_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")

Fields = Mapping[str, Any]


def parse(body: bytes, whose: str) -> dict[str, Any]:
    """The object in the body; `whose` names the platform in the sentence. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload(f"The message is not the JSON that {whose} sends.") from error
    if not isinstance(value, dict):
        raise errors.UnreadablePayload(f"The message is not the JSON object that {whose} sends.")
    return value


def fields(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Fields]:
    """The objects of a list; what is none is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Also of a whole number, as some platforms write their ids. Half an emoji becomes U+FFFD."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _HALF_PAIR.sub("\ufffd", value) if isinstance(value, str) else ""


def number(value: Any, limit: float) -> float | None:
    """Within ±limit, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= limit and math.isfinite(value) else None


def moment(value: Any, otherwise: datetime, *, per_second: int = 1) -> datetime:
    """Unix seconds, or with `per_second=1000` milliseconds, as number or text."""
    digits = text(value)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        return otherwise
    units = int(digits)
    if not 0 < units <= _LATEST * per_second:
        return otherwise
    return datetime.fromtimestamp(units / per_second, UTC)


def plain(value: Any) -> dict[str, str]:
    """The members that are text or whole numbers, for `event_data`."""
    return {text(name): said for name, member in fields(value).items() if (said := text(member))}


def digest(*parts: str) -> str:
    """A message id that tells nothing of what it was made of."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fingerprint(value: Any) -> str:
    """Of an object without an id of its own: equal for equal content."""
    return digest(json.dumps(value, sort_keys=True, default=str))
