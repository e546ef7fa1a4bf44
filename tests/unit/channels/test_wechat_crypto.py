"""The signature and the AES layer against vectors that the platform's own SDK has accepted, and against tampering."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from channels.families.wechat.crypto import Cipher, sign
from foundation import errors

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP = "wx0123456789abcdef"
TOKEN, TIMESTAMP, NONCE = "csgw-token-2026", "1767225600", "n0nce77"
MESSAGE = b"<xml><MsgId>42</MsgId></xml>"
ENCRYPTED = (
    "Q3stYC6hdFzMh9T8HCvyDG2Tw8XyxKdpQF1aTgJRoyC8R/YhDhU2p7QgeW3RuAyT324p7gyIvc0mzHvFjo9/l9Yi61Abjm2pCGQKcbnjrFJO5b"
    "rVD76D+6LhrBfl04I+"
)


def encrypt_raw(plain: bytes) -> str:
    key = base64.b64decode(KEY + "=")
    encryptor = BlockCipher(algorithms.AES256(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def packed(message: bytes, receiver: bytes = APP.encode(), length: int | None = None) -> bytes:
    size = len(message) if length is None else length
    return b"0123456789abcdef" + size.to_bytes(4, "big") + message + receiver


def padded(plain: bytes) -> bytes:
    count = 32 - len(plain) % 32
    return plain + bytes([count]) * count


def test_signature_equals_the_vector() -> None:
    assert sign(TOKEN, TIMESTAMP, NONCE) == "84eaa69718e02d7d8a85af5ad422f468bbb14d3c"
    assert sign(TOKEN, TIMESTAMP, NONCE, ENCRYPTED) == "ce3f21cb1b17ea681f265c211805be1c27ada0b7"


def test_cipher_text_equals_the_vector() -> None:
    cipher = Cipher(KEY, APP)
    assert cipher.encrypt(MESSAGE, prefix=b"0123456789abcdef") == ENCRYPTED
    assert cipher.decrypt(ENCRYPTED) == MESSAGE


@given(message=st.binary(max_size=300))
def test_message_comes_back_when_it_was_encrypted_for_us(message: bytes) -> None:
    cipher = Cipher(KEY, APP)
    assert cipher.decrypt(cipher.encrypt(message)) == message


@given(position=st.integers(0, 95), bit=st.integers(0, 7))
def test_message_never_passes_unchanged_when_a_bit_is_flipped(position: int, bit: int) -> None:
    """The signature is what refuses it; the cipher must not answer with the original, nor fall over."""
    sealed = bytearray(base64.b64decode(ENCRYPTED))
    sealed[position] ^= 1 << bit
    try:
        read = Cipher(KEY, APP).decrypt(base64.b64encode(bytes(sealed)).decode())
    except errors.NotAuthentic:
        return
    assert read != MESSAGE or position < 16


@pytest.mark.parametrize(
    "plain",
    [
        padded(packed(MESSAGE))[:-1] + b"\x00",
        packed(MESSAGE) + b"\x01" * 29 + b"\x1e",
        b"\x21" * 64,
        b"\x20" * 32,
        padded(packed(MESSAGE, receiver=b"wxffffffffffffffff")),
        padded(packed(MESSAGE, receiver=b"")),
        padded(packed(MESSAGE, length=4_000_000_000)),
        padded(packed(MESSAGE, length=5)),
        padded(b"short"),
    ],
)
def test_message_is_refused_when_its_inside_is_wrong(plain: bytes) -> None:
    with pytest.raises(errors.NotAuthentic) as refusal:
        Cipher(KEY, APP).decrypt(encrypt_raw(plain))
    assert refusal.value.code == "not_decryptable"


@pytest.mark.parametrize(
    "encrypted", ["", "not base64!", "QUJD", "AAAA" * 7, "ü" * 44, base64.b64encode(bytes(16)).decode()]
)
def test_message_is_refused_when_it_is_no_cipher_text(encrypted: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        Cipher(KEY, APP).decrypt(encrypted)


def test_message_is_refused_when_another_key_made_it() -> None:
    with pytest.raises(errors.NotAuthentic):
        Cipher(KEY[::-1], APP).decrypt(ENCRYPTED)


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", KEY[:-1] + "=", KEY[:-1] + "é"])
def test_key_is_refused_when_it_has_another_shape(key: str) -> None:
    with pytest.raises(errors.ConfigurationError):
        Cipher(key, APP)
