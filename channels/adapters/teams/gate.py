"""Decides whether an activity comes from the Bot Service: its token, and what the token says about this activity.

The token does not cover the body. What it vouches for is the sender (the key), the receiver (`aud`), the time, and the
address to reply to; so these four, and the channel that the key may speak for, are all compared with the body.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from channels.adapters.teams.keys import KeyRing
from channels.adapters.teams.settings import TeamsSettings
from channels.contract import Webhook
from channels.platforms.payloads import parse, words
from channels.platforms.signatures import require
from foundation import errors

ALGORITHM = "RS256"
LEEWAY_SECONDS = 300
TOKEN_LIMIT = 16_384
_BROKEN = (JoseError, ValueError, TypeError, KeyError, RecursionError)


class Gate:
    def __init__(self, settings: TeamsSettings, keys: KeyRing) -> None:
        self._settings = settings
        self._keys = keys

    def admit(self, webhook: Webhook) -> None:
        """Raises `NotAuthentic`, also while the key is not known yet: see `keys`."""
        token = _bearer(webhook.headers.get("authorization", ""))
        key = self._keys.find(_key_id(token))
        require(key is not None, "The token is signed with a key that is not known here.", code="unknown_key")
        assert key is not None
        try:
            claims = json.loads(jws.deserialize_compact(token, key.key, algorithms=[ALGORITHM]).payload)
        except _BROKEN as error:
            raise errors.NotAuthentic("The signature is wrong.", code="bad_signature") from error
        require(isinstance(claims, dict), "The token says nothing.", code="bad_token")
        self._check_claims(claims, webhook.received_at)
        activity = _activity(webhook.body)
        require(
            words(activity, "channelId") in key.endorsements, "The key may not speak for this channel.", code="not_endorsed"
        )  # fmt: skip
        self._check_address(claims, words(activity, "serviceUrl"))

    def _check_claims(self, claims: dict[str, Any], now: datetime) -> None:
        require(
            claims.get("iss") == self._settings.issuer, "The token is of another issuer.", code="wrong_issuer"
        )
        app_id = self._settings.app_id.lower()
        ours = {app_id, f"api://{app_id}", f"api://botid-{app_id}"}
        audience = words(claims, "aud").lower()
        require(bool(app_id) and audience in ours, "The token is for another bot.", code="wrong_audience")
        expires, since = _number(claims.get("exp", 0)), _number(claims.get("nbf", 0))
        timely = since - LEEWAY_SECONDS <= now.timestamp() <= expires + LEEWAY_SECONDS
        require(timely, "The token has run out or is not valid yet.", code="stale_timestamp")

    def _check_address(self, claims: dict[str, Any], address: str) -> None:
        claimed = words(claims, "serviceurl")
        missing = not claimed and not self._settings.require_service_url
        same = missing or (bool(claimed) and claimed.rstrip("/") == address.rstrip("/"))
        require(same, "The activity names another address than its token.", code="wrong_service_url")
        require(
            self._settings.serves(address),
            "The address to reply to is not one of Microsoft's.",
            code="foreign_service_url",
        )


def _bearer(header: str) -> bytes:
    scheme, _, token = header.partition(" ")
    right = (
        scheme.lower() == "bearer" and token.isascii() and token.count(".") == 2 and len(token) <= TOKEN_LIMIT
    )
    require(right, "The call brings no token.", code="token_missing")
    return token.encode()


def _key_id(token: bytes) -> str:
    """From the head of a token that is not verified yet: it only chooses the key to verify with."""
    try:
        head = jws.extract_compact(token).headers()
    except _BROKEN as error:
        raise errors.NotAuthentic("The token cannot be read.", code="bad_token") from error
    require(
        head.get("alg") == ALGORITHM, "The token is signed in a way that is not taken.", code="bad_algorithm"
    )
    return words(head, "kid")


def _activity(body: bytes) -> dict[str, Any]:
    try:
        return parse(body, "Teams")
    except errors.UnreadablePayload as error:
        raise errors.NotAuthentic(
            "The body does not say what the token vouches for.", code="unreadable"
        ) from error


def _number(value: object) -> float:
    """Seconds that fail every comparison, where none are given."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e12 else float("nan")
