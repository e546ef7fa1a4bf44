"""What the names on one message are evidence of; pure.

`Graph.observe` calls `read` with a message's sender. A name that the channel does not vouch for ties nobody to anybody:
as the only name it is somebody of its own in its own conversation, and whatever it names is a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from customers.graph.partition import ACCOUNT, Strength
from foundation.messages import Identifier

PLATFORM, SESSION, DEVICE, CODE = "platform", "session", "device", "code"
"""Evidence that is one edge however often it is seen: a second message says nothing new about the same two names."""


@dataclass(frozen=True, slots=True)
class Tie:
    one: Identifier
    other: Identifier
    strength: Strength
    evidence: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """`names[0]` is the entrance: what the channel itself calls the sender."""

    names: tuple[Identifier, ...]
    ties: tuple[Tie, ...]
    claims: tuple[Identifier, ...]


def read(sender: Sequence[Identifier]) -> Sighting:
    entrance = entrance_of(sender)
    vouched = [name for name in sender if name.proven and name.namespace != ACCOUNT]
    account = account_of(sender)
    names = dict.fromkeys([entrance, *vouched, *([account] if account else [])])
    ties = list(_bind([name for name in vouched if not name.device]))
    if account and account != entrance and (tie := tie_account(entrance, account)):
        ties.append(tie)
    claims = tuple(dict.fromkeys(name for name in sender if not name.proven and name.value.strip()))
    return Sighting(tuple(names), tuple(ties), claims)


def entrance_of(sender: Sequence[Identifier]) -> Identifier:
    """Vouched for if anything is; an account only when alone."""
    names = [name for name in sender if name.namespace != ACCOUNT]
    return next((name for name in names if name.proven), names[0] if names else sender[0])


def account_of(sender: Iterable[Identifier]) -> Identifier | None:
    return next((name for name in sender if name.namespace == ACCOUNT and name.proven), None)


def tie_account(entrance: Identifier, account: Identifier) -> Tie | None:
    """An account proven on a device makes them likely one person, for staff to see; whoever sits there next must not
    get what the account may see."""
    if not entrance.proven:
        return None
    if entrance.device:
        return Tie(entrance, account, Strength.LIKELY, DEVICE)
    return Tie(entrance, account, Strength.PROVEN, SESSION)


def tie_contact(entrance: Identifier, contact: Identifier) -> Tie | None:
    """Who came in has shown a code that went to this contact."""
    tie = tie_account(entrance, contact)
    return tie if tie is None or tie.evidence == DEVICE else Tie(tie.one, tie.other, tie.strength, CODE)


def _bind(vouched: Sequence[Identifier]) -> Iterable[Tie]:
    """A star around the smallest name: chosen by the names alone, or the edges would depend on who came first."""
    if len(vouched) < 2:
        return
    hub = min(vouched, key=lambda name: (name.namespace, name.value))
    for name in vouched:
        if name != hub:
            yield Tie(hub, name, Strength.BOUND, PLATFORM)
