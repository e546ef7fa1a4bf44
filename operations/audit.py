"""Who did what: an append-only record, each entry chained to the one before by a hash.

Everything the staff changes writes its entry in the transaction of the change. `find_break` tells whether somebody
changed history behind our back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from operations.records import audit_table

REDACTED = "privacy.redacted"


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


def write(
    connection: sa.Connection, tenant: TenantId, *, actor: str, action: str, subject: str, now: datetime,
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """`subject` names the thing (an id, never a person's data); what a person wrote goes into `detail`, sealed."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": f"audit {tenant}"}
        )
    table = audit_table.c
    last = connection.execute(
        sa.select(table.number, table.chain)
        .where(table.tenant == tenant)
        .order_by(table.number.desc())
        .limit(1)
    ).one_or_none()
    number = 1 if last is None else last.number + 1
    body = json.dumps(detail or {}, ensure_ascii=False, sort_keys=True)
    moment = to_milliseconds(now)
    chain = _chain("" if last is None else last.chain, (tenant, number, moment, actor, action, subject, body))
    connection.execute(
        sa.insert(audit_table).values(
            tenant=tenant, number=number, at=moment, actor=actor, action=action, subject=subject, detail=body,
            chain=chain,
        )
    )  # fmt: skip


def read(connection: sa.Connection, tenant: TenantId, *, subject: str = "", limit: int = 100) -> list[Entry]:
    """Newest first."""
    query = sa.select(audit_table).where(audit_table.c.tenant == tenant)
    if subject:
        query = query.where(audit_table.c.subject == subject)
    return [
        Entry(
            row.number, from_milliseconds(row.at), row.actor, row.action, row.subject, json.loads(row.detail)
        )
        for row in connection.execute(query.order_by(audit_table.c.number.desc()).limit(limit))
    ]


def find_break(connection: sa.Connection, tenant: TenantId) -> int | None:
    """The number of the first entry that does not follow from the one before, or None. One whose words were taken out must
    be vouched for by the entry that says so."""
    chain, expected, redacted = "", 1, dict[int, str]()
    for row in connection.execute(
        sa.select(audit_table).where(audit_table.c.tenant == tenant).order_by(audit_table.c.number)
    ):
        values = (row.tenant, row.number, row.at, row.actor, row.action, row.subject, row.detail)
        follows = row.chain == _chain(chain, values)
        if row.number != expected or not (follows or _is_redacted(row.detail)):
            return int(row.number)
        if not follows:
            redacted[row.number] = _rest_of(row)
        if row.action == REDACTED and follows:
            for number, rest in json.loads(row.detail)["entries"].items():
                if redacted.get(int(number)) == rest:
                    del redacted[int(number)]
        chain, expected = row.chain, expected + 1
    return min(redacted, default=None)


def redact(
    connection: sa.Connection, tenant: TenantId, names: Collection[str], *, by: str, after: int, now: datetime,
    limit: int = 1000,
) -> tuple[int | None, int]:  # fmt: skip
    """Takes the words out of entries that name one of these ids, and writes the entry that vouches for the rest of them. Looks
    at `limit` entries behind `after`; the last one it saw, None at the end, and how many it changed."""
    table = audit_table.c
    query = sa.select(audit_table).where(table.tenant == tenant, table.number > after)
    rows = connection.execute(query.order_by(table.number).limit(limit)).all()
    rests = {
        row.number: _rest_of(row)
        for row in rows
        if row.action != REDACTED and not _is_redacted(row.detail) and _is_about(row, names)
    }
    if rests:
        connection.execute(
            sa.update(audit_table)
            .where(table.tenant == tenant, table.number.in_(rests))
            .values(detail=json.dumps({"redacted": by}))
        )
        write(connection, tenant, actor=by, action=REDACTED, subject=by, now=now, detail={"entries": rests})
    return (rows[-1].number if len(rows) == limit else None), len(rests)


def _is_about(row: sa.Row[Any], names: Collection[str]) -> bool:
    return row.detail != "{}" and (row.subject in names or any(name in row.detail for name in names))


def _is_redacted(detail: str) -> bool:
    return list(json.loads(detail)) == ["redacted"]


def _rest_of(row: sa.Row[Any]) -> str:
    """Of everything but the words, the place in the chain included."""
    rest = [row.tenant, row.number, row.at, row.actor, row.action, row.subject, row.chain]
    return hashlib.sha256(json.dumps(rest, ensure_ascii=False).encode()).hexdigest()


def _chain(previous: str, values: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([previous, *values], ensure_ascii=False).encode()).hexdigest()
