"""Tencent Cloud's TC3-HMAC-SHA256: a request's body under a key that is derived for one day and one service. Pure.

`connection.py` signs with it, the simulator checks with it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

ALGORITHM = "TC3-HMAC-SHA256"
SERVICE = "sms"
VERSION = "2021-01-11"
CONTENT_TYPE = "application/json"


def headers(
    secret_id: str, secret_key: str, *, host: str, action: str, region: str, body: bytes, at: datetime
) -> dict[str, str]:  # fmt: skip
    timestamp = int(at.timestamp())
    return {
        "authorization": authorization(secret_id, secret_key, host, body, timestamp),
        "content-type": CONTENT_TYPE,
        "host": host,
        "x-tc-action": action,
        "x-tc-region": region,
        "x-tc-timestamp": str(timestamp),
        "x-tc-version": VERSION,
    }


def authorization(secret_id: str, secret_key: str, host: str, body: bytes, timestamp: int) -> str:
    signature = sign(secret_key, host, body, timestamp)
    return (
        f"{ALGORITHM} Credential={secret_id}/{_scope(timestamp)}, SignedHeaders=content-type;host, "
        f"Signature={signature}"
    )


def sign(secret_key: str, host: str, body: bytes, timestamp: int) -> str:
    signed = f"content-type:{CONTENT_TYPE}\nhost:{host}\n"
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n/\n\n{signed}\ncontent-type;host\n{digest}"
    scope = _scope(timestamp)
    message = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret_key}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def _scope(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}/{SERVICE}/tc3_request"
