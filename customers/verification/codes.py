"""One-time codes: six digits made, kept as a keyed digest, and compared; and the contact that somebody named. Pure.

The digest covers everything that the code is for, so that a code of one challenge is none of another, in no other
conversation and for no other purpose, even where somebody can write into the table.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal

from customers.matching import normalise
from foundation.messages import ConversationId, TenantId
from foundation.security import Vault, equal

DIGITS = 6
VALID_SECONDS = 300
TRIES = 5
"""With six digits that is a chance of 5 in a million for each challenge."""
_EMAIL = re.compile(r"[^\s@<>()\[\],;:，。；：\"\\]{1,64}@[^\s@<>,;，。；]{1,200}\.[a-zA-Z]{2,24}")
_PHONE = re.compile(r"(?<![\w@.])\+?\d(?:[ ()-]{0,2}\d){6,16}(?![\w@])")

Kind = Literal["phone", "email"]
State = Literal["right", "wrong", "expired", "spent"]


@dataclass(frozen=True, slots=True)
class Contact:
    """`value` is the normal form: E.164, or the address in lower case."""

    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of an answer; the same for a contact that nobody knows. `left`: tries that remain."""

    state: State
    left: int = 0


def make() -> str:
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def digest(
    vault: Vault, tenant: TenantId, challenge_id: str, code: str, *, conversation_id: ConversationId, purpose: str
) -> str:  # fmt: skip
    parts = ("one-time code", tenant, challenge_id, conversation_id, purpose, code)
    return hmac.new(
        vault.signing_key, "\0".join(parts).encode("utf-8", "surrogatepass"), "sha256"
    ).hexdigest()


def fits(stored: str, given: str) -> bool:
    """A challenge for which no code went out has "" and fits nothing, after the same work."""
    return equal(stored.ljust(64), given)


def read_contact(text: str) -> Contact | None:
    """The first e-mail address or phone number in what somebody wrote; None where it has neither. A number that nobody
    can own (a hotline, a made-up one) is none; of an address nothing is judged, for only a known one is written to."""
    address = _EMAIL.search(normalise.fold(text))
    if address is not None:
        return Contact("email", address[0].lower())
    for number in _PHONE.finditer(text):
        plain = normalise.find("phone", number[0])
        if plain is not None and not plain.shared:
            return Contact("phone", plain.key)
    return None
