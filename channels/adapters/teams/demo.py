"""The demo's signing key: an RSA key derived from the installation's master key.

The simulator signs with it and the server knows it from the start, so a first message needs no key service that is not
running yet. Nobody without the master key can make it. A real bot never meets this module.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from foundation.security import Vault

KEY_ID = "demo"
_EXPONENT = 65537
_PRIME_BYTES = 128
_SMALL = tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2)))
_WITNESSES = _SMALL[:20]


def signing_key(vault: Vault) -> RSAKey:
    """2,048 bits; the same for the same master key. Takes about a second the first time."""
    return _signing_key(hmac.new(vault.signing_key, b"teams demo signing key", hashlib.sha256).digest())


def key_document(vault: Vault) -> dict[str, Any]:
    """Its public half, as a key service publishes it."""
    public = signing_key(vault).as_dict(private=False)
    return {"keys": [{**public, "kid": KEY_ID, "endorsements": ["msteams"]}]}


@lru_cache(maxsize=4)
def _signing_key(seed: bytes) -> RSAKey:
    candidates = _candidates(seed)
    p, q = _prime(candidates), _prime(candidates)
    p, q = max(p, q), min(p, q)
    d = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return RSAKey.import_key(numbers.private_key())


def _candidates(seed: bytes) -> Iterator[int]:
    """Odd numbers with their two highest bits set, so that the product has the full length."""
    number = 0
    while True:
        block = b"".join(
            hmac.new(seed, f"{number}.{part}".encode(), hashlib.sha256).digest()
            for part in range(_PRIME_BYTES // 32)
        )
        yield int.from_bytes(block, "big") | (3 << (8 * _PRIME_BYTES - 2)) | 1
        number += 1


def _prime(candidates: Iterator[int]) -> int:
    return next(
        n
        for n in candidates
        if math.gcd(n - 1, _EXPONENT) == 1 and all(n % d for d in _SMALL) and _is_prime(n)
    )


def _is_prime(n: int) -> bool:
    """Miller and Rabin's test; the numbers are our own, nobody chose them to deceive it."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(pow(witness, odd, n), n, twos) for witness in _WITNESSES)


def _passes(x: int, n: int, twos: int) -> bool:
    if x in (1, n - 1):
        return True
    for _ in range(twos - 1):
        x = pow(x, 2, n)
        if x == n - 1:
            return True
    return False
