"""Makes a database revision from what the declared tables have become; `make migration NAME="…"` calls it.

It stands on this floor because it imports every package that declares tables, which the foundation may not.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from alembic import command

from foundation.storage import migrations
from foundation.storage.database import metadata

TABLES = (
    "foundation.conversations",
    "foundation.bus.records",
    "foundation.outward.outbox",
    "retrieval.records",
    "customers.records",
    "customers.changed",
    "customers.search",
    "customers.graph.records",
    "customers.verification.records",
    "customers.graph.claims",
    "customers.graph.history",
    "customers.matching.records",
    "customers.profile.records",
    "customers.profile.learned",
    "customers.cleaning.records",
    "customers.privacy.consent_records",
    "customers.privacy.copy_records",
    "customers.privacy.erasure_records",
    "customers.privacy.suppression",
    "prompts.records",
    "agent.records",
    "operations.records",
    "operations.privacy.rotation_records",
    "operations.webhooks.records",
    "operations.customer_data.records",
    "channels.accounts",
    "channels.media.records",
    "channels.outbound.rates",
    "channels.records",
    "channels.platforms.shelf",
    "channels.families.live_chat.used_tokens",
    "channels.refusals",
    "channels.registry",
)


def is_ours(_item: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """Alembic's own table is not declared by us."""
    return not (kind == "table" and name == "alembic_version")


def declare_tables() -> None:
    for module in TABLES:
        importlib.import_module(module)


def make(message: str) -> None:
    declare_tables()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'revise.db'}"
        migrations.upgrade(url)
        config = migrations.configuration(url)
        config.attributes["metadata"] = metadata
        count = len(list((Path(migrations.__file__).parent / "versions").glob("[0-9]*.py")))
        command.revision(config, message, autogenerate=True, rev_id=f"{count + 1:04d}")


if __name__ == "__main__":
    make(sys.argv[1] or "change tables")
