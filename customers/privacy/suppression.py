"""Names that were erased and must not come back by an import: keyed digests of them, until the person writes again.

Erasing adds them; whoever takes customers from other systems asks `is_suppressed` before; a message or a proof of the
person's own lifts all that was added with theirs. Only names that were vouched for stand here: otherwise somebody could
claim another one's number, have themselves erased, and keep the other one out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import sqlalchemy as sa

from customers import search
from foundation.clock import to_milliseconds
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import insert_of, metadata

suppression_table = sa.Table(
    "suppression",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("erasure_id", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("suppression_erasure", "tenant", "erasure_id"),
)

Name = tuple[str, str]
"""A namespace, or an attribute that names somebody (`phone`, `email`), and the value."""


def keys_of(vault: Vault, tenant: TenantId, names: Iterable[Name]) -> set[str]:
    """Equal for all writings of one number or address. To write; what was written may stand under an older key, because
    nobody knows the names any more to make the key anew."""
    return {vault.index_key(*parts) for parts in _parts(tenant, names)}


def _every_key(vault: Vault, tenant: TenantId, names: Iterable[Name]) -> set[str]:
    return {key for parts in _parts(tenant, names) for key in vault.index_keys(*parts)}


def _parts(tenant: TenantId, names: Iterable[Name]) -> Iterator[tuple[str, ...]]:
    for namespace, value in names:
        yield ("suppressed", tenant, "as it is", namespace, value)
        kind = search.kind_of(namespace)
        plain = search.normal(kind, value) if kind else ""
        if kind and plain:
            yield ("suppressed", tenant, "normal", kind, plain)


def add(
    connection: sa.Connection, tenant: TenantId, keys: Collection[str], *, erasure_id: str, now: datetime
) -> None:
    """Repeatable."""
    insert = insert_of(connection)(suppression_table)
    for key in sorted(keys):
        row = insert.values(tenant=tenant, key=key, erasure_id=erasure_id, at=to_milliseconds(now))
        again = {"erasure_id": erasure_id, "at": to_milliseconds(now)}
        connection.execute(row.on_conflict_do_update(index_elements=["tenant", "key"], set_=again))


def is_suppressed(connection: sa.Connection, vault: Vault, tenant: TenantId, names: Collection[Name]) -> bool:
    table = suppression_table.c
    keys = _every_key(vault, tenant, names)
    query = sa.select(table.key).where(table.tenant == tenant, table.key.in_(keys)).limit(1)
    return bool(keys) and connection.execute(query).first() is not None


def lift(connection: sa.Connection, vault: Vault, tenant: TenantId, names: Collection[Name]) -> int:
    """The person has come back by themselves: all that was erased with one of these names may be imported again."""
    table = suppression_table.c
    keys = _every_key(vault, tenant, names)
    if not keys:
        return 0
    theirs = sa.select(table.erasure_id).where(table.tenant == tenant, table.key.in_(keys))
    found = connection.execute(theirs.distinct()).scalars().all()
    if not found:
        return 0
    return connection.execute(
        sa.delete(suppression_table).where(table.tenant == tenant, table.erasure_id.in_(found))
    ).rowcount
