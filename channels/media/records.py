"""Files that came with messages, kept sealed in the database: stored by `service.hearing`, shown to the staff.

The database is their one place: several machines see the same, and erasing a conversation erases its files in the same
transaction. An id is a keyed digest of where the file came in, so that it cannot be guessed, and the same attachment
stored twice is stored once. Functions take an open connection, like those of `foundation.conversations`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from channels.media import kinds
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.conversations import message_table
from foundation.messages import Attachment, ConversationId, TenantId
from foundation.security import Vault
from foundation.storage.database import Sealed, insert_of, metadata

media_table = sa.Table(
    "media",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("name", Sealed, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", Sealed, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.Index("media_conversation", "tenant", "conversation_id"),
    sa.Index("media_age", "stored_at"),
)
"""`content` is sealed by `seal` before the transaction, which must not wait for megabytes of cipher."""


@dataclass(frozen=True, slots=True)
class File:
    """A stored file without its content."""

    id: str
    conversation_id: ConversationId
    message_id: str
    media_type: str
    name: str
    size: int
    sha256: str


def make_id(
    vault: Vault, tenant: TenantId, conversation_id: ConversationId, message_id: str, index: int
) -> str:
    """The same for the same attachment of the same message."""
    return vault.lookup_key("media", tenant, conversation_id, message_id, str(index))


def describe(
    content: bytes, *, media_id: str, conversation_id: ConversationId, message_id: str, name: str
) -> File:
    """Raises as `kinds.fits`."""
    kinds.fits(content)
    return File(
        id=media_id, conversation_id=conversation_id, message_id=message_id, media_type=kinds.sniff(content),
        name=kinds.safe_name(name), size=len(content), sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def store(
    connection: sa.Connection, tenant: TenantId, file: File, *, sealed_content: bytes, now: datetime
) -> None:
    """Repeatable: an id that is there keeps its content."""
    insert = insert_of(connection)
    connection.execute(
        insert(media_table)
        .values(
            tenant=tenant, id=file.id, conversation_id=file.conversation_id, message_id=file.message_id,
            media_type=file.media_type, name=file.name, size=file.size, sha256=file.sha256,
            content=sealed_content, stored_at=to_milliseconds(now),
        )
        .on_conflict_do_nothing()
    )  # fmt: skip


def find(connection: sa.Connection, tenant: TenantId, media_id: str) -> File | None:
    c = media_table.c
    row = connection.execute(
        sa.select(c.id, c.conversation_id, c.message_id, c.media_type, c.name, c.size, c.sha256).where(
            c.tenant == tenant, c.id == media_id
        )
    ).one_or_none()
    return None if row is None else File(**row._mapping)


def read_sealed(connection: sa.Connection, tenant: TenantId, media_id: str) -> bytes:
    """Raises `NotFound`. Unseal it off the event loop."""
    c = media_table.c
    content = connection.execute(
        sa.select(c.content).where(c.tenant == tenant, c.id == media_id)
    ).scalar_one_or_none()
    if content is None:
        raise errors.NotFound("This file does not exist.")
    return bytes(content)


def erase(connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> int:
    """Every file of a conversation; returns how many there were."""
    c = media_table.c
    return connection.execute(
        sa.delete(media_table).where(c.tenant == tenant, c.conversation_id == conversation_id)
    ).rowcount


def complete(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, message_id: str, *,
    attachments: Sequence[Attachment],
) -> bool:  # fmt: skip
    """The line of the transcript learns what is known about what came with it. False when it is not there (any more)."""
    c = message_table.c
    mine = sa.and_(c.tenant == tenant, c.conversation_id == conversation_id, c.id == message_id)
    row = connection.execute(sa.select(c.extras).where(mine)).one_or_none()
    if row is None:
        return False
    extras: dict[str, Any] = json.loads(row.extras) if row.extras else {}
    extras["attachments"] = [one.model_dump() for one in attachments]
    connection.execute(
        sa.update(message_table).where(mine).values(extras=json.dumps(extras, ensure_ascii=False))
    )
    return True
