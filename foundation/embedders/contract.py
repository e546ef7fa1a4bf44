"""The promise of every embedder: texts in, one unit vector a text out, in the same order.

Called by understanding, retrieval, training and ingestion; the machines are chosen in the wiring only.
Queries and passages are embedded on different sides of one space: swapping them costs recall, silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float32]


class Embedder(Protocol):
    """Safe to call from many tasks at once; any text is accepted, also an empty or a very long one."""

    @property
    def engine(self) -> str:
        """Names the vector space; equal names mean exchangeable vectors (cache keys, collection names)."""

    @property
    def dimensions(self) -> int: ...

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix: ...

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix: ...


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """Rows of length one; a zero row stays zero instead of becoming NaN."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0.0, 1.0, lengths)).astype(np.float32)


def readable(text: str) -> str:
    """What an engine can read: no NUL (C strings end there) and no lone surrogate (not encodable)."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
