"""Who is known to us, in SQL: identities, what a conversation came in through and has proven, sign-in links, behaviour.

`directory.py`, `sign_in.py` and `behaviour.py` are the only users. Every function takes an open connection and can be repeated; on
Postgres two transactions may do the same at once and end with the same rows. Values that name a person are sealed; they
are found by a keyed digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import conversation_table
from foundation.messages import ConversationId, CustomerId, Observation, TenantId
from foundation.storage.database import Sealed, metadata

identity_table = sa.Table(
    "identity",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("value", Sealed, nullable=False),
    sa.Column("proven", sa.Boolean, nullable=False),
    sa.Column("display_name", Sealed),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("first_seen", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
    sa.Index("identity_customer", "tenant", "customer_id"),
)

entrance_table = sa.Table(
    "conversation_identity",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
)

assurance_table = sa.Table(
    "assurance",
    metadata,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("account_identity_id", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("proven_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("assurance_newest", "tenant", "conversation_id", "proven_at"),
)

sign_in_link_table = sa.Table(
    "sign_in_link",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
    sa.Index("sign_in_link_age", "tenant", "expires_at"),
)


behaviour_table = sa.Table(
    "behaviour_event",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("data", Sealed, nullable=False),
    sa.Index("behaviour_event_newest", "tenant", "conversation_id", "at"),
    sa.Index("behaviour_event_age", "tenant", "at"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """One name of somebody. `proven` says that the channel vouches for it."""

    id: str
    namespace: str
    value: str
    proven: bool
    display_name: str
    customer_id: CustomerId


@dataclass(frozen=True, slots=True)
class Assurance:
    """A conversation has proven an account; rows are evidence and are never taken away."""

    account_identity_id: str
    method: str
    proven_at: datetime
    expires_at: datetime
    number: int = 0
    """0 until it is stored."""


@dataclass(frozen=True, slots=True)
class Link:
    id: str
    tenant: TenantId
    conversation_id: ConversationId
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


def ensure_identity(
    connection: sa.Connection, tenant: TenantId, identity_id: str, *, namespace: str, value: str, proven: bool,
    seen_at: datetime,
) -> Identity:  # fmt: skip
    """A new identity is its own customer, under its own id: whoever comes first, the outcome is the same."""
    moment = to_milliseconds(seen_at)
    insert = _insert(connection)(identity_table).values(
        tenant=tenant, id=identity_id, namespace=namespace, value=value, proven=proven, customer_id=identity_id,
        first_seen=moment, last_seen=moment,
    )  # fmt: skip
    table = identity_table.c
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["tenant", "id"],
            set_={
                "first_seen": sa.case((table.first_seen > moment, moment), else_=table.first_seen),
                "last_seen": sa.case((table.last_seen < moment, moment), else_=table.last_seen),
            },
        )
    )
    return get_identity(connection, tenant, identity_id)


def get_identity(connection: sa.Connection, tenant: TenantId, identity_id: str) -> Identity:
    table = identity_table.c
    row = connection.execute(
        sa.select(identity_table).where(table.tenant == tenant, table.id == identity_id)
    ).one()
    return Identity(
        id=row.id, namespace=row.namespace, value=row.value, proven=row.proven,
        display_name=row.display_name or "", customer_id=CustomerId(row.customer_id),
    )  # fmt: skip


def change_identity(connection: sa.Connection, tenant: TenantId, identity_id: str, **columns: str) -> None:
    table = identity_table.c
    connection.execute(
        sa.update(identity_table).where(table.tenant == tenant, table.id == identity_id).values(**columns)
    )


def set_entrance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, identity_id: str
) -> None:
    """A conversation keeps the identity it came in through; a repetition changes nothing."""
    insert = _insert(connection)(entrance_table).values(
        tenant=tenant, conversation_id=conversation_id, identity_id=identity_id
    )
    connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "conversation_id"]))


def find_vouched_conversations(
    connection: sa.Connection, tenant: TenantId, customer_id: CustomerId, *, besides: ConversationId,
    account_namespace: str,
) -> list[ConversationId]:  # fmt: skip
    """Whose entrance is a name that a channel vouches for, and that is shown as this customer."""
    name, entrance = identity_table.c, entrance_table.c
    query = (
        sa.select(entrance.conversation_id)
        .join(
            identity_table, sa.and_(name.tenant == entrance.tenant, name.id == entrance.identity_id)
        )
        .where(
            entrance.tenant == tenant, entrance.conversation_id != besides, name.customer_id == customer_id,
            name.proven, name.namespace != account_namespace,
        )
        .order_by(entrance.conversation_id)
    )  # fmt: skip
    return [ConversationId(row) for row in connection.execute(query).scalars()]


def find_entrance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
) -> Identity | None:
    table = entrance_table.c
    identity_id = connection.execute(
        sa.select(table.identity_id).where(table.tenant == tenant, table.conversation_id == conversation_id)
    ).scalar_one_or_none()
    return None if identity_id is None else get_identity(connection, tenant, identity_id)


def find_newest_assurance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
) -> Assurance | None:
    """By the moment of the proof, not of its arrival: an old message that is read again takes nothing back."""
    table = assurance_table.c
    row = connection.execute(
        sa.select(assurance_table)
        .where(table.tenant == tenant, table.conversation_id == conversation_id)
        .order_by(table.proven_at.desc(), table.number.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Assurance(
        account_identity_id=row.account_identity_id, method=row.method,
        proven_at=from_milliseconds(row.proven_at), expires_at=from_milliseconds(row.expires_at),
        number=row.number,
    )  # fmt: skip


def add_assurance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, assurance: Assurance
) -> None:
    connection.execute(
        sa.insert(assurance_table).values(
            tenant=tenant, conversation_id=conversation_id, account_identity_id=assurance.account_identity_id,
            method=assurance.method, proven_at=to_milliseconds(assurance.proven_at),
            expires_at=to_milliseconds(assurance.expires_at),
        )
    )  # fmt: skip


def renew_assurance(connection: sa.Connection, tenant: TenantId, stored: Assurance, proof: Assurance) -> None:
    """The same account again while its proof lasts: one row for the whole session, never made shorter."""
    connection.execute(
        sa.update(assurance_table)
        .where(assurance_table.c.tenant == tenant, assurance_table.c.number == stored.number)
        .values(
            proven_at=to_milliseconds(proof.proven_at),
            expires_at=to_milliseconds(max(stored.expires_at, proof.expires_at)),
        )
    )


def add_link(connection: sa.Connection, link: Link) -> None:
    connection.execute(
        sa.insert(sign_in_link_table).values(
            tenant=link.tenant, id=link.id, conversation_id=link.conversation_id,
            created_at=to_milliseconds(link.created_at), expires_at=to_milliseconds(link.expires_at),
        )
    )  # fmt: skip


def find_link(connection: sa.Connection, tenant: TenantId, link_id: str) -> Link | None:
    table = sign_in_link_table.c
    row = connection.execute(
        sa.select(sign_in_link_table).where(table.tenant == tenant, table.id == link_id)
    ).one_or_none()
    if row is None:
        return None
    return Link(
        id=row.id, tenant=TenantId(row.tenant), conversation_id=ConversationId(row.conversation_id),
        created_at=from_milliseconds(row.created_at), expires_at=from_milliseconds(row.expires_at),
        used_at=None if row.used_at is None else from_milliseconds(row.used_at),
    )  # fmt: skip


def claim_link(connection: sa.Connection, link: Link, now: datetime) -> bool:
    """True for exactly one of all who try."""
    table = sign_in_link_table.c
    claimed = connection.execute(
        sa.update(sign_in_link_table)
        .where(table.tenant == link.tenant, table.id == link.id, table.used_at.is_(None))
        .values(used_at=to_milliseconds(now))
    )
    return claimed.rowcount == 1


def drop_links(connection: sa.Connection, tenant: TenantId, *, expired_before: datetime) -> None:
    table = sign_in_link_table.c
    connection.execute(
        sa.delete(sign_in_link_table).where(
            table.tenant == tenant, table.expires_at < to_milliseconds(expired_before)
        )
    )


def add_observation(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, seen: Observation
) -> None:
    insert = _insert(connection)(behaviour_table).values(
        tenant=tenant, conversation_id=conversation_id, id=seen.id, type=seen.type, at=to_milliseconds(seen.at),
        data=seen.model_dump_json(exclude_defaults=True),
    )  # fmt: skip
    connection.execute(insert.on_conflict_do_nothing())


def drop_observations(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, keep: int, before: datetime
) -> None:  # fmt: skip
    """All but the newest of this conversation, and those of every conversation that are older than `before`."""
    table = behaviour_table.c
    mine = (table.tenant == tenant) & (table.conversation_id == conversation_id)
    oldest_kept = (
        sa.select(table.at).where(mine).order_by(table.at.desc()).limit(1).offset(keep - 1).scalar_subquery()
    )
    connection.execute(sa.delete(behaviour_table).where(mine, table.at < oldest_kept))
    connection.execute(
        sa.delete(behaviour_table).where(table.tenant == tenant, table.at < to_milliseconds(before))
    )


def read_observations(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, limit: int
) -> list[Observation]:
    """Newest first, of all conversations of the customer who is known in this one."""
    table, talk = behaviour_table.c, conversation_table.c
    customer = (
        sa.select(talk.customer_id).where(talk.tenant == tenant, talk.id == conversation_id).scalar_subquery()
    )
    same = sa.select(talk.id).where(talk.tenant == tenant, talk.customer_id == customer)
    rows = connection.execute(
        sa.select(table.data)
        .where(
            table.tenant == tenant,
            sa.or_(table.conversation_id == conversation_id, table.conversation_id.in_(same)),
        )
        .order_by(table.at.desc(), table.id)
        .limit(limit)
    )
    return [Observation.model_validate_json(row.data) for row in rows]


def _insert(connection: sa.Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
