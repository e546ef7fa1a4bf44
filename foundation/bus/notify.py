"""Hints between the processes of one Postgres: "something changed, look". Losing one costs a poll, never an entry.

`postgres.py` tells after its commits and hears the others through the bell. Telling is a transaction of its own, never
part of the work, because notifying commits queue behind one lock of the whole server; hints that gather while one is
on its way become one. When the listening connection dies, polling goes on and the connection is made again.
"""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.bus.wake import Bell
from foundation.storage.database import Database

log = structlog.get_logger(__name__)

CHANNEL = "huiliu_bus"
LISTENER_NAME = "huiliu bus listener"
"""The connection's name in pg_stat_activity."""
RECONNECT_SECONDS = 1.0


class Hints:
    def __init__(self, database: Database, sender: str, bell: Bell) -> None:
        self._database = database
        self._sender = sender
        self._bell = bell
        self._pending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = asyncio.Event()
        """Set while others are heard."""

    def open(self) -> None:
        self._tasks = [asyncio.create_task(self._tell_others()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def tell(self) -> None:
        self._pending.set()

    async def _tell_others(self) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            try:
                await self._database.write(self._notify)
            except (errors.UpstreamUnavailable, errors.Exhausted):
                await asyncio.sleep(RECONNECT_SECONDS)  # the others poll meanwhile

    def _notify(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, self._sender)))

    async def _listen(self) -> None:
        import psycopg  # optional: the embedded product runs without this driver

        url = sa.make_url(self._database.url).set(drivername="postgresql")
        address = url.render_as_string(hide_password=False)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    address, autocommit=True, application_name=LISTENER_NAME, connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self.listening.set()
                    self._bell.ring()  # for what was said before we listened
                    async for hint in connection.notifies():
                        if hint.payload != self._sender:
                            self._bell.ring()
            except psycopg.OperationalError as error:
                log.warning("hints of other processes are not heard; polling", reason=type(error).__name__)
            finally:
                self.listening.clear()
            await asyncio.sleep(RECONNECT_SECONDS)
