"""What customers are found by, under the current key: names, claims, search keys and blocks, some rows at a time.

Rotating keys calls each step in a transaction of its own until there is nothing left. At any moment in between everything is
found, because whoever looks tries the older keys as well; so it may be stopped anywhere and begun again. What cannot be
made anew, because its value is known to nobody any more (`privacy/suppression.py`), stays under the key it was made with.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from customers import records as places
from customers import search
from customers.graph.claims import claim_table
from customers.graph.graph import lookup_parts
from customers.graph.records import identity_table
from customers.linking import dossier
from customers.matching.online import Matcher
from customers.profile import records as profile_records
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault

Place = tuple[str, int]
"""Where to go on, "" at the end, and how many rows were changed."""


def names(connection: sa.Connection, vault: Vault, tenant: TenantId, *, after: str, limit: int) -> Place:
    """All holders that a name has had move together: they are told apart by their epoch, and share what they are found by."""
    table = identity_table.c
    old = (table.tenant == tenant, ~table.lookup.startswith(vault.index_mark))
    query = sa.select(table.id, table.lookup, table.namespace, table.value, table.proven).where(
        *old, table.id > after
    )
    rows = connection.execute(query.order_by(table.id).limit(limit)).all()
    changed = 0
    for row in rows:
        scope = ConversationId("") if row.proven else _conversation_of(connection, tenant, row.id)
        name = Identifier(namespace=row.namespace, value=row.value, proven=row.proven)
        parts = lookup_parts(tenant, name, scope)
        if row.lookup in vault.index_keys(*parts):
            same = sa.update(identity_table).where(table.tenant == tenant, table.lookup == row.lookup)
            changed += connection.execute(same.values(lookup=vault.index_key(*parts))).rowcount
    return (rows[-1].id if len(rows) == limit else ""), changed


def claims(connection: sa.Connection, vault: Vault, tenant: TenantId, *, after: str, limit: int) -> Place:
    table = claim_table.c
    old = (table.tenant == tenant, ~table.lookup.startswith(vault.index_mark))
    query = sa.select(table.id, table.namespace, table.value, table.conversation_id).where(
        *old, table.id > after
    )
    rows = connection.execute(query.order_by(table.id).limit(limit)).all()
    for row in rows:
        name = Identifier(namespace=row.namespace, value=row.value, proven=True)
        key = vault.index_key(*lookup_parts(tenant, name, ConversationId(row.conversation_id)))
        mine = sa.update(claim_table).where(table.tenant == tenant, table.id == row.id)
        connection.execute(mine.values(lookup=key))
    return (rows[-1].id if len(rows) == limit else ""), len(rows)


def searches(
    connection: sa.Connection, vault: Vault, tenant: TenantId, *, limit: int, now: datetime
) -> Place:
    """From what is known about them now, and their orders."""
    stale = search.stale(connection, vault, tenant, limit=limit)
    known = dossier.read(connection, tenant, stale, now=now)
    changed = 0
    for one in stale:
        searched = known[one].searched if one in known else []
        orders = profile_records.orders_of(connection, tenant, one)
        for value in (*searched, *(("order", number) for number in orders)):
            search.add(connection, vault, tenant, one, value)
        changed += search.drop_stale(connection, vault, tenant, one)
    return (stale[-1] if len(stale) == limit else ""), changed


def blocks(connection: sa.Connection, matcher: Matcher, tenant: TenantId, *, after: str, limit: int) -> Place:
    place = matcher.reindex(connection, tenant, after=after, limit=limit)
    return place or "", 0 if place is None else limit


def _conversation_of(connection: sa.Connection, tenant: TenantId, identity_id: str) -> ConversationId:
    """Of a name that counts within one conversation only."""
    found = places.find_conversations(connection, tenant, [identity_id])
    return found[0][1] if found else ConversationId("")
