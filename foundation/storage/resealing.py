"""Sealed values under the current key: table by table, some rows at a time, while everything else goes on.

Rotating keys calls it in one transaction a step. A row that is under the current key already is not touched, so it may be
stopped anywhere and begun again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Sealed, metadata

SEALED_BY_HAND: Mapping[str, Sequence[str]] = {"media": ("content",), "customer_import": ("content",)}
"""Columns of plain bytes that whoever writes them seals before, besides those of the type."""


def columns_of(table: sa.Table) -> list[str]:
    typed = [column.name for column in table.c if isinstance(column.type, Sealed)]
    return [*typed, *SEALED_BY_HAND.get(table.name, ())]


def tables() -> list[str]:
    """Those that hold anything sealed."""
    return sorted(name for name, table in metadata.tables.items() if columns_of(table))


def reseal(connection: sa.Connection, vault: Vault, tenant: TenantId, name: str, *, limit: int) -> int:
    """The next rows that are under an older key; how many, 0 at the end."""
    table = metadata.tables[name]
    columns = columns_of(table)
    raw = {column: sa.type_coerce(table.c[column], sa.LargeBinary) for column in columns}
    mark = vault.mark
    begins = {
        column: sa.func.substr(value, 1, len(mark), type_=sa.LargeBinary) for column, value in raw.items()
    }
    old = sa.or_(*(sa.and_(table.c[column].is_not(None), begins[column] != mark) for column in columns))
    keys = [column.name for column in table.primary_key]
    query = sa.select(
        *(table.c[key] for key in keys), *(value.label(column) for column, value in raw.items())
    )
    rows = connection.execute(query.where(table.c.tenant == tenant, old).limit(limit).with_for_update()).all()
    for row in rows:
        values: dict[Any, Any] = {
            table.c[column]: sa.type_coerce(_again(vault, bytes(getattr(row, column))), sa.LargeBinary)
            for column in columns
            if getattr(row, column) is not None
        }
        mine = sa.and_(*(table.c[key] == getattr(row, key) for key in keys))
        connection.execute(sa.update(table).where(table.c.tenant == tenant, mine).values(values))
    return len(rows)


def _again(vault: Vault, sealed: bytes) -> bytes:
    return vault.seal_bytes(vault.unseal_bytes(sealed))
