"""What our search costs on top of a bare query of the index, at 1,000 and 10,000 passages, in one run.

Bare: the client's own `query` for five results on an equal collection. Ours: index and words, visibility in SQL,
ranking, language, probability, the same five results. Vectors are random (their making is the embedder's benchmark),
texts are assembled from words, so that the lexical side has real work. Run: python -m benchmarks.retrieval
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import chromadb
import numpy as np
from chromadb.config import Settings

import foundation.bus.records
import retrieval.records
from foundation import telemetry
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import utc_now
from foundation.embedders.contract import FloatMatrix, unit_rows
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage import database as databases
from retrieval.articles import Articles
from retrieval.front_matter import Document
from retrieval.index_chroma import ChromaIndex
from retrieval.ingestion import Ingestion
from retrieval.passages import Query
from retrieval.search import KnowledgeBase

TABLES = (foundation.bus.records, retrieval.records)
TENANT = TenantId("bench")
SEARCHES = 200
WORDS = re.findall("..", "退货运费发票抬头会员积分快递签收保修换货优惠付款地址取消订单客服邮箱尺码库存预售")


class RandomEmbedder:
    """The same vector for the same text, without meaning."""

    engine = "random"
    dimensions = 384

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.dimensions) for seed in seeds]
        return unit_rows(np.array(rows, dtype=np.float32))

    embed_passages = embed_queries


def documents(passages: int) -> list[Document]:
    """Five passages each: the title, two questions and two sections."""
    dice = random.Random(11)

    def sentence(length: int) -> str:
        return "".join(dice.choice(WORDS) for _ in range(length)) + str(dice.randrange(1000))

    return [
        Document(
            f"a{number}",
            "zh",
            f"{sentence(3)}{number}",
            f"{sentence(30)}。\n\n## {sentence(2)}\n{sentence(30)}。",
            (sentence(6), sentence(6)),
        )
        for number in range(passages // 5)
    ]


async def measure(passages: int, folder: Path) -> str:
    database = databases.Database(f"sqlite:///{folder / 'huiliu.db'}", Vault(b"0" * 32))
    await database.open()
    await database.write(databases.metadata.create_all)
    bus = EmbeddedBus(database, utc_now)
    embedder, index = RandomEmbedder(), ChromaIndex(folder / "chroma")
    articles = Articles(database, bus, utc_now)
    ingestion = Ingestion(database, index, embedder=embedder, articles=articles, clock=utc_now)
    base = KnowledgeBase(database, index, embedder, utc_now)

    started = time.perf_counter()
    await articles.take_in(TENANT, documents(passages), source="bench", author="bench", complete=True)
    await ingestion.settle(TENANT)
    await base.warm(TENANT)
    built = time.perf_counter() - started

    bare = chromadb.PersistentClient(str(folder / "bare"), settings=Settings(anonymized_telemetry=False))
    collection = bare.create_collection(
        "bare", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    rng = np.random.default_rng(5)
    for start in range(0, passages, 500):
        ids = [str(number) for number in range(start, start + 500)]
        collection.add(ids=ids, embeddings=unit_rows(rng.normal(size=(500, 384)).astype(np.float32)))

    texts = ["".join(random.Random(number).choices(WORDS, k=5)) for number in range(SEARCHES)]
    vectors = await embedder.embed_queries(texts)
    ours, theirs = [], []
    for text, vector in zip(texts, vectors, strict=True):
        # Taken in turn, so that a busy moment of the machine falls on both.
        started = time.perf_counter()
        found = await base.search(Query(TENANT, text, vector))
        ours.append((time.perf_counter() - started) * 1000)
        assert len(found.passages) == 5
        assert not found.degraded
        started = time.perf_counter()
        collection.query(query_embeddings=vector[None, :], n_results=5)
        theirs.append((time.perf_counter() - started) * 1000)
    await index.close()
    await database.close()
    return line(passages, ours, theirs, built)


def line(passages: int, ours: list[float], theirs: list[float], built: float) -> str:
    own, bare = statistics.median(ours), statistics.median(theirs)
    slow = statistics.quantiles(ours, n=20)[-1]
    slow_bare = statistics.quantiles(theirs, n=20)[-1]
    return (
        f"| {passages:,} | {own:.1f} | {slow:.1f} | {bare:.1f} | {slow_bare:.1f} | {own / bare:.1f} | {own - bare:.1f} "
        f"| {built:.1f} |\n"
    )


async def main() -> None:
    telemetry.configure("error", "console")
    sys.stdout.write(
        "| passages | search p50 ms | p95 | bare query p50 ms | p95 | ratio | added ms | first build s |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    for passages in (1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(await measure(passages, Path(folder)))
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
