"""The shop's word for who a customer is: a short-lived JWT, checked against the keys of this app's account. Pure.

A key's kind decides its algorithm (a secret HS256, P-256 ES256, RSA RS256), never the token: a public key can therefore
not be passed off as a secret, and "none" is no algorithm. Keys change by their ids: two are known for a while.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from foundation import errors

LEEWAY = timedelta(seconds=60)
"""How far the clocks of the shop and ours may differ."""
SHORTEST_SECRET = 32
SHORTEST_RSA = 2048
TOKEN_LIMIT = 8_000
NAME_LIMIT = 200
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_PEM = re.compile(
    r"([A-Za-z0-9_.:-]{1,100})\s*=\s*(-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----)"
)


@dataclass(frozen=True, slots=True)
class Key:
    key: OctKey | ECKey | RSAKey
    algorithm: str


@dataclass(frozen=True, slots=True)
class User:
    """`account` is the shop's id of the customer, "" where the token does not speak of one."""

    subject: str
    account: str
    until: datetime
    token_id: str = ""
    """`jti`: such a token opens one session."""


@dataclass(frozen=True, slots=True)
class Rules:
    audience: str
    issuer: str
    life: timedelta
    subject_is_account: bool


def read_keys(secrets: str, public: str) -> dict[str, Key]:
    """Raises `ValueError` with a sentence that names what is wrong, and no secret."""
    found = _secrets(secrets)
    for name, key in (_jwks(public) if public.lstrip().startswith("{") else _pems(public)).items():
        if name in found:
            raise ValueError(f"two keys are called {name!r}")
        found[name] = key
    return found


def check(token: str, keys: Mapping[str, Key], rules: Rules, now: datetime) -> User:
    """Raises `NotAuthentic`: `user_token_missing`, `user_key_unknown`, `user_token_invalid`, `user_token_expired`."""
    if not token:
        raise errors.NotAuthentic("Send the signed user token of your server.", code="user_token_missing")
    key = keys.get(_key_id(token))
    if key is None:
        raise errors.NotAuthentic(
            "The user token names a key that is not known here. Add the key under its id, or sign with a known one.",
            code="user_key_unknown",
        )
    try:
        claims = jwt.decode(token, key.key, algorithms=[key.algorithm]).claims
    except (JoseError, ValueError, TypeError) as error:
        raise _refused("its signature does not fit its key") from error
    return _user(claims, rules, now)


def _user(claims: Mapping[str, Any], rules: Rules, now: datetime) -> User:
    audience = claims.get("aud")
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise _refused(f"its audience is not {rules.audience}")
    if rules.issuer and claims.get("iss") != rules.issuer:
        raise _refused(f"its issuer is not {rules.issuer}")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _is_name(subject):
        raise _refused("its sub names no user (1 to 200 printable characters)")
    until = _check_time(claims, rules, now)
    token_id = claims.get("jti", "")
    if not isinstance(token_id, str) or len(token_id) > NAME_LIMIT:
        raise _refused("its jti is no text of at most 200 characters")
    return User(subject, _account(claims, subject, rules), until, token_id)


def _check_time(claims: Mapping[str, Any], rules: Rules, now: datetime) -> datetime:
    moment, leeway, life = now.timestamp(), LEEWAY.total_seconds(), rules.life.total_seconds()
    issued, expires = _moment(claims, "iat"), _moment(claims, "exp")
    if expires <= moment:
        raise errors.NotAuthentic(
            "The user token has run out; ask your server for a new one.", code="user_token_expired"
        )
    if issued > moment + leeway or ("nbf" in claims and _moment(claims, "nbf") > moment + leeway):
        raise _refused("it is not valid yet")
    if expires - issued > life or expires > moment + life + leeway:
        raise _refused(f"it is valid for more than {life / 3600:.0f} hours")
    return datetime.fromtimestamp(expires, now.tzinfo)


def _account(claims: Mapping[str, Any], subject: str, rules: Rules) -> str:
    """The claim `account` names it, or says by true and false whether `sub` does."""
    told = claims.get("account", rules.subject_is_account)
    if isinstance(told, bool):
        return subject if told else ""
    if not isinstance(told, str) or not _is_name(told):
        raise _refused("its account is no name of one")
    return told


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(f"its {name} is not a time in seconds")
    return float(value) if abs(value) < 1e15 else math.copysign(1e15, value)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_LIMIT and text.isprintable() and bool(text.strip())


def _key_id(token: str) -> str:
    """From the head of a token that is not verified yet: it only chooses the key to verify with."""
    if len(token) > TOKEN_LIMIT or not token.isascii():
        raise _refused("it is no signed token")
    try:
        head = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _refused("it is no signed token") from error
    name = head.get("kid")
    if not isinstance(name, str):
        raise _refused("its head names no key (kid)")
    return name


def _refused(reason: str) -> errors.NotAuthentic:
    return errors.NotAuthentic(f"The user token is refused: {reason}.", code="user_token_invalid")


def _secrets(text: str) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for number, part in enumerate(filter(None, (one.strip() for one in re.split(r"[,\n]", text))), 1):
        name, equals, secret = part.partition("=")
        name, secret = name.strip(), secret.strip()
        if not equals or not _ID.fullmatch(name):
            raise ValueError(f"entry {number} of keys is not key-id=secret")
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the secret of {name!r} is shorter than {SHORTEST_SECRET} characters")
        if name in found:
            raise ValueError(f"two keys are called {name!r}")
        found[name] = Key(OctKey.import_key(secret.encode()), "HS256")
    return found


def _pems(text: str) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for name, pem in _PEM.findall(text):
        if name in found:
            raise ValueError(f"two keys are called {name!r}")
        found[name] = _public(name, pem)
    if _PEM.sub("", text).strip(" ,\n\r\t"):
        raise ValueError("public_keys is neither a JWKS document nor key-id=PEM of public keys")
    return found


def _jwks(text: str) -> dict[str, Key]:
    try:
        listed = json.loads(text)["keys"]
        named = [(one["kid"], one) for one in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("public_keys is no JWKS document whose keys have a kid") from error
    found: dict[str, Key] = {}
    for name, one in named:
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise ValueError("a kid in public_keys has other characters than letters, digits and _ . : -")
        if name in found:
            raise ValueError(f"two keys are called {name!r}")
        if "d" in one or "k" in one:
            raise ValueError(f"{name!r} in public_keys is a private key; enter the public one, and change it")
        found[name] = _public(name, one)
    return found


def _public(name: str, given: str | dict[str, Any]) -> Key:
    for kind in (ECKey, RSAKey):
        try:
            key = kind.import_key(given)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, ECKey) and key.curve_name == "P-256":
            return Key(key, "ES256")
        if isinstance(key, RSAKey) and key.raw_value.key_size >= SHORTEST_RSA:
            return Key(key, "RS256")
    raise ValueError(f"{name!r} in public_keys is no P-256 key and no RSA key of {SHORTEST_RSA} bits or more")
