"""The knowledge index in memory: exact, instant, gone with the process. For tests, previews and small installations.

Brute force over ten thousand passages takes less than a millisecond, so searches run on the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.errors import NotFound
from retrieval.index import Match
from retrieval.passages import Vector


class MemoryIndex:
    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}

    async def create(self, collection: str) -> None:
        self._collections.setdefault(collection, _Collection())

    async def add(self, collection: str, ids: Sequence[str], vectors: Vector) -> None:
        self._get(collection).add(ids, vectors)

    async def search(self, collection: str, vector: Vector, limit: int) -> list[Match]:
        return self._get(collection).search(vector, limit)

    async def vectors(self, collection: str, ids: Sequence[str]) -> dict[str, Vector]:
        rows = self._get(collection).rows
        return {identity: rows[identity] for identity in ids if identity in rows}

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        self._get(collection).remove(ids)

    async def count(self, collection: str) -> int:
        return len(self._get(collection).rows)

    async def drop(self, collection: str) -> None:
        self._collections.pop(collection, None)

    async def close(self) -> None:
        self._collections.clear()

    def _get(self, collection: str) -> _Collection:
        try:
            return self._collections[collection]
        except KeyError:
            raise NotFound(f"There is no collection {collection}.", code="collection_missing") from None


class _Collection:
    """The matrix is made by the first search after a change."""

    def __init__(self) -> None:
        self.rows: dict[str, Vector] = {}
        self._matrix: Vector | None = None
        self._ids: list[str] = []

    def add(self, ids: Sequence[str], vectors: Vector) -> None:
        for identity, vector in zip(ids, _unit(vectors), strict=True):
            self.rows[identity] = vector
        self._matrix = None

    def remove(self, ids: Sequence[str]) -> None:
        for identity in ids:
            self.rows.pop(identity, None)
        self._matrix = None

    def search(self, vector: Vector, limit: int) -> list[Match]:
        if not self.rows:
            return []
        if self._matrix is None:
            self._ids = list(self.rows)
            self._matrix = np.stack(list(self.rows.values()))
        similarities = self._matrix @ _unit(vector[None, :])[0]
        count = min(limit, len(self._ids))
        top = np.argpartition(-similarities, count - 1)[:count]
        ranked = top[np.argsort(-similarities[top], kind="stable")]
        return [Match(self._ids[at], float(similarities[at])) for at in ranked]


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
