"""The tables of the knowledge base and the few questions asked of them. SQL is the truth, the index a cache of it.

Which version customers see is one number, `article.live_version`: changing it is the publication. Every change of
what is live, and every new index, raises `knowledge.revision` first: that row is the lock that keeps two of them
apart, and the number by which a search notices that the world moved under it.

Functions take an open connection; `articles`, `ingestion`, `search` and `lexicon` call them inside their own
transactions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.storage.database import insert_of, metadata
from retrieval.passages import Audience, Passage

article_table = sa.Table(
    "article",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("language", sa.Text, primary_key=True),
    sa.Column("live_version", sa.Integer),
    sa.Column("wanted_version", sa.Integer),
    sa.Column("last_version", sa.Integer, nullable=False),
    sa.Column("publications", sa.Integer, nullable=False, server_default="0"),
    sa.Column("changed_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("source", sa.Text, nullable=False, server_default=""),
    sa.Column("source_digest", sa.Text, nullable=False, server_default=""),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("article_changes", "tenant", "changed_revision"),
)

version_table = sa.Table(
    "article_version",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("article", sa.Text, primary_key=True),
    sa.Column("language", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("questions", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("audience", sa.Text, nullable=False),
    sa.Column("valid_from", sa.Text, nullable=False),
    sa.Column("valid_until", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

passage_table = sa.Table(
    "passage",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("article", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("heading", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Index("passage_article", "tenant", "article", "language", "version"),
)

release_table = sa.Table(
    "knowledge_release",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("engine", sa.Text, primary_key=True),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("calibration", sa.LargeBinary, nullable=False),
    sa.Column("fitted_passages", sa.Integer, nullable=False),
    sa.Column("changed_passages", sa.Integer, nullable=False, server_default="0"),
    sa.Column("built_at", sa.BigInteger, nullable=False),
)

knowledge_table = sa.Table(
    "knowledge",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
)

_FIELDS = tuple(field.name for field in dataclasses.fields(Passage))
_PASSAGE = tuple(passage_table.c[name] for name in _FIELDS)
"""In the order of the value's fields: a search reads more than a hundred of them, and names would cost."""

_ROWS_A_STATEMENT = 500
"""SQLite refuses statements with very many parameters."""


@dataclass(frozen=True, slots=True)
class Release:
    """Which collection answers for an engine, and what was learned when it was built."""

    collection: str
    number: int
    calibration: bytes
    fitted_passages: int
    changed_passages: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one tenant's knowledge stands at one moment."""

    revision: int
    release: Release | None


@dataclass(frozen=True, slots=True)
class LivePassage:
    passage: Passage
    title: str


def revision_of(connection: sa.Connection, tenant: TenantId) -> int:
    query = sa.select(knowledge_table.c.revision).where(knowledge_table.c.tenant == tenant)
    return int(connection.scalar(query) or 0)


def standing(connection: sa.Connection, tenant: TenantId, engine: str) -> Standing:
    row = connection.execute(
        sa.select(release_table).where(release_table.c.tenant == tenant, release_table.c.engine == engine)
    ).first()
    release = (
        None
        if row is None
        else Release(
            row.collection, row.number, bytes(row.calibration), row.fitted_passages, row.changed_passages
        )
    )
    return Standing(revision_of(connection, tenant), release)


def raise_revision(connection: sa.Connection, tenant: TenantId) -> int:
    """First statement of every change of what is live: on Postgres it also queues the others behind this one."""
    insert = insert_of(connection)(knowledge_table).values(tenant=tenant, revision=1)
    raised = insert.on_conflict_do_update(
        index_elements=["tenant"], set_={"revision": knowledge_table.c.revision + 1}
    )
    return int(connection.execute(raised.returning(knowledge_table.c.revision)).scalar_one())


def save_release(
    connection: sa.Connection, tenant: TenantId, engine: str, *, release: Release, built_at: int
) -> None:
    values: dict[str, Any] = {
        "collection": release.collection,
        "number": release.number,
        "calibration": release.calibration,
        "fitted_passages": release.fitted_passages,
        "changed_passages": release.changed_passages,
        "built_at": built_at,
    }
    insert = insert_of(connection)(release_table).values(tenant=tenant, engine=engine, **values)
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "engine"], set_=values))


def count_changes(connection: sa.Connection, tenant: TenantId, engine: str, changed: int) -> None:
    connection.execute(
        release_table.update()
        .where(release_table.c.tenant == tenant, release_table.c.engine == engine)
        .values(changed_passages=release_table.c.changed_passages + changed)
    )


def find_live(
    connection: sa.Connection,
    tenant: TenantId,
    ids: Collection[str],
    *,
    audiences: Sequence[Audience],
    day: str,
) -> list[LivePassage]:
    """Of these passages the ones that this reader may see today."""
    return _live(connection, tenant, audiences, day, passage_table.c.id.in_(list(ids)))


def find_live_questions(
    connection: sa.Connection,
    tenant: TenantId,
    articles: Collection[str],
    *,
    audiences: Sequence[Audience],
    day: str,
) -> list[LivePassage]:
    """The articles' question passages in all their languages, the title first."""
    wanted = sa.and_(passage_table.c.article.in_(list(articles)), passage_table.c.kind == "question")
    return _live(connection, tenant, audiences, day, wanted)


def _live(
    connection: sa.Connection,
    tenant: TenantId,
    audiences: Sequence[Audience],
    day: str,
    wanted: sa.ColumnElement[bool],
) -> list[LivePassage]:
    p, a, v = passage_table.c, article_table.c, version_table.c
    joined = passage_table.join(
        article_table,
        (a.tenant == p.tenant)
        & (a.id == p.article)
        & (a.language == p.language)
        & (a.live_version == p.version),
    ).join(
        version_table,
        (v.tenant == p.tenant)
        & (v.article == p.article)
        & (v.language == p.language)
        & (v.version == p.version),
    )
    rows = connection.execute(
        sa.select(*_PASSAGE, v.title)
        .select_from(joined)
        .where(
            p.tenant == tenant,
            wanted,
            v.audience.in_(audiences),
            v.valid_from <= day,
            (v.valid_until == "") | (v.valid_until >= day),
        )
    )
    # No ORDER BY: SQLite would walk all passages in that order instead of looking up the few that are asked for.
    return in_order(LivePassage(Passage(*row[:-1]), row[-1]) for row in rows)


def in_order(found: Iterable[LivePassage]) -> list[LivePassage]:
    return sorted(found, key=lambda one: (one.passage.article, one.passage.language, one.passage.position))


def changed_articles(
    connection: sa.Connection, tenant: TenantId, after: int
) -> list[tuple[str, str, int | None]]:
    """(article, language, live version) of what changed after that revision."""
    a = article_table.c
    rows = connection.execute(
        sa.select(a.id, a.language, a.live_version).where(a.tenant == tenant, a.changed_revision > after)
    )
    return [(row.id, row.language, row.live_version) for row in rows]


def passages_of(
    connection: sa.Connection, tenant: TenantId, versions: Collection[tuple[str, str, int]]
) -> list[Passage]:
    p = passage_table.c
    found: list[Passage] = []
    for part in _parts(list(versions), _ROWS_A_STATEMENT // 3):
        rows = connection.execute(
            sa.select(*_PASSAGE)
            .where(p.tenant == tenant, sa.tuple_(p.article, p.language, p.version).in_(part))
            .order_by(p.article, p.language, p.position)
        )
        found += [Passage(*row) for row in rows]
    return found


def write_passages(connection: sa.Connection, tenant: TenantId, passages: Sequence[Passage]) -> None:
    """Repeatable. Also replaces what the same versions had before, when chunking itself has changed."""
    p = passage_table.c
    versions = sorted({(passage.article, passage.language, passage.version) for passage in passages})
    for part in _parts(versions, _ROWS_A_STATEMENT // 3):
        connection.execute(
            passage_table.delete().where(
                p.tenant == tenant, sa.tuple_(p.article, p.language, p.version).in_(part)
            )
        )
    rows = [
        {"tenant": tenant, **{column: getattr(passage, column) for column in _FIELDS}} for passage in passages
    ]
    if rows:
        connection.execute(passage_table.insert(), rows)


def delete_all_passages(connection: sa.Connection, tenant: TenantId) -> None:
    connection.execute(passage_table.delete().where(passage_table.c.tenant == tenant))


def count_passages(connection: sa.Connection, tenant: TenantId) -> int:
    """Different ids: what the tenant's collection must hold."""
    return int(
        connection.scalar(
            sa.select(sa.func.count(passage_table.c.id.distinct())).where(passage_table.c.tenant == tenant)
        )
        or 0
    )


def some_live_ids(connection: sa.Connection, tenant: TenantId, limit: int) -> list[str]:
    p, a = passage_table.c, article_table.c
    joined = passage_table.join(
        article_table,
        (a.tenant == p.tenant)
        & (a.id == p.article)
        & (a.language == p.language)
        & (a.live_version == p.version),
    )
    rows = connection.execute(
        sa.select(p.id).select_from(joined).where(p.tenant == tenant).order_by(p.id).limit(limit)
    )
    return [row.id for row in rows]


def outdated_passages(
    connection: sa.Connection, tenant: TenantId, article: str, language: str
) -> tuple[list[str], list[int]]:
    """Ids that no wanted or live version of the article uses any more, and the versions whose rows may go."""
    p, a = passage_table.c, article_table.c
    row = connection.execute(
        sa.select(a.live_version, a.wanted_version).where(
            a.tenant == tenant, a.id == article, a.language == language
        )
    ).first()
    kept = set(row) - {None} if row else set()
    rows = connection.execute(
        sa.select(p.id, p.version).where(p.tenant == tenant, p.article == article, p.language == language)
    ).all()
    used = {row.id for row in rows if row.version in kept}
    old = {row.version for row in rows} - kept
    return sorted({row.id for row in rows} - used), sorted(old)


def delete_passages(
    connection: sa.Connection, tenant: TenantId, article: str, language: str, *, versions: Iterable[int]
) -> None:
    p = passage_table.c
    connection.execute(
        passage_table.delete().where(
            p.tenant == tenant, p.article == article, p.language == language, p.version.in_(list(versions))
        )
    )


def _parts(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
