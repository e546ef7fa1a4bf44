"""Where a turn in flight is kept: a file of its own beside the database, or tables in Postgres. Built in the wiring.

A checkpoint holds the words of one turn, sealed like everything personal, and is deleted when the turn is done; what
lasts stands in our own tables. It must not be the application's SQLite file, which exactly one writer owns.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from foundation.security import Vault


@asynccontextmanager
async def open_saver(place: str, vault: Vault) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """`place`: a Postgres URL, or the path of a SQLite file."""
    if place.startswith("postgres"):
        async with _open_postgres(place, vault) as saver:
            yield saver
    else:
        async with _open_sqlite(Path(place), vault) as saver:
            yield saver


async def forget(saver: BaseCheckpointSaver[Any], conversations: Collection[str]) -> int:
    """Deletes every turn of these conversations that is kept; how many. In the file nothing of them stays."""
    threads = set()
    async for one in saver.alist(None):
        thread = str(one.config["configurable"]["thread_id"])
        if thread.partition("|")[0] in conversations:
            threads.add(thread)
    for thread in threads:
        await saver.adelete_thread(thread)
    if isinstance(saver, AsyncSqliteSaver):
        await saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(threads)


@asynccontextmanager
async def _open_sqlite(path: Path, vault: Vault) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        # A lost last checkpoint costs a repeat of the turn, which the idempotency keys absorb: no fsync a step.
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute(
            "PRAGMA secure_delete=ON"
        )  # the words of a finished turn are gone from the file as well
        saver = AsyncSqliteSaver(connection, serde=_sealed(vault))
        await saver.setup()
        yield saver


@asynccontextmanager
async def _open_postgres(url: str, vault: Vault) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    # Only where Postgres is used: its driver is an extra.
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg import AsyncConnection
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    options = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]] = AsyncConnectionPool(
        plain, min_size=1, max_size=4, kwargs=options, open=False
    )
    async with pool:
        saver = AsyncPostgresSaver(pool, serde=_sealed(vault))
        await saver.setup()
        yield saver


class _VaultCipher(CipherProtocol):
    name = "vault"

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return self.name, self._vault.seal(base64.b64encode(plaintext).decode())

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return base64.b64decode(self._vault.unseal(ciphertext))


def _sealed(vault: Vault) -> EncryptedSerializer:
    return EncryptedSerializer(_VaultCipher(vault))
