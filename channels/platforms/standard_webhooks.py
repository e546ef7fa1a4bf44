"""The Standard Webhooks scheme, both ways: `id.timestamp.body` under HMAC-SHA256, several signatures side by side. Pure.

Adapters verify calls of their platform and sign their own with it. While a secret is being changed, calls carry a signature of each, and
one that is known is enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from channels.contract import Webhook
from channels.platforms.signatures import one_of, require, require_fresh

PREFIX = "whsec_"
SHORTEST_KEY = 16
SIGNATURES = 16
"""More than any change of secrets needs; the rest is not looked at."""


def key_of(secret: str) -> bytes:
    """b"" where it is no secret of this scheme."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return key if len(key) >= SHORTEST_KEY else b""


def sign(secret: str, identity: str, timestamp: str, body: bytes) -> str:
    message = f"{identity}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    digest = hmac.new(key_of(secret), message, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(secrets: Sequence[str], identity: str, at: datetime, body: bytes) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signatures = [sign(secret, identity, timestamp, body) for secret in secrets]
    return {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def admit(webhook: Webhook, secrets: Sequence[str], *, tolerance_seconds: float) -> None:
    """Raises `NotAuthentic`."""
    identity, timestamp = (webhook.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp"))
    given = webhook.headers.get("webhook-signature", "").split(" ")[:SIGNATURES]
    wanted = [sign(secret, identity, timestamp, webhook.body) for secret in secrets]
    require(any([one_of(one, wanted) for one in given]))  # all are compared: equal time for each
    require(bool(identity), "The call has no webhook-id.", code="no_webhook_id")
    require_fresh(timestamp, webhook.received_at, tolerance_seconds=tolerance_seconds)
