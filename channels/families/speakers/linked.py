"""The shop's account behind a linked skill: an access token is a proof only where it is a user token that the shop signed.

Voice adapters call it when their setting `account_linking` says so. What stands in the token is what the web chat asks of
one, too: HS256 by one of the shop's keys, `aud` "huiliu", `sub` the account, `exp`; linked tokens may live longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import SecretStr

from foundation.messages import Identifier

Linking = Literal["none", "user_token"]

AUDIENCE = "huiliu"
ACCOUNT = "account"
NAME_LIMIT = 200


def identifiers(
    token: str, linking: Linking, keys: Mapping[str, SecretStr], now: datetime
) -> tuple[Identifier, ...]:
    """The proven account, or nothing: a token that is expired, foreign or opaque proves nothing and disturbs nothing."""
    if linking == "none" or not token:
        return ()
    account = _account(token, keys, now)
    return (Identifier(namespace=ACCOUNT, value=account, proven=True),) if account else ()


def _account(token: str, keys: Mapping[str, SecretStr], now: datetime) -> str:
    try:
        secret = keys.get(str(jws.extract_compact(token.encode()).headers().get("kid", "")))
        if secret is None:
            return ""
        key = OctKey.import_key(secret.get_secret_value().encode())
        claims = jwt.decode(token, key, algorithms=["HS256"]).claims
    except (JoseError, ValueError):
        return ""
    account, expires, audience = (claims.get(name) for name in ("sub", "exp", "aud"))
    right = AUDIENCE in (audience if isinstance(audience, list) else [audience])
    lives = isinstance(expires, int | float) and not isinstance(expires, bool) and expires > now.timestamp()
    named = isinstance(account, str) and 0 < len(account) <= NAME_LIMIT
    return str(account) if right and lives and named else ""
