"""How sure it is that an identity belongs to the customer who is looked at, and why: the graph's evidence in, a badge out. Pure.

Everything that has one `access_id` has proven to be one person. The group that holds the shop's account is who the customer
*is*; without one it is the group that was asked for. What hangs on it by other evidence is likely at best, and nothing of it may
be disclosed to the customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from customers.graph.evidence import DEVICE
from customers.graph.graph import Component
from customers.graph.partition import ACCOUNT, Strength
from customers.graph.records import Evidence, Identity

Badge = Literal["proven", "channel", "stated", "likely", "device", "unvouched"]
"""`proven`: together with the shop's account. `channel`: the channel vouches for it, and no account was proven. `stated`: staff have linked it. `device`: a proven person has used it, perhaps not alone. `unvouched`: no channel says so."""

_RANK = {Strength.STATED: 2, Strength.LIKELY: 1}


@dataclass(frozen=True, slots=True)
class Standing:
    """`why` is the evidence by which it hangs on the rest, None for what is the customer proper."""

    identity: Identity
    badge: Badge
    why: Evidence | None = None


def standings(found: Component, asked_for: str) -> list[Standing]:
    """The customer proper first, then what is likely."""
    anchor = anchor_of(found, asked_for)
    access = {one.id: one.access_id for one in found.members}
    bridges = _bridges(found, access)
    has_account = any(one.namespace == ACCOUNT for one in found.members if one.access_id == anchor)
    own: Badge = "proven" if has_account else "channel"
    shown = []
    for one in found.members:
        if one.access_id == anchor:
            shown.append(Standing(one, own if one.proven else "unvouched"))
        else:
            why = bridges.get(one.access_id)
            shown.append(Standing(one, _badge(one, why), why))
    return sorted(shown, key=lambda one: one.why is not None)


def anchor_of(found: Component, asked_for: str) -> str:
    """The `access_id` of who the customer is."""
    account = next((one for one in found.members if one.namespace == ACCOUNT), None)
    asked = next((one for one in found.members if one.id == asked_for), found.members[0])
    return (account or asked).access_id


def _bridges(found: Component, access: Mapping[str, str]) -> dict[str, Evidence]:
    """For each proven group the strongest evidence that ties it to another one of this customer."""
    best: dict[str, Evidence] = {}
    for one in found.evidence:
        groups = {access.get(one.edge.a), access.get(one.edge.b)} - {None}
        if one.suppressed or len(groups) < 2:
            continue
        for group in groups:
            if group is not None and _is_stronger(one, best.get(group)):
                best[group] = one
    return best


def _is_stronger(one: Evidence, other: Evidence | None) -> bool:
    return other is None or _weight(one) > _weight(other)


def _weight(one: Evidence) -> tuple[int, float, int]:
    return _RANK.get(one.edge.strength, 3), one.edge.score, -one.edge.at


def _badge(identity: Identity, why: Evidence | None) -> Badge:
    if why is not None and why.edge.strength == Strength.STATED:
        return "stated"
    if identity.device or (why is not None and why.edge.evidence == DEVICE):
        return "device"
    return "likely"
