"""An import desk and its job on real parts, and tables to bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from customers.cleaning import records as cleaning
from customers.cleaning.collection import Collection
from customers.graph.records import identity_table
from customers.profile.profile import Profiles
from customers.profile.records import fact_table
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations.customer_data.desk import ImportDesk, Whole
from operations.customer_data.job import ImportJob
from operations.staff import Member

MASTER = b"0123456789abcdef0123456789abcdef"
HEAD = "客户编号,姓名,手机号,邮箱,生日\n"


class Imports:
    def __init__(self, database: Database, clock: Clock, tenant: TenantId) -> None:
        self.database = database
        self.tenant = tenant
        self.profiles = Profiles(database.vault, clock)
        self.collection = Collection(database, self.profiles, clock)
        self.desk = ImportDesk(database, self.collection, clock, largest=1_000_000)
        self.job = ImportJob(database, self.collection, self.desk, clock=clock)
        self.member = Member(tenant, "staff-1", "mia", "Mia", "manager")

    async def started(self, content: bytes, *, key: str = "k1", targets: Sequence[str] = ()) -> str:
        made = await self.desk.bring(self.member, "customers.csv", content)
        if targets:
            await self.desk.remap(self.member, made.id, targets)
        await self.desk.start(self.member, made.id, key=key)
        return made.id

    async def whole(self, import_id: str) -> Whole:
        return await self.desk.whole(self.tenant, import_id)

    async def left_out(self, import_id: str) -> list[tuple[int, dict[str, Any]]]:
        return [one async for one in self.desk.left_out(self.tenant, import_id)]

    async def stored(self) -> dict[str, Any]:
        """All that an import may have changed about customers."""

        def read(connection: sa.Connection) -> dict[str, Any]:
            counted = cleaning.counted(connection, self.tenant, since_day=0)
            facts = connection.execute(
                sa.select(fact_table.c.id, fact_table.c.times).order_by(fact_table.c.id)
            )
            return {
                "identities": set(connection.execute(sa.select(identity_table.c.id)).scalars()),
                "facts": [tuple(row) for row in facts],
                "counts": {(step, reason): number for _, step, reason, number in counted},
            }

        return await self.database.read(read)

    async def facts(self, namespace: str, value: str) -> dict[str, str]:
        owner = self.collection.identity_id(self.tenant, namespace, value)
        found = await self.database.read(lambda c: self.profiles.view(c, self.tenant, [owner]))
        return {name: chosen.fact.value for name, chosen in found.facts.items()}


def table(count: int, *, broken_every: int = 0) -> bytes:
    """Customers c1, c2, …; every so manieth row is broken, each time in another way."""
    ways = (
        "{n},Jоhn {n},,,",
        "无,Name {n},,,",
        "c{n},Name {n},1.39E+10,,",
        'c{n},"Name {n},,,',
        "c{n},N,,,2099-01-01",
    )
    lines = []
    for at in range(1, count + 1):
        if broken_every and at % broken_every == 0:
            lines.append(ways[at // broken_every % len(ways)].format(n=at))
        else:
            lines.append(
                f"c{at},顾客{at},139{at:04}7{at % 1000:03},p{at}@huifeng.cn,1990-02-{at % 28 + 1:02}"
            )
    return (HEAD + "\n".join(lines) + "\n").encode()


def words(left_out: Sequence[tuple[int, dict[str, Any]]]) -> Counter[str]:
    return Counter(one["code"] for _, body in left_out for one in body["problems"])
