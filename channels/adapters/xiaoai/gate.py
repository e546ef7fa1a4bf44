"""Xiaomi's signature MIAI-HmacSHA256-V1: over method, path, query, date, host, type and digest of the body. Pure.

The body is covered only by its digest, so both are checked. Host and path are taken as they came and as the public address
of the hook has them, since a proxy may change either. Calls for the same text within the tolerance can be repeated by
whoever saw one; they are then one message, by its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from channels.contract import Webhook
from channels.platforms import signatures

SCHEME = "MIAI-HmacSHA256-V1"
_SIGNED = ("x-xiaomi-date", "host", "content-type", "content-md5")


def admit(webhook: Webhook, keys: Sequence[tuple[str, bytes]], hook: str, tolerance_seconds: float) -> None:
    """`hook` is our public address. Raises `NotAuthentic`."""
    headers = {name: webhook.headers.get(name, "") for name in _SIGNED}
    key_id, signature = _credentials(webhook.headers.get("authorization", ""))
    wanted = [
        sign(key, webhook.method, path, webhook.query_string, {**headers, "host": host})
        for known, key in keys
        if signatures.one_of(key_id, [known])
        for host, path in _places(webhook, hook)
    ]
    signatures.require(signatures.one_of(signature, wanted))
    signatures.require(
        signatures.one_of(headers["content-md5"], digests(webhook.body)),
        "The digest is not that of the body.",
        code="bad_digest",
    )
    signatures.require_fresh(
        _seconds(headers["x-xiaomi-date"]), webhook.received_at, tolerance_seconds=tolerance_seconds
    )


def sign(key: bytes, method: str, path: str, query: str, headers: dict[str, str]) -> str:
    """`headers` by their lower-case names."""
    lines = (method, path, query, *(headers.get(name, "") for name in _SIGNED))
    text = "".join(f"{line}\n" for line in lines)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def digests(body: bytes) -> tuple[str, str]:
    """In both forms that occur."""
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return digest.hex(), base64.b64encode(digest).decode()


def _credentials(header: str) -> tuple[str, str]:
    """Key id and signature; the scope between them is not used."""
    scheme, _, rest = header.partition(" ")
    parts = rest.strip().split(":")
    signatures.require(scheme == SCHEME and len(parts) == 3, "The call is not signed.", code="unsigned")
    return parts[0], parts[2]


def _places(webhook: Webhook, hook: str) -> Iterable[tuple[str, str]]:
    public = urlsplit(hook)
    hosts = dict.fromkeys((webhook.headers.get("host", ""), public.netloc))
    paths = dict.fromkeys((webhook.path, public.path))
    return [(host, path) for host in hosts for path in paths if host]


def _seconds(date: str) -> float | str:
    """ "" for what is no date."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
