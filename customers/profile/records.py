"""Profiles in SQL: one row of sums an identity, the events they were made of (by name only), statements, tags, standings.

`profile.py` and `customers.nightly` are the users. Functions take an open connection and can be repeated. What tells about a
person is sealed: the sums as well as the statements. An event leaves its id, its kind and one number behind, so that it is
counted once and the number's spread can be measured; its content is not kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from customers.graph.records import identity_table
from customers.profile import aggregates
from customers.profile.aggregates import Shard
from customers.profile.facts import Fact
from customers.profile.tags import Tag
from customers.profile.value import Standing
from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import CustomerId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

MOST_IDENTITIES = 60
"""Of one customer."""

PAGE = 1_000
"""Rows held at a time while the whole base is read."""

shard_table = sa.Table(
    "profile_shard",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("sums", Sealed),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

event_table = sa.Table(
    "profile_event",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("size", sa.Float),
    sa.Index("profile_event_identity", "tenant", "identity_id", "content"),
    sa.Index("profile_event_age", "tenant", "type", "at"),
)

fact_table = sa.Table(
    "profile_fact",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text, nullable=False),
    sa.Column("value", Sealed, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("proof", sa.Integer, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("observed_at", sa.BigInteger, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Index("profile_fact_identity", "tenant", "identity_id"),
)

tag_table = sa.Table(
    "profile_tag",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("reason", Sealed, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
)

standing_table = sa.Table(
    "profile_standing",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, primary_key=True),
    sa.Column("tier", sa.Text, nullable=False),
    sa.Column("candidate", sa.Text),
    sa.Column("nights", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as the ledger keeps it. `content` is a digest that is equal for the same thing told twice in one minute;
    `size` is the number whose spread is watched."""

    id: str
    identity_id: str
    type: str
    at: datetime
    content: str | None = None
    size: float | None = None


def add_event(connection: sa.Connection, tenant: TenantId, entry: Entry) -> bool:
    """False when an event of this id is there already."""
    insert = insert_of(connection)(event_table).values(
        tenant=tenant, id=entry.id, identity_id=entry.identity_id, type=entry.type, at=to_milliseconds(entry.at),
        content=entry.content, size=entry.size,
    )  # fmt: skip
    new = connection.execute(insert.on_conflict_do_nothing().returning(event_table.c.id))
    return new.one_or_none() is not None


def known_events(connection: sa.Connection, tenant: TenantId, ids: Iterable[str]) -> set[str]:
    table = event_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.id.in_(list(ids)))
    return set(connection.execute(query).scalars())


def known_contents(
    connection: sa.Connection, tenant: TenantId, contents: Iterable[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Of pairs of identity and content digest."""
    wanted = list(contents)
    table = event_table.c
    query = sa.select(table.identity_id, table.content).where(
        table.tenant == tenant,
        table.identity_id.in_({identity for identity, _ in wanted}),
        table.content.in_({content for _, content in wanted}),
    )
    return {(row.identity_id, row.content) for row in connection.execute(query)}


def sizes(connection: sa.Connection, tenant: TenantId, kind: str, *, limit: int) -> list[float]:
    """The newest numbers of one kind of event."""
    table = event_table.c
    query = (
        sa.select(table.size)
        .where(table.tenant == tenant, table.type == kind, table.size.is_not(None))
        .order_by(table.at.desc())
        .limit(limit)
    )
    return [float(one) for one in connection.execute(query).scalars()]


def forget_events(connection: sa.Connection, tenant: TenantId, *, before: datetime) -> int:
    table = event_table.c
    return connection.execute(
        sa.delete(event_table).where(table.tenant == tenant, table.at < to_milliseconds(before))
    ).rowcount


def change_shard(
    connection: sa.Connection, tenant: TenantId, identity_id: str, *, now: datetime, more: Shard
) -> None:
    """Reads, adds, writes, under a lock of the row: two at once are both counted."""
    table, moment = shard_table.c, to_milliseconds(now)
    mine = (table.tenant == tenant) & (table.identity_id == identity_id)
    query = sa.select(table.sums).where(mine).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        empty = insert_of(connection)(shard_table).values(
            tenant=tenant, identity_id=identity_id, sums=None, updated_at=moment
        )
        connection.execute(empty.on_conflict_do_nothing())
        row = connection.execute(query).one()
    before = aggregates.EMPTY if row.sums is None else aggregates.load(row.sums)
    sums = aggregates.dump(aggregates.combine((before, more)))
    connection.execute(sa.update(shard_table).where(mine).values(sums=sums, updated_at=moment))


def read_shard(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]) -> Shard:
    """Of all these identities together."""
    table = shard_table.c
    query = sa.select(table.sums).where(table.tenant == tenant, table.identity_id.in_(identity_ids))
    return aggregates.combine(aggregates.load(sums) for sums in connection.execute(query).scalars() if sums)


def all_shards(connection: sa.Connection, tenant: TenantId) -> Iterator[tuple[str, str, Shard]]:
    """Identity, customer and sums of the whole base, customer by customer."""
    shard, identity = shard_table.c, identity_table.c
    customer = sa.func.coalesce(identity.customer_id, shard.identity_id).label("customer")
    query = (
        sa.select(shard.identity_id, customer, shard.sums)
        .outerjoin(identity_table, sa.and_(identity.tenant == shard.tenant, identity.id == shard.identity_id))
        .where(shard.tenant == tenant, shard.sums.is_not(None))
        .order_by(customer, shard.identity_id)
    )
    for row in connection.execute(query, execution_options={"yield_per": PAGE}):
        yield row.identity_id, row.customer, aggregates.load(row.sums)


def identities_of(connection: sa.Connection, tenant: TenantId, customer_id: CustomerId) -> list[str]:
    table = identity_table.c
    query = (
        sa.select(table.id)
        .where(table.tenant == tenant, table.customer_id == customer_id)
        .order_by(table.last_seen.desc(), table.id)
        .limit(MOST_IDENTITIES)
    )
    return list(connection.execute(query).scalars())


def identities_within_access(connection: sa.Connection, tenant: TenantId, access_id: str) -> list[str]:
    """Those that are proven to be one person: what may be disclosed to each of them."""
    table = identity_table.c
    query = (
        sa.select(table.id)
        .where(table.tenant == tenant, table.access_id == access_id)
        .order_by(table.last_seen.desc(), table.id)
        .limit(MOST_IDENTITIES)
    )
    return list(connection.execute(query).scalars())


def customer_of(connection: sa.Connection, tenant: TenantId, identity_id: str) -> list[str]:
    """All identities of the customer that this one is shown as, itself first. Raises `NotFound`."""
    table = identity_table.c
    customer = connection.execute(
        sa.select(table.customer_id).where(table.tenant == tenant, table.id == identity_id)
    ).scalar_one_or_none()
    if customer is None:
        raise errors.NotFound("There is no such customer.", code="unknown_customer")
    return list(dict.fromkeys([identity_id, *identities_of(connection, tenant, CustomerId(customer))]))


def state_fact(connection: sa.Connection, tenant: TenantId, fact_id: str, fact: Fact) -> bool:
    """A new statement (True), or one more occasion of a known one."""
    moment, table = to_milliseconds(fact.observed_at), fact_table.c
    insert = insert_of(connection)(fact_table).values(
        tenant=tenant, id=fact_id, identity_id=fact.identity_id, attribute=fact.attribute, value=fact.value,
        source=fact.source, proof=fact.proof, confidence=fact.confidence, observed_at=moment, times=1,
    )  # fmt: skip
    times = connection.execute(
        insert.on_conflict_do_update(
            index_elements=["tenant", "id"],
            set_={
                "observed_at": sa.case((table.observed_at < moment, moment), else_=table.observed_at),
                "proof": sa.case((table.proof < fact.proof, fact.proof), else_=table.proof),
                "confidence": sa.case(
                    (table.confidence < fact.confidence, fact.confidence), else_=table.confidence
                ),
                "times": table.times + 1,
            },
        ).returning(table.times)
    ).scalar_one()
    return int(times) == 1


def known_facts(connection: sa.Connection, tenant: TenantId, fact_ids: Iterable[str]) -> set[str]:
    """Those of them that somebody has stated."""
    table, ids, found = fact_table.c, list(fact_ids), set[str]()
    for start in range(0, len(ids), PAGE):
        query = sa.select(table.id).where(table.tenant == tenant, table.id.in_(ids[start : start + PAGE]))
        found.update(connection.execute(query).scalars())
    return found


def read_facts(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]) -> list[Fact]:
    table = fact_table.c
    query = sa.select(fact_table).where(table.tenant == tenant, table.identity_id.in_(identity_ids))
    return [
        Fact(
            identity_id=row.identity_id, attribute=row.attribute, value=row.value, source=row.source, proof=row.proof,
            confidence=row.confidence, observed_at=from_milliseconds(row.observed_at), times=row.times,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def set_tag(connection: sa.Connection, tenant: TenantId, identity_id: str, tag: Tag) -> None:
    assert tag.at is not None
    values = {
        "score": tag.score, "reason": tag.reason, "author": tag.author, "at": to_milliseconds(tag.at),
        "expires_at": None if tag.expires_at is None else to_milliseconds(tag.expires_at),
    }  # fmt: skip
    insert = insert_of(connection)(tag_table).values(
        tenant=tenant, identity_id=identity_id, tag=tag.tag, **values
    )
    connection.execute(
        insert.on_conflict_do_update(index_elements=["tenant", "identity_id", "tag"], set_=values)
    )


def drop_tag(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str], tag: str) -> list[str]:
    """Who had it."""
    table = tag_table.c
    gone = connection.execute(
        sa.delete(tag_table)
        .where(table.tenant == tenant, table.identity_id.in_(identity_ids), table.tag == tag)
        .returning(table.identity_id)
    )
    return list(gone.scalars())


def read_tags(
    connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str], now: datetime
) -> list[Tag]:
    """The newest of each name; none that has run out."""
    table, moment = tag_table.c, to_milliseconds(now)
    query = (
        sa.select(tag_table)
        .where(
            table.tenant == tenant,
            table.identity_id.in_(identity_ids),
            sa.or_(table.expires_at.is_(None), table.expires_at > moment),
        )
        .order_by(table.at, table.tag, table.identity_id)
    )
    found = {
        row.tag: Tag(
            row.tag, "staff", row.score, row.reason, row.author, from_milliseconds(row.at),
            None if row.expires_at is None else from_milliseconds(row.expires_at),
        )
        for row in connection.execute(query)
    }  # fmt: skip
    return list(found.values())


def set_standing(
    connection: sa.Connection,
    tenant: TenantId,
    identity_ids: Iterable[str],
    standing: Standing,
    now: datetime,
) -> None:
    values = {
        "tier": standing.tier, "candidate": standing.candidate, "nights": standing.nights, "at": to_milliseconds(now),
    }  # fmt: skip
    for identity_id in identity_ids:
        insert = insert_of(connection)(standing_table).values(
            tenant=tenant, identity_id=identity_id, **values
        )
        connection.execute(
            insert.on_conflict_do_update(index_elements=["tenant", "identity_id"], set_=values)
        )


def read_standing(
    connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]
) -> Standing | None:
    """The last night's. Identities that met since bring two: the one of the better tier counts until the next night."""
    table = standing_table.c
    query = sa.select(standing_table).where(table.tenant == tenant, table.identity_id.in_(identity_ids))
    rows = sorted(connection.execute(query), key=lambda row: (row.at, _TIERS.index(row.tier)))
    return Standing(rows[-1].tier, rows[-1].candidate, rows[-1].nights) if rows else None


def orders_of(connection: sa.Connection, tenant: TenantId, identity_id: str) -> list[str]:
    """The numbers of the orders that count for this identity, as `orders.event_id` writes them."""
    table = event_table.c
    query = sa.select(table.id).where(
        table.tenant == tenant, table.identity_id == identity_id, table.type.in_(["order", "refund"])
    )
    parts = (one.split(":", 2) for one in connection.execute(query).scalars())
    return list(dict.fromkeys(found[2] for found in parts if len(found) == 3))


def forget(connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]) -> int:
    """All of it about these identities; returns how many rows went."""
    gone = 0
    for table in (shard_table, event_table, fact_table, tag_table, standing_table):
        gone += connection.execute(
            sa.delete(table).where(table.c.tenant == tenant, table.c.identity_id.in_(identity_ids))
        ).rowcount
    return gone


_TIERS = ("low", "middle", "high", "top")
