"""Meta's gate, the same for all its messengers: the check of our address and the signature over the raw body. Pure.

The adapters of WhatsApp and Messenger call it. Meta signs no time, so a captured call stays right for ever; what makes
its repetition harmless is that the same message is accepted once.
"""

from __future__ import annotations

from collections.abc import Sequence

from channels.contract import Acknowledgement, Webhook
from channels.platforms import signatures

HEADER = "x-hub-signature-256"
"""The older x-hub-signature holds an SHA-1 and is never looked at."""
_PREFIX = "sha256="


def sign(app_secret: str, body: bytes) -> str:
    """What Meta puts into the header."""
    return _PREFIX + signatures.hmac_hex(app_secret, body)


class MetaGate:
    """`app_secrets` and `verify_tokens`: the current one and, during a change, the one before. None at all: closed."""

    def __init__(self, app_secrets: Sequence[str], verify_tokens: Sequence[str]) -> None:
        self._app_secrets = app_secrets
        self._verify_tokens = verify_tokens

    def greet(self, webhook: Webhook) -> Acknowledgement | None:
        """The challenge of a GET, unchanged; None for a message. Raises `NotAuthentic`."""
        if webhook.method == "POST":
            return None
        query = webhook.query
        known = signatures.one_of(query.get("hub.verify_token", ""), self._verify_tokens)
        signatures.require(
            known and query.get("hub.mode") == "subscribe", "The verify token is wrong.", code="bad_token"
        )
        return Acknowledgement(
            query.get("hub.challenge", "").encode("utf-8", "replace"),
            headers={"x-content-type-options": "nosniff"},
        )

    def admit(self, webhook: Webhook) -> None:
        """Raises `NotAuthentic`."""
        wanted = [sign(secret, webhook.body) for secret in self._app_secrets]
        signatures.require(signatures.one_of(webhook.headers.get(HEADER, ""), wanted))
