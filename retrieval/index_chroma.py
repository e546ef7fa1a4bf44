"""The knowledge index on Chroma: embedded in a directory, or a Chroma server by URL.

One process may open a directory: a second one would search a stale copy without any error. Several workers use the
server. No `where` is ever sent, because a filter makes a query ten to a hundred times slower: what may be seen is
decided in SQL. Writes have a thread of their own and go in small pieces, because the embedded engine holds the
interpreter's lock while it writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from foundation.errors import ConfigurationError, NotFound, UpstreamUnavailable
from retrieval.index import SERVING_BATCH, Match
from retrieval.passages import Vector

T = TypeVar("T")

READERS = 2


class ChromaIndex:
    """`place` is a directory or an `http(s)://host:port`; it is opened by the first call."""

    def __init__(self, place: Path | str) -> None:
        self._place = place
        self._client: ClientAPI | None = None
        self._collections: dict[str, Collection] = {}
        self._reading = ThreadPoolExecutor(READERS, "knowledge-index-read")
        self._writing = ThreadPoolExecutor(1, "knowledge-index-write")

    async def create(self, collection: str) -> None:
        await self._run(self._writing, lambda: self._create(collection))

    async def add(self, collection: str, ids: Sequence[str], vectors: Vector) -> None:
        for start in range(0, len(ids), SERVING_BATCH):
            piece = slice(start, start + SERVING_BATCH)
            await self._run(
                self._writing,
                lambda piece=piece: self._get(collection).upsert(  # type: ignore[misc]  # mypy cannot infer the default
                    ids=list(ids[piece]), embeddings=np.ascontiguousarray(vectors[piece])
                ),
            )

    async def search(self, collection: str, vector: Vector, limit: int) -> list[Match]:
        return await self._run(self._reading, lambda: self._search(collection, vector, limit))

    async def vectors(self, collection: str, ids: Sequence[str]) -> dict[str, Vector]:
        return await self._run(self._reading, lambda: self._vectors(collection, ids))

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), SERVING_BATCH):
            piece = list(ids[start : start + SERVING_BATCH])
            await self._run(self._writing, lambda piece=piece: self._get(collection).delete(ids=piece))  # type: ignore[misc]

    async def count(self, collection: str) -> int:
        return await self._run(self._reading, lambda: int(self._get(collection).count()))

    async def drop(self, collection: str) -> None:
        await self._run(self._writing, lambda: self._drop(collection))

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._reading.shutdown(wait=True)
        self._writing.shutdown(wait=True)

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            if self._client is None:
                # The one writing thread opens it, so that two first calls do not open it twice.
                await asyncio.get_running_loop().run_in_executor(self._writing, self._open)
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except NotFoundError as error:
            self._collections.clear()
            raise NotFound("The collection is not in the index.", code="collection_missing") from error
        except (ChromaError, httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
            raise UpstreamUnavailable(
                "The knowledge index does not answer.", code="index_unavailable"
            ) from error

    def _open(self) -> None:
        if self._client is not None:
            return
        settings = Settings(anonymized_telemetry=False)
        if isinstance(self._place, str) and self._place.startswith(("http://", "https://")):
            address = urlsplit(self._place)
            if not address.hostname:
                raise ConfigurationError(
                    f"The index address {self._place!r} must look like http://host:8000."
                )
            self._client = chromadb.HttpClient(
                host=address.hostname,
                port=address.port or (443 if address.scheme == "https" else 8000),
                ssl=address.scheme == "https",
                settings=settings,
            )
        else:
            self._client = chromadb.PersistentClient(path=str(self._place), settings=settings)

    def _opened(self) -> ClientAPI:
        assert self._client is not None
        return self._client

    def _get(self, name: str) -> Collection:
        if name not in self._collections:
            # Without the None it would download a model to embed texts that we never send.
            self._collections[name] = self._opened().get_collection(name, embedding_function=None)
        return self._collections[name]

    def _create(self, name: str) -> None:
        self._collections[name] = self._opened().get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def _search(self, name: str, vector: Vector, limit: int) -> list[Match]:
        answer: Any = self._get(name).query(
            query_embeddings=vector[None, :], n_results=limit, include=["distances"]
        )
        return [
            Match(identity, 1.0 - float(distance))
            for identity, distance in zip(answer["ids"][0], answer["distances"][0], strict=True)
        ]

    def _vectors(self, name: str, ids: Sequence[str]) -> dict[str, Vector]:
        if not ids:
            return {}
        answer: Any = self._get(name).get(ids=list(ids), include=["embeddings"])
        return {
            identity: np.asarray(vector, dtype=np.float32)
            for identity, vector in zip(answer["ids"], answer["embeddings"], strict=True)
        }

    def _drop(self, name: str) -> None:
        self._collections.pop(name, None)
        try:
            self._opened().delete_collection(name)
        except NotFoundError:
            return

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[attr-defined]  # not in the declared interface of 1.5
        self._client = None
        self._collections.clear()
