"""What an erasure waits for: files and drafts of imports that came before it, in which nobody can be found."""

from __future__ import annotations

import sqlalchemy as sa

from foundation.messages import TenantId
from operations.customer_data.records import batch_table, import_table


def count(connection: sa.Connection, tenant: TenantId, *, until: int) -> int:
    """`until` in milliseconds."""
    table, batch = import_table.c, batch_table.c
    before = (table.tenant == tenant, table.created_at <= until)
    files = sa.select(sa.func.count()).where(*before, table.content.is_not(None))
    drafts = sa.select(sa.func.count()).where(
        batch.tenant == tenant,
        batch.body.is_not(None),
        batch.import_id.in_(sa.select(table.id).where(*before)),
    )
    return int(connection.execute(files).scalar_one()) + int(connection.execute(drafts).scalar_one())
