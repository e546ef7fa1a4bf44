"""Identities about whom something new is known and who were not compared with everybody else yet: a list in the database.

The graph marks new names and claims, the profile marks statements, each in its own transaction, which costs a turn one small
write. `linking/linker.py` works the list off outside of any turn: first all of them are indexed, then each is compared, so
that the rows of an import find each other. What is marked again meanwhile stays on the list.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.storage.database import insert_of, metadata


class Stage(IntEnum):
    """What is to be done next; the numbers are stored."""

    INDEX = 0
    COMPARE = 1


changed_table = sa.Table(
    "changed_identity",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Index("changed_identity_stage", "tenant", "stage"),
)


@dataclass(frozen=True, slots=True)
class Changed:
    """`times` tells whether it was marked again since it was taken."""

    identity_id: str
    times: int


def mark(connection: sa.Connection, tenant: TenantId, identity_id: str) -> None:
    table = changed_table.c
    insert = insert_of(connection)(changed_table).values(
        tenant=tenant, identity_id=identity_id, stage=int(Stage.INDEX), times=1
    )
    again = {"stage": int(Stage.INDEX), "times": table.times + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "identity_id"], set_=again))


def waiting(connection: sa.Connection, tenant: TenantId, stage: Stage, *, limit: int) -> list[Changed]:
    table = changed_table.c
    query = (
        sa.select(table.identity_id, table.times)
        .where(table.tenant == tenant, table.stage == int(stage))
        .order_by(table.identity_id)
        .limit(limit)
    )
    return [Changed(row.identity_id, row.times) for row in connection.execute(query)]


def advance(connection: sa.Connection, tenant: TenantId, done: Sequence[Changed]) -> None:
    """They are indexed; what was marked again meanwhile is indexed once more."""
    for one in done:
        connection.execute(sa.update(changed_table).where(_is(tenant, one)).values(stage=int(Stage.COMPARE)))


def finish(connection: sa.Connection, tenant: TenantId, done: Sequence[Changed]) -> None:
    for one in done:
        connection.execute(sa.delete(changed_table).where(_is(tenant, one)))


def forget(connection: sa.Connection, tenant: TenantId, identity_ids: Collection[str]) -> None:
    """For erasure."""
    table = changed_table.c
    connection.execute(
        sa.delete(changed_table).where(table.tenant == tenant, table.identity_id.in_(list(identity_ids)))
    )


def _is(tenant: TenantId, one: Changed) -> sa.ColumnElement[bool]:
    table = changed_table.c
    return sa.and_(table.tenant == tenant, table.identity_id == one.identity_id, table.times == one.times)
