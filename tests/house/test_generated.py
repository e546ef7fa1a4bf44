"""What is generated stays equal to its source: `.env.example`, the schema's history, the table of events."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from foundation import events, settings
from foundation.storage import migrations
from foundation.storage.database import metadata
from service import handlers, revise
from tests.house import house


def test_env_example_names_every_setting() -> None:
    assert (house.ROOT / ".env.example").read_text(encoding="utf-8") == settings.example()


def test_revisions_make_exactly_the_declared_tables_on_sqlite(tmp_path: Path) -> None:
    _compare(f"sqlite:///{tmp_path / 'schema.db'}")


def test_revisions_make_exactly_the_declared_tables_on_postgres(empty_postgres_url: str) -> None:
    _compare(empty_postgres_url)


def test_every_table_has_a_tenant() -> None:
    revise.declare_tables()
    assert len(metadata.tables) > 10
    assert [table.name for table in metadata.tables.values() if "tenant" not in table.c] == []


def test_every_event_has_a_hearer() -> None:
    assert set(events.EVENTS) == set(handlers.HEARD)


def _compare(url: str) -> None:
    revise.declare_tables()
    migrations.upgrade(url)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": revise.is_ours})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
