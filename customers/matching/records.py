"""Matching in SQL: records' columns, block keys, models and which one is live, pairs that wait for a person.

`online.py` and `lifecycle.py` are the only users. Columns are sealed; a block key is a keyed digest that no other index
shares. Every function can be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from customers.matching.features import Derived
from customers.matching.scorer import Reason
from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, insert_of, metadata

match_record_table = sa.Table(
    "match_record",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("features", Sealed, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

block_key_table = sa.Table(
    "block_key",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("k", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Index("block_key_identity", "tenant", "identity_id"),
    sqlite_with_rowid=False,  # the rows of one key lie together, without a second tree
)

match_model_table = sa.Table(
    "match_model",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("thresholds", sa.Text, nullable=False),
    sa.Column("population", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
)

match_state_table = sa.Table(
    "match_state",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer),  # nothing: the model that we ship
    sa.Column("population", sa.BigInteger, nullable=False),
    sa.Column("counted_at", sa.BigInteger, nullable=False),
)

review_item_table = sa.Table(
    "review_item",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("a", sa.Text, primary_key=True),
    sa.Column("b", sa.Text, primary_key=True),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
    sa.Column("model_version", sa.Integer),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("decided_at", sa.BigInteger),
    sa.Column("decided_by", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Index("review_item_open", "tenant", "status", "score"),
    sa.Index("review_item_b", "tenant", "b"),
)


@dataclass(frozen=True, slots=True)
class State:
    version: int | None
    population: int
    counted_at: datetime


@dataclass(frozen=True, slots=True)
class StoredModel:
    """`model` and `thresholds` are JSON."""

    version: int
    model: str
    thresholds: str
    population: int
    note: str
    made_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """Two identities, `a` before `b`, that may be one person. `status` is open, accepted or rejected."""

    a: str
    b: str
    score: float
    reasons: tuple[Reason, ...]
    model_version: int | None
    status: str
    created_at: datetime
    decided_by: str = ""
    reason: str = ""


def save_records(
    connection: sa.Connection, tenant: TenantId, derived: Mapping[str, Derived], now: datetime
) -> None:
    rows = [
        {"tenant": tenant, "identity_id": one, "features": _render(two), "updated_at": to_milliseconds(now)}
        for one, two in derived.items()
    ]
    if rows:
        insert = insert_of(connection)(match_record_table)
        changed = {"features": insert.excluded.features, "updated_at": insert.excluded.updated_at}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["tenant", "identity_id"], set_=changed), rows
        )


def load_records(
    connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]
) -> dict[str, Derived]:
    if not identity_ids:
        return {}
    table = match_record_table.c
    query = sa.select(table.identity_id, table.features).where(
        table.tenant == tenant, table.identity_id.in_(identity_ids)
    )
    return {row.identity_id: _parse(row.features) for row in connection.execute(query)}


def walk_records(
    connection: sa.Connection, tenant: TenantId, *, after: str = "", limit: int
) -> Iterator[tuple[str, Derived]]:
    """In the order of ids, from behind `after`."""
    table = match_record_table.c
    query = (
        sa.select(table.identity_id, table.features)
        .where(table.tenant == tenant, table.identity_id > after)
        .order_by(table.identity_id)
        .limit(limit)
    )
    for row in connection.execute(query):
        yield row.identity_id, _parse(row.features)


def replace_keys(connection: sa.Connection, tenant: TenantId, keys: Mapping[str, Collection[int]]) -> None:
    """By identity, all the keys it has from now on."""
    table = block_key_table.c
    stored = connection.execute(
        sa.select(table.k, table.identity_id).where(table.tenant == tenant, table.identity_id.in_(list(keys)))
    )
    before = {(row.k, row.identity_id) for row in stored}
    after = {(k, identity_id) for identity_id, many in keys.items() for k in many}
    for k, identity_id in before - after:
        connection.execute(
            sa.delete(block_key_table).where(
                table.tenant == tenant, table.k == k, table.identity_id == identity_id
            )
        )
    new = [{"tenant": tenant, "k": k, "identity_id": one} for k, one in sorted(after - before)]
    if new:
        connection.execute(insert_of(connection)(block_key_table).on_conflict_do_nothing(), new)


def find_by_keys(
    connection: sa.Connection, tenant: TenantId, keys: Sequence[int], *, cap: int
) -> dict[str, int]:
    """Identities and how many of the keys they share. A key of more than `cap` identities finds nobody, and is read
    no further than that."""
    if not keys:
        return {}
    values: dict[str, Any] = {f"k{number}": key for number, key in enumerate(keys)}
    values.update(tenant=tenant, most=cap + 1)
    by_key: dict[int, list[str]] = {}
    for k, identity_id in connection.execute(_by_keys(len(keys)), values):
        by_key.setdefault(k, []).append(identity_id)
    found: dict[str, int] = {}
    for identities in by_key.values():
        if len(identities) <= cap:
            for identity in identities:
                found[identity] = found.get(identity, 0) + 1
    return found


@cache
def _by_keys(count: int) -> sa.TextClause:
    """One statement for all keys, each read with its own limit. As text: building twenty subqueries anew for each
    record took longer than the database did."""
    part = (
        "SELECT * FROM (SELECT k, identity_id FROM block_key WHERE tenant = :tenant AND k = :k{0} LIMIT :most)"
        " AS part{0}"
    )
    return sa.text(" UNION ALL ".join(part.format(number) for number in range(count)))


def forget(connection: sa.Connection, tenant: TenantId, identity_id: str) -> None:
    """Everything of one identity, for erasure."""
    for table in (match_record_table, block_key_table):
        connection.execute(
            sa.delete(table).where(table.c.tenant == tenant, table.c.identity_id == identity_id)
        )
    item = review_item_table.c
    connection.execute(
        sa.delete(review_item_table).where(
            item.tenant == tenant, sa.or_(item.a == identity_id, item.b == identity_id)
        )
    )


def count_records(connection: sa.Connection, tenant: TenantId) -> int:
    table = match_record_table.c
    query = sa.select(sa.func.count()).select_from(match_record_table).where(table.tenant == tenant)
    return int(connection.execute(query).scalar_one())


def find_state(connection: sa.Connection, tenant: TenantId) -> State | None:
    row = connection.execute(
        sa.select(match_state_table).where(match_state_table.c.tenant == tenant)
    ).one_or_none()
    return None if row is None else State(row.version, row.population, from_milliseconds(row.counted_at))


def set_population(connection: sa.Connection, tenant: TenantId, population: int, now: datetime) -> None:
    _set_state(connection, tenant, now, population=population)


def set_live(connection: sa.Connection, tenant: TenantId, version: int | None, now: datetime) -> None:
    """Which model scores from now on; a rollback is nothing else."""
    state = find_state(connection, tenant)
    population = state.population if state else count_records(connection, tenant)
    _set_state(connection, tenant, state.counted_at if state else now, population=population, version=version)


def _set_state(connection: sa.Connection, tenant: TenantId, counted_at: datetime, **values: Any) -> None:
    values["counted_at"] = to_milliseconds(counted_at)
    insert = insert_of(connection)(match_state_table).values(tenant=tenant, **values)
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant"], set_=values))


def add_model(connection: sa.Connection, tenant: TenantId, stored: StoredModel) -> int:
    """Its number; versions are never changed or used again."""
    table = match_model_table.c
    newest = connection.execute(
        sa.select(sa.func.max(table.version)).where(table.tenant == tenant)
    ).scalar_one_or_none()
    version = (newest or 0) + 1
    connection.execute(
        sa.insert(match_model_table).values(
            tenant=tenant, version=version, model=stored.model, thresholds=stored.thresholds,
            population=stored.population, note=stored.note, made_at=to_milliseconds(stored.made_at),
            made_by=stored.made_by,
        )
    )  # fmt: skip
    return version


def get_model(connection: sa.Connection, tenant: TenantId, version: int) -> StoredModel:
    """Raises `NotFound`."""
    table = match_model_table.c
    row = connection.execute(
        sa.select(match_model_table).where(table.tenant == tenant, table.version == version)
    ).one_or_none()
    if row is None:
        raise errors.NotFound("There is no matching model of this version.", code="no_such_model")
    return StoredModel(
        row.version, row.model, row.thresholds, row.population, row.note, from_milliseconds(row.made_at),
        row.made_by,
    )  # fmt: skip


def save_review(connection: sa.Connection, tenant: TenantId, item: ReviewItem) -> None:
    """A pair that a person has decided about stays decided."""
    values = {
        "score": item.score,
        "explanation": _render_reasons(item.reasons),
        "model_version": item.model_version,
    }
    insert = insert_of(connection)(review_item_table).values(
        tenant=tenant, a=item.a, b=item.b, status=item.status, created_at=to_milliseconds(item.created_at),
        **values,
    )  # fmt: skip
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["tenant", "a", "b"], set_=values, where=review_item_table.c.status == "open"
        )
    )


def list_reviews(
    connection: sa.Connection, tenant: TenantId, *, status: str = "open", limit: int = 100
) -> list[ReviewItem]:
    """The likeliest first."""
    table = review_item_table.c
    query = (
        sa.select(review_item_table)
        .where(table.tenant == tenant, table.status == status)
        .order_by(table.score.desc(), table.a, table.b)
        .limit(limit)
    )
    return [_item(row) for row in connection.execute(query)]


def get_review(connection: sa.Connection, tenant: TenantId, a: str, b: str) -> ReviewItem:
    """Raises `NotFound`."""
    table = review_item_table.c
    row = connection.execute(
        sa.select(review_item_table).where(table.tenant == tenant, table.a == a, table.b == b)
    ).one_or_none()
    if row is None:
        raise errors.NotFound("This pair does not wait for a decision.", code="no_such_pair")
    return _item(row)


def close_review(
    connection: sa.Connection, tenant: TenantId, a: str, b: str, *, status: str, actor: str, reason: str,
    now: datetime,
) -> bool:  # fmt: skip
    """True for exactly one of all who try."""
    table = review_item_table.c
    changed = connection.execute(
        sa.update(review_item_table)
        .where(table.tenant == tenant, table.a == a, table.b == b, table.status == "open")
        .values(status=status, decided_at=to_milliseconds(now), decided_by=actor, reason=reason)
    )
    return changed.rowcount == 1


def find_rejected(connection: sa.Connection, tenant: TenantId, identity_id: str) -> set[str]:
    """Whom a person has said this identity is not."""
    table = review_item_table.c
    query = sa.select(table.a, table.b).where(
        table.tenant == tenant,
        table.status == "rejected",
        sa.or_(table.a == identity_id, table.b == identity_id),
    )
    return {row.b if row.a == identity_id else row.a for row in connection.execute(query)}


def _item(row: Any) -> ReviewItem:
    return ReviewItem(
        row.a, row.b, row.score, _parse_reasons(row.explanation), row.model_version, row.status,
        from_milliseconds(row.created_at), row.decided_by or "", row.reason or "",
    )  # fmt: skip


def _render_reasons(reasons: Sequence[Reason]) -> str:
    return json.dumps([[one.comparison, one.label, round(one.bits, 3)] for one in reasons])


def _parse_reasons(text: str) -> tuple[Reason, ...]:
    return tuple(Reason(str(one[0]), str(one[1]), float(one[2])) for one in json.loads(text))


def _render(derived: Derived) -> str:
    body: list[Mapping[str, str]] = [derived.columns]
    if derived.trusted is not derived.columns:
        body.append(derived.trusted)
    return json.dumps(body, ensure_ascii=False)


def _parse(text: str) -> Derived:
    body = json.loads(text)
    return Derived(body[0], body[-1])
