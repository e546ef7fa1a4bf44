"""Drops what was worked out about somebody who objects to being judged; what they have done and stated stays. In SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from customers.profile import aggregates, learned
from customers.profile.records import event_table, fact_table, shard_table, standing_table
from foundation.clock import to_milliseconds
from foundation.messages import TenantId

INFERRED = "inferred"
"""Source of statements that we have worked out ourselves."""


def drop(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str], *, now: datetime) -> None:
    """Sums but those of the service, tiers, our own statements, cases to learn from, and the numbers by which events are
    compared. Repeatable."""
    for identity_id in identity_ids:
        _keep_service(connection, tenant, identity_id, now)
    standing, fact, event = standing_table.c, fact_table.c, event_table.c
    connection.execute(
        sa.delete(standing_table).where(standing.tenant == tenant, standing.identity_id.in_(identity_ids))
    )
    ours = (fact.tenant == tenant) & fact.identity_id.in_(identity_ids) & (fact.source == INFERRED)
    connection.execute(sa.delete(fact_table).where(ours))
    sized = (event.tenant == tenant) & event.identity_id.in_(identity_ids) & event.size.is_not(None)
    connection.execute(sa.update(event_table).where(sized).values(size=None))
    learned.forget_cases(connection, tenant, identity_ids)


def _keep_service(connection: sa.Connection, tenant: TenantId, identity_id: str, now: datetime) -> None:
    table = shard_table.c
    mine = (table.tenant == tenant) & (table.identity_id == identity_id)
    row = connection.execute(sa.select(table.sums).where(mine).with_for_update()).one_or_none()
    if row is not None and row.sums is not None:
        sums = aggregates.dump(aggregates.of_service(aggregates.load(row.sums)))
        connection.execute(
            sa.update(shard_table).where(mine).values(sums=sums, updated_at=to_milliseconds(now))
        )
