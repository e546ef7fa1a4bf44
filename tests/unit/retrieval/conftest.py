"""A knowledge base on real parts, with an embedder that is quick and predictable, and a worker that drains its bus."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from foundation.bus.contract import Bus, Outcome, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.embedders.contract import FloatMatrix, unit_rows
from foundation.errors import UpstreamUnavailable
from foundation.events import ArticleIndexed, ArticlePublished
from foundation.messages import TenantId
from foundation.storage.database import Database
from retrieval.articles import Articles
from retrieval.front_matter import Document
from retrieval.index import KnowledgeIndex
from retrieval.index_memory import MemoryIndex
from retrieval.ingestion import Ingestion
from retrieval.search import KnowledgeBase

DEMO = TenantId("demo")


class BigramEmbedder:
    """Texts that share pairs of characters are near: enough meaning for tests, in microseconds."""

    engine = "bigrams"
    dimensions = 256

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self._embed(texts)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> FloatMatrix:
        self.embedded += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for pair in pairwise(text):
                vectors[row, zlib.crc32("".join(pair).encode()) % self.dimensions] += 1
        return unit_rows(vectors)


@dataclass
class Shelf:
    """All parts of one knowledge base."""

    database: Database
    bus: Bus
    embedder: BigramEmbedder
    index: KnowledgeIndex
    articles: Articles
    ingestion: Ingestion
    base: KnowledgeBase

    async def work(self) -> int:
        """Works everything on the bus, as the worker would; returns how many turns."""
        worked = 0
        while turns := await self.bus.take(10):
            for turn in turns:
                try:
                    assert await self.bus.finish(turn, await self._handled(turn))
                    worked += 1
                except UpstreamUnavailable as error:
                    await self.bus.retry(turn, 0.0, error.code)
        return worked

    async def _handled(self, turn: Turn) -> Outcome:
        event = turn.entry.event
        if isinstance(event, ArticlePublished):
            return await self.ingestion.handle(event, turn)
        assert isinstance(event, ArticleIndexed)
        return await self.ingestion.handle_indexed(event, turn)

    async def publish(self, document: Document, tenant: TenantId = DEMO) -> int:
        known = [line for line in await self.articles.catalogue(tenant) if line.id == document.id]
        based_on = next((line.last_version for line in known if line.language == document.language), 0)
        version = await self.articles.save_draft(tenant, document, author="test", based_on=based_on)
        await self.articles.publish(tenant, document.id, document.language, version)
        await self.work()
        return version


def assemble(database: Database, bus: Bus, index: KnowledgeIndex, clock: Callable[[], datetime]) -> Shelf:
    embedder = BigramEmbedder()
    articles = Articles(database, bus, clock)
    ingestion = Ingestion(database, index, embedder=embedder, articles=articles, clock=clock)
    base = KnowledgeBase(database, index, embedder, clock)
    return Shelf(database, bus, embedder, index, articles, ingestion, base)


@pytest.fixture
async def shelf(database: Database, clock: Callable[[], datetime]) -> AsyncIterator[Shelf]:
    bus = EmbeddedBus(database, clock)
    await bus.open()
    yield assemble(database, bus, MemoryIndex(), clock)
    await bus.close()


@pytest.fixture
async def either_shelf(either_database: Database, clock: Callable[[], datetime]) -> AsyncIterator[Shelf]:
    """The same on SQLite and on Postgres."""
    is_embedded = either_database.dialect == "sqlite"
    bus: Bus = EmbeddedBus(either_database, clock) if is_embedded else PostgresBus(either_database, clock)
    await bus.open()
    yield assemble(either_database, bus, MemoryIndex(), clock)
    await bus.close()


RETURNS = Document(
    id="returns",
    language="zh",
    title="七天无理由退货",
    body="签收后七天内可以退货。\n\n## 运费\n退货运费由顾客承担，金卡会员免运费。\n\n## 例外\n定制商品不能退货。",
    questions=("多少天内可以退货？", "不喜欢可以退吗"),
    topic="returns",
)
INVOICE = Document(
    id="invoice",
    language="zh",
    title="电子发票",
    body="下单时勾选电子发票，付款后一天内发到邮箱。\n\n## 抬头\n公司抬头需要税号。",
    questions=("发票怎么开", "能开公司抬头吗"),
    topic="invoices",
)
POINTS = Document(
    id="points",
    language="en",
    title="Loyalty points",
    body="You earn one point for every euro you spend. Points expire after two years.",
    questions=("How do I earn points?", "When do my points expire?"),
    topic="members",
)
