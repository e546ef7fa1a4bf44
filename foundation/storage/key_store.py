"""A store of its own beside the data: keys that were added by rotating, each closed under the master key, and who was erased.

Apart from the data, so that a copy of the one is worth nothing without the other, and a copy of the data that is put back does
not bring back who was erased since. Built by the wiring; the store is made when something is first written to it. Functions
block; callers on the event loop use a thread.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from foundation import errors
from foundation.messages import TenantId
from foundation.security import RingKey, Vault
from foundation.storage import failures

SCHEMA = "huiliu_keys"
"""On Postgres, so that a copy can leave it out."""
SECRET_BYTES = 32
MOST_KEYS = 65_000
_MAKING = int.from_bytes(b"hl-keys")
"""The lock of Postgres under which the store is made."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An erasure, by ids alone. `at` in milliseconds."""

    id: str
    identities: tuple[str, ...]
    at: int


class KeyStore:
    """`url`: `sqlite:///path` or `postgresql+psycopg://…`."""

    def __init__(self, url: str, vault: Vault) -> None:
        self._url = sa.make_url(url)
        self._vault = vault
        self._schema = SCHEMA if self._url.get_backend_name() == "postgresql" else None
        tables = sa.MetaData(schema=self._schema)
        self._erased = sa.Table(
            "erased",
            tables,
            sa.Column("tenant", sa.Text, primary_key=True),
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("identities", sa.Text, nullable=False),
            sa.Column("at", sa.BigInteger, nullable=False),
        )
        self._ring = sa.Table(
            "key_ring",
            tables,
            sa.Column("kid", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("wrapped", sa.LargeBinary, nullable=False),
            sa.Column("made_at", sa.BigInteger, nullable=False),
            sa.Column("active_from", sa.BigInteger, nullable=False),
        )

    def load(self) -> list[RingKey]:
        """Oldest first. Raises `ConfigurationError` when the store belongs to another master key."""
        rows = self._read(self._ring, sa.select(self._ring).order_by(self._ring.c.kid))
        try:
            return [
                RingKey(row.kid, self._vault.unwrap(bytes(row.wrapped), _label(row.kid)), row.active_from)
                for row in rows
            ]
        except errors.NotAuthentic as error:
            raise errors.ConfigurationError(
                "The store of keys was made with another master key; give this installation its own."
            ) from error

    def add(self, *, now: int, active_from: int) -> int:
        """A new key; its kid. Moments in milliseconds. Raises `Conflict` when another one is added at the same moment."""
        kid = max((one.kid for one in self.load()), default=0) + 1
        if kid > MOST_KEYS:
            raise errors.Conflict("The ring is full.", code="ring_full")
        self._insert(kid, secrets.token_bytes(SECRET_BYTES), made_at=now, active_from=active_from)
        return kid

    def _insert(self, kid: int, secret: bytes, *, made_at: int, active_from: int) -> None:
        wrapped = self._vault.wrap(secret, _label(kid))
        row = sa.insert(self._ring).values(kid=kid, wrapped=wrapped, made_at=made_at, active_from=active_from)
        try:
            self._write(row)
        except sa.exc.IntegrityError as error:
            raise errors.Conflict("Another key was added at this moment.", code="key_added") from error

    def log_erasure(self, tenant: TenantId, one: Logged) -> None:
        """Repeatable, also by two at the same moment: the request that erases and the process that goes on with it."""
        if self._is_logged(tenant, one):
            return
        values = {"tenant": tenant, "id": one.id, "identities": json.dumps(one.identities), "at": one.at}
        try:
            self._write(sa.insert(self._erased).values(values))
        except sa.exc.IntegrityError:
            if not self._is_logged(tenant, one):
                raise

    def _is_logged(self, tenant: TenantId, one: Logged) -> bool:
        return one.id in {known.id for known in self.erasures(tenant)}

    def erasures(self, tenant: TenantId) -> list[Logged]:
        """Oldest first."""
        table = self._erased.c
        query = sa.select(self._erased).where(table.tenant == tenant).order_by(table.at, table.id)
        return [
            Logged(row.id, tuple(json.loads(row.identities)), row.at)
            for row in self._read(self._erased, query)
        ]

    def _read(self, table: sa.Table, query: sa.Select[Any]) -> Sequence[Any]:
        """Nothing where the store was not made yet."""
        if self._path is not None and not self._path.exists():
            return []
        engine = self._engine()
        try:
            if not sa.inspect(engine).has_table(table.name, schema=self._schema):
                return []
            with engine.connect() as connection:
                return connection.execute(query).all()
        except sa.exc.DBAPIError as error:
            raise _told(error) from error
        finally:
            engine.dispose()

    def _write(self, statement: sa.Insert) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        engine = self._engine()
        try:
            with engine.begin() as connection:
                if self._schema is not None:
                    # IF NOT EXISTS looks before it makes: two at the same moment both make, and one of them fails.
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
                    connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))
                for table in self._ring.metadata.sorted_tables:
                    connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                connection.execute(statement)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            raise _told(error) from error
        finally:
            engine.dispose()

    def copy_to(self, other: KeyStore) -> int:
        """Keys that another store does not have yet, as they are; how many there are. Both belong to the same master key."""
        keys = self.load()
        if self._url == other._url:
            return 0
        known = {one.kid for one in other.load()}
        for one in keys:
            if one.kid not in known:
                other._insert(one.kid, one.secret, made_at=one.active_from, active_from=one.active_from)
        return len(keys)

    @property
    def _path(self) -> Path | None:
        return Path(self._url.database or "") if self._schema is None else None

    def _engine(self) -> sa.Engine:
        return sa.create_engine(self._url, poolclass=NullPool)


def _told(error: sa.exc.DBAPIError) -> Exception:
    return failures.unavailable() if failures.is_outage(error) else error


def _label(kid: int) -> str:
    return f"key ring {kid}"
