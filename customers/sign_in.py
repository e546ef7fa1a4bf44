"""The token of a sign-in link: tenant, link and a signature over everything the link stands for; pure.

`Directory` makes one for a conversation on a channel without a sign-in of its own, sends it there as an address, and
takes it back from the page behind that address. The token tells its holder nothing about the conversation, and cannot
be moved to another conversation, tenant or time.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from customers.records import Link
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import TenantId
from foundation.security import Vault, equal, random_token

VALID_SECONDS = 15 * 60
PROOF_SECONDS = 30 * 60
"""How long the conversation is proven after the sign-in."""

_SHAPE = re.compile(r"(?P<tenant>[\w-]{1,64})\.(?P<id>[\w-]{24})\.(?P<signature>[0-9a-f]{64})\Z", re.ASCII)


def new_id() -> str:
    return random_token(18)


def render_token(vault: Vault, link: Link) -> str:
    return f"{link.tenant}.{link.id}.{_sign(vault, link)}"


def parse_token(token: str) -> tuple[TenantId, str]:
    """What the token claims, to find its link; `check_token` is the proof. Raises `NotAuthentic`."""
    match = _SHAPE.match(token)
    if match is None:
        raise refused("link_invalid")
    return TenantId(match["tenant"]), match["id"]


def check_token(vault: Vault, token: str, link: Link) -> None:
    if not equal(token, render_token(vault, link)):
        raise refused("link_invalid")


def refused(code: str) -> errors.NotAuthentic:
    """One sentence for all reasons, because it reaches whoever tried."""
    return errors.NotAuthentic(
        "This link is no longer valid. Ask for a new one in the conversation.", code=code
    )


def _sign(vault: Vault, link: Link) -> str:
    parts = (
        "sign-in link",
        link.tenant,
        link.id,
        link.conversation_id,
        str(to_milliseconds(link.expires_at)),
    )
    return hmac.new(vault.signing_key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()
