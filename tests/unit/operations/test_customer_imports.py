"""Customers from a table: shown before anything happens, taken in once, row by row wholly or not at all, whatever dies meanwhile."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from customers.privacy import suppression
from foundation import errors
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.console.data.teach import SAMPLES
from operations.customer_data import records, tables
from operations.customer_data.job import ATTEMPTS, BATCH, KEPT
from tests.conftest import ROOT, StandingClock
from tests.unit.operations.imports_world import HEAD, Imports, table, words


@pytest.fixture
def imports(database: Database, clock: StandingClock, tenant: TenantId) -> Imports:
    return Imports(database, clock, tenant)


async def test_preview_counts_what_would_happen_and_changes_nothing(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    imports = Imports(either_database, clock, tenant)
    await imports.started(table(4))
    await imports.job.run(tenant)
    before = await imports.stored()
    rows = [
        "c1,顾客1,13900017001,p1@huifeng.cn,1990-02-02",  # as it is
        "c2,顾客二,,,",  # another name
        "n1,新客,13900037003,,",  # new, with the number of c3
        "n2,新人,15277439018,,", "n3,新友,15277439018,,", "n3,新友,15277439018,,",  # one number twice, one row twice
        "n4,坏,x,,2099-01-01",
    ]  # fmt: skip
    made = await imports.desk.bring(imports.member, "C:\\data\\more.csv", (HEAD + "\n".join(rows)).encode())
    shown = made.preview
    assert made.name == "more.csv"
    assert (shown["new"], shown["updates"], shown["unchanged"], shown["repeats"]) == (3, 1, 1, 1)
    assert shown["broken"] == 1
    assert [(one["row"], one["column"], one["code"]) for one in shown["broken_sample"]] == [
        (8, "手机号", "bad_phone"), (8, "生日", "in_the_future"),
    ]  # fmt: skip
    assert "13900017001" not in str(made.sheet["samples"])
    assert made.sheet["samples"][4] == ["****-02-02", "****-01-01"]
    assert await imports.stored() == before


async def test_rows_of_one_person_are_proposed_as_one(imports: Imports) -> None:
    made = await imports.desk.bring(
        imports.member, "t.csv", (HEAD + "a,A,15277439018,,\nb,B,15277439018,,\nc,C,,,\n").encode()
    )
    assert made.preview["merges_proposed"] == 2


async def test_good_rows_go_in_and_broken_ones_stay_out_with_their_reasons(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    imports = Imports(either_database, clock, tenant)
    import_id = await imports.started(table(250, broken_every=10))
    await imports.job.run(tenant)
    whole = await imports.whole(import_id)
    assert (whole.one.state, whole.progress.rows, whole.progress.done) == ("done", 225, 225)
    assert (whole.progress.added, whole.progress.left_out) == (225, 25)
    assert await imports.facts("crm", "c1") == {
        "name": "顾客1", "phone": "13900017001", "email": "p1@huifeng.cn", "birthday": "1990-02-02",
    }  # fmt: skip
    assert await imports.facts("crm", "c20") == {}
    out = await imports.left_out(import_id)
    assert words(out) == {
        "lookalike": 5, "placeholder_key": 5, "scientific": 5, "unreadable_row": 5, "in_the_future": 5,
    }  # fmt: skip
    assert [number for number, _ in out] == list(range(11, 252, 10))
    counts = (await imports.stored())["counts"]
    assert (counts[("rows", "received")], counts[("rows", "accepted")], counts[("rows", "rejected")]) == (
        250,
        225,
        25,
    )


async def test_same_table_again_is_no_news_and_a_changed_row_is_an_update(
    imports: Imports, clock: StandingClock, tenant: TenantId
) -> None:
    await imports.started(table(30))
    await imports.job.run(tenant)
    identities = (await imports.stored())["identities"]
    clock.move(minutes=5)
    again = await imports.started(table(30).replace("顾客7,".encode(), "改名7,".encode()), key="k2")
    await imports.job.run(tenant)
    progress = (await imports.whole(again)).progress
    assert (progress.added, progress.updated, progress.unchanged) == (0, 1, 29)
    assert (await imports.stored())["identities"] == identities
    assert (await imports.facts("crm", "c7"))["name"] == "改名7"


async def test_start_is_once_and_nothing_else_may_be_changed_afterwards(
    imports: Imports, tenant: TenantId
) -> None:
    made = await imports.desk.bring(imports.member, "t.csv", table(3))
    with pytest.raises(errors.InvalidInput):
        await imports.desk.start(imports.member, made.id, key="")
    first = await imports.desk.start(imports.member, made.id, key="one")
    assert await imports.desk.start(imports.member, made.id, key="one") == first
    for refused in (
        imports.desk.start(imports.member, made.id, key="two"),
        imports.desk.remap(imports.member, made.id, made.targets),
        imports.desk.discard(imports.member, made.id),
    ):
        with pytest.raises(errors.Conflict):
            await refused
    await imports.job.run(tenant)
    assert (await imports.desk.start(imports.member, made.id, key="one")).state == "done"
    assert (await imports.whole(made.id)).progress.added == 3
    actions = [one.action for one in await imports.database.read(lambda c: audit.read(c, tenant))]
    assert actions == ["import.started", "import.brought"]


async def test_only_who_may_edit_customers_brings_a_table(imports: Imports) -> None:
    agent = replace(imports.member, role="agent")
    with pytest.raises(errors.NotPermitted):
        await imports.desk.bring(agent, "t.csv", table(3))


async def test_other_tenants_know_nothing_of_it(imports: Imports, tenant: TenantId) -> None:
    made = await imports.desk.bring(imports.member, "t.csv", table(3))
    stranger = replace(imports.member, tenant=TenantId("other"))
    with pytest.raises(errors.NotFound):
        await imports.desk.start(stranger, made.id, key="k")
    assert await imports.desk.newest(TenantId("other")) == []


@pytest.mark.parametrize(
    ("content", "source", "code"),
    [
        (b"x" * 1_000_001, "import", "too_large"),
        (table(1), "Bad Source", "bad_source"),
        (b"", "import", "empty_file"),
    ],
)
async def test_bad_upload_is_refused_with_a_code(
    imports: Imports, content: bytes, source: str, code: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await imports.desk.bring(imports.member, "t.csv", content, source=source)
    assert refused.value.code == code


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_sample_shows_what_is_tidied_and_what_stays_out(imports: Imports, language: str) -> None:
    content = (SAMPLES / f"customers-{language}.csv").read_bytes()
    shown = (await imports.desk.bring(imports.member, "sample.csv", content)).preview
    assert (shown["new"], shown["broken"]) == (3, 2)
    assert {one["code"]: one["rows"] for one in shown["broken_by"]} == {"scientific": 1, "in_the_future": 1}


async def test_table_that_names_nobody_is_kept_until_somebody_maps_it(
    imports: Imports, tenant: TenantId
) -> None:
    made = await imports.desk.bring(imports.member, "t.csv", "甲,乙\nc1,Ann\nc2,Bob\n".encode())
    assert made.preview["problem"] == "no_key"
    with pytest.raises(errors.InvalidInput):
        await imports.desk.start(imports.member, made.id, key="k")
    mapped = await imports.desk.remap(imports.member, made.id, ["crm", "name"])
    assert mapped.preview["new"] == 2
    await imports.desk.start(imports.member, made.id, key="k")
    await imports.job.run(tenant)
    assert await imports.facts("crm", "c2") == {"name": "Bob"}


async def test_file_is_sealed_until_it_is_taken_in_and_gone_afterwards(
    imports: Imports, tenant: TenantId
) -> None:
    async def kept() -> bytes:
        query = sa.select(records.import_table.c.content)
        return bytes(await imports.database.read(lambda c: c.execute(query).scalar_one()) or b"")

    await imports.started(table(3))
    assert len(await kept()) > 100
    assert "顾客1".encode() not in await kept()
    await imports.job.run(tenant)
    assert await kept() == b""
    query = sa.select(sa.func.count()).where(records.batch_table.c.body.is_not(None))
    assert await imports.database.read(lambda c: c.execute(query).scalar_one()) == 0


async def test_what_was_left_out_or_never_started_is_dropped_after_seven_days(
    imports: Imports, clock: StandingClock, tenant: TenantId
) -> None:
    import_id = await imports.started(table(20, broken_every=10))
    waiting = await imports.desk.bring(imports.member, "t.csv", table(3))
    await imports.job.run(tenant)
    clock.now += KEPT - timedelta(minutes=1)
    await imports.job.run(tenant)
    assert len(await imports.left_out(import_id)) == 2
    clock.move(hours=2)
    await imports.job.run(tenant)
    assert await imports.left_out(import_id) == []
    assert (await imports.whole(import_id)).progress.added == 18
    with pytest.raises(errors.NotFound):
        await imports.whole(waiting.id)


async def test_batch_that_always_fails_is_set_aside_and_named_while_newer_imports_go_on(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    imports = Imports(either_database, clock, tenant)
    bad = await imports.started(table(BATCH * 2 + 10))
    await imports.job._cut(tenant)

    def spoil(connection: sa.Connection) -> None:  # what it holds cannot be read by anybody
        mine = (records.batch_table.c.import_id == bad) & (records.batch_table.c.number == 2)
        connection.execute(sa.update(records.batch_table).where(mine).values(body='[{"id": "x"}]'))

    await imports.database.write(spoil)
    good = await imports.started(table(10).replace(b"\nc", b"\nd"), key="k2")
    await imports.job.run(tenant)
    assert (await imports.whole(good)).one.state == "done"
    for _ in range(ATTEMPTS):
        clock.move(minutes=2)
        await imports.job.run(tenant)
    whole = await imports.whole(bad)
    assert (whole.one.state, whole.progress.done) == ("partly", BATCH + 10)
    [aside] = whole.progress.aside
    assert (aside.number, aside.first_row, aside.last_row, aside.error) == (2, 102, 201, "KeyError")
    assert await imports.desk.retry(imports.member, bad) == 1
    assert (await imports.whole(bad)).one.state == "running"
    with pytest.raises(errors.Conflict):
        await imports.desk.retry(imports.member, good)


async def test_batch_whose_processes_all_died_is_set_aside(
    imports: Imports, clock: StandingClock, tenant: TenantId
) -> None:
    import_id = await imports.started(table(5))
    await imports.job._cut(tenant)
    for _ in range(ATTEMPTS):  # as often as somebody began it and was never heard of again
        batch = await imports.database.read(lambda c: records.find_open(c, tenant, clock()))
        assert batch is not None
        now, until = clock(), clock() + timedelta(seconds=60)
        assert await imports.database.write(
            lambda c, b=batch, n=now, u=until: records.claim(c, tenant, b, now=n, until=u)  # type: ignore[misc]
        )
        clock.move(minutes=2)
    await imports.job.run(tenant)
    [aside] = (await imports.whole(import_id)).progress.aside
    assert aside.error == "interrupted"


async def test_two_processes_take_each_row_once(
    either_database: Database, clock: StandingClock, tenant: TenantId
) -> None:
    import asyncio

    imports, other = Imports(either_database, clock, tenant), Imports(either_database, clock, tenant)
    import_id = await imports.started(table(BATCH * 3))
    await asyncio.gather(imports.job.run(tenant), other.job.run(tenant))
    whole = await imports.whole(import_id)
    assert (whole.one.state, whole.progress.added) == ("done", BATCH * 3)
    stored = await imports.stored()
    assert stored["counts"][("rows", "accepted")] == BATCH * 3
    assert {times for _, times in stored["facts"]} == {1}


async def test_import_goes_on_where_it_was_killed_and_ends_as_if_it_had_not_been(
    imports: Imports, clock: StandingClock, tenant: TenantId, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """kill -9 at ever later changes of the database: while the table is cut, within a batch, between batches."""
    import_id = await imports.started(table(BATCH * 2 + 20, broken_every=10))
    await imports.database.close()
    minutes = 0
    for changes in (1, 2, 40, 1000, 2400):
        minutes += 2
        killed = subprocess.run(
            [sys.executable, "-m", "tests.fakes.import_child", imports.database.url, str(minutes), str(changes)],
            cwd=ROOT, check=False, timeout=120,
        )  # fmt: skip
        assert killed.returncode == -9
    await imports.database.open()
    clock.move(minutes=minutes + 2)
    between = (await imports.whole(import_id)).progress
    assert 0 < between.done < between.rows, "the kills proved nothing"
    await imports.job.run(tenant)
    whole = await imports.whole(import_id)
    assert (whole.one.state, whole.progress.added, whole.progress.left_out) == ("done", 198, 22)
    stored = await imports.stored()

    other = Database(f"sqlite:///{tmp_path_factory.mktemp('calm') / 'calm.db'}", imports.database.vault)
    await other.open()
    calm = Imports(other, StandingClock(), tenant)
    await calm.started(table(BATCH * 2 + 20, broken_every=10))
    await calm.job.run(tenant)
    assert await calm.stored() == stored
    await other.close()


async def test_left_out_rows_come_as_a_table_that_a_spreadsheet_does_not_calculate(
    imports: Imports, tenant: TenantId
) -> None:
    content = HEAD + "=1+1,@SUM(A1),+1 2,,\nc2,-x,y,,\n"
    import_id = await imports.started(content.encode())
    await imports.job.run(tenant)
    [(number, body), _] = await imports.left_out(import_id)
    line = tables.left_out_line(number, body)
    assert line.startswith("2,手机号,")
    assert line.endswith("'=1+1,'@SUM(A1),'+1 2,,\r\n")
    assert tables.left_out_head(["客户编号"]) == "\ufeff行 row,列 column,原因,reason,客户编号\r\n"


async def test_imported_phone_number_opens_nothing_to_who_has_it(imports: Imports, tenant: TenantId) -> None:
    """It is a statement about the row's own name; no identity of a channel has it, and none is tied to another."""
    await imports.started("手机号,姓名\n13912349999,Ann\n".encode())
    await imports.started(table(3), key="k2")
    await imports.job.run(tenant)

    def read(connection: sa.Connection) -> tuple[set[str], int, int]:
        from customers.graph.records import edge_table, identity_table

        named = set(connection.execute(sa.select(identity_table.c.namespace)).scalars())
        groups = connection.execute(
            sa.select(sa.func.count(identity_table.c.access_id.distinct()))
        ).scalar_one()
        edges = connection.execute(sa.select(sa.func.count()).select_from(edge_table)).scalar_one()
        return named, int(groups), int(edges)

    assert await imports.database.read(read) == ({"imported", "crm"}, 4, 0)


async def test_who_was_erased_is_left_out_with_the_reason(
    imports: Imports, clock: StandingClock, tenant: TenantId
) -> None:
    def erased(connection: sa.Connection) -> None:
        keys = suppression.keys_of(imports.database.vault, tenant, [("crm", "c2"), ("phone", "13900037003")])
        suppression.add(connection, tenant, keys, erasure_id="er_1", now=clock())

    await imports.database.write(erased)
    import_id = await imports.started(table(5))
    await imports.job.run(tenant)
    out = await imports.left_out(import_id)
    assert [number for number, _ in out] == [3, 4]
    assert words(out) == {"erased": 2}
    assert [body["cells"] for _, body in out] == [[], []]
    assert (await imports.whole(import_id)).progress.added == 3
    assert await imports.facts("crm", "c2") == {}
