"""The outbox: what other systems will hear, written in the transaction in which it happens, kept for two weeks.

Whoever changes something calls `tell` with the connection of the change: one insert, so a turn waits for nobody outside, and
nothing is told that did not happen. Receivers read on from a cursor of their own, at least once.

What would surprise you: an event has no place in the order until `number` gives it one. On Postgres a later id can become
visible before an earlier one, and a cursor over ids would step over it. Numbers are given to what is committed, by one process
at a time; two events of one lane hold the lane's row when they are written, so their ids, and with them their numbers, follow
what happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.outward import catalogue
from foundation.security import random_token
from foundation.storage.database import insert_of, metadata

KEPT = timedelta(days=14)
BATCH = 500
NUMBERED = "numbered"
"""The cursor that is the newest number; it outlives the events, so that no number is given twice."""

event_table = sa.Table(
    "outward_event",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger),
    sa.Index("outward_event_position", "tenant", "position", unique=True),
    sa.Index("outward_event_lane", "tenant", "lane"),
)

cursor_table = sa.Table(
    "outward_cursor",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text, nullable=False, server_default=""),
    sa.Column("lease_until", sa.BigInteger, nullable=False, server_default="0"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One event with its place. `data` holds ids and codes only."""

    position: int
    id: str
    tenant: TenantId
    at: datetime
    type: str
    version: int
    lane: str
    data: Mapping[str, Any]


def tell(
    connection: sa.Connection, tenant: TenantId, kind: str, data: Mapping[str, Any], *, now: datetime
) -> None:
    """A kind or a field that the catalogue does not know is a bug and raises KeyError."""
    known = catalogue.kinds()[kind]
    if data.keys() != known.fields.keys():
        raise KeyError(f"{kind} has the fields {sorted(known.fields)}, not {sorted(data)}")
    values = {
        "tenant": tenant, "event_id": f"evt_{random_token(15)}", "at": to_milliseconds(now), "type": kind,
        "version": known.version, "lane": str(data[known.lane]), "data": json.dumps(data, ensure_ascii=False),
    }  # fmt: skip
    connection.execute(_insert_event(), values)


@cache
def _insert_event() -> sa.Insert:
    """Without asking for the new id, which would cost more than the insert."""
    columns = ("tenant", "event_id", "at", "type", "version", "lane", "data")
    return sa.insert(event_table).inline().values({name: sa.bindparam(name) for name in columns})


def number(connection: sa.Connection, tenant: TenantId, *, limit: int = BATCH) -> int:
    """Gives the next committed events their places; how many. 0 as well while another process does it."""
    if not _lock(connection, tenant):
        return 0
    table = event_table.c
    waiting = (
        connection.execute(
            sa.select(table.id)
            .where(table.tenant == tenant, table.position.is_(None))
            .order_by(table.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )
    if not waiting:
        return 0
    last = position_of(connection, tenant, NUMBERED)
    connection.execute(
        sa.update(event_table)
        .where(table.id == sa.bindparam("b_id"))
        .values(position=sa.bindparam("b_position")),
        [{"b_id": one, "b_position": last + place} for place, one in enumerate(waiting, 1)],
    )
    move(connection, tenant, NUMBERED, last + len(waiting))
    return len(waiting)


def has_news(connection: sa.Connection, tenant: TenantId) -> bool:
    """Whether something waits for its number."""
    table = event_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.position.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def read_after(
    connection: sa.Connection, tenant: TenantId, position: int, *, limit: int = BATCH
) -> list[Told]:
    table = event_table.c
    query = sa.select(event_table).where(table.tenant == tenant, table.position > position)
    return [_told(row) for row in connection.execute(query.order_by(table.position).limit(limit))]


def find(connection: sa.Connection, tenant: TenantId, positions: list[int]) -> dict[int, Told]:
    """Those that are still kept."""
    table = event_table.c
    query = sa.select(event_table).where(table.tenant == tenant, table.position.in_(positions))
    return {row.position: _told(row) for row in connection.execute(query)}


def position_before(connection: sa.Connection, tenant: TenantId, moment: datetime) -> int:
    """Where a receiver stands who has heard everything that happened before that moment, and no more."""
    table = event_table.c
    first = connection.execute(
        sa.select(sa.func.min(table.position)).where(
            table.tenant == tenant, table.at >= to_milliseconds(moment)
        )
    ).scalar_one_or_none()
    return position_of(connection, tenant, NUMBERED) if first is None else int(first) - 1


def position_of(connection: sa.Connection, tenant: TenantId, receiver: str) -> int:
    table = cursor_table.c
    found = connection.execute(
        sa.select(table.position).where(table.tenant == tenant, table.receiver == receiver)
    ).scalar_one_or_none()
    return int(found or 0)


def move(connection: sa.Connection, tenant: TenantId, receiver: str, position: int) -> None:
    insert = insert_of(connection)(cursor_table).values(tenant=tenant, receiver=receiver, position=position)
    connection.execute(
        insert.on_conflict_do_update(index_elements=["tenant", "receiver"], set_={"position": position})
    )


def lease(
    connection: sa.Connection, tenant: TenantId, receiver: str, *, owner: str, now: datetime, seconds: float
) -> int | None:
    """The receiver's place, for the one process that may serve it until the lease ends; None for every other. Renews the
    owner's own."""
    table, moment = cursor_table.c, to_milliseconds(now)
    insert = insert_of(connection)(cursor_table).values(tenant=tenant, receiver=receiver, position=0)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "receiver"]))
    row = connection.execute(
        sa.update(cursor_table)
        .where(
            table.tenant == tenant,
            table.receiver == receiver,
            sa.or_(table.owner == owner, table.lease_until < moment),
        )
        .values(owner=owner, lease_until=moment + round(seconds * 1000))
        .returning(table.position)
    ).one_or_none()
    return None if row is None else int(row.position)


def advance(connection: sa.Connection, tenant: TenantId, receiver: str, position: int, *, owner: str) -> bool:
    """False: the lease went to another process, which has published the same and moves the cursor itself."""
    table = cursor_table.c
    moved = connection.execute(
        sa.update(cursor_table)
        .where(table.tenant == tenant, table.receiver == receiver, table.owner == owner)
        .values(position=position)
    )
    return moved.rowcount == 1


def release(connection: sa.Connection, tenant: TenantId, receiver: str, *, owner: str) -> None:
    table = cursor_table.c
    connection.execute(
        sa.update(cursor_table)
        .where(table.tenant == tenant, table.receiver == receiver, table.owner == owner)
        .values(owner="", lease_until=0)
    )


def purge(connection: sa.Connection, tenant: TenantId, *, before: datetime, limit: int = BATCH) -> int:
    """Forgets the oldest events, at most `limit` a call; how many. Those without a number stay."""
    table = event_table.c
    query = sa.select(table.position, table.at).where(table.tenant == tenant, table.position.is_not(None))
    oldest = connection.execute(query.order_by(table.position).limit(limit)).all()
    gone = [row.position for row in oldest if row.at < to_milliseconds(before)]
    if gone:
        old = sa.and_(table.tenant == tenant, table.position <= gone[-1], table.at < to_milliseconds(before))
        connection.execute(sa.delete(event_table).where(old))
    return len(gone)


def forget(connection: sa.Connection, tenant: TenantId, lanes: list[str]) -> int:
    """Events about a conversation, an identity or a customer, for erasure: they are told to nobody any more."""
    table = event_table.c
    return connection.execute(
        sa.delete(event_table).where(table.tenant == tenant, table.lane.in_(lanes))
    ).rowcount


def _lock(connection: sa.Connection, tenant: TenantId) -> bool:
    """Until the transaction ends; the embedded database has one writer anyway."""
    if connection.dialect.name != "postgresql":
        return True
    query = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0))")
    return bool(connection.execute(query, {"key": f"outward {tenant}"}).scalar_one())


def _told(row: sa.Row[Any]) -> Told:
    return Told(
        row.position, row.event_id, TenantId(row.tenant), from_milliseconds(row.at), row.type, row.version, row.lane,
        json.loads(row.data),
    )  # fmt: skip
