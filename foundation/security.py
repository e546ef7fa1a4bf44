"""Secrets at work: sealing personal data at rest, keyed look-up values, comparing without telling how much matched.

`Vault` is built once in the wiring from the master key and handed down; nothing here reads settings or disk.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation import errors

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Vault:
    """AES-256-GCM for values, HMAC-SHA256 for keys; both keys are derived from one master key by HKDF (RFC 5869)."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) < 32:
            raise errors.ConfigurationError("The master key must have at least 32 bytes.")
        self._cipher = AESGCM(_derive(master_key, b"huiliu seal"))
        self._lookup_key = _derive(master_key, b"huiliu lookup")
        self._signing_key = _derive(master_key, b"huiliu signing")

    def seal(self, text: str) -> bytes:
        return self.seal_bytes(text.encode())

    def unseal(self, sealed: bytes) -> str:
        """Raises `NotAuthentic` when the bytes were changed or belong to another key."""
        try:
            return self.unseal_bytes(sealed).decode()
        except UnicodeDecodeError as error:
            raise _not_ours() from error

    def seal_bytes(self, content: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, content, _VERSION)

    def unseal_bytes(self, sealed: bytes) -> bytes:
        """Raises as `unseal`."""
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, sealed[:1])
        except (InvalidTag, ValueError) as error:
            raise _not_ours() from error

    def lookup_key(self, *parts: str) -> str:
        """A deterministic name for a personal value: equal parts give equal keys, and nobody reads them back."""
        message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        digest = hmac.digest(self._lookup_key, message, "sha256")[:15]  # in one call: several times faster
        return base64.b32encode(digest).decode().lower()

    @property
    def signing_key(self) -> bytes:
        """For the short-lived tokens we issue ourselves (visitor tokens, sign-in links, staff sessions)."""
        return self._signing_key


def _not_ours() -> errors.NotAuthentic:
    return errors.NotAuthentic("Stored data cannot be read with this master key.", code="sealed")


def equal(left: str | bytes, right: str | bytes) -> bool:
    """Constant-time comparison that never raises on hostile text."""
    return hmac.compare_digest(_as_bytes(left), _as_bytes(right))


def random_token(length: int = 24) -> str:
    return secrets.token_urlsafe(length)


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _derive(master_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master_key)
