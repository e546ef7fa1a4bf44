"""Called by Alembic for each command: connects, and runs the revisions in one transaction.

`target_metadata` is given only by `make migration` and the house test that compares tables with revisions,
because this floor may not import the packages that declare tables. The surprise: on SQLite the driver is told not to
begin or commit by itself, because otherwise it commits each CREATE TABLE alone and a crash leaves half a revision.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

import sqlalchemy as sa
from alembic import context
from sqlalchemy.pool import NullPool

_ADVISORY_LOCK = 7_120_541  # any constant: several replicas start at once and one migrates


def run() -> None:
    engine = sa.create_engine(context.config.attributes["url"], poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=context.config.attributes.get("metadata"),
            render_as_batch=engine.dialect.name == "sqlite",
            transactional_ddl=True,
            render_item=_render,
        )
        with context.begin_transaction():
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            context.run_migrations()
    engine.dispose()


def _render(_kind: str, item: object, _context: object) -> str | Literal[False]:
    """A revision is history and must not import our types, which change: sealed text is bytes to the database."""
    return "sa.LargeBinary()" if isinstance(item, sa.TypeDecorator) else False


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")


run()
