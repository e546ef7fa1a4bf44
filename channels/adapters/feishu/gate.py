"""Decides whether a call comes from Feishu, and opens its envelope: bytes in, the event or a refusal out. Pure.

With an encrypt key every call is signed over its raw, still encrypted body. Without one the platform signs nothing and
only names the verification token inside the body. The check of the address carries no signature in either case: there
the token alone decides. What would surprise you: the signature is a plain SHA-256 with the key in the middle, no HMAC.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from channels.adapters.feishu.settings import FeishuSettings
from channels.contract import Webhook
from channels.platforms import payloads, signatures
from foundation import errors

TITLE = "Feishu"
_BLOCK = 16


def sign(timestamp: str, nonce: str, encrypt_key: str, body: bytes) -> str:
    head = f"{timestamp}{nonce}{encrypt_key}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(head + body).hexdigest()


def encrypt(plain: bytes, encrypt_key: str, *, start: bytes | None = None) -> str:
    """As the platform does it; `start` are the 16 bytes that only a test vector chooses."""
    start = secrets.token_bytes(_BLOCK) if start is None else start
    count = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(algorithms.AES256(_key(encrypt_key)), modes.CBC(start)).encryptor()
    sealed = encryptor.update(plain + bytes([count]) * count) + encryptor.finalize()
    return base64.b64encode(start + sealed).decode()


def decrypt(encrypted: str, encrypt_key: str) -> bytes:
    """Raises `UnreadablePayload` for what this key did not make."""
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable() from error
    if len(sealed) < 2 * _BLOCK or len(sealed) % _BLOCK:
        raise _unreadable()
    cipher = Cipher(algorithms.AES256(_key(encrypt_key)), modes.CBC(sealed[:_BLOCK]))
    decryptor = cipher.decryptor()
    padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
    count = padded[-1]
    if not 1 <= count <= _BLOCK or padded[-count:] != bytes([count]) * count:
        raise _unreadable()
    return padded[:-count]


class Gate:
    def __init__(self, settings: FeishuSettings) -> None:
        self._keys = signatures.secrets_of(settings.encrypt_key, settings.previous_encrypt_key)
        self._tokens = signatures.secrets_of(
            settings.verification_token, settings.previous_verification_token
        )
        self._tolerance = settings.timestamp_tolerance_seconds

    def challenge(self, webhook: Webhook) -> str | None:
        """What to echo when this is the check of our address, otherwise None. Raises `NotAuthentic`."""
        try:
            event = self.open(webhook.body)
        except errors.UnreadablePayload:
            return None
        if event.get("type") != "url_verification":
            return None
        self._require_token(event)
        return payloads.words(event, "challenge")

    def admit(self, webhook: Webhook) -> None:
        """Raises `NotAuthentic`."""
        if self._keys:
            self._require_signature(webhook)
            return
        try:
            event = self.open(webhook.body)
        except errors.UnreadablePayload as error:
            raise errors.NotAuthentic("The call names no token.", code="bad_token") from error
        self._require_token(event)

    def open(self, body: bytes) -> dict[str, Any]:
        """The event, decrypted where it was encrypted. Raises `UnreadablePayload`."""
        envelope = payloads.parse(body, TITLE)
        encrypted = envelope.get("encrypt")
        if not isinstance(encrypted, str):
            return envelope
        for key in self._keys:
            try:
                return payloads.parse(decrypt(encrypted, key), TITLE)
            except errors.UnreadablePayload:
                continue
        raise _unreadable()

    def _require_signature(self, webhook: Webhook) -> None:
        timestamp = webhook.headers.get("x-lark-request-timestamp", "")
        nonce = webhook.headers.get("x-lark-request-nonce", "")
        wanted = [sign(timestamp, nonce, key, webhook.body) for key in self._keys]
        signatures.require(signatures.one_of(webhook.headers.get("x-lark-signature", ""), wanted))
        signatures.require_fresh(timestamp, webhook.received_at, tolerance_seconds=self._tolerance)

    def _require_token(self, event: dict[str, Any]) -> None:
        named = payloads.words(event, "header", "token") or payloads.words(event, "token")
        signatures.require(
            signatures.one_of(named, self._tokens), "The verification token is wrong.", code="bad_token"
        )


def _key(encrypt_key: str) -> bytes:
    return hashlib.sha256(encrypt_key.encode()).digest()


def _unreadable() -> errors.UnreadablePayload:
    return errors.UnreadablePayload("The message was not encrypted for this app.", code="not_decryptable")
