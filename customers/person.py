"""Who writes in a conversation and what they have proven: what `directory.py` finds out, and everybody else reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from customers import records
from customers.graph.records import Identity
from customers.proof import levels
from customers.proof.levels import Level, Standing
from foundation.messages import CustomerId

Proof = Level


@dataclass(frozen=True, slots=True)
class Person:
    """`customer_id` is for staff: all that is likely one person. `access_id` is for what may be disclosed: only what was
    proven to be one person, and only from level CODE on; below it a person sees their own identity's rows.
    `account` is the shop's id of the customer, only while it is proven; `standing` says by what, and for which purposes."""

    customer_id: CustomerId
    access_id: str
    identity_id: str
    display_name: str
    account: str | None
    standing: Standing
    language: str
    since: datetime | None = None
    """When a recycled number became theirs: what was said there before was somebody else's."""

    @property
    def proof(self) -> Proof:
        return self.standing.highest


@dataclass(frozen=True, slots=True)
class Seen:
    """Who came into a conversation, and the account that is proven in it now."""

    entrance: Identity | None
    account: Identity | None
    proofs: tuple[records.Assurance, ...] = ()
    """Of the account, those that are valid; the newest first."""

    @property
    def proven_at(self) -> datetime | None:
        return self.proofs[0].proven_at if self.proofs else None

    @property
    def shown(self) -> Identity | None:
        return self.account or self.entrance


def standing_of(seen: Seen, now: datetime) -> Standing:
    """A name that the platform vouches for is proven by the message that it signed, and for as long as it is not idle."""
    entrance = seen.entrance
    idle = timedelta(seconds=levels.seconds(Level.CHANNEL) or 0)
    fresh = timedelta(seconds=levels.seconds(Level.ACCOUNT_AND_CODE) or 0)
    signed = [one for one in seen.proofs if one.level >= Level.ACCOUNT]
    return Standing(
        channel=entrance is not None and entrance.proven and now - entrance.last_seen <= idle,
        account=bool(signed),
        just_signed=any(now - one.proven_at <= fresh for one in signed),
        purposes=frozenset(one.purpose for one in seen.proofs if one.level == Level.CODE),
    )
