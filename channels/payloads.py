"""JSON of webhooks, read with care: an object or a refusal, values by their path, moments, ids as digests. Pure.

Codecs of adapters call it. Nothing in a payload is trusted to have its documented type: what is missing or of another
type reads as "" or as an empty mapping.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from channels import text as texts
from channels.contract import BODY_LIMIT
from foundation import errors
from foundation.messages import MessageId

_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")

Object = Mapping[str, Any]


def parse_object(body: bytes | str) -> dict[str, Any]:
    """Raises `UnreadablePayload` for everything but one JSON object below the limit."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The payload is too large.", code="too_large")
    try:
        text = body.decode("utf-8-sig") if isinstance(body, bytes) else body
        found = json.loads(texts.mend_json(text) or text)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The payload is not JSON.") from error
    if not isinstance(found, dict):
        raise errors.UnreadablePayload("The payload is not a JSON object.")
    return found


def child(found: Any, *path: str) -> dict[str, Any]:
    """The object at this path, {} where there is none."""
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def words(found: Any, *path: str) -> str:
    """The text at this path, "" where there is none. Whole numbers are ids as well."""
    *parents, name = path
    value = child(found, *parents).get(name) if parents else _get(found, name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and _short(value) else ""


def items(found: Any, name: str) -> list[dict[str, Any]]:
    """The objects in this list; what is no object is left out."""
    value = _get(found, name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, Sequence) else []


def moment(seconds: float | str, received_at: datetime) -> datetime:
    """Of unix seconds; when it came, where they make no sense."""
    try:
        number = float(seconds)
    except ValueError:
        return received_at
    return datetime.fromtimestamp(number, UTC) if 0 < number <= _LATEST else received_at


def digest(*parts: str) -> MessageId:
    """A message's id: equal parts give equal ids, and it names nobody."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return MessageId(hashlib.sha256(joined).hexdigest()[:32])


def canonical(found: Object) -> str:
    """The same text for the same content; the id of what has no id of its own."""
    return json.dumps(found, sort_keys=True, ensure_ascii=True)


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


def _get(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else None


def _short(value: int) -> bool:
    return abs(value) < 10**20
