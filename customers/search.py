"""Finding a customer by what they say of themselves: a phone number, address, account, order number or name in, identities out.

The staff's search calls `find`; the linker keeps the keys of what it has read, whoever notes an order adds its number. Only
whole values are found, by a keyed digest: no beginning of a number, no list of everybody called Wang, and nothing in the
table that anybody could read back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import sqlalchemy as sa

from customers.matching import normalise
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import insert_of, metadata

Kind = Literal["phone", "email", "account", "order", "name"]
KINDS: tuple[Kind, ...] = ("phone", "email", "account", "order", "name")
_KNOWN_BY_HEART: dict[str, Kind] = {"phone": "phone", "email": "email", "account": "account"}
AT_A_TIME = 500
"""Keys of one query."""
FOUND = 20
"""More than so many share the value: a hotline, or a name that says nothing."""

search_key_table = sa.Table(
    "search_key",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Index("search_key_identity", "tenant", "identity_id"),
)


def kind_of(namespace: str) -> Kind | None:
    """Of names that people know by heart; a platform's ids are not looked for."""
    return _KNOWN_BY_HEART.get(namespace.partition(":")[0])


def normal(kind: Kind, text: str, *, region: str = "CN") -> str:
    """What is equal for equal values, "" for what cannot be one."""
    if kind in ("phone", "email"):
        found = normalise.find(kind, text, region=region)
        return "" if found is None or found.shared else found.match
    folded = normalise.fold(text)
    if kind == "account":
        return folded
    return "".join(folded.split()).casefold() if len(folded) <= normalise.LONGEST else ""


def replace(
    connection: sa.Connection, vault: Vault, tenant: TenantId, identity_id: str, values: Iterable[tuple[Kind, str]]
) -> None:  # fmt: skip
    """All that this identity is found by from now on, but for its orders."""
    table = search_key_table.c
    connection.execute(
        sa.delete(search_key_table).where(
            table.tenant == tenant, table.identity_id == identity_id, table.kind != "order"
        )
    )
    for kind, value in values:
        add(connection, vault, tenant, identity_id, (kind, value))


def add(
    connection: sa.Connection, vault: Vault, tenant: TenantId, identity_id: str, value: tuple[Kind, str]
) -> None:  # fmt: skip
    kind, text = value
    plain = normal(kind, text)
    if plain:
        insert = insert_of(connection)(search_key_table).values(
            tenant=tenant,
            key=vault.index_key("search", tenant, kind, plain),
            identity_id=identity_id,
            kind=kind,
        )
        connection.execute(insert.on_conflict_do_nothing())


def find(connection: sa.Connection, vault: Vault, tenant: TenantId, text: str) -> list[tuple[Kind, str]]:
    """By which kind of value, and whom; at most `FOUND` of each kind, in no order that tells anything."""
    table, found = search_key_table.c, []
    for kind in KINDS:
        plain = normal(kind, text)
        if not plain:
            continue
        query = (
            sa.select(table.identity_id)
            .where(table.tenant == tenant, table.key.in_(vault.index_keys("search", tenant, kind, plain)))
            .distinct()
            .order_by(table.identity_id)
            .limit(FOUND)
        )
        found += [(kind, row.identity_id) for row in connection.execute(query)]
    return found


def stale(connection: sa.Connection, vault: Vault, tenant: TenantId, *, limit: int) -> list[str]:
    """Identities that are found by a key from before the last rotation."""
    table = search_key_table.c
    query = sa.select(table.identity_id).where(
        table.tenant == tenant, ~table.key.startswith(vault.index_mark)
    )
    return list(connection.execute(query.distinct().order_by(table.identity_id).limit(limit)).scalars())


def drop_stale(connection: sa.Connection, vault: Vault, tenant: TenantId, identity_id: str) -> int:
    """When it has been given its keys anew."""
    table = search_key_table.c
    old = (table.tenant == tenant, table.identity_id == identity_id, ~table.key.startswith(vault.index_mark))
    return connection.execute(sa.delete(search_key_table).where(*old)).rowcount


def keys_of(vault: Vault, tenant: TenantId, kind: Kind, text: str) -> list[str]:
    """Under which a value is found, empty for what cannot be one."""
    plain = normal(kind, text) if text else ""
    return list(vault.index_keys("search", tenant, kind, plain)) if plain else []


def holders(connection: sa.Connection, tenant: TenantId, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Key and identity, of those keys that somebody is found by."""
    table, wanted = search_key_table.c, list(keys)
    for start in range(0, len(wanted), AT_A_TIME):
        some = wanted[start : start + AT_A_TIME]
        query = sa.select(table.key, table.identity_id).where(table.tenant == tenant, table.key.in_(some))
        for row in connection.execute(query):
            yield row.key, row.identity_id


def forget(connection: sa.Connection, tenant: TenantId, identity_ids: Collection[str]) -> None:
    """For erasure."""
    table = search_key_table.c
    connection.execute(
        sa.delete(search_key_table).where(table.tenant == tenant, table.identity_id.in_(list(identity_ids)))
    )
