"""One event made durable in a profile, against a bare upsert of one row, both on the embedded database and one at a time.

The profile: the event's id is kept, the identity's sums are read, unsealed, added to, sealed and written, in one durable
transaction. The bare upsert: one row of the same size by its key, in one durable transaction, nothing else. Both kinds take
turns, so that the disk has the same mood for both. Then the same without waiting for the disk: many at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from customers.profile import aggregates, records
from customers.profile.aggregates import ProfileEvent
from customers.profile.profile import Profiles
from foundation import telemetry
from foundation.clock import utc_now
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database, Sealed, metadata

TENANT = TenantId("demo")
EVENTS = 2_000
IDENTITIES = 500
WARM_UP = 200
AT_ONCE = 64

bare_table = sa.Table(
    "bare_upsert",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", Sealed, nullable=False),
)


async def main() -> None:
    telemetry.configure("error", "console")
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(b"0123456789abcdef0123456789abcdef")
        database = Database(f"sqlite:///{Path(folder) / 'huiliu.db'}", vault)
        await database.open()
        await database.write(bare_table.create)
        profiles = Profiles(vault, utc_now)
        await _measure(database, profiles)
        await database.close()


async def _measure(database: Database, profiles: Profiles) -> None:
    started = datetime.now(UTC) - timedelta(days=90)
    for at in range(WARM_UP):
        await _note(database, profiles, event(at, started))
        await _upsert(database, at, "x" * 1200)
    sums = await database.read(
        lambda c: c.execute(sa.select(records.shard_table.c.sums).limit(1)).scalar_one()
    )
    profile, bare = [], []
    for at in range(WARM_UP, WARM_UP + EVENTS):
        profile.append(await _note(database, profiles, event(at, started)))
        bare.append(await _upsert(database, at, str(sums)))
    memory = time.perf_counter()
    shard = aggregates.EMPTY
    for at in range(EVENTS):
        shard = aggregates.after(shard, event(at, started))
    in_memory = (time.perf_counter() - memory) / EVENTS
    together = await _together(database, profiles, started)
    p50, p95 = _points(profile)
    bare50, bare95 = _points(bare)
    print(f"{EVENTS} events of {IDENTITIES} identities, one durable transaction each")
    print(f"  bare upsert of one row       p50 {bare50:7.3f} ms   p95 {bare95:7.3f} ms")
    print(f"  profile, durable and once    p50 {p50:7.3f} ms   p95 {p95:7.3f} ms")
    print(f"  ratio of the medians         {p50 / bare50:7.2f}   (goal: at most 2)")
    print(f"  added in memory, one event   {in_memory * 1e6:7.1f} µs")
    print(f"{AT_ONCE} at a time")
    print(f"  profile updates              {together:7.0f} a second")


async def _note(database: Database, profiles: Profiles, happened: ProfileEvent) -> float:
    identity_id = f"i{hash(happened.id) % IDENTITIES}"
    started = time.perf_counter()
    await database.write(lambda c: profiles.note(c, TENANT, identity_id, happened))
    return time.perf_counter() - started


async def _upsert(database: Database, at: int, body: str) -> float:
    insert = sqlite.insert(bare_table).values(id=f"i{at % IDENTITIES}", body=body)
    statement = insert.on_conflict_do_update(index_elements=["id"], set_={"body": insert.excluded.body})
    started = time.perf_counter()
    await database.write(lambda c: c.execute(statement))
    return time.perf_counter() - started


async def _together(database: Database, profiles: Profiles, started: datetime) -> float:
    waiting = iter(range(10_000, 10_000 + EVENTS))

    async def sender() -> None:
        for at in waiting:
            await _note(database, profiles, event(at, started))

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return EVENTS / (time.perf_counter() - began)


def event(at: int, started: datetime) -> ProfileEvent:
    return ProfileEvent(
        id=f"m{at}", type="message", at=started + timedelta(minutes=17 * at), channel=("web_chat", "phone")[at % 2],
        language="zh-Hans", valence=-0.5 + at % 10 / 10, confidence=0.8, intent=f"intent_{at % 20}",
        product=f"sku-{at % 60}",
    )  # fmt: skip


def _points(seconds: list[float]) -> tuple[float, float]:
    parts = quantiles(seconds, n=20)
    return parts[9] * 1000, parts[18] * 1000


if __name__ == "__main__":
    asyncio.run(main())
