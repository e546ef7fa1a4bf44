"""Tells an unreachable or full database, which is temporary, from a mistake in our SQL, which must stay a bug.

`database.py` asks it about every error of a driver, so nobody above knows SQLSTATEs or SQLite codes.
"""

from __future__ import annotations

import sqlalchemy as sa

from foundation import errors

_SQLITE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_CANTOPEN")
_POSTGRES = ("08", "53", "57P", "55P03")
"""Connection lost, out of resources, shutting down, lock not available
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_WORTH_REPEATING = ("40001", "40P01")


def is_outage(error: Exception) -> bool:
    """Waiting can help."""
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(_SQLITE)
    state = _state(error)
    if state is None:  # the driver itself reports: it could not connect, or the connection broke
        return error.connection_invalidated or isinstance(error, sa.exc.OperationalError)
    return state.startswith(_POSTGRES)


def is_worth_repeating(error: sa.exc.DBAPIError) -> bool:
    """The engine undid our transaction to let another one pass."""
    return _state(error) in _WORTH_REPEATING


def unavailable() -> errors.UpstreamUnavailable:
    return errors.UpstreamUnavailable(
        "The database cannot be reached or cannot write at the moment; please send again shortly.",
        code="database_unavailable",
    )


def _state(error: sa.exc.DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
