"""What a conversation may hear about its own customer: since when, on which channels, which orders and contacts, which uses.

The chat's summary is made of it. Each part asks the table of levels by itself, so that nothing above what the conversation has
proven is read: below a proof only this very name, afterwards what is proven to be the same person. No judgement about anybody is
in it, and nothing of who is only likely the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from customers import records as places
from customers.directory import Directory
from customers.graph.partition import ACCOUNT
from customers.graph.records import Identity
from customers.privacy.consents import GUARDIAN, Consents
from customers.profile import facts, records
from customers.profile.facts import Fact
from customers.proof.levels import Allowed, decide
from foundation.conversations import conversation_table
from foundation.messages import ConversationId, TenantId

CONTACTS = ("phone", "email")
MOST = 8


@dataclass(frozen=True, slots=True)
class About:
    """`orders` and `contacts` are None where more has to be proven first; contacts are masked. `stated`: attributes only."""

    since: datetime
    channels: Mapping[str, int]
    orders: int | None
    contacts: tuple[str, ...] | None
    stated: tuple[str, ...]
    uses: Mapping[str, bool]


def read(
    connection: sa.Connection, directory: Directory, consents: Consents, tenant: TenantId, conversation_id: ConversationId
) -> About:  # fmt: skip
    """Raises `NotFound` where nobody has been seen yet."""
    person = directory.person(connection, tenant, conversation_id)

    def may(action: str) -> bool:
        return isinstance(decide(action, person.standing), Allowed)

    everywhere = person.account is not None and may("other_channels")
    own = [directory.graph.get(connection, tenant, person.identity_id)]
    if everywhere:
        own = _proven(connection, directory, tenant, person.access_id)
    ids = [one.id for one in own]
    talks = [conversation_id]
    if everywhere:
        talks = sorted({conversation_id, *places.find_shown(connection, tenant, ids)})
    elif may("earlier_conversations"):
        talks = sorted(
            {conversation_id, *(talk for _, talk in places.find_conversations(connection, tenant, ids))}
        )
    stated = records.read_facts(connection, tenant, ids) if everywhere else []
    now = consents.read(connection, tenant, ids)
    return About(
        since=min(one.first_seen for one in own), channels=_channels(connection, tenant, talks),
        orders=len({order for one in ids for order in records.orders_of(connection, tenant, one)})
        if everywhere and may("order_status") else None,
        contacts=_contacts(own, stated) if everywhere and may("stored_contacts") else None,
        stated=tuple(sorted({one.attribute for one in stated if one.source != "inferred"} - set(CONTACTS))),
        uses={name: one.allowed for name, one in now.purposes.items() if name != GUARDIAN or now.child},
    )  # fmt: skip


def _proven(
    connection: sa.Connection, directory: Directory, tenant: TenantId, access_id: str
) -> list[Identity]:
    """Without browsers, which somebody else may use as well."""
    group = directory.graph.find_access(connection, tenant, access_id)
    return [one for one in group if one.proven and not one.device]


def _contacts(own: list[Identity], stated: list[Fact]) -> tuple[str, ...]:
    found = {facts.masked(one) for one in stated if one.attribute in CONTACTS}
    for one in own:
        for kind in CONTACTS:
            if kind in one.namespace and one.namespace != ACCOUNT:
                found.add(facts.masked(Fact(one.id, kind, one.value, "channel", 1, 1.0, one.last_seen)))
    return tuple(sorted(found))[:MOST]


def _channels(connection: sa.Connection, tenant: TenantId, talks: list[ConversationId]) -> dict[str, int]:
    talk = conversation_table.c
    query = sa.select(talk.channel).where(talk.tenant == tenant, talk.id.in_(talks))
    return dict(Counter(connection.execute(query).scalars()).most_common(MOST))
