"""Imports of customers in SQL: the import with its file until it begins, its batches, and the rows that stayed out.

`desk.py` shows and changes them, `job.py` works them off. All that tells about a person is sealed: the file, the drafts of a
batch, the rows that stayed out. A batch gives its drafts away in the transaction that stores what they say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

import sqlalchemy as sa

from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, insert_of, metadata

State = Literal["ready", "queued", "running", "done", "partly", "failed"]
"""Ready: can be mapped and started. Queued: started, not cut into batches yet. Partly: some batches were set aside."""

import_table = sa.Table(
    "customer_import",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", Sealed, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sheet", Sealed, nullable=False),
    sa.Column("targets", sa.Text, nullable=False),
    sa.Column("preview", Sealed, nullable=False),
    sa.Column("start_key", sa.Text, nullable=False, server_default=""),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("claimed_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("customer_import_age", "tenant", "created_at"),
    sa.Index("customer_import_state", "tenant", "state"),
)

batch_table = sa.Table(
    "customer_import_batch",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("import_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("claimed_until", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("first_row", sa.Integer, nullable=False),
    sa.Column("last_row", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("added", sa.Integer, nullable=False, server_default="0"),
    sa.Column("updated", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unchanged", sa.Integer, nullable=False, server_default="0"),
    sa.Column("body", Sealed),
    sa.Index("customer_import_batch_open", "tenant", "state", "claimed_until"),
)

left_out_table = sa.Table(
    "customer_import_left_out",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("import_id", sa.Text, primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("body", Sealed, nullable=False),
    sa.Index("customer_import_left_out_identity", "tenant", "identity_id"),
)


@dataclass(frozen=True, slots=True)
class Import:
    tenant: TenantId
    id: str
    name: str
    source: str
    state: State
    size: int
    sheet: Mapping[str, Any]
    """Encoding, delimiter, header, samples and number of rows."""
    targets: tuple[str, ...]
    preview: Mapping[str, Any]
    start_key: str
    attempts: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    import_id: str
    number: int
    state: Literal["waiting", "done", "aside"]
    attempts: int
    error: str
    first_row: int
    last_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows by what became of them. `left_out` are those that can still be fetched."""

    rows: int = 0
    done: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    left_out: int = 0
    aside: tuple[Batch, ...] = field(default=())


def add(connection: sa.Connection, one: Import, content: bytes) -> None:
    connection.execute(
        sa.insert(import_table).values(
            tenant=one.tenant, id=one.id, name=one.name, source=one.source, state=one.state, content=content,
            size=one.size, sheet=_dump(one.sheet), targets=_dump(one.targets), preview=_dump(one.preview),
            created_by=one.created_by, created_at=to_milliseconds(one.created_at),
        )
    )  # fmt: skip


_SHOWN = [column for column in import_table.c if column.name not in ("content", "claimed_until")]


def get(connection: sa.Connection, tenant: TenantId, import_id: str) -> Import:
    """Raises `NotFound`."""
    row = connection.execute(sa.select(*_SHOWN).where(_is(tenant, import_id))).one_or_none()
    if row is None:
        raise errors.NotFound("There is no such import.", code="unknown_import")
    return _import(row)


def read_newest(connection: sa.Connection, tenant: TenantId, *, limit: int) -> list[Import]:
    table = import_table.c
    query = sa.select(*_SHOWN).where(table.tenant == tenant).order_by(table.created_at.desc(), table.id)
    return [_import(row) for row in connection.execute(query.limit(limit))]


def content_of(connection: sa.Connection, tenant: TenantId, import_id: str) -> bytes:
    """Sealed, as it was stored. Raises `NotFound` when it is gone: taken in, or too old."""
    found = connection.execute(
        sa.select(import_table.c.content).where(_is(tenant, import_id))
    ).scalar_one_or_none()
    if found is None:
        raise errors.NotFound("The file of this import is not kept any more.", code="file_gone")
    return bytes(found)


def change(
    connection: sa.Connection, tenant: TenantId, import_id: str, *, only: Sequence[State], **values: Any
) -> bool:
    """False when it is in none of the states `only`."""
    changed = connection.execute(
        sa.update(import_table).where(_is(tenant, import_id), import_table.c.state.in_(only)).values(**values)
    )
    return changed.rowcount == 1


def remap(
    connection: sa.Connection, tenant: TenantId, import_id: str, targets: Sequence[str], preview: Mapping[str, Any]
) -> bool:  # fmt: skip
    return change(
        connection, tenant, import_id, only=["ready"], targets=_dump(targets), preview=_dump(preview)
    )


def remove(connection: sa.Connection, tenant: TenantId, import_id: str) -> bool:
    """Only one that was not started."""
    gone = connection.execute(
        sa.delete(import_table).where(_is(tenant, import_id), import_table.c.state == "ready")
    )
    return gone.rowcount == 1


def add_batch(connection: sa.Connection, tenant: TenantId, batch: Batch, drafts: Sequence[Any]) -> None:
    connection.execute(
        sa.insert(batch_table).values(
            tenant=tenant, import_id=batch.import_id, number=batch.number, state=batch.state,
            first_row=batch.first_row, last_row=batch.last_row, rows=batch.rows, body=_dump(drafts),
        )
    )  # fmt: skip


def leave_out(
    connection: sa.Connection, tenant: TenantId, import_id: str, rows: Sequence[tuple[int, str, Mapping[str, Any]]]
) -> None:  # fmt: skip
    """Rows that stay out, each with whom it names ("" where nobody knows), its cells and reasons; one that is there
    already stays as it is."""
    values = [
        {"tenant": tenant, "import_id": import_id, "row": number, "identity_id": owner, "body": _dump(body)}
        for number, owner, body in rows
    ]
    if values:
        connection.execute(insert_of(connection)(left_out_table).on_conflict_do_nothing(), values)


def read_left_out(
    connection: sa.Connection, tenant: TenantId, import_id: str, *, after: int = 0, limit: int = 1_000
) -> list[tuple[int, dict[str, Any]]]:
    table = left_out_table.c
    query = (
        sa.select(table.row, table.body)
        .where(table.tenant == tenant, table.import_id == import_id, table.row > after)
        .order_by(table.row)
        .limit(limit)
    )
    return [(row.row, json.loads(row.body)) for row in connection.execute(query)]


def progress(connection: sa.Connection, tenant: TenantId, import_id: str) -> Progress:
    mine = sa.and_(batch_table.c.tenant == tenant, batch_table.c.import_id == import_id)
    table = batch_table.c
    settled = sa.case((table.state == "done", table.rows), else_=0)
    row = connection.execute(
        sa.select(
            *(
                sa.func.coalesce(sa.func.sum(one), 0)
                for one in (table.rows, settled, table.added, table.updated, table.unchanged)
            )
        ).where(mine)
    ).one()
    out = left_out_table.c
    left_out = connection.execute(
        sa.select(sa.func.count()).where(out.tenant == tenant, out.import_id == import_id)
    ).scalar_one()
    aside = connection.execute(sa.select(*_BATCH).where(mine, table.state == "aside").order_by(table.number))
    rows, done, added, updated, unchanged = (int(one) for one in row)
    return Progress(rows, done, added, updated, unchanged, int(left_out), tuple(map(_batch, aside)))


_BATCH = [column for column in batch_table.c if column.name != "body"]


def find_open(connection: sa.Connection, tenant: TenantId, now: datetime) -> Batch | None:
    """The next to do: what failed least, then what was started first; none that somebody is at."""
    table, imports = batch_table.c, import_table.c
    query = (
        sa.select(*_BATCH)
        .join(import_table, sa.and_(imports.tenant == table.tenant, imports.id == table.import_id))
        .where(table.tenant == tenant, table.state == "waiting", table.claimed_until <= to_milliseconds(now))
        .order_by(table.attempts, imports.started_at, table.import_id, table.number)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _batch(row)


def claim(
    connection: sa.Connection, tenant: TenantId, batch: Batch, *, now: datetime, until: datetime
) -> bool:
    """True for one of all who try; counted as an attempt before it is made, because it may end the process."""
    claimed = connection.execute(
        sa.update(batch_table)
        .where(
            _is_batch(tenant, batch),
            batch_table.c.state == "waiting",
            batch_table.c.claimed_until <= to_milliseconds(now),
        )
        .values(claimed_until=to_milliseconds(until), attempts=batch_table.c.attempts + 1)
    )
    return claimed.rowcount == 1


def take(connection: sa.Connection, tenant: TenantId, batch: Batch) -> list[Any] | None:
    """Its drafts, once: whoever takes them settles it in the same transaction. None when somebody else has."""
    mine = sa.and_(_is_batch(tenant, batch), batch_table.c.state == "waiting")
    body = connection.execute(
        sa.select(batch_table.c.body).where(mine).with_for_update()
    ).scalar_one_or_none()
    return None if body is None else cast("list[Any]", json.loads(body))


def settle(connection: sa.Connection, tenant: TenantId, batch: Batch, **counted: int) -> None:
    connection.execute(
        sa.update(batch_table)
        .where(_is_batch(tenant, batch))
        .values(state="done", body=None, error="", **counted)
    )


def put_off(
    connection: sa.Connection, tenant: TenantId, batch: Batch, *, error: str, until: datetime, final: bool
) -> None:
    """`final`: set aside, for a person."""
    connection.execute(
        sa.update(batch_table)
        .where(_is_batch(tenant, batch), batch_table.c.state == "waiting")
        .values(error=error, claimed_until=to_milliseconds(until), state="aside" if final else "waiting")
    )


def reopen(connection: sa.Connection, tenant: TenantId, import_id: str) -> int:
    """Batches that were set aside, as long as their drafts are kept; how many."""
    table = batch_table.c
    return connection.execute(
        sa.update(batch_table)
        .where(
            table.tenant == tenant, table.import_id == import_id, table.state == "aside", table.body.is_not(None)
        )
        .values(state="waiting", attempts=0, claimed_until=0)
    ).rowcount  # fmt: skip


def hold(connection: sa.Connection, tenant: TenantId, import_id: str) -> None:
    """Until the transaction ends nobody else settles a batch of it."""
    connection.execute(sa.select(import_table.c.id).where(_is(tenant, import_id)).with_for_update())


def count_waiting(connection: sa.Connection, tenant: TenantId, import_id: str) -> int:
    table = batch_table.c
    query = sa.select(sa.func.count()).where(
        table.tenant == tenant, table.import_id == import_id, table.state == "waiting"
    )
    return int(connection.execute(query).scalar_one())


def find_queued(connection: sa.Connection, tenant: TenantId, now: datetime) -> Import | None:
    """The next to cut into batches."""
    table = import_table.c
    query = (
        sa.select(*_SHOWN)
        .where(table.tenant == tenant, table.state == "queued", table.claimed_until <= to_milliseconds(now))
        .order_by(table.attempts, table.started_at, table.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _import(row)


def drop_old(connection: sa.Connection, tenant: TenantId, *, before: datetime) -> None:
    """What a person said in a table is not kept: files that were never started, rows that stayed out, drafts set aside."""
    moment = to_milliseconds(before)
    table, batch, out = import_table.c, batch_table.c, left_out_table.c
    connection.execute(
        sa.delete(import_table).where(
            table.tenant == tenant, table.state == "ready", table.created_at < moment
        )
    )
    ended = sa.select(table.id).where(
        table.tenant == tenant, sa.or_(table.ended_at < moment, sa.and_(table.ended_at.is_(None), table.started_at < moment))
    )  # fmt: skip
    connection.execute(sa.delete(left_out_table).where(out.tenant == tenant, out.import_id.in_(ended)))
    connection.execute(
        sa.update(batch_table)
        .where(batch.tenant == tenant, batch.state == "aside", batch.import_id.in_(ended))
        .values(body=None)
    )
    connection.execute(
        sa.update(import_table)
        .where(table.tenant == tenant, table.state == "failed", table.ended_at < moment)
        .values(content=None)
    )


def _is(tenant: TenantId, import_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(import_table.c.tenant == tenant, import_table.c.id == import_id)


def _is_batch(tenant: TenantId, batch: Batch) -> sa.ColumnElement[bool]:
    table = batch_table.c
    return sa.and_(table.tenant == tenant, table.import_id == batch.import_id, table.number == batch.number)


def _batch(row: sa.Row[Any]) -> Batch:
    return Batch(
        row.import_id, row.number, row.state, row.attempts, row.error, row.first_row, row.last_row, row.rows
    )


def _import(row: sa.Row[Any]) -> Import:
    def moment(value: int | None) -> datetime | None:
        return None if value is None else from_milliseconds(value)

    return Import(
        tenant=TenantId(row.tenant), id=row.id, name=row.name, source=row.source, state=row.state, size=row.size,
        sheet=json.loads(row.sheet), targets=tuple(json.loads(row.targets)), preview=json.loads(row.preview),
        start_key=row.start_key, attempts=row.attempts, created_by=row.created_by,
        created_at=from_milliseconds(row.created_at), started_at=moment(row.started_at),
        ended_at=moment(row.ended_at),
    )  # fmt: skip


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
