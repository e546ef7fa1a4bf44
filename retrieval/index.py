"""The promise of a vector index: a rebuildable cache of SQL, one collection a tenant, engine and build.

Called by `search` and `ingestion`, which name the collections; kept by `index_chroma` and `index_memory`, and
checked for both by `tests/contracts/test_knowledge_indexes.py`. A machine that cannot answer raises
`UpstreamUnavailable`; a collection that is not there raises `NotFound`, which tells a search to read the pointer anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from foundation.messages import TenantId
from retrieval.passages import Vector

SERVING_BATCH = 50
"""Vectors a write: a larger one holds up every search of an embedded index for a tenth of a second and more."""


class Match(NamedTuple):
    """`similarity` is the cosine, higher is nearer."""

    id: str
    similarity: float


class KnowledgeIndex(Protocol):
    """Safe to call from many tasks at once."""

    async def create(self, collection: str) -> None:
        """Repeatable; an existing collection stays as it is."""

    async def add(self, collection: str, ids: Sequence[str], vectors: Vector) -> None:
        """Repeatable; a known id gets the new vector. Written in pieces of `SERVING_BATCH`."""

    async def search(self, collection: str, vector: Vector, limit: int) -> list[Match]:
        """Nearest first."""

    async def vectors(self, collection: str, ids: Sequence[str]) -> dict[str, Vector]:
        """Unknown ids are left out."""

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Unknown ids are ignored."""

    async def count(self, collection: str) -> int: ...

    async def drop(self, collection: str) -> None:
        """Repeatable."""

    async def close(self) -> None: ...


def collection_name(tenant: TenantId, engine: str, build: str) -> str:
    """Readable and unique: tenants and engines may hold characters that an index refuses in names. `build` tells two
    builds apart, also two that run at the same time."""
    digest = hashlib.sha256(f"{tenant}\x1f{engine}".encode()).hexdigest()[:12]
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", tenant).strip("-")[:40] or "x"
    return f"kb-{readable}-{digest}-r{build}"
