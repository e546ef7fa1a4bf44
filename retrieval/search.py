"""Answers a question with the passages that are live at this moment, and says how sure it may be of them.

Called by the agent once a turn (which brings the question's vector), by the console for previews and by the commands.
The index and the words propose, SQL decides what may be seen. Proposals and decision are two looks at a moving
world: when the number of the knowledge's revision moved between them the search is repeated, so that a publication
in the middle shows the old version or the new one, never neither and never both.

Days of validity are days in UTC.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import sqlalchemy as sa

from foundation.clock import Clock
from foundation.embedders.contract import Embedder
from foundation.errors import NotFound, UpstreamUnavailable
from foundation.messages import Citation, TenantId
from foundation.storage.database import Database
from retrieval import calibration, chunking, lexical, ranking, records
from retrieval.calibration import DENSE_CANDIDATES, LEXICAL_CANDIDATES, Calibration
from retrieval.front_matter import Document
from retrieval.index import KnowledgeIndex
from retrieval.lexicon import LONGEST_QUERY, Lexicon
from retrieval.passages import (
    READABLE_BY,
    Audience,
    Found,
    Hit,
    Passage,
    Query,
    Vector,
    language_family,
    simplified,
)
from retrieval.ranking import Candidate, Ranked

ATTEMPTS = 10
"""A search is repeated while publications overtake it; ten in a row would need one every few milliseconds."""

SEEN_LIMIT = 20_000
"""Passages remembered for one audience and day, about a kilobyte each."""
QUOTE_LIMIT = 200
DRAFT_VERSION = 0
"""What a previewed draft is called: no stored version has this number."""


View = tuple[tuple[Audience, ...], str]
"""Audiences whose articles a reader may see, and the day."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a question finds now and what it would find with the draft."""

    question: str
    before: Found
    after: Found


@dataclass(frozen=True, slots=True)
class _World:
    """Where the tenant's knowledge stood, with the learned numbers unpacked."""

    standing: records.Standing
    calibration: Calibration | None
    seen: dict[View, dict[str, records.LivePassage | None]] = field(default_factory=lambda: defaultdict(dict))
    """What readers of one audience, on one day, may see of the passages asked for so far; None: nothing. True for as long as
    the revision stands, which every search asks SQL."""


@dataclass(frozen=True, slots=True)
class _Proposals:
    """Similarity and lexical score by passage id, and which parts could not propose."""

    dense: dict[str, float]
    words: dict[str, float]
    degraded: tuple[str, ...]

    @property
    def ids(self) -> set[str]:
        return self.dense.keys() | self.words.keys()


class KnowledgeBase:
    """Keeps the words in memory (see `lexicon`); `warm` fills them before the first customer comes."""

    def __init__(self, database: Database, index: KnowledgeIndex, embedder: Embedder, clock: Clock) -> None:
        self._database = database
        self._index = index
        self._embedder = embedder
        self._clock = clock
        self._lexicon = Lexicon(database)
        self._worlds: dict[TenantId, _World] = {}

    async def warm(self, tenant: TenantId) -> None:
        world = await self._look(tenant)
        await self._lexicon.ensure(tenant, world.standing.revision, patience_seconds=None)

    async def search(self, query: Query, limit: int = 5) -> Found:
        """Never raises for an index or database that is away: `Found.degraded` says what was missing."""
        try:
            candidates, world, degraded = await self._candidates(query)
            ranked = self._rank(query, candidates, world, degraded)
            shown = await self._in_language(query, ranked[:limit])
        except sa.exc.OperationalError:
            return Found((), 0.0, ("index", "lexical"))
        return self._found(query, ranked, shown, world, degraded)

    async def ask(
        self, tenant: TenantId, text: str, *, language: str, audience: Audience = "public", limit: int = 5
    ) -> Found:
        """A search for callers that have no vector yet: commands, the console, evaluations."""
        vectors = await self._embedder.embed_queries([simplified(text)])
        return await self.search(Query(tenant, text, vectors[0], language, audience), limit)

    async def preview(
        self, tenant: TenantId, draft: Document, questions: Sequence[str], *, limit: int = 5
    ) -> list[Preview]:
        """Answers with the draft as if it were live; touches neither the index nor SQL."""
        pieces = chunking.cut(draft, DRAFT_VERSION)
        vectors = await embed(self._embedder, pieces)
        asked = await self._embedder.embed_queries([simplified(question) for question in questions])
        previews = []
        for question, vector in zip(questions, asked, strict=True):
            query = Query(tenant, question, vector, draft.language, draft.audience)
            candidates, world, degraded = await self._candidates(query)
            others = [one for one in candidates if not _is_of(one, draft)]
            with_draft = [*others, *self._draft_candidates(query, draft, pieces, vectors, world, degraded)]
            found = []
            for available in (candidates, with_draft):
                ranked = self._rank(query, available, world, degraded)
                found.append(self._found(query, ranked, ranked[:limit], world, degraded))
            previews.append(Preview(question, found[0], found[1]))
        return previews

    async def _candidates(self, query: Query) -> tuple[list[Candidate], _World, tuple[str, ...]]:
        world = self._worlds.get(query.tenant) or await self._look(query.tenant)
        for _ in range(ATTEMPTS):
            proposals = await self._propose(query, world)
            live, revision = await self._visible(query, world, proposals.ids)
            if revision == world.standing.revision:
                break
            world = await self._look(query.tenant)
        candidates = [
            Candidate(
                one.passage,
                one.title,
                proposals.dense.get(one.passage.id),
                proposals.words.get(one.passage.id),
            )
            for one in live
        ]
        return candidates, world, proposals.degraded

    async def _propose(self, query: Query, world: _World) -> _Proposals:
        dense, words = await asyncio.gather(
            self._propose_dense(query, world), self._propose_words(query, world)
        )
        missing = [name for name, part in (("index", dense), ("lexical", words)) if part is None]
        return _Proposals(dense or {}, words or {}, tuple(missing))

    async def _propose_dense(self, query: Query, world: _World) -> dict[str, float] | None:
        release = world.standing.release
        if release is None or world.calibration is None:
            return None if world.standing.revision else {}
        vector = world.calibration.centre_query(query.vector, query.language)
        try:
            return dict(await self._index.search(release.collection, vector, DENSE_CANDIDATES))
        except UpstreamUnavailable:
            return None
        except NotFound:
            # Replaced by a rebuild a moment ago, or lost: the next look tells.
            self._worlds.pop(query.tenant, None)
            return None

    async def _propose_words(self, query: Query, world: _World) -> dict[str, float] | None:
        filled = await self._lexicon.ensure(query.tenant, world.standing.revision)
        found = dict(await self._lexicon.search(query.tenant, query.text, LEXICAL_CANDIDATES))
        return found if filled or found else None

    async def _visible(
        self, query: Query, world: _World, ids: Collection[str]
    ) -> tuple[list[records.LivePassage], int]:
        view = self._view(query)
        known = world.seen[view]
        missing = [identity for identity in ids if identity not in known]

        def look(connection: sa.Connection) -> tuple[list[records.LivePassage], int]:
            audiences, day = view
            revision = records.revision_of(connection, query.tenant)
            wanted = missing if revision == world.standing.revision else list(ids)
            live = (
                records.find_live(connection, query.tenant, wanted, audiences=audiences, day=day)
                if wanted
                else []
            )
            return live, revision

        fresh, revision = await self._database.read(look)
        if revision != world.standing.revision:
            return fresh, revision
        found = known | dict.fromkeys(missing) | {one.passage.id: one for one in fresh}
        world.seen[view] = found if len(found) <= SEEN_LIMIT else {}
        return records.in_order(one for identity in ids if (one := found[identity]) is not None), revision

    async def _look(self, tenant: TenantId) -> _World:
        engine = self._embedder.engine
        standing = await self._database.read(lambda connection: records.standing(connection, tenant, engine))
        known = self._worlds.get(tenant)
        if known and known.standing.release and standing.release == known.standing.release:
            learned = known.calibration
        else:
            learned = calibration.load(standing.release.calibration) if standing.release else None
        self._worlds[tenant] = world = _World(standing, learned)
        return world

    def _view(self, query: Query) -> View:
        return READABLE_BY[query.audience], self._clock().date().isoformat()

    def _rank(
        self, query: Query, candidates: Sequence[Candidate], world: _World, degraded: Sequence[str]
    ) -> list[Ranked]:
        learned = world.calibration
        weights = ranking.LEXICAL_ONLY if learned is None or "index" in degraded else learned.weights
        return ranking.rank(candidates, weights, language=query.language)

    async def _in_language(self, query: Query, ranked: Sequence[Ranked]) -> list[Ranked]:
        """An article that was found by its other language only is shown in the reader's, where it exists."""
        foreign = [entry.article for entry in ranked if entry.other_language]
        if not foreign:
            return list(ranked)
        audiences, day = self._view(query)
        rows = await self._database.read(
            lambda connection: records.find_live_questions(
                connection, query.tenant, foreign, audiences=audiences, day=day
            )
        )
        family = language_family(query.language)
        leads: dict[str, Candidate] = {}
        for row in rows:
            if language_family(row.passage.language) == family:
                leads.setdefault(row.passage.article, Candidate(row.passage, row.title, None, None))
        return [
            replace(entry, best=leads[entry.article], other_language=False)
            if entry.other_language and entry.article in leads
            else entry
            for entry in ranked
        ]

    def _found(
        self,
        query: Query,
        ranked: Sequence[Ranked],
        shown: Sequence[Ranked],
        world: _World,
        degraded: tuple[str, ...],
    ) -> Found:
        if not ranked:
            return Found((), 0.0, degraded)
        words = self._lexicon.index(query.tenant, query.language)
        terms = words.weights(list(dict.fromkeys(lexical.words(query.text[:LONGEST_QUERY]))))
        covered = words.covered(terms, [one.passage.id for one in ranked[0].candidates])
        for candidate in ranked[0].candidates:
            if candidate.passage.version == DRAFT_VERSION:
                covered |= terms.keys() & set(lexical.words(candidate.passage.context))
        signals = ranking.signals(ranked, terms, covered)
        learned = world.calibration or Calibration({})
        model = learned.answering_by_words if "index" in degraded else learned.answering
        return Found(tuple(_hit(entry) for entry in shown), model.probability(signals), degraded, signals)

    def _draft_candidates(
        self,
        query: Query,
        draft: Document,
        pieces: Sequence[Passage],
        vectors: Vector,
        world: _World,
        degraded: Sequence[str],
    ) -> list[Candidate]:
        learned = world.calibration or Calibration({})
        centred = learned.centre(vectors, [(piece.language, piece.kind) for piece in pieces])
        similarities = centred @ learned.centre_query(query.vector, query.language)
        scores = self._lexicon.index(query.tenant, draft.language).score(
            query.text, [piece.context for piece in pieces]
        )
        return [
            Candidate(piece, draft.title, None if "index" in degraded else float(similarity), score or None)
            for piece, similarity, score in zip(pieces, similarities, scores, strict=True)
        ]


async def embed(embedder: Embedder, passages: Sequence[Passage]) -> Vector:
    """Bodies on the passage side, questions on the query side: a customer's question is compared with both. All in
    Simplified characters, as the query is."""
    vectors = np.zeros((len(passages), embedder.dimensions), dtype=np.float32)
    for kind, work in (("body", embedder.embed_passages), ("question", embedder.embed_queries)):
        rows = [at for at, passage in enumerate(passages) if passage.kind == kind]
        if rows:
            vectors[rows] = await work([simplified(passages[at].context) for at in rows])
    return vectors


def cite(hit: Hit) -> Citation:
    """Quotes the beginning of the answer, whole sentences, letter by letter as the article has them."""
    block = hit.answer.split("\n\n")[0]
    lines = block.split("\n")
    if block.startswith("|") and len(lines) > 2:
        block = lines[2]
    end = 0
    for sentence in chunking.sentences(block):
        after = block.index(sentence, end) + len(sentence)
        if end and after > QUOTE_LIMIT:
            break
        end = after
    return Citation(article=hit.article, title=hit.title, version=hit.version, quote=block[:end])


def _hit(entry: Ranked) -> Hit:
    passage = entry.best.passage
    return Hit(
        passage_id=passage.id,
        article=passage.article,
        language=passage.language,
        title=entry.best.title,
        version=passage.version,
        text=passage.text,
        answer=passage.answer,
        heading=passage.heading,
        score=entry.score,
        parts=dict(zip(("body", "question", "lexical"), entry.parts, strict=True)),
        other_language=entry.other_language,
    )


def _is_of(candidate: Candidate, draft: Document) -> bool:
    return (candidate.passage.article, candidate.passage.language) == (draft.id, draft.language)
