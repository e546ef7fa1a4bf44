"""The tokens at the door: visitor tokens that we sign, and user tokens that the shop signed for the web chat.

A visitor token (15 minutes) names one visitor and one conversation; every look-up is scoped by it. A user token proves
an account: HS256 by one of the shop's keys, `aud` "huiliu", `sub` the account, `exp` at most 24 hours ahead, and
counts once where it has a `jti`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import SecretStr

from foundation import errors
from foundation.clock import Clock
from foundation.messages import ConversationId, TenantId

VISITOR_LIFE = timedelta(minutes=15)
IDENTITY_LIFE = timedelta(hours=24)
LEEWAY = timedelta(seconds=60)
"""How far the clocks of the shop and ours may differ."""
ALGORITHM = "HS256"
KEY_ID = "visitor-1"
IDENTITY_AUDIENCE = "huiliu"


@dataclass(frozen=True, slots=True)
class Pass:
    """Who is asking: read from a visitor token. `account` is "" unless it was proven and still is."""

    tenant: TenantId
    visitor: str
    conversation_id: ConversationId
    expires_at: datetime
    account: str = ""


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    account: str
    until: datetime
    token_id: str = ""
    """The name that the user token has (`jti`); such a token counts once, see `used_tokens.py`."""


class Passes(Protocol):
    def read(self, token: str) -> Pass:
        """Raises `NotAuthentic`."""
        ...


class VisitorTokens:
    """`audience` is the channel's own: a token of one is none of another."""

    def __init__(self, signing_key: bytes, clock: Clock, *, audience: str) -> None:
        self._key = OctKey.import_key(signing_key)
        self._audience = audience
        self._clock = clock

    def issue(
        self, tenant: TenantId, *, visitor: str, conversation_id: str, proven: ProvenAccount | None,
        until: datetime | None = None,
    ) -> tuple[str, datetime]:  # fmt: skip
        now = self._clock()
        expires_at = now + VISITOR_LIFE if until is None else min(now + VISITOR_LIFE, until)
        claims: dict[str, Any] = {
            "aud": self._audience, "sub": visitor, "tid": tenant, "cid": conversation_id,
            "iat": int(now.timestamp()), "exp": int(expires_at.timestamp()),
        }  # fmt: skip
        if proven is not None:
            claims |= {"acc": proven.account, "acx": int(proven.until.timestamp())}
        return jwt.encode({"alg": ALGORITHM, "kid": KEY_ID}, claims, self._key), expires_at

    def read(self, token: str, tenant: TenantId) -> Pass:
        """Raises `NotAuthentic`: `token_missing`, `token_expired`, `token_invalid`."""
        if not token:
            raise errors.NotAuthentic("Start a session first.", code="token_missing")
        claims, header = _decode(token, self._key)
        now = self._clock().timestamp()
        try:
            right = header["kid"] == KEY_ID and claims["aud"] == self._audience and claims["tid"] == tenant
            expires, visitor = float(claims["exp"]), str(claims["sub"])
            conversation_id, account = str(claims["cid"]), str(claims.get("acc", ""))
            account_expires = float(claims.get("acx", 0))
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid() from error
        if not right:
            raise _invalid()
        if now >= expires:
            raise errors.NotAuthentic("The session token has run out; refresh it.", code="token_expired")
        return Pass(
            tenant=tenant,
            visitor=visitor,
            conversation_id=ConversationId(conversation_id),
            expires_at=datetime.fromtimestamp(expires, self._clock().tzinfo),
            account=account if now < account_expires else "",
        )


def read_identity(token: str, keys: Mapping[str, SecretStr], now: datetime) -> ProvenAccount:
    """A user token of the shop. Raises `NotAuthentic` with code `identity_invalid` or `identity_expired`."""
    key_id = _key_id(token)
    secret = keys.get(key_id)
    if secret is None:
        raise _refused("it is signed with a key that is not known here")
    claims, _ = _decode(token, OctKey.import_key(secret.get_secret_value().encode()))
    account, expires = claims.get("sub"), claims.get("exp")
    audience = claims.get("aud")
    if IDENTITY_AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise _refused(f"its audience is not {IDENTITY_AUDIENCE}")
    if not isinstance(account, str) or not 0 < len(account) <= 200:
        raise _refused("it names no account")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise _refused("it never runs out")
    moment = now.timestamp()
    if expires <= moment:
        raise errors.NotAuthentic("The sign-in has run out; sign in again.", code="identity_expired")
    if expires > moment + (IDENTITY_LIFE + LEEWAY).total_seconds():
        raise _refused("it is valid for more than 24 hours")
    for name in ("nbf", "iat"):
        since = claims.get(name, 0)
        if not isinstance(since, int | float) or since > moment + LEEWAY.total_seconds():
            raise _refused("it is not valid yet")
    token_id = claims.get("jti", "")
    if not isinstance(token_id, str) or len(token_id) > 200:
        raise _refused("its jti is no text of at most 200 characters")
    return ProvenAccount(account, datetime.fromtimestamp(expires, now.tzinfo), token_id)


def _decode(token: str, key: OctKey) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        read = jwt.decode(token, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError) as error:
        raise _invalid() from error
    if not isinstance(read.claims, dict):
        raise _invalid()
    return read.claims, read.header


def _key_id(token: str) -> str:
    """From the head of a token that is not verified yet: it only chooses the key to verify with."""
    try:
        return str(jws.extract_compact(token.encode()).headers().get("kid", ""))
    except (JoseError, ValueError) as error:
        raise _invalid() from error


def _invalid() -> errors.NotAuthentic:
    return errors.NotAuthentic("This token is not one of ours, or was changed.", code="token_invalid")


def _refused(reason: str) -> errors.NotAuthentic:
    return errors.NotAuthentic(f"The signed user token is refused: {reason}.", code="identity_invalid")
