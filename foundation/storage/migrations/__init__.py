"""The schema's history, applied by `Database.open` on both engines; a new revision is made by `make migration`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config


def configuration(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    command.upgrade(configuration(url), "head")
