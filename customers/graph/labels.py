"""The quickest way from a name to a customer: a keyed look-up in, the labels of whoever holds the name out.

`Graph.find_label` calls it where nothing of the identity is needed that would have to be unsealed. The statement is text, because
building the query took longer than the database did.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from foundation.clock import to_milliseconds
from foundation.messages import CustomerId, TenantId

_NEWEST = sa.text(
    "SELECT id, customer_id, access_id FROM identity WHERE tenant = :tenant AND lookup = :lookup AND begins_at <= :at "
    "ORDER BY epoch DESC LIMIT 1"
)


def find_label(
    connection: sa.Connection, tenant: TenantId, lookup: str, at: datetime
) -> tuple[str, CustomerId, str] | None:
    """Identity, customer and access group of whoever held the name at that moment."""
    values = {"tenant": tenant, "lookup": lookup, "at": to_milliseconds(at)}
    row = connection.execute(_NEWEST, values).one_or_none()
    return None if row is None else (row[0], CustomerId(row[1]), row[2])
