# ruff: noqa: E402  # the environment must stand before the libraries are imported
"""Fixtures that every tier shares: a vault, a clock that stands still until moved, a database on both engines."""

from __future__ import annotations

import os

for _name, _value in {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "LANGGRAPH_STRICT_MSGPACK": "true",
    "ANONYMIZED_TELEMETRY": "False",
}.items():
    os.environ.setdefault(_name, _value)

import atexit
import functools
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fastapi.dependencies.models
import hypothesis
import pytest
import sqlalchemy as sa

from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage import database as databases
from foundation.storage import migrations
from service import revise

# A busy machine is no finding: how long an example takes is nobody's promise here.
hypothesis.settings.register_profile(
    "huiliu", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("huiliu")

ROOT = Path(__file__).parent.parent
POSTGRES = os.environ.get("HUILIU_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


class StandingClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@pytest.fixture(autouse=True, scope="module")
def closed_applications_are_forgotten() -> Iterator[None]:
    """FastAPI remembers the last thousands of endpoints for good, and an endpoint of ours holds its whole application:
    36 MB for each product that a test has started, until forking and collecting take longer than the tests."""
    yield
    for kept in vars(fastapi.dependencies.models).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def vault() -> Vault:
    return Vault(b"0123456789abcdef0123456789abcdef")


@pytest.fixture
def tenant() -> TenantId:
    return TenantId("demo")


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The address of a Postgres that tests may use; skips, saying why, where there is none."""
    try:
        with sa.create_engine(POSTGRES, connect_args={"connect_timeout": 3}).connect():
            return POSTGRES
    except sa.exc.OperationalError as error:
        pytest.skip(f"no Postgres at {POSTGRES}: {str(error).splitlines()[0]}")


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with fresh_postgres(postgres_server) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """Without any table."""
    with fresh_postgres(postgres_server, like="template1") as url:
        yield url


@contextmanager
def fresh_postgres(postgres_server: str, *, like: str = "") -> Iterator[str]:
    """A Postgres database of its own with all migrations (a copy, which is several times quicker), dropped afterwards."""
    name, like = f"huiliu_test_{secrets.token_hex(6)}", like or _postgres_template(postgres_server)
    _administer(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
    yield sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    _administer(postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@functools.cache
def _postgres_template(postgres_server: str) -> str:
    name = f"huiliu_template_{secrets.token_hex(6)}"
    _administer(postgres_server, f'CREATE DATABASE "{name}"')
    atexit.register(_administer, postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    migrations.upgrade(sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False))
    return name


def _administer(postgres_server: str, statement: str) -> None:
    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture
async def database(tmp_path: Path, vault: Vault) -> AsyncIterator[databases.Database]:
    """The embedded database, open and empty."""
    opened = databases.Database(f"sqlite:///{tmp_path / 'huiliu.db'}", vault)
    await open_with_tables(opened)
    yield opened
    await opened.close()


async def open_with_tables(opened: databases.Database) -> None:
    revise.declare_tables()
    start_from_template(opened.url)
    await opened.open()


def start_from_template(url: str) -> None:
    """A new embedded database begins as a copy of an empty one with all migrations: they take longer than most tests."""
    path = Path(sa.make_url(url).database or "")
    if sa.make_url(url).get_backend_name() == "sqlite" and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_template(), path)


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="huiliu-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "template.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgres"])
async def either_database(
    request: pytest.FixtureRequest, tmp_path: Path, vault: Vault
) -> AsyncIterator[databases.Database]:
    """The same test on both engines; the Postgres half skips where there is no server."""
    url = (
        f"sqlite:///{tmp_path / 'either.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    opened = databases.Database(url, vault)
    await open_with_tables(opened)
    yield opened
    await opened.close()
