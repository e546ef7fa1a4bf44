"""Versions of articles in SQL: read, added, wanted, made live, withdrawn, taken in from a source.

Plain functions of a connection, for `articles`, which is the door, and for `ingestion`, which makes versions live.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import sqlalchemy as sa

from foundation.clock import from_milliseconds
from foundation.errors import Conflict
from foundation.messages import TenantId
from retrieval import records
from retrieval.front_matter import Document
from retrieval.passages import Audience

State = Literal["draft", "live", "archived"]


@dataclass(frozen=True, slots=True)
class Version:
    document: Document
    version: int
    state: State
    author: str
    note: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the catalogue; title, topic and audience are those of the newest version."""

    id: str
    language: str
    title: str
    topic: str
    audience: str
    live_version: int | None
    wanted_version: int | None
    last_version: int
    source: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Imported:
    """(article, language) pairs by what an import did with them."""

    new: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    unchanged: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Who made a version, why and when."""

    author: str
    note: str
    created_at: int


def catalogue(
    connection: sa.Connection, tenant: TenantId, article: str | None = None, language: str | None = None
) -> list[Summary]:
    a, v = records.article_table.c, records.version_table.c
    joined = records.article_table.join(
        records.version_table,
        (v.tenant == a.tenant)
        & (v.article == a.id)
        & (v.language == a.language)
        & (v.version == a.last_version),
    )
    query = (
        sa.select(records.article_table, v.title, v.topic, v.audience)
        .select_from(joined)
        .where(a.tenant == tenant)
        .order_by(a.id, a.language)
    )
    if article is not None:
        query = query.where(a.id == article, a.language == language)
    return [
        Summary(
            row.id,
            row.language,
            row.title,
            row.topic,
            row.audience,
            row.live_version,
            row.wanted_version,
            row.last_version,
            row.source,
            from_milliseconds(row.updated_at),
        )
        for row in connection.execute(query)
    ]


def find_versions(
    connection: sa.Connection, tenant: TenantId, article: str, language: str, *, version: int | None = None
) -> list[Version]:
    v = records.version_table.c
    query = sa.select(records.version_table).where(
        v.tenant == tenant, v.article == article, v.language == language
    )
    if version is not None:
        query = query.where(v.version == version)
    return [
        Version(
            document_of(row),
            row.version,
            cast("State", row.state),
            row.author,
            row.note,
            from_milliseconds(row.created_at),
        )
        for row in connection.execute(query.order_by(v.version.desc()))
    ]


def add_version(
    connection: sa.Connection, tenant: TenantId, document: Document, *, based_on: int, note: Note
) -> int:
    a = records.article_table.c
    place = (a.tenant == tenant) & (a.id == document.id) & (a.language == document.language)
    last = connection.scalar(sa.select(a.last_version).where(place).with_for_update()) or 0
    if last != based_on:
        raise Conflict(
            f"Somebody saved version {last} of {document.id!r} ({document.language}) after you opened version {based_on}. "
            "Compare the two and save again.",
            code="article_changed",
        )
    version = last + 1
    if last:
        connection.execute(
            records.article_table.update()
            .where(place)
            .values(last_version=version, updated_at=note.created_at)
        )
    else:
        connection.execute(
            records.article_table.insert().values(
                tenant=tenant,
                id=document.id,
                language=document.language,
                last_version=version,
                updated_at=note.created_at,
            )
        )
    connection.execute(
        records.version_table.insert().values(
            tenant=tenant,
            article=document.id,
            language=document.language,
            version=version,
            state="draft",
            title=document.title,
            body=document.body,
            questions=json.dumps(document.questions, ensure_ascii=False),
            topic=document.topic,
            audience=document.audience,
            valid_from=document.valid_from,
            valid_until=document.valid_until,
            author=note.author,
            note=note.note,
            created_at=note.created_at,
        )
    )
    return version


def want(
    connection: sa.Connection,
    tenant: TenantId,
    article: str,
    language: str,
    *,
    version: int,
    publication: int,
) -> None:
    a = records.article_table.c
    changed = connection.execute(
        records.article_table.update()
        .where(a.tenant == tenant, a.id == article, a.language == language, a.publications == publication - 1)
        .values(wanted_version=version, publications=publication)
    )
    if not changed.rowcount:
        raise Conflict(
            f"Somebody else published {article!r} ({language}) a moment ago. Look at it and try again.",
            code="article_changed",
        )


def withdraw(connection: sa.Connection, tenant: TenantId, places: Iterable[tuple[str, str]]) -> None:
    a, v = records.article_table.c, records.version_table.c
    revision = records.raise_revision(connection, tenant)
    for article, language in places:
        connection.execute(
            records.article_table.update()
            .where(a.tenant == tenant, a.id == article, a.language == language)
            .values(
                live_version=None,
                wanted_version=None,
                publications=a.publications + 1,
                changed_revision=revision,
            )
        )
        connection.execute(
            records.version_table.update()
            .where(v.tenant == tenant, v.article == article, v.language == language, v.state == "live")
            .values(state="archived")
        )


def take_in(
    connection: sa.Connection,
    tenant: TenantId,
    documents: Sequence[Document],
    *,
    source: str,
    note: Note,
    complete: bool,
) -> Imported:
    a = records.article_table.c
    known = {
        (row.id, row.language): row
        for row in connection.execute(sa.select(records.article_table).where(a.tenant == tenant))
    }
    done: dict[str, list[tuple[str, str]]] = {"new": [], "changed": [], "unchanged": [], "removed": []}
    for document in documents:
        place = (document.id, document.language)
        row = known.get(place)
        if row is not None and row.source_digest == document.digest:
            done["unchanged"].append(place)
            continue
        done["changed" if row else "new"].append(place)
        version = add_version(
            connection, tenant, document, based_on=row.last_version if row else 0, note=note
        )
        connection.execute(
            records.article_table.update()
            .where(a.tenant == tenant, a.id == document.id, a.language == document.language)
            .values(
                wanted_version=version,
                publications=a.publications + 1,
                source=source,
                source_digest=document.digest,
            )
        )
    if complete:
        present = {(document.id, document.language) for document in documents}
        done["removed"] = [
            place
            for place, row in known.items()
            if row.source == source and place not in present and (row.live_version or row.wanted_version)
        ]
        if done["removed"]:
            withdraw(connection, tenant, done["removed"])
            _forget_digests(connection, tenant, done["removed"])
    return Imported(*(tuple(sorted(done[name])) for name in ("new", "changed", "unchanged", "removed")))


def documents_to_serve(
    connection: sa.Connection, tenant: TenantId, *, only_waiting: bool = False
) -> list[tuple[Document, int]]:
    """The wanted version of each article, or else its live one; `only_waiting`: those that are not live yet."""
    a, v = records.article_table.c, records.version_table.c
    target = sa.func.coalesce(a.wanted_version, a.live_version)
    joined = records.article_table.join(
        records.version_table,
        (v.tenant == a.tenant) & (v.article == a.id) & (v.language == a.language) & (v.version == target),
    )
    query = (
        sa.select(records.version_table)
        .select_from(joined)
        .where(a.tenant == tenant)
        .order_by(a.id, a.language)
    )
    if only_waiting:
        query = query.where(a.wanted_version.is_not(None))
    return [(document_of(row), row.version) for row in connection.execute(query)]


def make_live(
    connection: sa.Connection, tenant: TenantId, versions: Sequence[tuple[str, str, int]], *, revision: int
) -> int:
    """The flip. Only versions that are still wanted go live; returns how many did."""
    a, v = records.article_table.c, records.version_table.c
    flipped = 0
    for article, language, version in versions:
        place = (a.tenant == tenant) & (a.id == article) & (a.language == language)
        changed = connection.execute(
            records.article_table.update()
            .where(place, a.wanted_version == version)
            .values(live_version=version, wanted_version=None, changed_revision=revision)
        )
        if changed.rowcount:
            flipped += 1
            history = (v.tenant == tenant) & (v.article == article) & (v.language == language)
            connection.execute(
                records.version_table.update().where(history, v.state == "live").values(state="archived")
            )
            connection.execute(
                records.version_table.update().where(history, v.version == version).values(state="live")
            )
    return flipped


def document_of(row: Any) -> Document:
    return Document(
        id=row.article,
        language=row.language,
        title=row.title,
        body=row.body,
        questions=tuple(json.loads(row.questions)),
        topic=row.topic,
        audience=cast("Audience", row.audience),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )


def _forget_digests(connection: sa.Connection, tenant: TenantId, places: Iterable[tuple[str, str]]) -> None:
    """A file that comes back is news, even with the same words; an article that an editor withdrew is not."""
    a = records.article_table.c
    for article, language in places:
        connection.execute(
            records.article_table.update()
            .where(a.tenant == tenant, a.id == article, a.language == language)
            .values(source_digest="")
        )
