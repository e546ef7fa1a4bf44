"""Challenges in SQL: who was asked for a code, what was answered, and until when a tenant sends none.

`verification.py` is the only user. Every function takes an open connection and can be repeated. A code is nowhere in the
table; the contact is sealed, found by a keyed digest, and gone after two days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from customers.verification.codes import TRIES, Contact, Kind
from customers.verification.limits import Answers, Asked
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Sealed, insert_of, metadata

Answer = Literal["right", "wrong"]

challenge_table = sa.Table(
    "proof_challenge",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("contact", Sealed, nullable=False),
    sa.Column("contact_key", sa.Text, nullable=False),
    sa.Column("address_key", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("identity_id", sa.Text, nullable=False, server_default=""),
    sa.Column("account", Sealed),
    sa.Column("code_digest", sa.Text, nullable=False, server_default=""),
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("answer_key", sa.Text, nullable=False, server_default=""),
    sa.Column("answer", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
    sa.Index("proof_challenge_age", "tenant", "created_at"),
    sa.Index("proof_challenge_contact", "tenant", "contact_key", "created_at"),
    sa.Index("proof_challenge_session", "tenant", "conversation_id", "created_at"),
)

stop_table = sa.Table(
    "proof_stop",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("began_at", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """`outcome`: what the worker decided, "" while it has not; `answer_key`: who gave the last answer, for repeats."""

    id: str
    tenant: TenantId
    conversation_id: ConversationId
    purpose: str
    contact: Contact
    contact_key: str
    address_key: str
    language: str
    created_at: datetime
    expires_at: datetime
    identity_id: str = ""
    account: str = ""
    code_digest: str = ""
    outcome: str = ""
    tries: int = 0
    answer_key: str = ""
    answer: str = ""
    used_at: datetime | None = None


def add(connection: sa.Connection, challenge: Challenge) -> None:
    insert = insert_of(connection)(challenge_table).values(
        tenant=challenge.tenant, id=challenge.id, conversation_id=challenge.conversation_id,
        purpose=challenge.purpose, kind=challenge.contact.kind, contact=challenge.contact.value,
        contact_key=challenge.contact_key, address_key=challenge.address_key, language=challenge.language,
        created_at=to_milliseconds(challenge.created_at), expires_at=to_milliseconds(challenge.expires_at),
    )  # fmt: skip
    connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "id"]))


def find(connection: sa.Connection, tenant: TenantId, challenge_id: str) -> Challenge | None:
    table = challenge_table.c
    row = connection.execute(
        sa.select(challenge_table).where(table.tenant == tenant, table.id == challenge_id)
    ).one_or_none()
    return None if row is None else _challenge(row)


def change(connection: sa.Connection, challenge: Challenge, **columns: Any) -> None:
    table = challenge_table.c
    connection.execute(
        sa.update(challenge_table)
        .where(table.tenant == challenge.tenant, table.id == challenge.id)
        .values(**columns)
    )


def spend_try(connection: sa.Connection, challenge: Challenge, *, answer_key: str, now: datetime) -> bool:
    """True for whoever may compare once more: at most `TRIES` times for one challenge, whoever asks at the same moment,
    and once for one answer."""
    table = challenge_table.c
    spent = connection.execute(
        sa.update(challenge_table)
        .where(
            table.tenant == challenge.tenant, table.id == challenge.id, table.tries < TRIES,
            table.used_at.is_(None), table.expires_at > to_milliseconds(now), table.answer_key != answer_key,
        )
        .values(tries=table.tries + 1, answer_key=answer_key, answer="wrong")
    )  # fmt: skip
    return spent.rowcount == 1


def use(connection: sa.Connection, challenge: Challenge, now: datetime) -> bool:
    """True for exactly one of all who have the right code."""
    table = challenge_table.c
    used = connection.execute(
        sa.update(challenge_table)
        .where(table.tenant == challenge.tenant, table.id == challenge.id, table.used_at.is_(None))
        .values(used_at=to_milliseconds(now), answer="right")
    )
    return used.rowcount == 1


def count_asked(connection: sa.Connection, challenge: Challenge, *, since: datetime) -> Asked:
    """The others in the window that came before it."""
    table = challenge_table.c
    before = sa.and_(
        table.tenant == challenge.tenant, table.created_at > to_milliseconds(since),
        table.created_at <= to_milliseconds(challenge.created_at), table.id != challenge.id,
    )  # fmt: skip

    def count(condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(challenge_table).where(before, condition)
        return int(connection.execute(query).scalar_one())

    return Asked(
        by_contact=count(table.contact_key == challenge.contact_key),
        by_session=count(table.conversation_id == challenge.conversation_id),
        by_network=count(table.address_key == challenge.address_key) if challenge.address_key else 0,
    )


def count_answers(connection: sa.Connection, tenant: TenantId, *, since: datetime) -> Answers:
    table = challenge_table.c
    right = sa.func.count(table.used_at)
    row = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(table.tries), 0), right).where(
            table.tenant == tenant, table.created_at > to_milliseconds(since)
        )
    ).one()
    return Answers(wrong=int(row[0]) - int(row[1]), right=int(row[1]))


def is_awaited(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, since: datetime
) -> bool:
    """Was a code asked for in this conversation lately?"""
    table = challenge_table.c
    query = sa.select(table.id).where(
        table.tenant == tenant, table.conversation_id == conversation_id,
        table.created_at > to_milliseconds(since),
    )  # fmt: skip
    return connection.execute(query.limit(1)).first() is not None


def find_stop(connection: sa.Connection, tenant: TenantId, now: datetime) -> datetime | None:
    """Until when no code of this tenant is sent or taken; None when they are."""
    until = connection.execute(
        sa.select(stop_table.c.until).where(
            stop_table.c.tenant == tenant, stop_table.c.until > to_milliseconds(now)
        )
    ).scalar_one_or_none()
    return None if until is None else from_milliseconds(until)


def last_stop(connection: sa.Connection, tenant: TenantId) -> datetime | None:
    """When the last stop ends or ended: answers from before it count no more."""
    until = connection.execute(
        sa.select(stop_table.c.until).where(stop_table.c.tenant == tenant)
    ).scalar_one_or_none()
    return None if until is None else from_milliseconds(until)


def stop(connection: sa.Connection, tenant: TenantId, *, now: datetime, until: datetime) -> bool:
    """True for the one who has begun it."""
    values: Mapping[str, int] = {"began_at": to_milliseconds(now), "until": to_milliseconds(until)}
    insert = insert_of(connection)(stop_table).values(tenant=tenant, **values)
    begun = insert.on_conflict_do_update(
        index_elements=["tenant"], set_=values, where=stop_table.c.until <= to_milliseconds(now)
    )
    return connection.execute(begun.returning(stop_table.c.tenant)).first() is not None


def drop(connection: sa.Connection, tenant: TenantId, *, before: datetime) -> None:
    table = challenge_table.c
    connection.execute(
        sa.delete(challenge_table).where(table.tenant == tenant, table.created_at < to_milliseconds(before))
    )


def _challenge(row: sa.Row[Any]) -> Challenge:
    kind: Kind = "phone" if row.kind == "phone" else "email"
    return Challenge(
        id=row.id, tenant=TenantId(row.tenant), conversation_id=ConversationId(row.conversation_id),
        purpose=row.purpose, contact=Contact(kind, row.contact), contact_key=row.contact_key,
        address_key=row.address_key, language=row.language, created_at=from_milliseconds(row.created_at),
        expires_at=from_milliseconds(row.expires_at), identity_id=row.identity_id, account=row.account or "",
        code_digest=row.code_digest, outcome=row.outcome, tries=row.tries, answer_key=row.answer_key,
        answer=row.answer, used_at=None if row.used_at is None else from_milliseconds(row.used_at),
    )  # fmt: skip
