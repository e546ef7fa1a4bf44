"""The whole database into another, empty one: from the embedded file to Postgres when one machine is no longer enough, or back.

`huiliu move` is the caller, while the service stands still. Everything is copied in one transaction of the target, so that it
holds all or nothing; sealed values go as they are, which needs the same master key there. Afterwards both are read again and
compared. Turns in flight are not taken along (their checkpoints are no part of the database): they run again from the bus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from foundation import errors
from foundation.storage.database import Database, metadata

BATCH = 1_000
"""Rows that are in memory at once."""

Tell = Callable[[str, int], None]
"""Name of a table and how many rows of it are copied by now."""


@dataclass(frozen=True, slots=True)
class Moved:
    """`digest` is the same wherever and in whatever order the rows are read."""

    table: str
    rows: int
    digest: str


async def move(source: Database, target: Database, *, tell: Tell = lambda _table, _rows: None) -> list[Moved]:
    """Both are open, and nobody else writes into either. Raises `Conflict` when the target holds anything, `InvalidInput`
    when its master key is another one's or what arrived is not what was sent: then nothing of it stays."""
    if source.vault.signing_key != target.vault.signing_key:
        raise errors.InvalidInput("Both databases must have the same master key.", code="other_master_key")

    def copy(giving: sa.Connection) -> Callable[[sa.Connection], list[Moved]]:
        return lambda taking: _copy(giving, taking, tell)

    engine = sa.create_engine(source.url)
    with engine.connect() as giving, giving.begin():
        moved = await target.write(copy(giving))
    engine.dispose()
    return moved


def _copy(giving: sa.Connection, taking: sa.Connection, tell: Tell) -> list[Moved]:
    tables = _plain_tables()
    full = [table.name for table in tables if taking.execute(sa.select(table).limit(1)).first() is not None]
    if full:
        raise errors.Conflict(
            f"The target is not empty: {', '.join(full[:5])} already has rows. Give a database of its own.",
            code="target_not_empty",
        )
    moved = []
    for table in tables:
        rows = 0
        for batch in _batches(giving, table):
            taking.execute(sa.insert(table), batch)
            rows += len(batch)
            tell(table.name, rows)
        _count_on(taking, table)
        sent, arrived = _summary(giving, table), _summary(taking, table)
        if sent != arrived:
            raise errors.InvalidInput(
                f"The table {table.name} arrived otherwise than it was sent ({arrived.rows} of {sent.rows} rows); nothing was kept.",
                code="move_differs",
            )  # fmt: skip
        moved.append(arrived)
    return moved


def _plain_tables() -> list[sa.Table]:
    """As they lie on disk: what is sealed stays sealed."""
    plain = sa.MetaData()
    tables = [table.to_metadata(plain) for table in metadata.sorted_tables]
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, sa.TypeDecorator):
                column.type = column.type.impl_instance
    return tables


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    found = connection.execute(sa.select(table), execution_options={"yield_per": BATCH}).mappings()
    for rows in found.partitions(BATCH):
        yield [dict(row) for row in rows]


def _summary(connection: sa.Connection, table: sa.Table) -> Moved:
    """A sum of digests does not depend on the order, and unlike their exclusive or it counts a row that is there twice."""
    total, count = 0, 0
    for batch in _batches(connection, table):
        count += len(batch)
        for row in batch:
            line = repr([_plain(row[column.name]) for column in table.columns]).encode()
            total += int.from_bytes(hashlib.sha256(line).digest()[:16], "big")
    return Moved(table.name, count, f"{total % 2**128:032x}")


def _plain(value: Any) -> Any:
    """Postgres hands out bytes as a view in some drivers' versions."""
    return bytes(value) if isinstance(value, memoryview) else value


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """Rows came with their numbers: Postgres' own counter has not moved."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    sequence = connection.execute(
        sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))
    ).scalar_one()
    highest = connection.execute(sa.select(sa.func.max(column))).scalar_one()
    if sequence is not None and highest is not None:
        connection.execute(sa.select(sa.func.setval(sequence, highest)))
