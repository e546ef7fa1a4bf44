"""What a turn may know about its customer, and what it tells their profile. Pure but for the reading of `meet`.

`turn.Turns` meets the customer before the graph runs and notes what it heard in the transaction that finishes the turn; nodes
ask `AgentContext.customer` for the view that already contains the message they work on. What is shown here is for the order
of work and for the tone: no value, tier or risk is ever told to the customer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.tools.contract import OrderSystem
from customers.directory import Person
from customers.profile.aggregates import ProfileEvent
from customers.profile.profile import Known, Profile, Profiles
from customers.proof.levels import Allowed, decide
from foundation.conversations import message_table
from foundation.messages import ConversationId, InboundMessage, TenantId

OrdersSeen = Callable[[TenantId, str, Mapping[str, Any]], Awaitable[None]]
"""Is told what the shop's system said about an account."""

_READS = frozenset({"list_orders", "get_order", "get_customer"})
_PREFERENCES = ("preferred_channel", "preferred_time", "product_preference")
INTERESTS = 5
_URGENT = {"high": 2, "medium": 1}
_WORTH = {"top": 1}
LONGEST_WAIT_SECONDS = 86_400
"""Who comes back after a day has not taken a day to answer."""


@dataclass(frozen=True, slots=True)
class WatchedOrders:
    """The shop's system, whose answers about a proven account also make its profile."""

    orders: OrderSystem
    tenant: TenantId
    seen: OrdersSeen

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self.orders.call(name, arguments)
        if name in _READS and arguments.get("customer") and answer.get("ok"):
            await self.seen(self.tenant, str(arguments["customer"]), answer)
        return answer


@dataclass(frozen=True, slots=True)
class ProfileView:
    """Of all of the customer's identities once an account is proven, before that of the one that is writing."""

    language: str
    form_of_address: str
    tier: str
    open_tickets: int
    preferences: Mapping[str, str]
    interests: tuple[str, ...]
    complaint_risk: str
    churn_risk: str

    @property
    def priority(self) -> int:
        """Head starts in the queue, 0 to 3."""
        return _URGENT.get(self.complaint_risk, 0) + _WORTH.get(self.tier, 0)


@dataclass(frozen=True, slots=True)
class Customer:
    """The one who writes in this turn. `said` is the bare message, before it was understood."""

    identity_id: str
    known: Known
    said: ProfileEvent | None
    now: datetime

    def heard(self, understood: Mapping[str, Any]) -> ProfileEvent | None:
        return None if self.said is None else hear(self.said, understood)

    def view(self, understood: Mapping[str, Any]) -> ProfileView:
        event = self.heard(understood)
        known = self.known if event is None else self.known.after(event)
        return view_of(known.at(self.now))


def meet(
    connection: sa.Connection, profiles: Profiles, tenant: TenantId, person: Person, *, said: ProfileEvent | None, now: datetime
) -> Customer:  # fmt: skip
    ids = profiles.own(
        connection, tenant, person.identity_id, person.access_id, proven=may_see_other_channels(person)
    )
    return Customer(person.identity_id, profiles.find(connection, tenant, ids), said, now)


def may_see_other_channels(person: Person) -> bool:
    return person.account is not None and isinstance(decide("other_channels", person.standing), Allowed)


def spoken(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message: InboundMessage, *, seq: int
) -> ProfileEvent | None:  # fmt: skip
    """The message as an event of its identity; None for what a platform says on the customer's behalf."""
    if message.kind == "event":
        return None
    answered = _last_answer(connection, tenant, conversation_id, seq)
    seconds = None if answered is None else message.sent_at.timestamp() - answered / 1000
    return ProfileEvent(
        id=f"message:{conversation_id}:{message.message_id}", type="message", at=message.sent_at, channel=message.channel,
        seconds=seconds if seconds is not None and 0 <= seconds <= LONGEST_WAIT_SECONDS else None,
    )  # fmt: skip


def hear(said: ProfileEvent, understood: Mapping[str, Any]) -> ProfileEvent:
    """What has no words has no language and no feeling."""
    if not understood.get("normalised"):
        return said
    emotion, sure = understood["emotion"], understood["status"] == "sure"
    return replace(
        said, language=understood["language"]["code"], valence=emotion["valence"], confidence=emotion.get("confidence", 1.0),
        intent=(understood["intent"] or "") if sure else "", signals=frozenset(understood.get("signals", ())),
    )  # fmt: skip


def handed_over(conversation_id: ConversationId, key: str, at: datetime) -> ProfileEvent:
    """A conversation that waits for people is an open matter until they give it back or close it."""
    return ProfileEvent(
        id=f"ticket:{conversation_id}:{key}:opened", type="ticket_opened", at=at, ticket=f"conversation:{conversation_id}"
    )  # fmt: skip


def given_back(conversation_id: ConversationId, key: str, at: datetime) -> ProfileEvent:
    return ProfileEvent(
        id=f"ticket:{conversation_id}:{key}:closed", type="ticket_closed", at=at, ticket=f"conversation:{conversation_id}"
    )  # fmt: skip


def view_of(profile: Profile) -> ProfileView:
    def level(kind: str) -> str:
        found = next((risk for name, risk in profile.risks.items() if name == kind), None)
        return found.level if found else "unknown"

    return ProfileView(
        language=profile.fact("language") or profile.figures.interaction.language,
        form_of_address=profile.fact("form_of_address"), tier=profile.tier or "",
        open_tickets=len(profile.figures.service.open_since),
        preferences={name: profile.fact(name) for name in _PREFERENCES if profile.fact(name)},
        interests=tuple(one.name for one in profile.figures.interests[:INTERESTS]),
        complaint_risk=level("complaint"), churn_risk=level("churn"),
    )  # fmt: skip


def _last_answer(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, seq: int
) -> int | None:
    """When we last said something; None when the customer has spoken since, so that only the first of several counts."""
    table = message_table.c
    row = connection.execute(
        sa.select(table.role, table.sent_at)
        .where(table.tenant == tenant, table.conversation_id == conversation_id, table.seq < seq)
        .order_by(table.seq.desc())
        .limit(1)
    ).one_or_none()
    return int(row.sent_at) if row is not None and row.role in ("bot", "agent") else None
