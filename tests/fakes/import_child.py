"""A process that takes imports in and is killed by itself after so many changes of the database:
`python -m tests.fakes.import_child URL MINUTES CHANGES`. The clock stands MINUTES after the tests' own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.operations.imports_world import MASTER, Imports


async def work(url: str, minutes: int) -> None:
    clock = StandingClock()
    clock.move(minutes=minutes)
    database = Database(url, Vault(MASTER))
    await database.open()
    await Imports(database, clock, TenantId("demo")).job.run(TenantId("demo"))
    await database.close()


def count_down(changes: int) -> None:
    left = changes

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def count(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        nonlocal left
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    count_down(int(sys.argv[3]))
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
