"""How far each step of a rotation is, for every tenant, so that another process goes on where the last one stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import insert_of, metadata

rotation_table = sa.Table(
    "key_rotation",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kid", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger),
)


@dataclass(frozen=True, slots=True)
class Step:
    """`place`: where it goes on; `changed`: rows so far."""

    name: str
    place: str = ""
    changed: int = 0
    done_at: datetime | None = None


def read(connection: sa.Connection, tenant: TenantId, kid: int) -> dict[str, Step]:
    table = rotation_table.c
    query = sa.select(rotation_table).where(table.tenant == tenant, table.kid == kid)
    return {
        row.step: Step(
            row.step, row.place, row.changed, None if row.done_at is None else from_milliseconds(row.done_at)
        )
        for row in connection.execute(query)
    }


def write(connection: sa.Connection, tenant: TenantId, kid: int, step: Step) -> None:
    values = {
        "place": step.place, "changed": step.changed,
        "done_at": None if step.done_at is None else to_milliseconds(step.done_at),
    }  # fmt: skip
    insert = insert_of(connection)(rotation_table).values(tenant=tenant, kid=kid, step=step.name, **values)
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "kid", "step"], set_=values))
