"""Webhooks in SQL: receivers with their cursor over the outbox, and one row for each event that one of them should hear.

`desk.py` shows and changes them, `service/sync` fans out, claims and settles. Address and secrets are sealed. A row holds no
data of the event, only where it stands in the outbox; so what is erased there is told to nobody any more.

What would surprise you: a replay is nothing but the cursor set back. Rows that are there are opened again, under the same
id of the event, so a receiver that remembers ids does nothing twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.outward import outbox
from foundation.storage.database import Sealed, insert_of, metadata

State = Literal["on", "off", "gone", "failing"]
"""Off: by staff. Gone: it answered 410. Failing: nothing but failures for days. Only `on` is called."""
OPEN, DELIVERED, FAILED = 0, 1, 2
MOST_OPEN = 2_000
"""Rows of one webhook at a time; the rest waits in the outbox, where it costs nothing."""
TEST = "webhook.test"

webhook_table = sa.Table(
    "webhook",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("url", Sealed, nullable=False),
    sa.Column("secret", Sealed, nullable=False),
    sa.Column("old_secret", Sealed),
    sa.Column("old_secret_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("with_text", sa.Boolean, nullable=False),
    sa.Column("description", Sealed, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("held_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

delivery_table = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("webhook_id", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("milliseconds", sa.Integer, nullable=False, server_default="0"),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("webhook_delivery_lane_all", "tenant", "lane"),
    sa.Index("webhook_delivery_once", "tenant", "webhook_id", "position", unique=True),
    sa.Index("webhook_delivery_open", "tenant", "webhook_id", "state", "position"),
    sa.Index("webhook_delivery_lane", "tenant", "webhook_id", "state", "lane", "position"),
    sa.Index("webhook_delivery_age", "tenant", "at"),
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """`types`: which kinds it hears, empty for all. `secrets`: the current one, and the one before while it is still valid."""

    tenant: TenantId
    id: str
    url: str
    secrets: tuple[str, ...]
    types: tuple[str, ...]
    with_text: bool
    description: str
    state: State
    position: int
    failures: int
    failing_since: datetime | None
    held_until: datetime
    created_at: datetime

    def hears(self, kind: str) -> bool:
        return not self.types or kind in self.types


@dataclass(frozen=True, slots=True)
class Delivery:
    """`status` is what the receiver answered last, None when nothing came back; then `error` says why."""

    id: int
    webhook_id: str
    position: int | None
    event_id: str
    type: str
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_at: datetime
    status: int | None
    error: str
    milliseconds: int
    at: datetime


def add(connection: sa.Connection, webhook: Webhook) -> None:
    connection.execute(
        sa.insert(webhook_table).values(
            tenant=webhook.tenant, id=webhook.id, url=webhook.url, secret=webhook.secrets[0],
            types=json.dumps(webhook.types), with_text=webhook.with_text, description=webhook.description,
            state=webhook.state, position=webhook.position, created_at=to_milliseconds(webhook.created_at),
        )
    )  # fmt: skip


def change(connection: sa.Connection, tenant: TenantId, webhook_id: str, **columns: Any) -> None:
    """Raises `NotFound`."""
    values = {
        name: to_milliseconds(value) if isinstance(value, datetime) else value
        for name, value in columns.items()
    }
    if "types" in values:
        values["types"] = json.dumps(values["types"])
    if not connection.execute(
        sa.update(webhook_table).where(_is(tenant, webhook_id)).values(values)
    ).rowcount:
        raise unknown()


def remove(connection: sa.Connection, tenant: TenantId, webhook_id: str) -> None:
    """With its log. Raises `NotFound`."""
    if not connection.execute(sa.delete(webhook_table).where(_is(tenant, webhook_id))).rowcount:
        raise unknown()
    table = delivery_table.c
    connection.execute(
        sa.delete(delivery_table).where(table.tenant == tenant, table.webhook_id == webhook_id)
    )


def read_all(connection: sa.Connection, tenant: TenantId, now: datetime) -> list[Webhook]:
    table = webhook_table.c
    query = sa.select(webhook_table).where(table.tenant == tenant).order_by(table.created_at, table.id)
    return [_webhook(row, now) for row in connection.execute(query)]


def get(connection: sa.Connection, tenant: TenantId, webhook_id: str, now: datetime) -> Webhook:
    """Raises `NotFound`."""
    found = find(connection, tenant, webhook_id, now)
    if found is None:
        raise unknown()
    return found


def find(connection: sa.Connection, tenant: TenantId, webhook_id: str, now: datetime) -> Webhook | None:
    row = connection.execute(sa.select(webhook_table).where(_is(tenant, webhook_id))).one_or_none()
    return None if row is None else _webhook(row, now)


def fan_out(connection: sa.Connection, webhook: Webhook, now: datetime, *, limit: int = outbox.BATCH) -> int:
    """Makes rows of what stands behind its cursor; how many events it looked at. 0 while too many wait."""
    table, tenant = delivery_table.c, webhook.tenant
    locked = sa.select(webhook_table.c.position).where(_is(tenant, webhook.id)).with_for_update()
    position = connection.execute(locked).scalar_one_or_none()
    mine = [table.tenant == tenant, table.webhook_id == webhook.id, table.state == OPEN]
    waiting = sa.select(table.id).where(*mine).limit(MOST_OPEN).subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(waiting)).scalar_one()
    if position is None or count >= MOST_OPEN:
        return 0
    told = outbox.read_after(connection, tenant, position, limit=limit)
    opened = {"state": OPEN, "attempts": 0, "next_at": to_milliseconds(now), "claimed_until": 0}
    rows = [
        {
            "tenant": tenant, "webhook_id": webhook.id, "position": one.position, "event_id": one.id,
            "type": one.type, "lane": one.lane, "at": to_milliseconds(one.at), **opened,
        }
        for one in told
        if webhook.hears(one.type)
    ]  # fmt: skip
    if rows:
        insert = insert_of(connection)(delivery_table)
        again = insert.on_conflict_do_update(index_elements=["tenant", "webhook_id", "position"], set_=opened)
        connection.execute(again, rows)
    if told:
        change(connection, tenant, webhook.id, position=told[-1].position)
    return len(told)


def has_due(connection: sa.Connection, webhook: Webhook, now: datetime) -> bool:
    """Whether `claim` would find something; a look costs no durable commit."""
    return connection.execute(_due(webhook, now).limit(1)).first() is not None


def claim(
    connection: sa.Connection, webhook: Webhook, now: datetime, *, limit: int, lease_seconds: float
) -> list[Delivery]:
    """Heads of lanes that are due, each for one process only until the lease ends."""
    one, moment = delivery_table.c, to_milliseconds(now)
    due = _due(webhook, now).limit(limit).with_for_update(skip_locked=True)
    ids = list(connection.execute(due).scalars())
    if not ids:
        return []
    rows = connection.execute(
        sa.update(delivery_table)
        .where(one.id.in_(ids))
        .values(claimed_until=moment + round(lease_seconds * 1000))
        .returning(*delivery_table.columns)
    ).all()
    return sorted(map(_delivery, rows), key=lambda found: found.position or 0)


def settle(
    connection: sa.Connection, tenant: TenantId, delivery_id: int, *, state: int, status: int | None, error: str,
    milliseconds: int, next_at: datetime,
) -> None:  # fmt: skip
    table = delivery_table.c
    connection.execute(
        sa.update(delivery_table)
        .where(table.tenant == tenant, table.id == delivery_id)
        .values(
            state=state, attempts=table.attempts + 1, status=status, error=error, milliseconds=milliseconds,
            next_at=to_milliseconds(next_at), claimed_until=0,
        )
    )  # fmt: skip


def hurry(connection: sa.Connection, tenant: TenantId, webhook_id: str, now: datetime) -> None:
    """The receiver is back: what waits for its next attempt need not wait."""
    table, moment = delivery_table.c, to_milliseconds(now)
    connection.execute(
        sa.update(delivery_table)
        .where(
            table.tenant == tenant,
            table.webhook_id == webhook_id,
            table.state == OPEN,
            table.next_at > moment,
        )
        .values(next_at=moment)
    )


def note_test(
    connection: sa.Connection, webhook: Webhook, event_id: str, *, status: int | None, error: str,
    milliseconds: int, now: datetime,
) -> None:  # fmt: skip
    """A test stands in the log beside the events, but in no order."""
    fine = status is not None and 200 <= status < 300
    connection.execute(
        sa.insert(delivery_table).values(
            tenant=webhook.tenant, webhook_id=webhook.id, event_id=event_id, type=TEST, lane=webhook.id,
            state=DELIVERED if fine else FAILED, attempts=1, next_at=0, status=status, error=error,
            milliseconds=milliseconds, at=to_milliseconds(now),
        )
    )  # fmt: skip


def reopen(
    connection: sa.Connection, tenant: TenantId, webhook_id: str, delivery_id: int, now: datetime
) -> None:
    """Sends one event again, under its old id. Raises `NotFound`; a test is not an event."""
    table = delivery_table.c
    changed = connection.execute(
        sa.update(delivery_table)
        .where(
            table.tenant == tenant, table.webhook_id == webhook_id, table.id == delivery_id,
            table.position.is_not(None),
        )
        .values(state=OPEN, attempts=0, next_at=to_milliseconds(now), claimed_until=0)
    )  # fmt: skip
    if not changed.rowcount:
        raise errors.NotFound("There is no such delivery, or it was a test.", code="unknown_delivery")


def read_deliveries(
    connection: sa.Connection,
    tenant: TenantId,
    webhook_id: str,
    *,
    before: int | None = None,
    limit: int = 50,
) -> list[Delivery]:
    """Newest first."""
    table = delivery_table.c
    query = sa.select(delivery_table).where(table.tenant == tenant, table.webhook_id == webhook_id)
    if before is not None:
        query = query.where(table.id < before)
    return [_delivery(row) for row in connection.execute(query.order_by(table.id.desc()).limit(limit))]


def count_states(connection: sa.Connection, tenant: TenantId) -> dict[str, dict[int, int]]:
    """By webhook, how many rows are in each state."""
    table = delivery_table.c
    counted: dict[str, dict[int, int]] = {}
    query = sa.select(table.webhook_id, table.state, sa.func.count()).where(table.tenant == tenant)
    for webhook_id, state, count in connection.execute(query.group_by(table.webhook_id, table.state)):
        counted.setdefault(webhook_id, {})[state] = count
    return counted


def purge(connection: sa.Connection, tenant: TenantId, *, before: datetime) -> int:
    table = delivery_table.c
    return connection.execute(
        sa.delete(delivery_table).where(table.tenant == tenant, table.at < to_milliseconds(before))
    ).rowcount


def unknown() -> errors.NotFound:
    return errors.NotFound("There is no such webhook.", code="unknown_webhook")


def _due(webhook: Webhook, now: datetime) -> sa.Select[tuple[int]]:
    one, before, moment = delivery_table.c, delivery_table.alias().c, to_milliseconds(now)
    earlier = sa.exists().where(
        before.tenant == one.tenant, before.webhook_id == one.webhook_id, before.state == OPEN,
        before.lane == one.lane, before.position < one.position,
    )  # fmt: skip
    return (
        sa.select(one.id)
        .where(
            one.tenant == webhook.tenant, one.webhook_id == webhook.id, one.state == OPEN, one.next_at <= moment,
            one.claimed_until <= moment, ~earlier,
        )
        .order_by(one.position)
    )  # fmt: skip


def _is(tenant: TenantId, webhook_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(webhook_table.c.tenant == tenant, webhook_table.c.id == webhook_id)


def _webhook(row: sa.Row[Any], now: datetime) -> Webhook:
    old = row.old_secret if row.old_secret and row.old_secret_until > to_milliseconds(now) else None
    return Webhook(
        tenant=TenantId(row.tenant), id=row.id, url=row.url, secrets=(row.secret, old) if old else (row.secret,),
        types=tuple(json.loads(row.types)), with_text=row.with_text, description=row.description, state=row.state,
        position=row.position, failures=row.failures,
        failing_since=None if row.failing_since is None else from_milliseconds(row.failing_since),
        held_until=from_milliseconds(row.held_until), created_at=from_milliseconds(row.created_at),
    )  # fmt: skip


_STATES: tuple[Literal["waiting", "delivered", "failed"], ...] = ("waiting", "delivered", "failed")


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        row.id, row.webhook_id, row.position, row.event_id, row.type, _STATES[row.state], row.attempts,
        from_milliseconds(row.next_at), row.status, row.error, row.milliseconds, from_milliseconds(row.at),
    )  # fmt: skip
