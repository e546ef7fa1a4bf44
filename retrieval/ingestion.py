"""Makes wanted versions live: cuts, embeds, adds to the index, flips in SQL, and later clears away the old.

Called by the worker for `ArticlePublished` and `ArticleIndexed`, by the commands and the first start for imports and
rebuilds. Everything is repeatable: what a crash left half done is done again under the same ids.

Order is what keeps searches whole: new passages are in the index before the flip, old ones leave after it. A build
into a new collection and a publication cannot cross unseen: both raise the knowledge's revision first and then check
that the collection, or the revision, is still the one they worked on.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from foundation.bus.contract import Entry, Outcome, Turn
from foundation.clock import Clock, to_milliseconds
from foundation.embedders.contract import Embedder
from foundation.errors import Conflict, NotFound, UpstreamUnavailable
from foundation.events import ArticleIndexed, ArticlePublished
from foundation.messages import TenantId
from foundation.storage.database import Database
from retrieval import articles, calibration, chunking, records, search, versions
from retrieval.articles import Articles
from retrieval.front_matter import Document
from retrieval.index import KnowledgeIndex, collection_name
from retrieval.passages import Passage, Vector
from retrieval.sources.contract import Problem, Source

REBUILD_SHARE = 0.2
"""Share of passages changed since the last build at which what was learned no longer fits."""

EMBEDDING_BATCH = 64
BUILD_ATTEMPTS = 3

Progress = Callable[[int, int], None]
"""(passages done, passages in all)."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Numbers of articles, and what could not be read."""

    new: int
    changed: int
    unchanged: int
    removed: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` is False when the index must be rebuilt; `reason` says what was seen."""

    ok: bool
    indexed: int
    expected: int
    reason: str = ""


class Ingestion:
    def __init__(
        self,
        database: Database,
        index: KnowledgeIndex,
        *,
        embedder: Embedder,
        articles: Articles,
        clock: Clock,
    ) -> None:
        self._database = database
        self._index = index
        self._embedder = embedder
        self._articles = articles
        self._clock = clock

    async def handle(self, event: ArticlePublished, turn: Turn) -> Outcome:
        """Raises `UpstreamUnavailable` when the index is away: the lane waits, the old version stays live."""
        started = time.perf_counter()
        tenant, place = event.tenant, (event.article, event.language, event.article_version)
        document = await self._wanted(tenant, place)
        if document is None:
            # Live already (a build or an import took it along), or overtaken by a later wish: nothing to do.
            return Outcome(entries=[_indexed(event, turn, started)])
        passages = chunking.cut(document, event.article_version)
        release = await self._release(tenant)
        added = None if release is None else await self._add(release, passages)
        if release is None or added is None:
            await self.rebuild(tenant)
            return Outcome(entries=[_indexed(event, turn, started)])
        flip = self._flip(tenant, release, [place], passages=passages, added=added)
        return Outcome(writes=[flip], entries=[_indexed(event, turn, started)])

    async def handle_indexed(self, event: ArticleIndexed, _turn: Turn) -> Outcome:
        """Clears what no version in use needs; builds anew when too much has changed since the last build."""
        await self._clear(event.tenant, [(event.article, event.language)])
        release = await self._release(event.tenant)
        if release is not None and release.changed_passages > REBUILD_SHARE * release.fitted_passages:
            await self.rebuild(event.tenant)
        return Outcome()

    async def import_source(self, tenant: TenantId, source: Source, author: str) -> ImportReport:
        """New and changed articles are live when this returns. One transaction takes all in, one makes them live."""
        delivery = await source.read()
        imported = await self._articles.take_in(
            tenant, delivery.documents, source=source.name, author=author, complete=delivery.is_complete
        )
        await self.settle(tenant)
        await self._clear(tenant, imported.removed)
        return ImportReport(
            len(imported.new),
            len(imported.changed),
            len(imported.unchanged),
            len(imported.removed),
            tuple(delivery.problems),
        )

    async def settle(self, tenant: TenantId) -> int:
        """Makes live whatever is wanted, without the bus; returns how many articles. For imports, and for a start
        after a crash in the middle of one."""
        waiting = await self._database.read(
            lambda connection: versions.documents_to_serve(connection, tenant, only_waiting=True)
        )
        if not waiting:
            return 0
        release = await self._release(tenant)
        passages = await asyncio.to_thread(_cut, waiting)
        is_large = release is None or len(passages) > REBUILD_SHARE * release.fitted_passages
        added = None if release is None or is_large else await self._add(release, passages)
        if release is None or added is None:
            await self.rebuild(tenant)
        else:
            places = [(document.id, document.language, version) for document, version in waiting]
            await self._database.write(self._flip(tenant, release, places, passages=passages, added=added))
            await self._clear(tenant, [(article, language) for article, language, _ in places])
        return len(waiting)

    async def rebuild(self, tenant: TenantId, progress: Progress | None = None) -> None:
        """Everything that is live or wanted goes into a new collection; then one transaction turns to it. Searches
        go on in the old one. Raises `Conflict` when publications overtook it three times."""
        for _ in range(BUILD_ATTEMPTS):
            if await self._build(tenant, progress):
                return
        raise Conflict(
            "The knowledge base keeps changing; build the index again in a minute.", code="index_busy"
        )

    async def check(self, tenant: TenantId) -> Health:
        """Count equals SQL's, and a few passages find themselves. Cheap enough for every start."""
        release = await self._release(tenant)
        expected = await self._database.read(lambda connection: records.count_passages(connection, tenant))
        if release is None:
            return Health(
                expected == 0, 0, expected, "" if expected == 0 else "there is no index for this embedder"
            )
        sample = await self._database.read(lambda connection: records.some_live_ids(connection, tenant, 3))
        try:
            indexed = await self._index.count(release.collection)
            vectors = await self._index.vectors(release.collection, sample)
            for identity in sample:
                found = await self._index.search(release.collection, vectors[identity], 3)
                if identity not in [match.id for match in found]:
                    return Health(False, indexed, expected, "a passage does not find itself")
        except (NotFound, KeyError):
            return Health(False, 0, expected, "passages are missing from the index")
        reason = "" if indexed == expected else f"the index holds {indexed} passages, SQL {expected}"
        return Health(indexed == expected, indexed, expected, reason)

    async def _build(self, tenant: TenantId, progress: Progress | None) -> bool:
        engine = self._embedder.engine

        def look(connection: sa.Connection) -> tuple[list[tuple[Document, int]], records.Standing]:
            return (
                versions.documents_to_serve(connection, tenant),
                records.standing(connection, tenant, engine),
            )

        documents, before = await self._database.read(look)
        passages = await asyncio.to_thread(_cut, documents)
        vectors = await self._embed(passages, progress)
        learned, centred = await asyncio.to_thread(calibration.fit, passages, vectors)
        number = before.release.number + 1 if before.release else 1
        # The token keeps two builds of the same number out of each other's collection.
        collection = collection_name(tenant, engine, f"{number}-{secrets.token_hex(4)}")
        await self._index.create(collection)
        await self._index.add(collection, [passage.id for passage in passages], centred)
        release = records.Release(collection, number, learned.dump(), len(passages), 0)
        build = _Build(before.revision, release, documents, passages)
        try:
            await self._database.write(lambda connection: self._turn_to(connection, tenant, build))
        except UpstreamUnavailable:
            await self._index.drop(collection)
            return False
        if before.release is not None:
            await self._index.drop(before.release.collection)
        return True

    def _turn_to(self, connection: sa.Connection, tenant: TenantId, build: _Build) -> None:
        revision = records.raise_revision(connection, tenant)
        if revision != build.based_on + 1:
            raise UpstreamUnavailable("The knowledge base changed during the build.", code="index_moved")
        records.delete_all_passages(connection, tenant)
        records.write_passages(connection, tenant, build.passages)
        places = [(document.id, document.language, version) for document, version in build.documents]
        versions.make_live(connection, tenant, places, revision=revision)
        now = to_milliseconds(self._clock())
        records.save_release(connection, tenant, self._embedder.engine, release=build.release, built_at=now)

    def _flip(
        self,
        tenant: TenantId,
        release: records.Release,
        places: Sequence[tuple[str, str, int]],
        *,
        passages: Sequence[Passage],
        added: int,
    ) -> Callable[[sa.Connection], None]:
        def flip(connection: sa.Connection) -> None:
            revision = records.raise_revision(connection, tenant)
            now = records.standing(connection, tenant, self._embedder.engine).release
            if now is None or now.collection != release.collection:
                raise UpstreamUnavailable("The index was replaced meanwhile.", code="index_moved")
            records.write_passages(connection, tenant, passages)
            versions.make_live(connection, tenant, places, revision=revision)
            records.count_changes(connection, tenant, self._embedder.engine, added)

        return flip

    async def _clear(self, tenant: TenantId, places: Sequence[tuple[str, str]]) -> None:
        """Old passages leave the index first, then SQL: the other way round they would be forgotten in the index."""

        def look(connection: sa.Connection) -> list[tuple[list[str], list[int]]]:
            return [records.outdated_passages(connection, tenant, *place) for place in places]

        outdated = await self._database.read(look)
        gone = [identity for ids, _ in outdated for identity in ids]
        release = await self._release(tenant)
        if release is not None and gone:
            await self._remove(release.collection, gone)

        def clear(connection: sa.Connection) -> None:
            for (article, language), (_, old) in zip(places, outdated, strict=True):
                records.delete_passages(connection, tenant, article, language, versions=old)
            records.count_changes(connection, tenant, self._embedder.engine, len(gone))

        await self._database.write(clear)

    async def _wanted(self, tenant: TenantId, place: tuple[str, str, int]) -> Document | None:
        """None when another version is wanted by now, or this one is live already."""
        waiting = await self._database.read(
            lambda connection: versions.documents_to_serve(connection, tenant, only_waiting=True)
        )
        for document, version in waiting:
            if (document.id, document.language, version) == place:
                return document
        return None

    async def _add(self, release: records.Release, passages: Sequence[Passage]) -> int | None:
        """Only what the index does not hold yet; returns how many that were, None when the collection is lost or
        was just replaced: a build then makes the articles live by itself."""
        try:
            known = await self._index.vectors(release.collection, [passage.id for passage in passages])
            fresh = [passage for passage in passages if passage.id not in known]
            if fresh:
                vectors = await self._embed(fresh, None)
                learned = calibration.load(release.calibration)
                centred = learned.centre(vectors, [(passage.language, passage.kind) for passage in fresh])
                await self._index.add(release.collection, [passage.id for passage in fresh], centred)
        except NotFound:
            return None
        return len(fresh)

    async def _remove(self, collection: str, ids: Sequence[str]) -> None:
        try:
            await self._index.remove(collection, ids)
        except NotFound:
            return  # a build has replaced the collection, and the new one never held them

    async def _embed(self, passages: Sequence[Passage], progress: Progress | None) -> Vector:
        """Texts of like length side by side: an engine pads a batch to its longest."""
        order = sorted(range(len(passages)), key=lambda at: (passages[at].kind, len(passages[at].context)))
        vectors = np.zeros((len(passages), self._embedder.dimensions), dtype=np.float32)
        for start in range(0, len(order), EMBEDDING_BATCH):
            rows = order[start : start + EMBEDDING_BATCH]
            vectors[rows] = await search.embed(self._embedder, [passages[at] for at in rows])
            if progress is not None:
                progress(min(start + EMBEDDING_BATCH, len(order)), len(order))
        return vectors

    async def _release(self, tenant: TenantId) -> records.Release | None:
        engine = self._embedder.engine
        standing = await self._database.read(lambda connection: records.standing(connection, tenant, engine))
        return standing.release


@dataclass(frozen=True, slots=True)
class _Build:
    """What a build made, and the revision it looked at."""

    based_on: int
    release: records.Release
    documents: Sequence[tuple[Document, int]]
    passages: Sequence[Passage]


def _cut(documents: Sequence[tuple[Document, int]]) -> list[Passage]:
    return [passage for document, version in documents for passage in chunking.cut(document, version)]


def _indexed(event: ArticlePublished, turn: Turn, started: float) -> Entry:
    after = ArticleIndexed(
        tenant=event.tenant,
        article=event.article,
        language=event.language,
        article_version=event.article_version,
        milliseconds=round((time.perf_counter() - started) * 1000, 1),
    )
    key = f"{event.article}|{event.language}|{event.article_version}|indexed|{turn.seq}"
    return Entry(event.tenant, articles.SOURCE, key, articles.lane(event.tenant), after)
