"""For platforms that sign nothing: the address itself is the secret. Pure.

The last segment of the hook's address, or the parameter `key` where that segment names an account. The operator adds what
no code can: TLS, and the platform's addresses on an allow-list in front of us.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import SecretStr

from channels.contract import Webhook
from channels.platforms.signatures import one_of, require

SHORTEST = 16
_SECRET = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST},128}}")


def admit(webhook: Webhook, secrets: Sequence[str]) -> None:
    """Raises `NotAuthentic`."""
    given = (webhook.account, webhook.query.get("key", ""))
    require(
        any([one_of(one, secrets) for one in given]),  # both are compared: equal time for each
        "This address is not the one that was given to the platform.",
        code="bad_address",
    )


def require_secret(name: str, secret: SecretStr) -> None:
    """Raises `ValueError` for one that could be guessed or not stand in an address."""
    value = secret.get_secret_value()
    if value and not _SECRET.fullmatch(value):
        raise ValueError(f"{name} has {SHORTEST} to 128 letters, digits, - and _; make it at random")
