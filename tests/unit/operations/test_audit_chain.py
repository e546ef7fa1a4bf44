"""The audit trail: what is written stays, and what somebody changed behind our back is found."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.records import audit_table
from tests.conftest import StandingClock


async def _write(database: Database, tenant: TenantId, clock: StandingClock, *, count: int = 5) -> None:
    for number in range(1, count + 1):
        clock.move(seconds=1)
        await database.write(
            lambda c, number=number: audit.write(  # type: ignore[misc]  # a default binds the loop's value
                c, tenant, actor="mei", action="desk.taken", subject=f"c{number}", now=clock(), detail={"n": number}
            )
        )  # fmt: skip


async def test_entries_are_read_newest_first_with_their_details(
    either_database: Database, tenant: TenantId, clock: StandingClock
) -> None:
    await _write(either_database, tenant, clock)
    entries = await either_database.read(lambda c: audit.read(c, tenant, limit=2))
    assert [(entry.number, entry.subject, entry.detail) for entry in entries] == [
        (5, "c5", {"n": 5}),
        (4, "c4", {"n": 4}),
    ]
    assert entries[0].at == clock()
    one = await either_database.read(lambda c: audit.read(c, tenant, subject="c2"))
    assert [entry.number for entry in one] == [2]
    assert await either_database.read(lambda c: audit.find_break(c, tenant)) is None


@pytest.mark.parametrize(
    "change", [{"actor": "li"}, {"detail": "{}"}, {"subject": "c9"}, {"at": 0}, {"chain": "0" * 64}]
)
async def test_break_is_found_when_an_entry_was_changed(
    database: Database, tenant: TenantId, clock: StandingClock, change: dict[str, Any]
) -> None:
    await _write(database, tenant, clock)
    await database.write(
        lambda c: c.execute(sa.update(audit_table).where(audit_table.c.number == 3).values(**change))
    )
    assert await database.read(lambda c: audit.find_break(c, tenant)) == 3


async def test_break_is_found_when_an_entry_was_removed(
    database: Database, tenant: TenantId, clock: StandingClock
) -> None:
    await _write(database, tenant, clock)
    await database.write(lambda c: c.execute(sa.delete(audit_table).where(audit_table.c.number == 2)))
    assert await database.read(lambda c: audit.find_break(c, tenant)) == 3


async def test_each_tenant_has_a_chain_of_its_own(
    database: Database, tenant: TenantId, clock: StandingClock
) -> None:
    other = TenantId("other")
    await _write(database, tenant, clock)
    await _write(database, other, clock, count=2)
    assert [entry.number for entry in await database.read(lambda c: audit.read(c, other))] == [2, 1]
    assert await database.read(lambda c: audit.find_break(c, other)) is None


async def test_words_about_somebody_go_and_the_chain_holds_and_still_tells(
    either_database: Database, tenant: TenantId, clock: StandingClock
) -> None:
    await _write(either_database, tenant, clock)
    seen, changed = await either_database.write(
        lambda c: audit.redact(c, tenant, {"c2", "c4"}, by="era_1", after=0, now=clock(), limit=3)
    )
    assert (seen, changed) == (3, 1)
    seen, changed = await either_database.write(
        lambda c: audit.redact(c, tenant, {"c2", "c4"}, by="era_1", after=3, now=clock())
    )
    assert (seen, changed) == (None, 1)
    entries = {one.number: one for one in await either_database.read(lambda c: audit.read(c, tenant))}
    assert entries[2].detail == entries[4].detail == {"redacted": "era_1"}
    assert (entries[2].actor, entries[2].subject, entries[3].detail) == ("mei", "c2", {"n": 3})
    assert await either_database.read(lambda c: audit.find_break(c, tenant)) is None
    _, again = await either_database.write(
        lambda c: audit.redact(c, tenant, {"c2", "c4"}, by="era_2", after=0, now=clock())
    )
    assert again == 0, "once is enough"


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (2, {"actor": "li"}),
        (3, {"detail": '{"redacted": "era_1"}'}),
        (6, {"detail": '{"redacted": "era_1"}'}),
    ],
    ids=["what is left of it", "one nobody vouches for", "the one that vouches"],
)
async def test_break_is_found_behind_words_that_were_taken_out(
    database: Database, tenant: TenantId, clock: StandingClock, number: int, change: dict[str, Any]
) -> None:
    await _write(database, tenant, clock)
    await database.write(lambda c: audit.redact(c, tenant, {"c2"}, by="era_1", after=0, now=clock()))
    await database.write(
        lambda c: c.execute(sa.update(audit_table).where(audit_table.c.number == number).values(**change))
    )
    assert await database.read(lambda c: audit.find_break(c, tenant)) is not None
