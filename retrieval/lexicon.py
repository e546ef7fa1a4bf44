"""The lexical indexes of all tenants, kept in step with SQL: one a language family, filled on first use.

Called by `search`. A publication costs the words of the articles that changed since the last look, in a thread;
searches do not wait long for a large import, they go on with what is there. Where nothing is there yet they wait: how sure an
answer is was learned with words, and without any a stray likeness would pass for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.storage.database import Database
from retrieval import records
from retrieval.lexical import LexicalIndex
from retrieval.passages import Passage, language_family

PATIENCE_SECONDS = 1.0
"""How long a search waits for new words, where there are words already."""

LONGEST_QUERY = 2_000


class Lexicon:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._shelves: dict[TenantId, _Shelf] = {}

    async def ensure(
        self, tenant: TenantId, revision: int, patience_seconds: float | None = PATIENCE_SECONDS
    ) -> bool:
        """True when everything that was live at `revision` can be found; None waits as long as it takes, and so does the
        first fill."""
        shelf = self._shelves.setdefault(tenant, _Shelf())
        if shelf.revision >= revision:
            return True
        if shelf.filling is None or shelf.filling.done():
            shelf.filling = asyncio.create_task(self._fill(tenant, shelf))
        patience = patience_seconds if shelf.indexes else None
        try:
            await asyncio.wait_for(asyncio.shield(shelf.filling), patience)
        except TimeoutError:
            return False
        return shelf.revision >= revision

    async def search(self, tenant: TenantId, text: str, limit: int) -> list[tuple[str, float]]:
        shelf = self._shelves.get(tenant)
        if shelf is None or not shelf.indexes:
            return []
        return await asyncio.to_thread(_search, list(shelf.indexes.values()), text[:LONGEST_QUERY], limit)

    def index(self, tenant: TenantId, language: str) -> LexicalIndex:
        """The index of that family, or the fullest there is: rarity of words is needed in any case."""
        shelf = self._shelves.get(tenant)
        if shelf is None or not shelf.indexes:
            return LexicalIndex()
        family = language_family(language)
        return shelf.indexes[family] if family in shelf.indexes else max(shelf.indexes.values(), key=len)

    async def _fill(self, tenant: TenantId, shelf: _Shelf) -> None:
        def changes(
            connection: sa.Connection,
        ) -> tuple[int, list[tuple[str, str, int | None]], list[Passage]]:
            revision = records.standing(connection, tenant, "").revision
            changed = records.changed_articles(connection, tenant, shelf.revision)
            live = [
                (article, language, version) for article, language, version in changed if version is not None
            ]
            return revision, changed, records.passages_of(connection, tenant, live)

        revision, changed, passages = await self._database.read(changes)
        await asyncio.to_thread(
            shelf.apply, [(article, language) for article, language, _ in changed], passages
        )
        shelf.revision = revision


@dataclass(slots=True)
class _Shelf:
    """One tenant's indexes; `held` remembers which passages stand for an article."""

    revision: int = -1
    indexes: dict[str, LexicalIndex] = field(default_factory=dict)
    held: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    filling: asyncio.Task[None] | None = None

    def apply(self, changed: Sequence[tuple[str, str]], passages: Sequence[Passage]) -> None:
        """New words go in before old ones go out; what is not live is hidden by SQL in any case."""
        wanted: dict[tuple[str, str], dict[str, str]] = {place: {} for place in changed}
        for passage in passages:
            wanted[passage.article, passage.language][passage.id] = passage.context
        for family in sorted({language_family(language) for _, language in changed}):
            index = self.indexes.get(family, LexicalIndex())
            places = [place for place in changed if language_family(place[1]) == family]
            index.add({identity: text for place in places for identity, text in wanted[place].items()})
            for place in places:
                index.remove(self.held.get(place, frozenset()) - wanted[place].keys())
                self.held[place] = frozenset(wanted[place])
            self.indexes[family] = index


def _search(indexes: Sequence[LexicalIndex], text: str, limit: int) -> list[tuple[str, float]]:
    found = [match for index in indexes for match in index.search(text, limit)]
    return sorted(found, key=lambda match: -match[1])[:limit]
