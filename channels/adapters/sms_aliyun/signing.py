"""Aliyun's ACS3-HMAC-SHA256: a request's headers and query under one signature. Pure.

`connection.py` signs with it, the simulator checks with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
VERSION = "2017-05-25"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted, in the encoding of RFC 3986."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(parameters.items()))


def headers(
    key_id: str, secret: str, *, host: str, action: str, query: str, at: datetime, nonce: str
) -> dict[str, str]:  # fmt: skip
    """For a POST to / without a body."""
    signed = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": VERSION,
    }
    return {**signed, "authorization": authorization(key_id, secret, signed, query)}


def authorization(key_id: str, secret: str, signed: Mapping[str, str], query: str) -> str:
    names = ";".join(sorted(signed))
    signature = sign(secret, signed, query)
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


def sign(secret: str, signed: Mapping[str, str], query: str) -> str:
    names = sorted(signed)
    lines = [f"{name}:{signed[name].strip()}\n" for name in names]
    canonical = "\n".join(
        ("POST", "/", query, "".join(lines), ";".join(names), signed["x-acs-content-sha256"])
    )
    message = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def _encoded(text: str) -> str:
    return quote(text, safe="~", encoding="utf-8", errors="replace")
