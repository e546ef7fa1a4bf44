"""The tables of the bus, the same on both engines. `ledger.py` and `upkeep.py` hold the SQL over them.

A lane row says how far its lane is (`done_seq` of `last_seq`) and when its head may run (`ready_at`; NULL: idle). On
Postgres it is also the lease: `owner`, `fence`, `lease_until`. The head is always the inbox row `done_seq + 1`. Lanes
are never deleted, because their numbers are in the idempotency keys that providers remember.
"""

from __future__ import annotations

import sqlalchemy as sa

from foundation.storage.database import Sealed, metadata

OPEN, DONE, DEAD = 0, 1, 2

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only when the type is exactly INTEGER."""

lane_table = sa.Table(
    "bus_lane",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("done_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("ready_at", sa.BigInteger),
    sa.Column("owner", sa.Text),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("lease_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index(
        "bus_lane_ready",
        "ready_at",
        sqlite_where=sa.text("ready_at IS NOT NULL"),
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    ),
)

inbox_table = sa.Table(
    "bus_inbox",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("payload", Sealed, nullable=False),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", Sealed),
    sa.Column("finished_at", sa.BigInteger),
    sa.UniqueConstraint("tenant", "source", "key", name="bus_inbox_once"),
    sa.UniqueConstraint("lane", "seq", name="bus_inbox_order"),
    sa.Index(
        "bus_inbox_dead",
        "tenant",
        "id",
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    ),
    sa.Index(
        "bus_inbox_purge",
        "finished_at",
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    ),
)

outbox_table = sa.Table(
    "bus_outbox",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("payload", Sealed, nullable=False),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("last_error", Sealed),
    sa.Column("provider_id", sa.Text, nullable=False, server_default=""),
    sa.Column("finished_at", sa.BigInteger),
    sa.UniqueConstraint("lane", "seq", "part", name="bus_outbox_once"),
    sa.Index(
        "bus_outbox_open",
        "lane",
        "id",
        sqlite_where=sa.text("state = 0"),
        postgresql_where=sa.text("state = 0"),
    ),
    sa.Index(
        "bus_outbox_due",
        "next_at",
        sqlite_where=sa.text("state = 0"),
        postgresql_where=sa.text("state = 0"),
    ),
    sa.Index(
        "bus_outbox_dead",
        "tenant",
        "id",
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    ),
    sa.Index(
        "bus_outbox_purge",
        "finished_at",
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    ),
)
