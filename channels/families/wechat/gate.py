"""Decides whether a call comes from WeChat, and opens its envelope: a webhook in, the message or a refusal out.

The channels of WeChat's family ask it before anything is read. Three rules, in this order:

1. The signature is checked over the raw parts, with the current token and, during a change, the previous one. An
   encrypted message is signed over its cipher text; a plain one over timestamp and nonce only, NOT over its body.
2. The timestamp lies within the tolerance, past or future.
3. A (timestamp, nonce) belongs to one message. The platform itself repeats a delivery up to three times when our
   answer does not reach it within 5 s, so the same pair with the same message (its MsgId, or for an event its time and
   name) passes and is deduplicated at the door. The same pair with any other message is a replay: this is what binds a
   plain signature to a body it does not cover, and what refuses a plain body under the query of an encrypted one.

The memory of rule 3 belongs to this process and lasts as long as rule 2 would let a pair pass. A second process does
not share it: there an encrypted message is still bound by its signature, a plain one is not. Use secure mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from channels.contract import Webhook
from channels.families.wechat.crypto import Cipher, sign
from foundation import errors
from foundation.security import equal

REMEMBERED_LIMIT = 100_000

Mode = Literal["plain", "compatible", "secure"]


@dataclass(frozen=True, slots=True)
class Keys:
    """What one account shares with the platform; the current value first, the one before it second, empty ones ignored."""

    tokens: tuple[str, ...]
    aes_keys: tuple[str, ...]
    receive_id: str
    mode: Mode = "secure"
    tolerance_seconds: int = 300
    sealed_greeting: bool = False
    """WeCom encrypts also its check of our address, and signs it as an encrypted message."""


class Gate:
    """One account's gate. `identify` names the message in a body, the same for every repetition of it; `parse` reads the
    envelope around it and raises `UnreadablePayload`."""

    def __init__(
        self,
        keys: Keys,
        identify: Callable[[bytes], str],
        parse: Callable[[bytes], Mapping[str, str]],
        *,
        remembered_limit: int = REMEMBERED_LIMIT,
    ) -> None:
        self._tokens = [token for token in keys.tokens if token]
        self._ciphers = [Cipher(key, keys.receive_id) for key in keys.aes_keys if key]
        self._keys = keys
        self._identify = identify
        self._parse = parse
        self._limit = remembered_limit
        self._seen: dict[tuple[str, str], tuple[int, str]] = {}

    def greet(self, webhook: Webhook) -> str:
        """The platform's check of our address: what to echo."""
        echo = webhook.query.get("echostr", "")
        if self._keys.sealed_greeting:
            self._check(webhook, "msg_signature", echo)
            self._check_time(webhook)
            return self._decrypt(echo).decode("utf-8", "replace")
        self._check(webhook, "signature")
        self._check_time(webhook)
        return echo

    def admit(self, webhook: Webhook) -> None:
        """Raises `NotAuthentic` unless all three rules hold."""
        encrypted = self._encrypted(webhook)
        if encrypted is None:
            self._check(webhook, "signature")
        else:
            self._check(webhook, "msg_signature", encrypted)
        moment = self._check_time(webhook)
        self._check_replay(webhook, moment)

    def open(self, webhook: Webhook) -> bytes:
        """The message, decrypted where it was encrypted; pure."""
        encrypted = self._encrypted(webhook)
        return webhook.body if encrypted is None else self._decrypt(encrypted)

    def _encrypted(self, webhook: Webhook) -> str | None:
        claimed = webhook.query.get("encrypt_type", "") == "aes" or "msg_signature" in webhook.query
        if self._keys.mode == "plain" or (self._keys.mode == "compatible" and not claimed):
            return None
        try:
            encrypted = self._parse(webhook.body).get("Encrypt", "")
        except errors.UnreadablePayload as error:
            raise _refused("The encrypted message cannot be read.", "not_decryptable") from error
        if not encrypted:
            raise _refused("This account accepts encrypted messages only.", "not_encrypted")
        return encrypted

    def _check(self, webhook: Webhook, name: str, *more: str) -> None:
        query = webhook.query
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        expected = [sign(token, timestamp, nonce, *more) for token in self._tokens]
        given = query.get(name, "")
        if not any(
            [equal(given, signature) for signature in expected]
        ):  # all compared: equal time for each token
            raise _refused("The signature is wrong.", "bad_signature")

    def _check_time(self, webhook: Webhook) -> int:
        text = webhook.query.get("timestamp", "")
        moment = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
        if abs(webhook.received_at.timestamp() - moment) > self._keys.tolerance_seconds:
            raise _refused("The timestamp is too far from our clock.", "stale")
        return moment

    def _check_replay(self, webhook: Webhook, moment: int) -> None:
        pair = (webhook.query.get("timestamp", ""), webhook.query.get("nonce", ""))
        identity = self._identify(self.open(webhook))
        self._forget(webhook.received_at.timestamp())
        _, first = self._seen.setdefault(pair, (moment + self._keys.tolerance_seconds, identity))
        if not equal(first, identity):
            raise _refused("This signature has already been used for another message.", "replayed")

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest][0] >= now and len(self._seen) < self._limit:
                return
            del self._seen[oldest]

    def _decrypt(self, encrypted: str) -> bytes:
        for cipher in self._ciphers[:-1]:
            try:
                return cipher.decrypt(encrypted)
            except errors.NotAuthentic:
                continue
        return self._ciphers[-1].decrypt(encrypted)


def _refused(sentence: str, code: str) -> errors.NotAuthentic:
    return errors.NotAuthentic(sentence, code=code)
