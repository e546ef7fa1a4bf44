"""What an erasure must reach outside of its transaction: the log beside the keys, turns in flight, and pages of
files that rows have left.

`customer_side.build` makes them. Nothing else outside holds anything of a customer: the vectors' file keeps passages of the
shop's articles only, the knowledge index as well, and logs carry ids.
"""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent import checkpoints
from customers.privacy.erasure_records import Erasure
from foundation.clock import to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore, Logged
from operations.customer_data import pending


class TurnsInFlight:
    """`saver` is given by the wiring when it is open; until then erasures wait."""

    name = "turns_in_flight"

    def __init__(self) -> None:
        self.saver: BaseCheckpointSaver[Any] | None = None

    async def erase(self, _tenant: TenantId, one: Erasure) -> int | None:
        if self.saver is None:
            return None
        return await checkpoints.forget(self.saver, one.conversations)


class ErasureLog:
    """Beside the keys: a copy of the data from before does not know of the erasure, the log does."""

    name = "log"

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def erase(self, tenant: TenantId, one: Erasure) -> int | None:
        logged = Logged(one.id, one.identities, to_milliseconds(one.begun_at))
        await asyncio.to_thread(self._store.log_erasure, tenant, logged)
        return len(one.identities)


class PendingImports:
    """Files and rows of imports that were there before: nobody can be found in them, so it waits until they are gone."""

    name = "imports"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, tenant: TenantId, one: Erasure) -> int | None:
        until = to_milliseconds(one.begun_at)
        left = await self._database.read(lambda c: pending.count(c, tenant, until=until))
        return None if left else 0


class FreedPages:
    name = "freed_pages"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, _tenant: TenantId, _one: Erasure) -> int | None:
        return 0 if await self._database.scrub() else None
