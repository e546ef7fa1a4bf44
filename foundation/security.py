"""Secrets at work: sealing personal data at rest, keyed look-up values, comparing without telling how much matched.

`Vault` is built once in the wiring from the master key and handed down; nothing here reads settings or disk.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation import errors

_VERSION = b"\x01"
_RING_VERSION = b"\x02"
_KID_BYTES = 2
_NONCE_BYTES = 12
_CODE = re.compile(r"(?<![\w@.+-])(?<!\d[ -])(\d{3})[ -]?(\d{3})(?![\w@])(?![ -]?\d)", re.ASCII)
_HIDDEN = "••••••"
FOUNDING = 0
"""The key that comes from the master key itself; the first one, until keys are rotated."""


@dataclass(frozen=True, slots=True)
class RingKey:
    """`kid` counts from 1; from `active_from` (milliseconds) on it is the one to write with. Until then it only reads, so that
    every process knows it before any uses it."""

    kid: int
    secret: bytes
    active_from: int


@dataclass(frozen=True, slots=True)
class _Ring:
    current: int
    ciphers: Mapping[int, AESGCM]
    indexes: Sequence[tuple[int, bytes]]
    """The current one first, the founding one last."""


class Vault:
    """AES-256-GCM for values, HMAC-SHA256 for keys; all of them are derived by HKDF (RFC 5869), from the master key and from
    what was added to the ring since. Older keys go on opening and finding what was written under them."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) < 32:
            raise errors.ConfigurationError("The master key must have at least 32 bytes.")
        self._cipher = AESGCM(_derive(master_key, b"huiliu seal"))
        self._naming_key = _derive(master_key, b"huiliu lookup")
        self._signing_key = _derive(master_key, b"huiliu signing")
        self._wrapping = AESGCM(_derive(master_key, b"huiliu wrap"))
        self._ring = _Ring(FOUNDING, {FOUNDING: self._cipher}, [(FOUNDING, self._naming_key)])

    def use(self, keys: Sequence[RingKey], *, now: int) -> None:
        """Takes this ring, at once for all that is done from now on. `now` in milliseconds."""
        ciphers = {FOUNDING: self._cipher} | {
            one.kid: AESGCM(_derive(one.secret, b"huiliu seal")) for one in keys
        }
        current = max((one.kid for one in keys if one.active_from <= now), default=FOUNDING)
        made = {FOUNDING: self._naming_key} | {one.kid: _derive(one.secret, b"huiliu index") for one in keys}
        order = sorted(made, key=lambda kid: (kid != current, -kid))
        self._ring = _Ring(current, ciphers, [(kid, made[kid]) for kid in order])

    @property
    def current(self) -> int:
        """The key that is written with."""
        return self._ring.current

    @property
    def known(self) -> list[int]:
        return sorted(self._ring.ciphers)

    def wrap(self, secret: bytes, label: str) -> bytes:
        """A key, closed under the master key; it opens under the same label only."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, secret, label.encode())

    def unwrap(self, wrapped: bytes, label: str) -> bytes:
        """Raises as `unseal`."""
        try:
            return self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], label.encode())
        except (InvalidTag, ValueError) as error:
            raise _not_ours() from error

    def seal(self, text: str) -> bytes:
        return self.seal_bytes(text.encode())

    def unseal(self, sealed: bytes) -> str:
        """Raises `NotAuthentic` when the bytes were changed or belong to another key."""
        try:
            return self.unseal_bytes(sealed).decode()
        except UnicodeDecodeError as error:
            raise _not_ours() from error

    def seal_bytes(self, content: bytes) -> bytes:
        ring, nonce = self._ring, os.urandom(_NONCE_BYTES)
        head = _head(ring.current)
        return head + nonce + ring.ciphers[ring.current].encrypt(nonce, content, head)

    def unseal_bytes(self, sealed: bytes) -> bytes:
        """Raises as `unseal`."""
        size = 1 if sealed[:1] == _VERSION else 1 + _KID_BYTES
        head, nonce, body = sealed[:size], sealed[size : size + _NONCE_BYTES], sealed[size + _NONCE_BYTES :]
        kid = FOUNDING if head == _VERSION else int.from_bytes(head[1:], "big")
        cipher = self._ring.ciphers.get(kid)
        if cipher is None or head != _head(kid):
            raise _not_ours()
        try:
            return cipher.decrypt(nonce, body, head)
        except (InvalidTag, ValueError) as error:
            raise _not_ours() from error

    @property
    def mark(self) -> bytes:
        """How everything begins that is sealed with the current key."""
        return _head(self._ring.current)

    def lookup_key(self, *parts: str) -> str:
        """A deterministic name for a personal value: equal parts give equal keys, and nobody reads them back. Names never
        change: they are what others refer to. What is only looked up by has `index_key`."""
        return _digest(self._naming_key, parts)

    def index_key(self, *parts: str) -> str:
        """Like `lookup_key`, under the current key; which one it was, the value says."""
        return _marked(*self._ring.indexes[0], parts)

    def index_keys(self, *parts: str) -> list[str]:
        """Whatever this may have been stored under: by the current key first, by the founding one (a name) last."""
        return [_marked(kid, key, parts) for kid, key in self._ring.indexes]

    @property
    def index_mark(self) -> str:
        """How every index begins that was made with the current key; "" while that is the founding one."""
        return f"{self._ring.current}." if self._ring.current else ""

    @property
    def signing_key(self) -> bytes:
        """For the short-lived tokens we issue ourselves (visitor tokens, sign-in links, staff sessions)."""
        return self._signing_key


def _head(kid: int) -> bytes:
    return _VERSION if kid == FOUNDING else _RING_VERSION + kid.to_bytes(_KID_BYTES, "big")


def _marked(kid: int, key: bytes, parts: Sequence[str]) -> str:
    return f"{kid}.{_digest(key, parts)}" if kid else _digest(key, parts)


def _digest(key: bytes, parts: Sequence[str]) -> str:
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    digest = hmac.digest(key, message, "sha256")[:15]  # in one call: several times faster
    return base64.b32encode(digest).decode().lower()


def _not_ours() -> errors.NotAuthentic:
    return errors.NotAuthentic("Stored data cannot be read with this master key.", code="sealed")


def network_key(vault: Vault, tenant: str, host: str) -> str:
    """Whoever shares a public network address, for counting; "" for a private one, behind which may be everybody (a proxy)."""
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        return ""
    return vault.lookup_key("network", tenant, host) if public else ""


def equal(left: str | bytes, right: str | bytes) -> bool:
    """Constant-time comparison that never raises on hostile text."""
    return hmac.compare_digest(_as_bytes(left), _as_bytes(right))


def find_code(text: str) -> str:
    """The last six-digit code in what somebody wrote, "" where there is none; a longer number holds no code."""
    found = _CODE.findall(_plain_digits(text))
    return "".join(found[-1]) if found else ""


def hide_codes(text: str) -> str:
    """What is kept of a text with a one-time code in it: the same without the digits."""
    plain = _plain_digits(text)
    pieces, place = [], 0
    for match in _CODE.finditer(plain):
        pieces += [text[place : match.start()], _HIDDEN]
        place = match.end()
    return "".join([*pieces, text[place:]])


def _plain_digits(text: str) -> str:
    """Full-width digits as others, sign by sign."""
    return text.translate(_WIDE_DIGITS)


_WIDE_DIGITS = {0xFF10 + digit: str(digit) for digit in range(10)}


def random_token(length: int = 24) -> str:
    return secrets.token_urlsafe(length)


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _derive(master_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master_key)
