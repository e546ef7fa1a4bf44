"""JSON that platforms post, read without trust: bytes in, plain values out, never another error than ours. Pure.

Codecs of platforms that speak JSON stand on it. Lean and strange payloads give empty values; only what is no JSON object
at all is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels import text as texts
from channels.contract import BODY_LIMIT
from foundation import errors
from foundation.messages import MessageId

_LATEST_MILLISECONDS = 253_402_300_799_000
"""Of the last moment that a datetime can hold."""


def parse(body: bytes | str, title: str) -> dict[str, Any]:
    """Raises `UnreadablePayload` for everything that is not a JSON object. `title` is the platform's, for people."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        text = body.decode("utf-8") if isinstance(body, bytes) else body
        value = json.loads(texts.mend_json(text) or text)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload(f"The message is not the JSON that {title} sends.") from error
    if not isinstance(value, dict):
        raise errors.UnreadablePayload(f"The message is not the JSON that {title} sends.")
    return value


def nested(value: Any, title: str) -> dict[str, Any]:
    """An object that some events carry as it is and others as a JSON text; {} for anything else."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    try:
        return parse(value, title)
    except errors.UnreadablePayload:
        return {}


def at(value: Any, *path: str) -> Any:
    """What stands at the end of the path; None where it breaks off."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def text_at(value: Any, *path: str) -> str:
    """A text or a whole number (ids of 64 bits) as text; "" for everything else."""
    found = at(value, *path)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def list_at(value: Any, *path: str) -> list[Any]:
    found = at(value, *path)
    return found if isinstance(found, list) else []


def scalars(value: Any) -> dict[str, str]:
    """The texts and numbers of an object, for `event_data`."""
    names = value if isinstance(value, Mapping) else {}
    return {str(name): found for name in names if (found := text_at(names, name))}


def moment(milliseconds: str, fallback: datetime) -> datetime:
    """Unix milliseconds as the platform writes them; `fallback` where they make no moment."""
    plain = milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 15
    value = int(milliseconds) if plain else 0
    return datetime.fromtimestamp(value / 1000, UTC) if 0 < value <= _LATEST_MILLISECONDS else fallback


def message_id(*parts: str) -> MessageId:
    """A digest, because it stands unsealed in tables and logs and its parts name a person."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return MessageId(hashlib.sha256(joined).hexdigest()[:32])


def canonical(value: Any) -> str:
    """One spelling of a JSON value, for the id of what has none."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def dump(value: Any) -> str:
    """JSON with real characters in it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
