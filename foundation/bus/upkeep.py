"""The bus as operators see it: what is dead and how to redrive it, how deep the queues are, forgetting finished work.

Called by both machines. Ids of dead work are made unique over entries and replies
(twice the row's id, plus one for a reply), so that one cursor pages through both.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError

from foundation import errors
from foundation.bus.contract import Dead, Depth
from foundation.bus.records import DEAD, DONE, OPEN, inbox_table, lane_table, outbox_table
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import OutboundMessage, TenantId
from foundation.storage.database import Database

PURGE_CHUNK = 2_000
"""Rows deleted in one transaction, so that nobody waits long behind it."""

_lane, _inbox, _outbox = lane_table.c, inbox_table.c, outbox_table.c
Kind = Literal["entry", "reply"]


@dataclass(frozen=True, slots=True)
class Redriven:
    lane: str
    ready_at: int


def find_dead(connection: sa.Connection, tenant: TenantId, after: int, limit: int) -> list[Dead]:
    found = _dead_of(connection, "entry", tenant, after, limit=limit)
    found += _dead_of(connection, "reply", tenant, after, limit=limit)
    return sorted(found, key=lambda dead: dead.id)[:limit]


def find_dead_reply(connection: sa.Connection, tenant: TenantId, lane: str, message_id: str) -> int | None:
    """The newest, where a message was buried more than once."""
    rows = connection.execute(
        sa.select(_outbox.id, _outbox.payload)
        .where(_outbox.tenant == tenant, _outbox.lane == lane, _outbox.state == DEAD)
        .order_by(_outbox.id.desc())
    )
    for row in rows:
        try:
            message = OutboundMessage.model_validate_json(row.payload)
        except ValidationError:
            continue  # of another version of ours
        if message.message_id == message_id:
            return int(row.id) * 2 + 1
    return None


def redrive_entry(
    connection: sa.Connection, tenant: TenantId, dead_id: int, now: sa.ColumnElement[int]
) -> Redriven:
    """Its old place in the lane is past, so it moves to the end."""
    row_id = _row_id("entry", dead_id)
    chosen = sa.and_(_inbox.id == row_id, _inbox.tenant == tenant, _inbox.state == DEAD)
    name = connection.execute(sa.select(_inbox.lane).where(chosen)).scalar_one_or_none()
    if name is None:
        raise _not_dead()
    lane = connection.execute(
        sa.update(lane_table)
        .where(_lane.lane == name)
        .values(last_seq=_lane.last_seq + 1, ready_at=sa.func.coalesce(_lane.ready_at, now))
        .returning(_lane.last_seq, _lane.ready_at)
    ).one()
    moved = connection.execute(
        sa.update(inbox_table)
        .where(chosen)
        .values(seq=lane.last_seq, state=OPEN, attempts=0, finished_at=None, last_error=None)
    )
    if not moved.rowcount:  # somebody redrove it between our two looks
        raise _not_dead()
    return Redriven(name, lane.ready_at)


def redrive_reply(
    connection: sa.Connection, tenant: TenantId, dead_id: int, now: sa.ColumnElement[int]
) -> Redriven:
    opened = connection.execute(
        sa.update(outbox_table)
        .where(_outbox.id == _row_id("reply", dead_id), _outbox.tenant == tenant, _outbox.state == DEAD)
        .values(state=OPEN, attempts=0, next_at=now, finished_at=None)
        .returning(_outbox.lane, _outbox.next_at)
    ).one_or_none()
    if opened is None:
        raise _not_dead()
    return Redriven(opened.lane, opened.next_at)


def depth(connection: sa.Connection, now: sa.ColumnElement[int], running: int | None = None) -> Depth:
    """`running` where the machine knows it; otherwise the leases in the lanes tell."""
    held = sa.case((_lane.lease_until > now, 1), else_=0)
    resting = sa.case((sa.and_(_lane.ready_at > now, _lane.lease_until <= now), 1), else_=0)
    lanes = connection.execute(
        sa.select(
            _sum(_lane.last_seq - _lane.done_seq), _sum(held), _sum(resting), sa.func.min(_inbox.received_at), now
        )
        .select_from(lane_table)
        .outerjoin(inbox_table, sa.and_(_inbox.lane == _lane.lane, _inbox.seq == _lane.done_seq + 1))
        .where(_lane.ready_at.is_not(None))
    ).one()  # fmt: skip
    entries, leased, backing_off, oldest, moment = lanes
    running = leased if running is None else running
    return Depth(
        waiting=max(0, entries - running - backing_off),
        running=running,
        backing_off=backing_off,
        dead=_count(connection, inbox_table, DEAD) + _count(connection, outbox_table, DEAD),
        replies_waiting=_count(connection, outbox_table, OPEN),
        oldest_age_seconds=0.0 if oldest is None else max(0, moment - oldest) / 1000,
    )


async def purge(database: Database, entries_before: datetime, replies_before: datetime) -> int:
    deleted = 0
    for table, before in ((inbox_table, entries_before), (outbox_table, replies_before)):
        chunk = functools.partial(_purge_chunk, table=table, before=to_milliseconds(before))
        while count := await database.write(chunk):
            deleted += count
    return deleted


def _purge_chunk(connection: sa.Connection, table: sa.Table, before: int) -> int:
    chosen = (
        sa.select(table.c.id).where(table.c.state == DONE, table.c.finished_at < before).limit(PURGE_CHUNK)
    )
    return connection.execute(sa.delete(table).where(table.c.id.in_(chosen))).rowcount


def _dead_of(
    connection: sa.Connection, kind: Kind, tenant: TenantId, after: int, *, limit: int
) -> list[Dead]:
    table = inbox_table if kind == "entry" else outbox_table
    parity = 0 if kind == "entry" else 1
    columns = table.c
    rows = connection.execute(
        sa.select(columns.id, columns.lane, columns.last_error, columns.attempts, columns.finished_at)
        .where(columns.tenant == tenant, columns.state == DEAD, columns.id * 2 + parity > after)
        .order_by(columns.id)
        .limit(limit)
    )
    return [
        Dead(
            id=row.id * 2 + parity,
            kind=kind,
            tenant=tenant,
            lane=row.lane,
            error=row.last_error or "",
            attempts=row.attempts,
            died_at=from_milliseconds(row.finished_at),
        )
        for row in rows
    ]


def _row_id(kind: Kind, dead_id: int) -> int:
    row_id, parity = divmod(dead_id, 2)
    if parity != (0 if kind == "entry" else 1):
        raise _not_dead()
    return row_id


def _not_dead() -> errors.NotFound:
    return errors.NotFound("There is no dead letter with this id.")


def _sum(expression: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.coalesce(sa.func.sum(expression), 0), sa.BigInteger)


def _count(connection: sa.Connection, table: sa.Table, state: int) -> int:
    query: sa.Select[Any] = sa.select(sa.func.count()).select_from(table).where(table.c.state == state)
    return int(connection.execute(query).scalar_one())
