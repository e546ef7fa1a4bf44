"""Devices with their push handles, and the replies that wait to be pushed to one, in SQL.

A handle belongs to whoever registered it last: a phone that is handed on gets nothing of its former owner. A row that
waits is taken by moving its time on, so that of two processes one calls and a crash only delays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

DEVICES_PER_USER = 10

device_table = sa.Table(
    "app_device",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, primary_key=True),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("handle", Sealed, nullable=False),
    sa.Column("handle_key", sa.Text, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Index("app_device_handle", "tenant", "account", "handle_key"),
)

push_table = sa.Table(
    "app_push",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("recipient", Sealed, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Index("app_push_due", "tenant", "account", "due_at"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """An account of the app."""

    tenant: TenantId
    account: str


@dataclass(frozen=True, slots=True)
class Device:
    device: str
    platform: str
    handle: str


@dataclass(frozen=True, slots=True)
class Push:
    """`id` is the same over all attempts."""

    id: str
    device: str
    conversation_id: ConversationId
    message_id: str
    recipient: str
    due_at: datetime
    attempts: int = 0


def keep_device(
    connection: sa.Connection, place: Place, conversation_id: ConversationId, device: Device, *, handle_key: str,
    now: datetime,
) -> None:  # fmt: skip
    table = device_table.c
    ours = _at(device_table, place)
    connection.execute(
        sa.delete(device_table).where(
            *ours,
            table.handle_key == handle_key,
            sa.or_(table.conversation_id != conversation_id, table.device != device.device),
        )
    )
    values = {
        "platform": device.platform, "handle": device.handle, "handle_key": handle_key,
        "seen_at": to_milliseconds(now),
    }  # fmt: skip
    insert = insert_of(connection)(device_table).values(
        tenant=place.tenant, account=place.account, conversation_id=conversation_id, device=device.device, **values
    )  # fmt: skip
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["tenant", "account", "conversation_id", "device"], set_=values
        )
    )
    newest = (
        sa.select(table.device)
        .where(*ours, table.conversation_id == conversation_id)
        .order_by(table.seen_at.desc(), table.device)
        .limit(DEVICES_PER_USER)
    )
    connection.execute(
        sa.delete(device_table).where(
            *ours, table.conversation_id == conversation_id, table.device.not_in(newest)
        )
    )


def forget_device(
    connection: sa.Connection, place: Place, conversation_id: ConversationId, device: str
) -> None:
    table = device_table.c
    connection.execute(
        sa.delete(device_table).where(
            *_at(device_table, place), table.conversation_id == conversation_id, table.device == device
        )
    )


def find_devices(connection: sa.Connection, place: Place, conversation_id: ConversationId) -> list[Device]:
    table = device_table.c
    rows = connection.execute(
        sa.select(device_table)
        .where(*_at(device_table, place), table.conversation_id == conversation_id)
        .order_by(table.device)
    )
    return [Device(row.device, row.platform, row.handle) for row in rows]


def add_pushes(connection: sa.Connection, place: Place, pushes: Iterable[Push]) -> None:
    """Repeatable."""
    for one in pushes:
        insert = insert_of(connection)(push_table).values(
            tenant=place.tenant, account=place.account, id=one.id, device=one.device,
            conversation_id=one.conversation_id, message_id=one.message_id, recipient=one.recipient,
            due_at=to_milliseconds(one.due_at), attempts=one.attempts,
        )  # fmt: skip
        connection.execute(insert.on_conflict_do_nothing())


def is_due(connection: sa.Connection, place: Place, now: datetime) -> bool:
    """A cheap look, for every second."""
    query = sa.select(push_table.c.id).where(
        *_at(push_table, place), push_table.c.due_at <= to_milliseconds(now)
    )
    return connection.execute(query.limit(1)).first() is not None


def take_due(
    connection: sa.Connection, place: Place, *, now: datetime, until: datetime, limit: int
) -> list[Push]:
    """Each is the caller's until `until`; one that is not settled by then is due again."""
    table = push_table.c
    rows = connection.execute(
        sa.select(push_table)
        .where(*_at(push_table, place), table.due_at <= to_milliseconds(now))
        .order_by(table.due_at, table.id, table.device)
        .limit(limit)
    ).all()
    taken = []
    for row in rows:
        moved = connection.execute(
            sa.update(push_table)
            .where(*_row(place, row.id, row.device), table.due_at == row.due_at)
            .values(due_at=to_milliseconds(until), attempts=row.attempts + 1)
        )
        if moved.rowcount == 1:
            taken.append(_push(row))
    return taken


def delay(connection: sa.Connection, place: Place, push: Push, until: datetime) -> None:
    connection.execute(
        sa.update(push_table).where(*_row(place, push.id, push.device)).values(due_at=to_milliseconds(until))
    )


def settle(connection: sa.Connection, place: Place, push: Push) -> None:
    connection.execute(sa.delete(push_table).where(*_row(place, push.id, push.device)))


def _push(row: Any) -> Push:
    """As it is in the attempt that begins now."""
    return Push(
        row.id, row.device, ConversationId(row.conversation_id), row.message_id, row.recipient,
        from_milliseconds(row.due_at), row.attempts + 1,
    )  # fmt: skip


def _at(table: sa.Table, place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == place.tenant, table.c.account == place.account


def _row(place: Place, identity: str, device: str) -> tuple[sa.ColumnElement[bool], ...]:
    return *_at(push_table, place), push_table.c.id == identity, push_table.c.device == device
