"""SQL of the console's edits: versions of a prompt's bodies by tenant, and a counter that grows with each publication.

Called by `library` inside its reads and writes. The counter is what other processes look at to learn that something
went live; it grows in the same transaction.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa

from foundation.storage.database import insert_of, metadata

State = Literal["draft", "live", "archived"]

prompt_version = sa.Table(
    "prompt_version",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("prompt_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("written_at", sa.BigInteger, nullable=False),
    sa.Column("published_at", sa.BigInteger),
    sa.Column("published_by", sa.Text),
    sa.Index("prompt_version_by_state", "tenant", "state"),
)

prompt_publication = sa.Table(
    "prompt_publication",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("counter", sa.BigInteger, nullable=False),
)


def find_counter(connection: sa.Connection, tenant: str) -> int:
    query = sa.select(prompt_publication.c.counter).where(prompt_publication.c.tenant == tenant)
    return connection.execute(query).scalar() or 0


def count_publication(connection: sa.Connection, tenant: str) -> None:
    insert = insert_of(connection)
    statement = insert(prompt_publication).values(tenant=tenant, counter=1)
    grown = {"counter": prompt_publication.c.counter + 1}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant"], set_=grown))


def list_by_state(connection: sa.Connection, tenant: str, state: State) -> list[sa.Row[Any]]:
    query = sa.select(prompt_version).where(
        prompt_version.c.tenant == tenant, prompt_version.c.state == state
    )
    return list(connection.execute(query.order_by(prompt_version.c.prompt_id)))


def list_versions(connection: sa.Connection, tenant: str, prompt_id: str) -> list[sa.Row[Any]]:
    """Newest first."""
    query = sa.select(prompt_version).where(_is(tenant, prompt_id))
    return list(connection.execute(query.order_by(prompt_version.c.version.desc())))


def find(connection: sa.Connection, tenant: str, prompt_id: str, version: int) -> sa.Row[Any] | None:
    query = sa.select(prompt_version).where(_is(tenant, prompt_id), prompt_version.c.version == version)
    return connection.execute(query).first()


def find_draft(connection: sa.Connection, tenant: str, prompt_id: str) -> sa.Row[Any] | None:
    query = sa.select(prompt_version).where(_is(tenant, prompt_id), prompt_version.c.state == "draft")
    return connection.execute(query).first()


def add(connection: sa.Connection, values: dict[str, Any]) -> None:
    connection.execute(sa.insert(prompt_version).values(values))


def change(connection: sa.Connection, tenant: str, prompt_id: str, version: int, **values: Any) -> None:
    where = sa.and_(_is(tenant, prompt_id), prompt_version.c.version == version)
    connection.execute(sa.update(prompt_version).where(where).values(values))


def remove(connection: sa.Connection, tenant: str, prompt_id: str, version: int) -> None:
    where = sa.and_(_is(tenant, prompt_id), prompt_version.c.version == version)
    connection.execute(sa.delete(prompt_version).where(where))


def archive_live(connection: sa.Connection, tenant: str, prompt_id: str) -> int:
    """How many were live: one or none."""
    where = sa.and_(_is(tenant, prompt_id), prompt_version.c.state == "live")
    return connection.execute(sa.update(prompt_version).where(where).values(state="archived")).rowcount


def _is(tenant: str, prompt_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(prompt_version.c.tenant == tenant, prompt_version.c.prompt_id == prompt_id)
