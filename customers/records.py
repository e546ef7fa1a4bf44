"""Conversations and who came in, in SQL: the entrance, what was proven there, sign-in links, behaviour.

`directory.py`, `sign_in.py`, `behaviour.py` and the graph are the only users. Every function takes an open connection and
can be repeated; on Postgres two transactions may do the same at once and end with the same rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

import sqlalchemy as sa

from customers.proof.levels import Level
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import conversation_table
from foundation.messages import ConversationId, CustomerId, Observation, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

ASSURANCES = 12
"""More proofs of one session than anybody gives; renewals are one row."""

entrance_table = sa.Table(
    "conversation_identity",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("identity_id", sa.Text, nullable=False),
    sa.Column("shown_identity_id", sa.Text, nullable=False),
    sa.Index("conversation_identity_entrance", "tenant", "identity_id"),
    sa.Index("conversation_identity_shown", "tenant", "shown_identity_id"),
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
    sa.Column("level", sa.Integer, nullable=False, server_default="3"),
    sa.Column("purpose", sa.Text, nullable=False, server_default=""),
    sa.Index("assurance_newest", "tenant", "conversation_id", "proven_at"),
    sa.Index("assurance_account", "tenant", "account_identity_id"),
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
class Entrance:
    """`identity_id`: what the conversation came in through, for good. `shown_identity_id`: whose customer it is listed
    under, which is the account that was proven last where the entrance is a device or nobody vouches for it."""

    identity_id: str
    shown_identity_id: str


@dataclass(frozen=True, slots=True)
class Assurance:
    """A conversation has proven an account; rows are evidence and are never taken away. `level`: by its sign-in, or by a
    code, which opens one `purpose` only."""

    account_identity_id: str
    method: str
    proven_at: datetime
    expires_at: datetime
    level: Level = Level.ACCOUNT
    purpose: str = ""
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


def set_entrance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, identity_id: str
) -> bool:
    """True when it is the first: a conversation keeps the identity it came in through."""
    insert = insert_of(connection)(entrance_table).values(
        tenant=tenant, conversation_id=conversation_id, identity_id=identity_id, shown_identity_id=identity_id
    )
    first = insert.on_conflict_do_nothing(index_elements=["tenant", "conversation_id"])
    return connection.execute(first.returning(entrance_table.c.identity_id)).first() is not None


def find_entrance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
) -> Entrance | None:
    table = entrance_table.c
    row = connection.execute(
        sa.select(table.identity_id, table.shown_identity_id).where(
            table.tenant == tenant, table.conversation_id == conversation_id
        )
    ).one_or_none()
    return None if row is None else Entrance(row.identity_id, row.shown_identity_id)


def list_conversation(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, identity_id: str,
    customer_id: CustomerId,
) -> None:  # fmt: skip
    """Under this identity and, from now on, under whatever customer it belongs to."""
    shown, table = entrance_table.c, conversation_table.c
    connection.execute(
        sa.update(entrance_table)
        .where(shown.tenant == tenant, shown.conversation_id == conversation_id)
        .values(shown_identity_id=identity_id)
    )
    connection.execute(
        sa.update(conversation_table)
        .where(table.tenant == tenant, table.id == conversation_id)
        .values(customer_id=customer_id)
    )


def find_conversations(
    connection: sa.Connection, tenant: TenantId, identity_ids: Collection[str]
) -> list[tuple[str, ConversationId]]:
    """Entrance and conversation, for each that came in through one of these."""
    table = entrance_table.c
    query = sa.select(table.identity_id, table.conversation_id).where(
        table.tenant == tenant, table.identity_id.in_(identity_ids)
    )
    return [
        (row.identity_id, ConversationId(row.conversation_id))
        for row in connection.execute(query.order_by(table.conversation_id))
    ]


def find_shown(
    connection: sa.Connection, tenant: TenantId, identity_ids: Collection[str]
) -> list[ConversationId]:
    """The conversations that are listed under one of these."""
    table = entrance_table.c
    query = sa.select(table.conversation_id).where(
        table.tenant == tenant, table.shown_identity_id.in_(identity_ids)
    )
    return [ConversationId(row.conversation_id) for row in connection.execute(query)]


def relabel_conversations(
    connection: sa.Connection, tenant: TenantId, identity_ids: Collection[str], customer_id: CustomerId
) -> None:
    """The conversations that are shown as these identities follow them to their customer."""
    shown, table = entrance_table.c, conversation_table.c
    those = sa.select(shown.conversation_id).where(
        shown.tenant == tenant, shown.shown_identity_id.in_(identity_ids)
    )
    connection.execute(
        sa.update(conversation_table)
        .where(table.tenant == tenant, table.id.in_(those))
        .values(customer_id=customer_id)
    )


def find_assurances(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
) -> list[Assurance]:
    """The newest of the account that was proven last, the newest first: by the moment of the proof, not of its arrival,
    for an old message that is read again takes nothing back."""
    table = assurance_table.c
    rows = connection.execute(
        sa.select(assurance_table)
        .where(table.tenant == tenant, table.conversation_id == conversation_id)
        .order_by(table.proven_at.desc(), table.number.desc())
        .limit(ASSURANCES)
    )
    found = [
        Assurance(
            account_identity_id=row.account_identity_id, method=row.method,
            proven_at=from_milliseconds(row.proven_at), expires_at=from_milliseconds(row.expires_at),
            level=Level(row.level), purpose=row.purpose, number=row.number,
        )
        for row in rows
    ]  # fmt: skip
    return list(takewhile(lambda one: one.account_identity_id == found[0].account_identity_id, found))


def add_assurance(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, assurance: Assurance
) -> None:
    connection.execute(
        sa.insert(assurance_table).values(
            tenant=tenant, conversation_id=conversation_id, account_identity_id=assurance.account_identity_id,
            method=assurance.method, proven_at=to_milliseconds(assurance.proven_at),
            expires_at=to_milliseconds(assurance.expires_at), level=int(assurance.level),
            purpose=assurance.purpose,
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
    insert = insert_of(connection)(behaviour_table).values(
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
