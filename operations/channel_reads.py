"""How accounts of channels do, read from what other modules wrote: traffic, failures, dead letters, reply windows.

`channel_desk` calls it inside a read. Conversations say which account they belong to, so everything is joined with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from channels.contract import MAIN, Capabilities
from channels.records import delivery_part_table
from foundation.bus.records import DEAD, inbox_table, outbox_table
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import conversation_table, message_table
from foundation.messages import ConversationId, TenantId

Place = tuple[str, str]
"""Channel and account."""

RECENT_WINDOWS = 6
WENT_OUT = ("sent", "delivered", "read", "failed")
OURS = ("bot", "agent")


@dataclass(slots=True)
class Traffic:
    """`sent` and `failed` are messages of ours since the moment that was asked for; `sent` got as far as the platform.
    `dead` is what was given up and nobody has taken up again: replies, and turns."""

    last_in: datetime | None = None
    last_out: datetime | None = None
    sent: int = 0
    failed: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Windows:
    """`seconds` and `quota` as the channel declares them; conversations whose window is open now, and how many of these
    have no reply left."""

    seconds: int
    quota: int | None
    open: int
    used_up: int


@dataclass(frozen=True, slots=True)
class OpenWindow:
    conversation_id: ConversationId
    closes_at: datetime
    used: int


def read_traffic(connection: sa.Connection, tenant: TenantId, since: datetime) -> dict[Place, Traffic]:
    found: dict[Place, Traffic] = {}
    talk, message, part = conversation_table.c, message_table.c, delivery_part_table.c
    last_in = sa.select(talk.channel, talk.account, sa.func.max(talk.last_customer_at)).where(
        talk.tenant == tenant
    )
    for where, moment in _by_place(connection, found, last_in):
        where.last_in = _later(where.last_in, moment)
    last_out = _joined(part.conversation_id, sa.func.max(part.sent_at)).where(part.tenant == tenant)
    for where, moment in _by_place(connection, found, last_out):
        where.last_out = _later(where.last_out, moment)
    start = to_milliseconds(since)
    failed = sa.func.sum(sa.case((message.state == "failed", 1), else_=0))
    states = _joined(message.conversation_id, sa.func.count(), failed).where(
        message.tenant == tenant, talk.updated_at >= start, message.sent_at >= start, message.role.in_(OURS),
        message.state.in_(WENT_OUT),
    )  # fmt: skip
    for where, number, lost in _by_place(connection, found, states):
        where.failed += int(lost)
        where.sent += int(number) - int(lost)
    for table in (inbox_table, outbox_table):
        dead = _joined(table.c.lane, sa.func.count()).where(table.c.tenant == tenant, table.c.state == DEAD)
        for where, number in _by_place(connection, found, dead):
            where.dead += int(number)
    return found


def read_windows(
    connection: sa.Connection, tenant: TenantId, place: Place, capabilities: Capabilities, now: datetime
) -> Windows | None:
    """None for a channel that takes a reply at any time."""
    seconds, quota = capabilities.reply_window_seconds, capabilities.reply_quota
    if seconds is None:
        return None
    used = _windows(tenant, place, seconds, now).subquery()
    full = sa.case((used.c.used >= (quota or 0), 1), else_=0) if quota else sa.literal(0)
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(full), 0)).select_from(used)
    ).one()
    return Windows(seconds, quota, int(row[0]), int(row[1]))


def read_open_windows(
    connection: sa.Connection, tenant: TenantId, place: Place, capabilities: Capabilities, now: datetime
) -> list[OpenWindow]:
    """The latest ones, newest first."""
    seconds = capabilities.reply_window_seconds
    if seconds is None:
        return []
    query = _windows(tenant, place, seconds, now)
    newest = query.order_by(conversation_table.c.last_customer_at.desc()).limit(RECENT_WINDOWS)
    return [
        OpenWindow(
            row.id, from_milliseconds(row.last_customer_at) + timedelta(seconds=seconds), int(row.used)
        )
        for row in connection.execute(newest)
    ]


def account_of(channel: str, account: str) -> str:
    """The web chat names its conversations by the site they stand on."""
    return MAIN if channel == "web_chat" else account


def _windows(tenant: TenantId, place: Place, seconds: int, now: datetime) -> sa.Select[Any]:
    talk, part = conversation_table.c, delivery_part_table.c
    since = to_milliseconds(now - timedelta(seconds=seconds))
    of_window = sa.and_(
        part.tenant == tenant, part.conversation_id == talk.id, part.sent_at >= talk.last_customer_at
    )
    return (
        sa.select(talk.id, talk.last_customer_at, sa.func.count(part.message_id).label("used"))
        .select_from(sa.outerjoin(conversation_table, delivery_part_table, of_window))
        .where(
            talk.tenant == tenant, talk.channel == place[0], talk.account == place[1], talk.last_customer_at >= since
        )
        .group_by(talk.id, talk.last_customer_at)
    )  # fmt: skip


def _joined(conversation_id: sa.Column[Any], *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    talk = conversation_table.c
    together = sa.join(conversation_id.table, conversation_table, conversation_id == talk.id)
    return sa.select(talk.channel, talk.account, *columns).select_from(together)


def _by_place(
    connection: sa.Connection, found: dict[Place, Traffic], query: sa.Select[Any]
) -> Iterator[tuple[Any, ...]]:
    talk = conversation_table.c
    for channel, account, *values in connection.execute(query.group_by(talk.channel, talk.account)):
        if values[0]:
            yield found.setdefault((channel, account_of(channel, account)), Traffic()), *values


def _later(known: datetime | None, milliseconds: int) -> datetime:
    moment = from_milliseconds(milliseconds)
    return moment if known is None else max(known, moment)
