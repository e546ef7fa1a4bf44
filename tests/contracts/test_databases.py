"""What `Database` promises on both engines, and what each engine adds."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from foundation import errors
from foundation.security import Vault
from foundation.storage import migrations
from foundation.storage.database import Database, Sealed

ROOT = Path(__file__).parent.parent.parent

test_metadata = sa.MetaData()
"""Apart from the product's, whose tables are compared with the revisions."""

person_table = sa.Table(
    "database_test_person",
    test_metadata,
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Sealed),
)


@pytest.fixture
async def database(database: Database) -> Database:
    await database.write(test_metadata.create_all)
    return database


@pytest.fixture
async def either_database(either_database: Database) -> Database:
    await either_database.write(test_metadata.create_all)
    return either_database


def insert(number: int, name: str | None = None) -> Callable[[sa.Connection], int]:
    def work(connection: sa.Connection) -> int:
        connection.execute(sa.insert(person_table).values(tenant="demo", id=number, name=name))
        return number

    return work


def count(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(person_table)).scalar_one())


async def test_write_is_seen_by_every_read_when_it_has_returned(either_database: Database) -> None:
    assert await either_database.write(insert(1, "张三")) == 1
    assert await either_database.read(count) == 1
    name = await either_database.read(lambda c: c.execute(sa.select(person_table.c.name)).scalar_one())
    assert name == "张三"


async def test_read_sees_one_snapshot_when_a_write_commits_between_its_queries(
    either_database: Database,
) -> None:
    first_done, go_on = threading.Event(), threading.Event()

    def twice(connection: sa.Connection) -> tuple[int, int]:
        first = count(connection)
        first_done.set()
        assert go_on.wait(60)
        return first, count(connection)

    reading = asyncio.create_task(either_database.read(twice))
    await asyncio.to_thread(first_done.wait)
    await either_database.write(insert(1))
    go_on.set()
    assert await reading == (0, 0)
    assert await either_database.read(count) == 1


async def test_read_cannot_change_anything(either_database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await either_database.read(insert(1))
    assert await either_database.read(count) == 0


async def test_nothing_of_a_write_stays_when_it_fails_in_the_middle(either_database: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        insert(1)(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await either_database.write(fail)
    assert await either_database.read(count) == 0


async def test_neighbours_commit_when_one_write_of_many_fails(either_database: Database) -> None:
    numbers = [*range(100), 50]
    results = await asyncio.gather(
        *(either_database.write(insert(number)) for number in numbers), return_exceptions=True
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [sa.exc.IntegrityError]
    assert await either_database.read(count) == 100


async def test_work_commits_when_its_caller_stopped_waiting(either_database: Database) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sa.Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        insert(1)(connection)

    writing = asyncio.create_task(either_database.write(work))
    await started.wait()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    url, vault = either_database.url, either_database.vault
    await either_database.close()
    again = Database(url, vault)
    await again.open()
    assert await again.read(count) == 1
    await again.close()


async def test_write_says_busy_when_too_much_waits_and_works_again_after(either_database: Database) -> None:
    url, vault = either_database.url, either_database.vault
    await either_database.close()
    small = Database(url, vault, queue_limit=20)
    await small.open()
    entered, go_on = threading.Event(), threading.Event()

    def block(_connection: sa.Connection) -> None:
        entered.set()
        assert go_on.wait(60)

    def insert_later(number: int) -> Callable[[sa.Connection], object]:
        """None of them is done before all have asked: Postgres works on several at once."""
        work = insert(number)

        def wait_and_insert(connection: sa.Connection) -> object:
            assert go_on.wait(60)
            return work(connection)

        return wait_and_insert

    blocking = asyncio.create_task(small.write(block))
    await asyncio.to_thread(entered.wait)
    writing = [asyncio.create_task(small.write(insert_later(number))) for number in range(40)]
    await asyncio.sleep(0)
    go_on.set()
    await blocking
    results = await asyncio.gather(*writing, return_exceptions=True)
    refused = [result for result in results if isinstance(result, errors.Overloaded)]
    assert len(refused) >= 20
    assert all(result.code == "busy" and result.retry_after_seconds for result in refused)
    assert await small.read(count) == 40 - len(refused)
    await small.write(insert(99))
    await small.close()


async def test_sealed_column_is_unreadable_when_read_raw_or_with_another_key(
    either_database: Database,
) -> None:
    await either_database.write(insert(1, "13800138000"))
    await either_database.write(insert(2, None))
    raw = await either_database.read(
        lambda c: c.exec_driver_sql("SELECT name FROM database_test_person ORDER BY id").scalars().all()
    )
    assert b"13800138000" not in bytes(raw[0])
    assert raw[1] is None
    url = either_database.url
    await either_database.close()
    stranger = Database(url, Vault(b"another key of thirty-two bytes!!"))
    await stranger.open()
    with pytest.raises(errors.NotAuthentic):
        await stranger.read(lambda c: c.execute(sa.select(person_table)).all())
    await stranger.close()


async def test_sealed_value_is_not_in_the_file(database: Database, tmp_path: Path) -> None:
    await database.write(insert(1, "13800138000"))
    await database.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"database_test_person" in content
    assert b"13800138000" not in content


async def test_group_shares_one_transaction_and_order_is_the_order_of_calls(database: Database) -> None:
    seen: list[int] = []

    def work(number: int) -> Callable[[sa.Connection], None]:
        def record(connection: sa.Connection) -> None:
            seen.append(count(connection))
            insert(number)(connection)

        return record

    await asyncio.gather(*(database.write(work(number)) for number in range(50)))
    assert seen == list(range(50))


async def test_every_commit_is_synced_when_the_database_is_embedded(database: Database) -> None:
    """FULL survives a power cut, NORMAL only the death of the process; an acknowledgement promises the former."""

    def pragma(connection: sa.Connection, name: str) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    assert await database.write(lambda c: pragma(c, "synchronous")) == 2
    assert await database.write(lambda c: pragma(c, "journal_mode")) == "wal"
    assert await database.read(lambda c: pragma(c, "query_only")) == 1


async def test_open_is_refused_when_another_process_owns_the_file_and_not_after_its_death(
    tmp_path: Path, vault: Vault
) -> None:
    """The other process is killed with SIGKILL: no lock may outlive it."""
    url = f"sqlite:///{tmp_path / 'owned.db'}"
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN_AND_WAIT, url,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert owner.stdout is not None
    while b"open" not in (line := await owner.stdout.readline()) or b"embedded" in line:
        assert line, "the owner ended by itself"
    second = Database(url, vault)
    with pytest.raises(errors.Conflict) as refusal:
        await second.open()
    assert refusal.value.code == "database_in_use"
    owner.kill()
    await owner.wait()
    await second.open()
    await second.write(test_metadata.create_all)
    assert await second.read(count) == 0
    await second.close()


OPEN_AND_WAIT = """
import asyncio, sys
from foundation.security import Vault
from foundation.storage.database import Database
async def main():
    database = Database(sys.argv[1], Vault(b"0123456789abcdef0123456789abcdef"))
    await database.open()
    print("is open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await database.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:"])
async def test_open_names_the_mistake_when_the_address_is_unusable(url: str, vault: Vault) -> None:
    with pytest.raises(errors.ConfigurationError):
        await Database(url, vault).open()


async def test_open_is_temporary_trouble_when_no_server_answers(vault: Vault) -> None:
    with pytest.raises(errors.UpstreamUnavailable) as trouble:
        await Database("postgresql+psycopg://nobody@127.0.0.1:1/none", vault).open()
    assert trouble.value.code == "database_unavailable"


async def test_file_is_free_when_opening_failed(tmp_path: Path, vault: Vault) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"this is not a database" * 100)
    for _ in range(2):
        with pytest.raises(sa.exc.DatabaseError):
            await Database(f"sqlite:///{path}", vault).open()


async def test_write_is_temporary_trouble_when_the_server_drops_its_connection(
    postgres_url: str, vault: Vault
) -> None:
    database = await opened(postgres_url, vault)

    def die(connection: sa.Connection) -> None:
        insert(1)(connection)
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(errors.UpstreamUnavailable):
        await database.write(die)
    assert await database.read(count) == 0
    await database.write(insert(1))
    await database.close()


async def test_both_writes_commit_when_they_lock_each_other(postgres_url: str, vault: Vault) -> None:
    database = await opened(postgres_url, vault)
    await database.write(insert(1))
    await database.write(insert(2))
    both_hold_one = threading.Barrier(2)

    def lock(first: int, second: int) -> Callable[[sa.Connection], None]:
        tries = []

        def work(connection: sa.Connection) -> None:
            tries.append(1)
            rename(connection, first)
            if len(tries) == 1:
                both_hold_one.wait(60)
            rename(connection, second)

        return work

    await asyncio.gather(database.write(lock(1, 2)), database.write(lock(2, 1)))
    assert await database.read(count) == 2
    await database.close()


def rename(connection: sa.Connection, number: int) -> None:
    connection.execute(sa.update(person_table).where(person_table.c.id == number).values(name="new"))


async def opened(url: str, vault: Vault) -> Database:
    database = Database(url, vault)
    await database.open()
    await database.write(test_metadata.create_all)
    return database


REVISION = '''
"""A first revision."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0001", None, None, None
def upgrade():
    op.create_table("migrated_once", sa.Column("tenant", sa.Text))
    op.execute("INSERT INTO migrated_once VALUES ('demo')")
    {last}
'''

MIGRATE = """
import sys
from alembic import command
from foundation.storage import migrations
config = migrations.configuration(sys.argv[1])
config.set_main_option("version_locations", sys.argv[2])
command.upgrade(config, "head")
"""


async def test_schema_is_made_once_when_two_processes_start_on_an_empty_server(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    """Both are held at the lock until both are seen waiting for it."""
    (tmp_path / "0001_first.py").write_text(REVISION.format(last=""))
    engine = sa.create_engine(empty_postgres_url, isolation_level="AUTOCOMMIT")
    waiting = sa.text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with engine.connect() as holder:
        holder.exec_driver_sql("SELECT pg_advisory_lock(7120541)")
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", MIGRATE, empty_postgres_url, str(tmp_path), cwd=ROOT
            )
            for _ in range(2)
        ]
        while holder.execute(waiting).scalar_one() < 2:
            assert all(process.returncode is None for process in processes)
        holder.exec_driver_sql("SELECT pg_advisory_unlock(7120541)")
        assert [await process.wait() for process in processes] == [0, 0]
        assert holder.exec_driver_sql("SELECT count(*) FROM migrated_once").scalar_one() == 1
    engine.dispose()


def test_nothing_of_a_revision_stays_when_it_fails_on_sqlite(tmp_path: Path) -> None:
    revision = tmp_path / "0001_first.py"
    config = migrations.configuration(f"sqlite:///{tmp_path / 'migrated.db'}")
    config.set_main_option("version_locations", str(tmp_path))
    revision.write_text(REVISION.format(last="raise ZeroDivisionError"))
    with pytest.raises(ZeroDivisionError):
        command.upgrade(config, "head")
    revision.write_text(REVISION.format(last=""))
    for _ in range(2):
        command.upgrade(config, "head")
    with sqlite3.connect(tmp_path / "migrated.db") as connection:
        assert connection.execute("SELECT tenant FROM migrated_once").fetchall() == [("demo",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
