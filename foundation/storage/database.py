"""One way to SQL for everybody: `read` and `write` run a plain function of a connection off the event loop.

SQLite (the embedded default): one writer thread owns the only writing connection and commits in groups, because a
durable commit costs a sync of the disk and a group costs one for all; readers have read-only connections. Exactly one
process may own the file, which an exclusive lock guards (in-memory lanes and Chroma's files need it as well).
Postgres: a pool, and one transaction a `write`.

The surprise: a `write` function may run twice (on SQLite when a neighbour in its group fails, on Postgres after a
deadlock), so it must have no effect but its SQL. A `read` function sees one snapshot, however many queries it makes.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from foundation import errors
from foundation.security import Vault
from foundation.storage import disk, failures, migrations

T = TypeVar("T")
Work = Callable[[sa.Connection], Any]

metadata = sa.MetaData()

GROUP_LIMIT = 512
QUEUE_LIMIT = 20_000
READERS = 4
POSTGRES_THREADS = 12
_REPEATS = 4
LOG_PATIENCE_MILLISECONDS = 50
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=4000",
    "busy_timeout=5000",
    "cache_size=-65536",
    "temp_store=MEMORY",
    "foreign_keys=ON",
    "secure_delete=ON",  # what is deleted is overwritten, or an erased customer would stay in free pages
)


class Sealed(sa.TypeDecorator[str]):
    """Text that is encrypted at rest. The vault hangs on the engine's dialect, so columns need no global."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else _vault_of(dialect).seal(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else _vault_of(dialect).unseal(bytes(value))


def _vault_of(dialect: sa.Dialect) -> Vault:
    vault = getattr(dialect, "vault", None)
    assert isinstance(vault, Vault), "the engine was not made by Database"
    return vault


def insert_of(connection: sa.Connection) -> Any:
    """The engine's own INSERT, which both have with ON CONFLICT. Whether it made a row tells RETURNING; on Postgres there is
    no row count of it."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


class Database:
    """`url` is a SQLAlchemy URL: `sqlite:///path` or `postgresql+psycopg://…`. Open it once per process."""

    def __init__(self, url: str, vault: Vault, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self.url = url
        self.vault = vault
        self.dialect = sa.make_url(url).get_backend_name()
        if self.dialect not in ("sqlite", "postgresql"):
            raise errors.ConfigurationError(
                f"The database {self.dialect!r} is not supported; use sqlite:///… or postgresql+psycopg://…"
            )
        self._queue_limit = queue_limit
        self._threads: ThreadPoolExecutor | None = None
        self._writer: _GroupWriter | None = None
        self._lock: IO[str] | None = None
        self._engine: sa.Engine | None = None
        self._reading: sa.Engine | None = None
        self._pending: set[Future[Any]] = set()

    async def open(self) -> None:
        """Migrates to the newest schema. Raises `Conflict` when another process owns the embedded file,
        `UpstreamUnavailable` when the server cannot be reached."""
        if self.dialect == "sqlite":
            self._lock = disk.claim(self._path())
        try:
            await asyncio.to_thread(self._start)
        except BaseException as error:
            await self.close()
            if isinstance(error, sa.exc.DBAPIError) and failures.is_outage(error):
                raise failures.unavailable() from error
            raise

    async def close(self) -> None:
        """What was handed to `write` before is committed first."""
        writer, threads, engine, lock = self._writer, self._threads, self._engine, self._lock
        self._writer = self._threads = self._engine = self._reading = self._lock = None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown, wait=True)
        if engine is not None:
            engine.dispose()
        if writer is not None:  # last, so that the only writing connection also makes the final checkpoint
            writer.stop()
            await asyncio.to_thread(writer.join)
        if lock is not None:
            lock.close()

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool(), self._run_read, work)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Durable when it returns. Raises what `work` raises (its neighbours are untouched), `Overloaded` when too
        much waits, `UpstreamUnavailable` when the outcome is unknown. Who stops waiting does not stop the work."""
        if self._writer is not None:
            committed: asyncio.Future[T] = self._writer.submit(work)
            return await committed
        if len(self._pending) >= self._queue_limit:
            raise _busy()
        pending = self._pool().submit(self._run_write, work)
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)
        return await asyncio.wrap_future(pending)

    async def scrub(self) -> bool:
        """Empties what still holds rows from before a deletion: the log beside the embedded file, dead rows of a server. False
        while a reader needs the log; try again."""
        if self._writer is not None:
            emptied: asyncio.Future[bool] = self._writer.submit(_EMPTY_LOG)
            return await emptied
        return await asyncio.get_running_loop().run_in_executor(self._pool(), self._run_scrub)

    def _run_scrub(self) -> bool:
        assert self._engine is not None, "the database is not open"
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
        return True

    def _start(self) -> None:
        migrations.upgrade(self.url)
        self._engine = self._reading = self._make_engine()
        if self.dialect == "sqlite":
            disk.warn_about(self._path().parent)
            self._writer = _GroupWriter(self._make_engine(writing=True), self._queue_limit)
        else:
            self._reading = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._threads = ThreadPoolExecutor(
            READERS if self.dialect == "sqlite" else POSTGRES_THREADS, "database"
        )

    def _run_read(self, work: Callable[[sa.Connection], T]) -> T:
        return _run(self._reading, work)

    def _run_write(self, work: Callable[[sa.Connection], T]) -> T:
        for repeat in range(_REPEATS):
            try:
                return _run(self._engine, work)
            except sa.exc.DBAPIError as error:
                if not failures.is_worth_repeating(error):
                    raise
            time.sleep(random.uniform(0, 0.01 * 2**repeat))  # noqa: S311  # parts two that met; no secret
        raise failures.unavailable()

    def _pool(self) -> ThreadPoolExecutor:
        assert self._threads is not None, "the database is not open"
        return self._threads

    def _path(self) -> Path:
        name = sa.make_url(self.url).database
        if not name or name == ":memory:":
            raise errors.ConfigurationError("The embedded database needs a file: sqlite:///path/to/huiliu.db")
        return Path(name)

    def _make_engine(self, *, writing: bool = False) -> sa.Engine:
        if self.dialect == "postgresql":
            engine = sa.create_engine(
                self.url, pool_size=8, max_overflow=8, pool_pre_ping=True, connect_args={"connect_timeout": 5}
            )
        elif writing:
            engine = sa.create_engine(self.url, poolclass=NullPool, connect_args={"check_same_thread": False})
            sa.event.listen(engine, "connect", _prepare_writer)
            sa.event.listen(engine, "begin", _begin_writing)
        else:
            engine = sa.create_engine(self.url, pool_size=READERS, max_overflow=2)
            sa.event.listen(engine, "connect", _prepare_reader)
            sa.event.listen(engine, "begin", _begin_snapshot)
        engine.dialect.vault = self.vault  # type: ignore[attr-defined]  # read by Sealed
        return engine


def _run(engine: sa.Engine | None, work: Callable[[sa.Connection], T]) -> T:
    assert engine is not None, "the database is not open"
    try:
        with engine.connect() as connection, connection.begin():
            return work(connection)
    except sa.exc.SQLAlchemyError as error:
        if failures.is_outage(error):
            raise failures.unavailable() from error
        raise


def _busy() -> errors.Overloaded:
    return errors.Overloaded("The service is busy; please send again in a moment.", retry_after_seconds=1)


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class _GroupWriter:
    """One thread, one connection: takes what is queued, runs it in one transaction, resolves the futures after it."""

    def __init__(self, engine: sa.Engine, queue_limit: int) -> None:
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._queue_limit = queue_limit
        self._engine = engine
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> asyncio.Future[Any]:
        if self._queue.qsize() >= self._queue_limit:
            raise _busy()
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._queue.put(job)
        return job.future

    def stop(self) -> None:
        """Nothing may be submitted afterwards; `join` returns when the rest is committed."""
        self._queue.put(None)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while group := self._next_group():
                _commit(connection, [job for job in group if job.work is not _EMPTY_LOG])
                for job in group:
                    if job.work is _EMPTY_LOG:
                        job.result = _empty_log(connection)
                _resolve(group)
        self._engine.dispose()

    def _next_group(self) -> list[_Job]:
        """Waits for one job and takes those behind it; empty at the end."""
        group: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            group.append(job)
            if len(group) >= GROUP_LIMIT or self._queue.empty():
                return group
            job = self._queue.get_nowait()
        if group:
            self._queue.put(None)  # the end comes after this last group
        return group


def _commit(connection: sa.Connection, group: list[_Job]) -> None:
    try:
        with connection.begin():
            for job in group:
                job.result = job.work(connection)
    except Exception as error:  # handed to the one who asked; the neighbours are repeated
        if len(group) == 1:
            group[0].error = error
            return
        for job in group:
            _commit(connection, [job])


def _EMPTY_LOG(_connection: sa.Connection) -> None:  # noqa: N802  # a sign, never called
    """Stands in the writer's queue for what cannot be done in a transaction."""


def _empty_log(connection: sa.Connection) -> bool:
    """By the writing connection, because two that do it at once may lose commits (`disk.warn_about`). False when a reader
    needs the log; writers must not wait for it."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute(f"PRAGMA busy_timeout={LOG_PATIENCE_MILLISECONDS}")
    busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    raw.execute("PRAGMA busy_timeout=5000")
    return not busy


def _resolve(group: list[_Job]) -> None:
    """One call to each event loop a group; a loop that is gone has nobody who waits."""
    for loop in {job.future.get_loop() for job in group}:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_answer, [job for job in group if job.future.get_loop() is loop])


def _answer(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        elif failures.is_outage(job.error):
            unavailable = failures.unavailable()
            unavailable.__cause__ = job.error
            job.future.set_exception(unavailable)
        else:
            job.future.set_exception(job.error)


def _prepare_writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin by itself; SQLAlchemy's events do
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_writing(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA busy_timeout=5000")


def _begin_snapshot(connection: sa.Connection) -> None:
    """The driver begins nothing for a SELECT; without this two reads of one function could see two states."""
    connection.exec_driver_sql("BEGIN")
