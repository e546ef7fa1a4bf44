"""What the graph knows for certain about pairs of identities: one person by proof, two by a person's word.

The linker asks whom not to compare; `training.py` learns from both kinds; the page of a customer asks which operations are
about them. Reads only.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

import sqlalchemy as sa

from customers.graph import history
from customers.graph.history import Operation, operation_table
from customers.graph.partition import ACCOUNT
from customers.graph.records import apart_table, chunks, edge_table, identity_table
from customers.matching.lifecycle import Labelled
from customers.matching.records import match_record_table
from foundation.messages import TenantId

MOST_LABELS = 20_000
MOST_OF_ONE = 8
"""Names of one person that make labels with each other; a customer of fifty would count for more than everybody else."""


def kept_apart(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> set[str]:
    """Whom somebody has said these identities are not, with all that belongs to those."""
    table, found = apart_table.c, set()
    for some in chunks(ids):
        for here, there in ((table.a, table.b), (table.b, table.a)):
            query = sa.select(there).where(table.tenant == tenant, here.in_(some), table.lifted_by.is_(None))
            found |= set(connection.execute(query).scalars())
    return found | _with_their_customers(connection, tenant, found)


def taken_back(connection: sa.Connection, tenant: TenantId, identity_id: str) -> set[str]:
    """With whom a link was made and undone: a newer model must not make it again."""
    table, found = edge_table.c, set()
    for here, there in ((table.a, table.b), (table.b, table.a)):
        query = sa.select(there).where(
            table.tenant == tenant, here == identity_id, table.undone_by.is_not(None)
        )
        found |= set(connection.execute(query).scalars())
    return found


def accounts_of(connection: sa.Connection, tenant: TenantId, customer_ids: Collection[str]) -> dict[str, str]:
    """By customer, an account that belongs to them: two with one each can never be one."""
    table = identity_table.c
    query = sa.select(table.customer_id, sa.func.min(table.id).label("id")).where(
        table.tenant == tenant, table.customer_id.in_(list(customer_ids)), table.namespace == ACCOUNT
    )
    return {row.customer_id: row.id for row in connection.execute(query.group_by(table.customer_id))}


def customers_of(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> dict[str, str]:
    """To which customer each belongs now; what the matcher is given as `Labels`."""
    table = identity_table.c
    return {
        row.id: row.customer_id
        for some in chunks(ids)
        for row in connection.execute(
            sa.select(table.id, table.customer_id).where(table.tenant == tenant, table.id.in_(some))
        )
    }


def members_of(connection: sa.Connection, tenant: TenantId, customer_ids: Collection[str]) -> set[str]:
    table = identity_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.customer_id.in_(list(customer_ids)))
    return set(connection.execute(query).scalars())


def labels(connection: sa.Connection, tenant: TenantId, *, without: Collection[str] = ()) -> list[Labelled]:
    """Pairs that were proven to be one person, and pairs that somebody has said are two. Only those with a record of both,
    and none with an identity that is left out."""
    found = [*_proven(connection, tenant), *_two(connection, tenant)]
    return [one for one in found if one[0] not in without and one[1] not in without]


def _proven(connection: sa.Connection, tenant: TenantId) -> list[Labelled]:
    one, record = identity_table.c, match_record_table.c
    query = (
        sa.select(one.access_id, one.id)
        .join(match_record_table, sa.and_(record.tenant == one.tenant, record.identity_id == one.id))
        .where(one.tenant == tenant)
        .order_by(one.access_id, one.id)
    )
    found: list[Labelled] = []
    for _, rows in itertools.groupby(connection.execute(query), key=lambda row: str(row.access_id)):
        ids = [row.id for row in itertools.islice(rows, MOST_OF_ONE)]
        found += [(a, b, True) for a, b in itertools.combinations(ids, 2)]
        if len(found) >= MOST_LABELS:
            break
    return found


def _two(connection: sa.Connection, tenant: TenantId) -> list[Labelled]:
    table = apart_table.c
    left, right = match_record_table.alias(), match_record_table.alias()
    query = (
        sa.select(table.a, table.b)
        .join(left, sa.and_(left.c.tenant == table.tenant, left.c.identity_id == table.a))
        .join(right, sa.and_(right.c.tenant == table.tenant, right.c.identity_id == table.b))
        .where(table.tenant == tenant, table.lifted_by.is_(None))
        .distinct()
        .limit(MOST_LABELS)
    )
    return [(row.a, row.b, False) for row in connection.execute(query)]


def operations_about(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str], *, limit: int = 30
) -> list[tuple[Operation, bool]]:
    """Newest first, each with whether it was undone. Found by what they did, so also those about names that have left."""
    table = operation_table.c
    numbers = {number for some in chunks(ids) for number in history.numbers_about(connection, tenant, some)}
    newest = sorted(numbers, reverse=True)[:limit]
    undone = set(
        connection.execute(
            sa.select(table.undoes).where(table.tenant == tenant, table.undoes.in_(newest))
        ).scalars()
    )
    found = [history.find(connection, tenant, number) for number in newest]
    return [(one, one.number in undone) for one in found if one is not None]


def _with_their_customers(connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    return members_of(connection, tenant, set(customers_of(connection, tenant, ids).values()))
