"""Phone numbers are given to new people, and who has one now must not get what its last holder said or bought.

`Directory.resolve` calls `renew_stale` for each message of a channel that vouches for a number; staff say it by
`operations/identities`. A number that was silent for long begins anew: an identity without any history, and what was proven
or begun under it counts no more. The same person is known again as soon as they sign in. That it happens is measured:
of 259 recycled numbers 171 still opened accounts of their last holders (Lee and Narayanan 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from customers import records as places
from customers.graph import evidence, records
from customers.graph.graph import Graph
from customers.graph.operations import Operations
from customers.graph.partition import ACCOUNT
from customers.graph.records import Identity
from foundation import conversations, errors
from foundation.messages import Identifier, TenantId

FRESH_DAYS = 180
PHONE = "phone"


def renew_stale(
    connection: sa.Connection, tenant: TenantId, operations: Operations, sender: Sequence[Identifier], *,
    seen_at: datetime, fresh: timedelta,
) -> None:  # fmt: skip
    """Repeatable: the message again finds the holder that it has begun."""
    graph = operations.graph
    number = next((name for name in sender if name.namespace == PHONE and name.proven), None)
    known = graph.find_vouched(connection, tenant, number) if number is not None else None
    if known is None or seen_at - known.last_seen <= fresh or known.begins_at > seen_at:
        return
    days = (seen_at - known.last_seen).days
    renew(
        connection, tenant, operations, known.id, actor="system", reason=f"not seen for {days} days", at=seen_at,
    )  # fmt: skip


def renew(
    connection: sa.Connection, tenant: TenantId, operations: Operations, name: str, *, actor: str, reason: str,
    at: datetime,
) -> Identity:  # fmt: skip
    """The new holder of this name, and of the others that a platform makes of the same number. Raises `InvalidInput` for
    what is never handed on, `Conflict` when there is a newer holder already."""
    graph = operations.graph
    chosen = graph.get(connection, tenant, name)
    if chosen.namespace == ACCOUNT or chosen.device or not chosen.proven:
        raise errors.InvalidInput(
            "Only a number or a mailbox that a channel vouches for gets a new holder.", code="never_recycled"
        )
    found = [chosen.id, *_bound(connection, tenant, graph, chosen)]
    holders = [
        operations.begin_epoch(connection, tenant, one, actor=actor, reason=reason, at=at) for one in found
    ]
    for _, conversation_id in places.find_conversations(connection, tenant, found):
        conversations.change(connection, tenant, conversation_id, at, dialogue={})
    return holders[0]


def _bound(connection: sa.Connection, tenant: TenantId, graph: Graph, chosen: Identity) -> list[str]:
    """By the platform itself, on any message: the number and the name that the channel makes of it."""
    edges = records.find_edges(connection, tenant, [chosen.id])
    ends = {
        end
        for one in edges.values()
        if one.edge.evidence == evidence.PLATFORM
        for end in (one.edge.a, one.edge.b)
        if end != chosen.id
    }
    return sorted(one for one in ends if graph.find_holder(connection, tenant, one).id == one)
