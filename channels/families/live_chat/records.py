"""Files that customers sent, by the conversation they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from foundation.clock import to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, metadata

upload_table = sa.Table(
    "web_chat_upload",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("name", Sealed, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("web_chat_upload_conversation", "tenant", "conversation_id"),
)


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    conversation_id: str
    name: str
    media_type: str
    size: int


def add_upload(connection: sa.Connection, tenant: TenantId, upload: Upload, now: datetime) -> None:
    connection.execute(
        sa.insert(upload_table).values(
            tenant=tenant, id=upload.id, conversation_id=upload.conversation_id, name=upload.name,
            media_type=upload.media_type, size=upload.size, created_at=to_milliseconds(now),
        )
    )  # fmt: skip


def find_upload(connection: sa.Connection, tenant: TenantId, upload_id: str) -> Upload | None:
    table = upload_table.c
    row = connection.execute(
        sa.select(upload_table).where(table.tenant == tenant, table.id == upload_id)
    ).one_or_none()
    return None if row is None else Upload(row.id, row.conversation_id, row.name, row.media_type, row.size)
