"""The one door to the content, for people and machines: drafts, versions, publication, roll back, withdrawal.

The console, the commands and the sources call it. A version is never changed, only followed by the next one, so
every published text stays readable for audits. Publishing marks a version as wanted and puts `ArticlePublished`
on the tenant's knowledge lane, in one transaction; `ingestion` makes it live when its passages can be found.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock, to_milliseconds
from foundation.errors import NotFound
from foundation.events import ArticleIndexed, ArticlePublished
from foundation.messages import TenantId
from foundation.storage.database import Database
from retrieval import front_matter, records, versions
from retrieval.front_matter import Document
from retrieval.versions import Imported, Summary, Version

SOURCE = "knowledge"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a side-by-side view; an empty side where the line exists on the other only."""

    old: str
    new: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Difference:
    unified: str
    rows: tuple[Row, ...]


def lane(tenant: TenantId) -> str:
    return f"knowledge|{tenant}"


class Articles:
    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    async def catalogue(self, tenant: TenantId) -> list[Summary]:
        return await self._database.read(lambda connection: versions.catalogue(connection, tenant))

    async def history(self, tenant: TenantId, article: str, language: str) -> list[Version]:
        """Newest first; raises `NotFound`."""
        found = await self._database.read(
            lambda connection: versions.find_versions(connection, tenant, article, language)
        )
        if not found:
            raise _unknown(article, language)
        return found

    async def get(self, tenant: TenantId, article: str, language: str, version: int | None = None) -> Version:
        """That version, or the newest one; raises `NotFound`."""
        found = await self._database.read(
            lambda connection: versions.find_versions(connection, tenant, article, language, version=version)
        )
        if not found:
            raise _unknown(article, language, version)
        return found[0]

    async def compare(
        self, tenant: TenantId, article: str, language: str, *, old: int, new: int
    ) -> Difference:
        before = await self.get(tenant, article, language, old)
        after = await self.get(tenant, article, language, new)
        return difference(before.document, after.document, names=(f"v{old}", f"v{new}"))

    async def save_draft(
        self, tenant: TenantId, document: Document, *, author: str, based_on: int, note: str = ""
    ) -> int:
        """Returns the new version. `based_on` is the version the editor started from, 0 for a new article; raises
        `Conflict` when somebody saved in between, `InvalidInput` when the document breaks a rule."""
        front_matter.check(document, document.id or "article")
        now = to_milliseconds(self._clock())
        return await self._database.write(
            lambda connection: versions.add_version(
                connection, tenant, document, based_on=based_on, note=versions.Note(author, note, now)
            )
        )

    async def publish(self, tenant: TenantId, article: str, language: str, version: int) -> None:
        """Repeatable: a version that is live or on its way is left alone. Raises `NotFound`."""
        await self.get(tenant, article, language, version)
        place = await self._summary(tenant, article, language)
        if version in (place.wanted_version, place.live_version if place.wanted_version is None else None):
            return
        publication = await self._publication(tenant, article, language)

        def writes(connection: sa.Connection, _seq: int) -> None:
            versions.want(connection, tenant, article, language, version=version, publication=publication)

        event = ArticlePublished(tenant=tenant, article=article, language=language, article_version=version)
        await self._accept(event, publication, writes)

    async def roll_back(self, tenant: TenantId, article: str, language: str, *, to: int, author: str) -> int:
        """Publishes the text of an old version as a new one and returns its number."""
        old = await self.get(tenant, article, language, to)
        last = (await self._summary(tenant, article, language)).last_version
        publication = await self._publication(tenant, article, language)
        note = versions.Note(author, f"v{to}", to_milliseconds(self._clock()))

        def writes(connection: sa.Connection, _seq: int) -> None:
            version = versions.add_version(connection, tenant, old.document, based_on=last, note=note)
            versions.want(connection, tenant, article, language, version=version, publication=publication)

        event = ArticlePublished(tenant=tenant, article=article, language=language, article_version=last + 1)
        await self._accept(event, publication, writes)
        return last + 1

    async def withdraw(self, tenant: TenantId, article: str, language: str) -> None:
        """Customers stop seeing it when this returns. Repeatable; raises `NotFound`."""
        place = await self._summary(tenant, article, language)
        if place.live_version is None and place.wanted_version is None:
            return
        publication = await self._publication(tenant, article, language)
        event = ArticleIndexed(
            tenant=tenant, article=article, language=language, article_version=0, milliseconds=0.0
        )
        key = f"{article}|{language}|withdrawn|{publication}"
        await self._bus.accept(
            Entry(tenant, SOURCE, key, lane(tenant), event),
            lambda connection, _seq: versions.withdraw(connection, tenant, [(article, language)]),
        )

    async def take_in(
        self, tenant: TenantId, documents: Sequence[Document], *, source: str, author: str, complete: bool
    ) -> Imported:
        """What a source delivers, in one transaction: new and changed documents become wanted versions, which
        `ingestion` then makes live. A document that the source did not change is left as editors made it.
        `complete`: the source named all it has, so articles that came from it and are gone are withdrawn."""
        now = to_milliseconds(self._clock())
        return await self._database.write(
            lambda connection: versions.take_in(
                connection,
                tenant,
                documents,
                source=source,
                note=versions.Note(author, source, now),
                complete=complete,
            )
        )

    async def _accept(
        self,
        event: ArticlePublished,
        publication: int,
        writes: Callable[[sa.Connection, int], Any],
    ) -> None:
        key = f"{event.article}|{event.language}|{event.article_version}|{publication}"
        await self._bus.accept(Entry(event.tenant, SOURCE, key, lane(event.tenant), event), writes)

    async def _summary(self, tenant: TenantId, article: str, language: str) -> Summary:
        found = await self._database.read(
            lambda connection: versions.catalogue(connection, tenant, article, language)
        )
        if not found:
            raise _unknown(article, language)
        return found[0]

    async def _publication(self, tenant: TenantId, article: str, language: str) -> int:
        """The next number of this article's publications: what makes a repeated one a different bus entry."""
        a = records.article_table.c
        query = sa.select(a.publications).where(a.tenant == tenant, a.id == article, a.language == language)
        return int(await self._database.read(lambda connection: connection.scalar(query)) or 0) + 1


def difference(old: Document, new: Document, *, names: tuple[str, str] = ("old", "new")) -> Difference:
    """Compares the texts as they would stand in files, head and body."""
    before, after = front_matter.render(old).splitlines(), front_matter.render(new).splitlines()
    unified = "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))
    rows: list[Row] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        left, right = before[i1:i2], after[j1:j2]
        for at in range(max(len(left), len(right))):
            rows.append(
                Row(
                    left[at] if at < len(left) else "",
                    right[at] if at < len(right) else "",
                    changed=tag != "equal",
                )
            )
    return Difference(unified, tuple(rows))


def _unknown(article: str, language: str, version: int | None = None) -> NotFound:
    which = f"version {version} of the article" if version is not None else "article"
    return NotFound(f"There is no {which} {article!r} in {language!r}.", code="article_unknown")
