"""What an account of a channel keeps between calls, for all processes: access tokens and how far it has read.

Adapters make a `Shelf` from their surroundings. A token is renewed by one caller, in this process by a lock and among
processes by a claim in its row, while the others wait for the new one; cursors are plain values. When a token came and
why the last one did not is kept beside it, for whoever looks how the account does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from channels.contract import Surroundings
from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, insert_of, metadata

CLAIM_SECONDS = 15
"""So long one process may take to renew a token before another tries."""
POLL_SECONDS = 0.1
REFUSED = "token_refused"
"""The platform did not take a token that should have been good; another was fetched."""
RENEW_AHEAD_SECONDS = 300

shelf_table = sa.Table(
    "channel_shelf",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", Sealed, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("fetched_at", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed_at", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failure", sa.Text, nullable=False, server_default=""),
)


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenState:
    """Without the token itself. `expires_at` is when it is renewed, ahead of its end; `failed_at` and `failure` (a code) are
    the last time that none was given, or that it was not taken."""

    channel: str
    account: str
    name: str
    fetched_at: datetime | None
    expires_at: datetime | None
    failed_at: datetime | None
    failure: str

    def is_failing(self) -> bool:
        return self.failed_at is not None and (self.fetched_at is None or self.fetched_at < self.failed_at)


Fetch = Callable[[], Awaitable[tuple[str, float]]]
"""Asks the platform for a new token: its value and the seconds it lives."""


class Shelf:
    def __init__(self, channel: str, surroundings: Surroundings) -> None:
        self._place = {
            "tenant": surroundings.tenant,
            "channel": channel,
            "account": surroundings.account,
        }
        self._database = surroundings.database
        self._clock = surroundings.clock
        self._known: dict[str, Token] = {}
        self._renewing = asyncio.Lock()

    async def token(self, fetch: Fetch, *, name: str = "access_token", refused: str = "") -> str:
        """The token that is valid now. `refused`: the platform did not take this one; another is fetched unless somebody
        already has. Raises what `fetch` raises."""
        known = self._known.get(name)
        if known is not None and self._is_good(known, refused):
            return known.value
        async with self._renewing:
            token = await self._shared(name, fetch, refused)
            self._known[name] = token
            return token.value

    async def read(self, name: str) -> str:
        """A cursor; "" before the first."""
        row = await self._database.read(lambda connection: self._find(connection, name))
        return "" if row is None else str(row.value)

    async def write(self, name: str, value: str) -> None:
        await self._database.write(lambda connection: self._put(connection, name, value, 0))

    async def _shared(self, name: str, fetch: Fetch, refused: str) -> Token:
        """From the shelf, or fetched by whoever gets the claim."""
        while True:
            if (token := await self._stored(name, refused)) is not None:
                return token
            if await self._database.write(lambda connection: self._claim(connection, name)):
                # Another process may have put a new one there between our look and our claim.
                if (token := await self._stored(name, refused)) is None:
                    return await self._renew(name, fetch, refused)
                await self._database.write(lambda connection: self._release(connection, name))
                return token
            await asyncio.sleep(POLL_SECONDS)

    async def _stored(self, name: str, refused: str) -> Token | None:
        row = await self._database.read(lambda connection: self._find(connection, name))
        token = None if row is None else Token(row.value, from_milliseconds(row.expires_at))
        return token if token is not None and self._is_good(token, refused) else None

    async def _renew(self, name: str, fetch: Fetch, refused: str) -> Token:
        try:
            value, seconds = await fetch()
        except errors.ServiceError as error:
            marks = {"failed_at": to_milliseconds(self._clock()), "failure": error.code}
            await self._database.write(lambda connection: self._release(connection, name, **marks))
            raise
        lifetime = max(0.0, seconds - min(RENEW_AHEAD_SECONDS, seconds / 2))
        token = Token(value, self._clock() + timedelta(seconds=lifetime))
        expires_at = to_milliseconds(token.expires_at)
        now = to_milliseconds(self._clock())
        came: dict[str, object] = {"fetched_at": now}
        if refused:
            came |= {"failed_at": now, "failure": REFUSED}
        await self._database.write(lambda connection: self._put(connection, name, value, expires_at, **came))
        return token

    def _is_good(self, token: Token, refused: str) -> bool:
        return bool(token.value) and token.value != refused and self._clock() < token.expires_at

    def _where(self, name: str) -> sa.ColumnElement[bool]:
        place = {**self._place, "name": name}
        return sa.and_(*(shelf_table.c[column] == value for column, value in place.items()))

    def _find(self, connection: sa.Connection, name: str) -> sa.Row[tuple[object, ...]] | None:
        return connection.execute(sa.select(shelf_table).where(self._where(name))).one_or_none()

    def _claim(self, connection: sa.Connection, name: str) -> bool:
        now = self._clock()
        until = to_milliseconds(now + timedelta(seconds=CLAIM_SECONDS))
        if self._find(connection, name) is None:
            return self._insert(connection, name, "", 0, until)
        free = shelf_table.c.claimed_until < to_milliseconds(now)
        changed = connection.execute(
            sa.update(shelf_table).where(self._where(name), free).values(claimed_until=until)
        )
        return changed.rowcount == 1

    def _release(self, connection: sa.Connection, name: str, **marks: object) -> None:
        connection.execute(sa.update(shelf_table).where(self._where(name)).values(claimed_until=0, **marks))

    def _put(
        self, connection: sa.Connection, name: str, value: str, expires_at: int, **marks: object
    ) -> None:
        changed = connection.execute(
            sa.update(shelf_table)
            .where(self._where(name))
            .values(value=value, expires_at=expires_at, claimed_until=0, **marks)
        )
        if not changed.rowcount:
            self._insert(connection, name, value, expires_at, 0, **marks)

    def _insert(
        self, connection: sa.Connection, name: str, value: str, expires_at: int, claimed_until: int, **marks: object
    ) -> bool:  # fmt: skip
        """False when another process was there first."""
        row = {
            "name": name,
            "value": value,
            "expires_at": expires_at,
            "claimed_until": claimed_until,
            **marks,
        }
        insert = insert_of(connection)
        made = insert(shelf_table).values(**self._place, **row).on_conflict_do_nothing()
        return connection.execute(made.returning(shelf_table.c.name)).first() is not None


def read_tokens(connection: sa.Connection, tenant: TenantId) -> list[TokenState]:
    """Of all accounts; what is no token (a cursor, a wish to be left alone) has neither come nor failed."""
    column = shelf_table.c
    query = (
        sa.select(
            column.channel, column.account, column.name, column.fetched_at, column.expires_at, column.failed_at,
            column.failure,
        )
        .where(
            column.tenant == tenant,
            sa.or_(column.fetched_at > 0, column.failed_at > 0, column.expires_at > 0),
        )
        .order_by(column.channel, column.account, column.name)
    )  # fmt: skip
    return [
        TokenState(
            row.channel, row.account, row.name, _moment(row.fetched_at), _moment(row.expires_at),
            _moment(row.failed_at), row.failure,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def _moment(milliseconds: int) -> datetime | None:
    return from_milliseconds(milliseconds) if milliseconds else None
