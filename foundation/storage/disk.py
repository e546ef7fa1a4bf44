"""The embedded file's surroundings: one process owns it, and the operator hears about a slow disk or an old SQLite.

Called by `Database.open`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import IO

import structlog

from foundation import errors

log = structlog.get_logger(__name__)

SLOW_SYNC_MILLISECONDS = 3.0
"""A reply costs two durable commits in a row; above this they are felt."""
_PROBE_WRITES = 20
_RESET_RACE_FIXED = (3, 51, 3)
_RESET_RACE_BACKPORTS = ((3, 44, 6), (3, 50, 7))


def claim(path: Path) -> IO[str]:
    """The claim ends with the process, however it ends. Raises `Conflict` when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise errors.Conflict(
            f"Another process is using {path.name}. Stop it, or point HUILIU_DATABASE_URL at Postgres to run several.",
            code="database_in_use",
        ) from None
    return lock


def warn_about(
    folder: Path,
    version: tuple[int, int, int] = sqlite3.sqlite_version_info,
    *,
    slow_milliseconds: float = SLOW_SYNC_MILLISECONDS,
) -> None:
    """Costs about twenty syncs of the disk."""
    log.info("embedded database", sqlite=".".join(map(str, version)))
    if has_reset_race(version):
        log.warning(
            "this SQLite can lose commits when two connections checkpoint at once; one writing connection avoids it",
            sqlite=".".join(map(str, version)),
            fixed_in=".".join(map(str, _RESET_RACE_FIXED)),
        )
    median = sync_milliseconds(folder)
    if median > slow_milliseconds:
        log.warning(
            "the disk syncs slowly, so accepting a message is slow; use a local SSD or Postgres",
            median_milliseconds=round(median, 1),
        )


def has_reset_race(version: tuple[int, ...]) -> bool:
    """The WAL-reset race of 3.7.0 to 3.51.2 (https://www.sqlite.org/wal.html, "The WAL-reset bug")."""
    backported = any(version[:2] == fixed[:2] and version >= fixed for fixed in _RESET_RACE_BACKPORTS)
    return (3, 7, 0) <= version < _RESET_RACE_FIXED and not backported


def sync_milliseconds(folder: Path) -> float:
    """Median time of a small durable write in `folder`."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix="sync-probe-") as probe:
        for _ in range(_PROBE_WRITES):
            started = time.perf_counter()
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fdatasync(probe.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)
