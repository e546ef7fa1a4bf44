"""What the gates of many platforms do alike: compare in constant time, tell a stale call, derive the demo's secrets. Pure.

Adapters call it in `verify`; `foundation.security.equal` compares any two texts. A hostile header is refused, never an
exception of the comparison.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from pydantic import SecretStr

from foundation import errors
from foundation.security import Vault, equal


def one_of(given: str | bytes, wanted: Iterable[str | bytes]) -> bool:
    """Two secrets are valid while one is being changed. Looks at all of them."""
    found = False
    for candidate in wanted:
        found |= bool(candidate) and equal(given, candidate)
    return found


def require(found: bool, sentence: str = "The signature is wrong.", *, code: str = "bad_signature") -> None:
    """Raises `NotAuthentic` unless it was found."""
    if not found:
        raise errors.NotAuthentic(sentence, code=code)


def require_fresh(seconds: str | float, now: datetime, *, tolerance_seconds: float = 300) -> None:
    """Unix seconds, as the platform wrote them; too old and too new are both refused."""
    try:
        distance = abs(now.timestamp() - float(seconds))
    except (ValueError, OverflowError):
        distance = float("inf")
    require(
        distance <= tolerance_seconds, "The call is too old or its clock is wrong.", code="stale_timestamp"
    )


def hmac_hex(secret: str, message: bytes, digest: str = "sha256") -> str:
    return hmac.new(secret.encode(), message, digest).hexdigest()


def secrets_of(*fields: SecretStr) -> list[str]:
    """The ones that are set: the current secret and the one before it."""
    return [value for field in fields if (value := field.get_secret_value())]


def derive(vault: Vault, channel: str, purpose: str) -> str:
    """64 hex digits for the demo's credentials: equal for the server and the simulator of one installation, and unknown
    to everybody without its master key."""
    return hmac.new(vault.signing_key, f"{channel} demo {purpose}".encode(), hashlib.sha256).hexdigest()
