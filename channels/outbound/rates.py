"""How fast an account may send, over all processes: each part reserves its moment, and waits for it on the bus.

`delivery` asks before each part. The rule is the generic cell rate algorithm (ITU-T I.371): a theoretical arrival time per
account, and per customer where the platform counts those too. A moment that was reserved is kept with the part, so that
whoever sends it later does not queue again. A platform's own "not before" holds back the whole account.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from channels.contract import Rate
from foundation.clock import to_milliseconds
from foundation.messages import OutboundMessage
from foundation.storage.database import insert_of, metadata

HELD = "held"
ALL = ""

rate_table = sa.Table(
    "channel_rate",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("next_at", sa.BigInteger, nullable=False),
)

slot_table = sa.Table(
    "delivery_slot",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sends_at", sa.BigInteger, nullable=False),
)


def reserve(
    connection: sa.Connection, message: OutboundMessage, part: int, limits: Sequence[tuple[str, Rate]], now: datetime
) -> float:  # fmt: skip
    """Seconds until the part may go; 0: now. `limits` by scope: `ALL`, or the conversation. Repeatable: a reserved moment
    stays."""
    moment = to_milliseconds(now)
    where = _slot(message, part)
    kept = connection.execute(sa.select(slot_table.c.sends_at).where(*where)).scalar_one_or_none()
    if kept is None:
        kept = max(_take(connection, message, scope, rate, moment) for scope, rate in limits)
        if kept > moment:
            connection.execute(
                sa.insert(slot_table).values(
                    tenant=message.tenant, conversation_id=message.conversation_id, message_id=message.message_id,
                    part=part, sends_at=kept,
                )
            )  # fmt: skip
    return max(0.0, (kept - moment) / 1000)


def release(connection: sa.Connection, message: OutboundMessage, part: int) -> None:
    """It went out, or never will."""
    connection.execute(sa.delete(slot_table).where(*_slot(message, part)))


def hold(connection: sa.Connection, message: OutboundMessage, seconds: float, now: datetime) -> None:
    """The platform takes nothing of this account for so long; never shortens."""
    _upsert(connection, message, HELD, to_milliseconds(now + timedelta(seconds=seconds)), add=0)


def held_seconds(connection: sa.Connection, message: OutboundMessage, now: datetime) -> float:
    table = rate_table.c
    until = connection.execute(
        sa.select(table.next_at).where(
            table.tenant == message.tenant, table.channel == message.channel, table.account == message.account,
            table.scope == HELD,
        )
    ).scalar_one_or_none()  # fmt: skip
    return 0.0 if until is None else max(0.0, (until - to_milliseconds(now)) / 1000)


def _take(connection: sa.Connection, message: OutboundMessage, scope: str, rate: Rate, now: int) -> int:
    """The moment of this one, in milliseconds; the next one's is `seconds / count` later."""
    step = round(rate.seconds * 1000 / rate.count)
    arrival = _upsert(connection, message, scope, now, add=step)
    return max(now, arrival - round(rate.seconds * 1000))


def _upsert(connection: sa.Connection, message: OutboundMessage, scope: str, moment: int, *, add: int) -> int:
    """The later of what stands there and `moment`, plus `add`; atomic."""
    insert = insert_of(connection)
    before = rate_table.c.next_at
    later = sa.case((before > moment, before), else_=moment)
    made = (
        insert(rate_table)
        .values(
            tenant=message.tenant, channel=message.channel, account=message.account, scope=scope, next_at=moment + add
        )
        .on_conflict_do_update(
            index_elements=["tenant", "channel", "account", "scope"], set_={"next_at": later + add}
        )
    )  # fmt: skip
    return int(connection.execute(made.returning(before)).scalar_one())


def _slot(message: OutboundMessage, part: int) -> tuple[sa.ColumnElement[bool], ...]:
    table = slot_table.c
    return (
        table.tenant == message.tenant,
        table.conversation_id == message.conversation_id,
        table.message_id == message.message_id,
        table.part == part,
    )
