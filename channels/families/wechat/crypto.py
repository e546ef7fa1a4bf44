"""WeChat's signature and its AES layer: bytes in, bytes or a refusal out.

`channels.families.wechat.gate` decides with it who is speaking; the simulators speak with it. Source of both formats: the platform's
"message encryption" documentation. What would surprise you: the padding is PKCS#7 with a block of 32 (not 16),
and the receiver's id (an app id, at WeCom the corporation's) is part of the plaintext, which is how a message for another account is noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from foundation import errors
from foundation.security import equal

PADDING_BLOCK = 32
_AES_BLOCK = 16
_PREFIX_BYTES = 16
_LENGTH_BYTES = 4
_KEY_SHAPE = re.compile(r"[A-Za-z0-9]{43}\Z")


def sign(*parts: str) -> str:
    """SHA-1 over the sorted parts without a separator; SHA-1 is the platform's choice, not ours."""
    joined = b"".join(sorted(part.encode("utf-8", "surrogatepass") for part in parts))
    return hashlib.sha1(joined).hexdigest()  # noqa: S324  # fixed by the protocol


def require_key(name: str, key: str) -> None:
    """Raises `ValueError` for an EncodingAESKey that can be none; "" is none at all."""
    if key and not _KEY_SHAPE.fullmatch(key):
        raise ValueError(f"{name} has exactly 43 letters and digits")


class Cipher:
    """AES-256-CBC with one `encoding_aes_key`, for messages to and from one receiver."""

    def __init__(self, encoding_aes_key: str, receive_id: str) -> None:
        if not _KEY_SHAPE.match(encoding_aes_key):
            raise errors.ConfigurationError("An EncodingAESKey has exactly 43 letters and digits.")
        key = base64.b64decode(encoding_aes_key + "=")
        self._cipher = BlockCipher(algorithms.AES256(key), modes.CBC(key[:_AES_BLOCK]))
        self._receive_id = receive_id.encode()

    def encrypt(self, message: bytes, *, prefix: bytes | None = None) -> str:
        """`prefix` is 16 random bytes; only a test vector gives its own."""
        head = secrets.token_bytes(_PREFIX_BYTES) if prefix is None else prefix
        plain = head + len(message).to_bytes(_LENGTH_BYTES, "big") + message + self._receive_id
        count = PADDING_BLOCK - len(plain) % PADDING_BLOCK
        encryptor = self._cipher.encryptor()
        sealed = encryptor.update(plain + bytes([count]) * count) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def decrypt(self, encrypted: str) -> bytes:
        """Raises `NotAuthentic` for everything that this key and receiver did not make; never says which part."""
        try:
            sealed = base64.b64decode(encrypted, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refused() from error
        if not sealed or len(sealed) % PADDING_BLOCK:
            raise _refused()
        decryptor = self._cipher.decryptor()
        return self._unpack(_unpad(decryptor.update(sealed) + decryptor.finalize()))

    def _unpack(self, plain: bytes) -> bytes:
        start = _PREFIX_BYTES + _LENGTH_BYTES
        end = start + int.from_bytes(plain[_PREFIX_BYTES:start], "big")
        if len(plain) < start or end > len(plain) or not equal(plain[end:], self._receive_id):
            raise _refused()
        return plain[start:end]


def _unpad(padded: bytes) -> bytes:
    count = padded[-1]
    if not 1 <= count <= PADDING_BLOCK or not equal(padded[-count:], bytes([count]) * count):
        raise _refused()
    return padded[:-count]


def _refused() -> errors.NotAuthentic:
    return errors.NotAuthentic("The message was not encrypted for this account.", code="not_decryptable")
