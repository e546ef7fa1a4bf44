"""Remembers vectors by text, in memory and optionally in a SQLite file, in front of any embedder.

Frequent questions repeat word for word, and a re-import meets mostly known passages: both then cost
microseconds. The file is a convenience, never the truth: where it cannot be read or written the vectors are
computed again and the calls still succeed. Vectors are kept in full precision, so that a remembered answer
is bit for bit the first one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from foundation.embedders.contract import Embedder, FloatMatrix

Side = Literal["query", "passage"]

KEYS_A_QUERY = 500
"""SQLite refuses statements with very many parameters."""


class CachedEmbedder:
    """`memory_entries` vectors stay in memory (1.5 kB each at 384 dimensions); `path=None` keeps no file. `filed` names
    the sides that go to the file: a service keeps its passages there, and no trace of what customers ask."""

    def __init__(
        self,
        inner: Embedder,
        path: Path | None = None,
        *,
        memory_entries: int = 20_000,
        filed: Collection[Side] = ("query", "passage"),
    ) -> None:
        self._inner = inner
        self._memory: OrderedDict[bytes, FloatMatrix] = OrderedDict()
        self._memory_entries = memory_entries
        self._filed = frozenset(filed)
        self._computing: dict[bytes, asyncio.Task[dict[bytes, FloatMatrix]]] = {}
        self._file = _VectorFile(path) if path is not None else None

    @property
    def engine(self) -> str:
        return self._inner.engine

    @property
    def dimensions(self) -> int:
        return self._inner.dimensions

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return await self._embed(texts, "query")

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return await self._embed(texts, "passage")

    async def close(self) -> None:
        if self._file is not None:
            await self._file.close()

    async def _embed(self, texts: Sequence[str], side: Side) -> FloatMatrix:
        keys = [_key(self.engine, side, text) for text in texts]
        known = self._remembered(keys)
        if self._file is not None and side in self._filed and len(known) < len(set(keys)):
            known |= await self._file.read({key for key in keys if key not in known})
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known |= await self._compute(missing, side)
        self._remember(known)
        if not keys:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.stack([known[key] for key in keys])

    async def _compute(self, missing: Mapping[bytes, str], side: Side) -> dict[bytes, FloatMatrix]:
        """A text that is being computed for somebody else is waited for, not computed again; and goes on being computed
        when the one who asked first no longer waits."""
        loop = asyncio.get_running_loop()
        found = {self._computing[key] for key in missing if key in self._computing}
        tasks = {task for task in found if task.get_loop() is loop}
        shared = {key for key in missing if self._computing.get(key) in tasks}
        fresh = {key: text for key, text in missing.items() if key not in shared}
        if fresh:
            task = loop.create_task(self._ask(fresh, side))
            self._computing |= dict.fromkeys(fresh, task)
            tasks.add(task)
        known: dict[bytes, FloatMatrix] = {}
        for task in tasks:
            known |= await asyncio.shield(task)
        return {key: known[key] for key in missing}

    async def _ask(self, texts: Mapping[bytes, str], side: Side) -> dict[bytes, FloatMatrix]:
        embed = self._inner.embed_queries if side == "query" else self._inner.embed_passages
        try:
            fresh = dict(zip(texts, await embed(list(texts.values())), strict=True))
            if self._file is not None and side in self._filed:
                await self._file.write(fresh)
            self._remember(fresh)
            return fresh
        finally:
            for key in texts:
                self._computing.pop(key, None)

    def _remembered(self, keys: Iterable[bytes]) -> dict[bytes, FloatMatrix]:
        found = {key: self._memory[key] for key in keys if key in self._memory}
        for key in found:
            self._memory.move_to_end(key)
        return found

    def _remember(self, vectors: Mapping[bytes, FloatMatrix]) -> None:
        self._memory.update(vectors)
        while len(self._memory) > self._memory_entries:
            self._memory.popitem(last=False)


class _VectorFile:
    """One connection, touched by one thread only; gives up for good at the first fault of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vector-file")
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    async def read(self, keys: set[bytes]) -> dict[bytes, FloatMatrix]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, list(keys))

    async def write(self, vectors: Mapping[bytes, FloatMatrix]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, vectors)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _read(self, keys: list[bytes]) -> dict[bytes, FloatMatrix]:
        found: dict[bytes, FloatMatrix] = {}
        try:
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(part))
                rows = self._opened().execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)  # noqa: S608 - only question marks are joined in
                found |= {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows}
        except (sqlite3.Error, OSError, _GivenUp) as error:
            self._give_up(error)
        return found

    def _write(self, vectors: Mapping[bytes, FloatMatrix]) -> None:
        rows = [(key, vector.astype(np.float32).tobytes()) for key, vector in vectors.items()]
        try:
            with self._opened() as transaction:
                transaction.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError, _GivenUp) as error:
            self._give_up(error)

    def _opened(self) -> sqlite3.Connection:
        if not self._usable:
            raise _GivenUp
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
            )
        return self._connection

    def _give_up(self, error: Exception) -> None:
        if self._usable:
            logging.getLogger(__name__).warning(
                "The vector file %s is not used any more: %s", self._path, error
            )
        self._usable = False

    def _close(self) -> None:
        self._usable = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _GivenUp(Exception):
    """The file failed before in this process."""


def _key(engine: str, side: Side, text: str) -> bytes:
    return hashlib.sha256(f"{engine}|{side}|{text}".encode("utf-8", "surrogatepass")).digest()
