"""One suite for every knowledge index: what is added is found, and nothing else happens to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from foundation.embedders.contract import unit_rows
from foundation.errors import NotFound, UpstreamUnavailable
from foundation.messages import TenantId
from retrieval.index import KnowledgeIndex, collection_name
from retrieval.index_chroma import ChromaIndex
from retrieval.index_memory import MemoryIndex
from retrieval.passages import Vector

A, B = collection_name(TenantId("a"), "e", "1"), collection_name(TenantId("b"), "e", "1")
IDS = [f"p{number}" for number in range(120)]


def vectors(count: int, seed: int = 1) -> Vector:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32))


VECTORS = vectors(len(IDS))


@pytest.fixture(params=["memory", "chroma"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KnowledgeIndex]:
    make: dict[str, Callable[[], KnowledgeIndex]] = {
        "memory": MemoryIndex,
        "chroma": lambda: ChromaIndex(tmp_path / "chroma"),
    }
    opened = make[request.param]()
    await opened.create(A)
    await opened.add(A, IDS, VECTORS)
    yield opened
    await opened.close()


async def test_every_passage_finds_itself_first(index: KnowledgeIndex) -> None:
    assert await index.count(A) == len(IDS)
    for at in (0, 60, 119):
        found = await index.search(A, VECTORS[at], 5)
        assert found[0].id == IDS[at]
        assert found[0].similarity == pytest.approx(1.0, abs=1e-4)
        assert [m.similarity for m in found] == sorted((m.similarity for m in found), reverse=True)


async def test_similarity_is_the_cosine(index: KnowledgeIndex) -> None:
    found = await index.search(A, 3 * VECTORS[0], 3)
    for match in found:
        expected = float(VECTORS[0] @ VECTORS[IDS.index(match.id)])
        assert match.similarity == pytest.approx(expected, abs=1e-4)


async def test_added_again_is_still_once_and_has_the_new_vector(index: KnowledgeIndex) -> None:
    await index.add(A, IDS[:1], VECTORS[1:2])
    assert await index.count(A) == len(IDS)
    assert (await index.vectors(A, IDS[:1]))[IDS[0]] == pytest.approx(VECTORS[1], abs=1e-5)


async def test_removed_is_not_found_and_unknown_ids_are_ignored(index: KnowledgeIndex) -> None:
    await index.remove(A, [*IDS[:70], "never-there"])
    assert await index.count(A) == 50
    assert not {m.id for m in await index.search(A, VECTORS[0], 50)} & set(IDS[:70])
    assert await index.vectors(A, [IDS[0], "never-there"]) == {}
    assert await index.vectors(A, []) == {}


async def test_tenants_do_not_see_each_other(index: KnowledgeIndex) -> None:
    await index.create(B)
    await index.add(B, IDS[:1], VECTORS[:1])
    assert [m.id for m in await index.search(B, VECTORS[5], 10)] == IDS[:1]
    await index.remove(B, IDS)
    assert await index.search(B, VECTORS[5], 10) == []
    assert await index.count(A) == len(IDS)


async def test_rebuilt_collection_replaces_the_dropped_one(index: KnowledgeIndex) -> None:
    fresh = collection_name(TenantId("a"), "e", "2")
    await index.create(fresh)
    await index.create(fresh)
    await index.add(fresh, IDS[:3], VECTORS[:3])
    await index.drop(A)
    await index.drop(A)
    assert await index.count(fresh) == 3
    with pytest.raises(NotFound):
        await index.search(A, VECTORS[0], 1)
    with pytest.raises(NotFound):
        await index.add(A, IDS[:1], VECTORS[:1])


async def test_ten_searches_at_once_all_find_theirs(index: KnowledgeIndex) -> None:
    found = await asyncio.gather(*(index.search(A, VECTORS[at], 1) for at in range(10)))
    assert [matches[0].id for matches in found] == IDS[:10]


async def test_search_goes_on_while_passages_are_written(index: KnowledgeIndex) -> None:
    more = [f"q{number}" for number in range(200)]
    writing = asyncio.create_task(index.add(A, more, vectors(200, seed=2)))
    while not writing.done():
        assert (await index.search(A, VECTORS[7], 1))[0].id == IDS[7]
        await asyncio.sleep(0)
    await writing
    assert await index.count(A) == 320


async def test_limit_above_the_count_gives_all(index: KnowledgeIndex) -> None:
    assert len(await index.search(A, VECTORS[0], 500)) == len(IDS)


async def test_chroma_finds_everything_after_it_was_opened_again(tmp_path: Path) -> None:
    first = ChromaIndex(tmp_path / "kept")
    await first.create(A)
    await first.add(A, IDS, VECTORS)
    await first.close()
    second = ChromaIndex(tmp_path / "kept")
    assert await second.count(A) == len(IDS)
    assert (await second.search(A, VECTORS[9], 1))[0].id == IDS[9]
    await second.close()


async def test_chroma_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    nobody = ChromaIndex("http://127.0.0.1:9")
    with pytest.raises(UpstreamUnavailable):
        await nobody.search(A, VECTORS[0], 1)
    await nobody.close()
    (tmp_path / "file").write_text("not a directory")
    broken = ChromaIndex(tmp_path / "file")
    with pytest.raises(UpstreamUnavailable):
        await broken.count(A)
    await broken.close()


def test_names_of_collections_are_different_and_allowed_for_any_tenant() -> None:
    tenants = ["demo", "demo-e", "店铺", "a" * 200, "x_y"]
    names = {
        collection_name(TenantId(tenant), engine, "1") for tenant in tenants for engine in ("e", "org/model")
    }
    assert len(names) == 10
    assert all(3 <= len(name) <= 512 and name.isascii() and "/" not in name for name in names)
