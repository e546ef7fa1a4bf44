"""JSON that platforms post, read without believing it: whatever stands there, a value of the wanted kind comes out. Pure.

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
from urllib.parse import urlsplit

from channels import text as texts
from channels.contract import BODY_LIMIT
from foundation import errors
from foundation.messages import MessageId

_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""
_LONGEST_NUMBER = 10**20
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")

Fields = Mapping[str, Any]


def parse(body: bytes | str, title: str) -> dict[str, Any]:
    """The object in the body; `title` names the platform in the sentence. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        plain_text = body.decode("utf-8-sig") if isinstance(body, bytes) else body
        value = json.loads(texts.mend_json(plain_text) or plain_text)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload(f"The message is not the JSON that {title} sends.") from error
    if not isinstance(value, dict):
        raise errors.UnreadablePayload(f"The message is not the JSON object that {title} sends.")
    return value


def nested(value: Any, title: str) -> dict[str, Any]:
    """An object that some events carry as it is and others as a JSON text; {} for anything else."""
    if not isinstance(value, str):
        return child(value)
    try:
        return parse(value, title)
    except errors.UnreadablePayload:
        return {}


def at(value: Any, *path: str) -> Any:
    """What stands at the end of the path; None where it breaks off."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def child(value: Any, *path: str) -> dict[str, Any]:
    """The object at this path, {} where there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def words(value: Any, *path: str) -> str:
    """The text at this path, "" where there is none."""
    return text(at(value, *path))


def items(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of the list at this path; what is no object is left out."""
    return [item for item in list_at(value, *path) if isinstance(item, dict)]


def list_at(value: Any, *path: str) -> list[Any]:
    found = at(value, *path)
    return found if isinstance(found, list) else []


def text(value: Any) -> str:
    """Also of a whole number, as some platforms write their ids. Half an emoji becomes U+FFFD."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _LONGEST_NUMBER else ""
    return _HALF_PAIR.sub("\ufffd", value) if isinstance(value, str) else ""


def number(value: Any, limit: float) -> float | None:
    """Within ±limit, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= limit and math.isfinite(value) else None


def moment(value: Any, otherwise: datetime, *, per_second: int = 1) -> datetime:
    """Unix seconds, or with `per_second=1000` milliseconds, as number or text, also with a fraction."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and value.isascii()):
        return otherwise
    try:
        seconds = float(value) / per_second
    except (ValueError, OverflowError):
        return otherwise
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _LATEST else otherwise


def plain(value: Any) -> dict[str, str]:
    """The members that are text or whole numbers, for `event_data`."""
    return {text(name): said for name, member in child(value).items() if (said := text(member))}


def digest(*parts: str) -> MessageId:
    """A message's id: equal parts give equal ids, and it names nobody."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return MessageId(hashlib.sha256(joined).hexdigest()[:32])


def canonical(value: Any) -> str:
    """One spelling of a JSON value, for the id of what has none."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)


def fingerprint(value: Any) -> MessageId:
    """Of an object without an id of its own: equal for equal content."""
    return digest(canonical(value))


def dump(value: Any) -> str:
    """JSON with real characters in it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def is_at(url: str, hosts: str) -> bool:
    """An https address at one of these hosts, which stand with commas; `*.` stands for any name before it. For addresses
    that come in a message: a token, or a request from inside our network, must not go where a stranger points."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or "@" in parts.netloc or port not in (None, 443) or not _HOST.fullmatch(host):
        return False
    names = [name.strip().lower() for name in hosts.split(",") if name.strip()]
    return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in names)
