"""Signed user tokens that name themselves (`jti`, RFC 7519 §4.1.7) count once: a copy that somebody has caught is worth nothing.

The browser that brought one first may show it again, for it renews its session with what its page was given; anybody else
is refused, and nothing is written for them. A digest is kept until the token itself has run out.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import TenantId
from foundation.security import Vault, equal
from foundation.storage.database import insert_of, metadata

used_token_table = sa.Table(
    "used_user_token",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("lookup", sa.Text, primary_key=True),
    sa.Column("used_by", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("used_user_token_age", "expires_at"),
)


def take(
    connection: sa.Connection, vault: Vault, tenant: TenantId, token_id: str, *, by: str, until: datetime, now: datetime,
) -> None:  # fmt: skip
    """`token_id` "" is a token without a name, which may be shown as often as it is valid. `by`: who may show it again.
    Raises `NotAuthentic` with code `user_token_used`."""
    if not token_id:
        return
    table = used_token_table.c
    connection.execute(sa.delete(used_token_table).where(table.expires_at < to_milliseconds(now)))
    key = vault.lookup_key("user token", tenant, token_id)
    used_by = vault.lookup_key("user token of", tenant, by)
    row = {"tenant": tenant, "lookup": key, "used_by": used_by, "expires_at": to_milliseconds(until)}
    connection.execute(insert_of(connection)(used_token_table).values(**row).on_conflict_do_nothing())
    first = connection.execute(
        sa.select(table.used_by).where(table.tenant == tenant, table.lookup == key)
    ).scalar_one()
    if not equal(first, used_by):
        raise errors.NotAuthentic(
            "This user token was used before; ask your server for a new one.", code="user_token_used"
        )
