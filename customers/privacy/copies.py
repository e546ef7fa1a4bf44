"""What a customer's copy of their data holds: every row that erasing would take, as declared in `copies.yaml`.

The copy is of who has *proven* to be the one who asks, as erasing is. A conversation in which somebody else has proven an
account is in nobody's copy: it would show one of them what the other said. `operations/privacy/copying.py` keeps and hands it
out.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from customers.privacy.erasure import Whom, theirs_of
from customers.privacy.erasure_places import DELETED
from foundation.clock import from_milliseconds
from foundation.storage.database import metadata

FORMAT, VERSION = "huiliu personal copy", 1
_PLAN = Path(__file__).with_name("copies.yaml")
_WRITTEN_AS_JSON = frozenset({"body", "data", "dialogue", "features", "sums"})

Text = Mapping[str, str]
"""By language."""


@dataclass(frozen=True, slots=True)
class Column:
    """`named`: the family of words for its codes. `readable`: people are shown it, not only machines."""

    name: str
    label: Text
    named: str
    readable: bool

    @property
    def is_moment(self) -> bool:
        return self.name == "at" or self.name.endswith(("_at", "_seen"))


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the copy; `columns` in the order in which people read them."""

    table: str
    title: Text
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`left_out`: why, by table."""

    given: tuple[Part, ...]
    left_out: Mapping[str, Text]


@functools.cache
def plan() -> Plan:
    read = yaml.safe_load(_PLAN.read_text(encoding="utf-8"))
    given = tuple(
        Part(table, part["title"], tuple(_column(name, one) for name, one in part["columns"].items()))
        for table, part in read["given"].items()
    )
    return Plan(given, read["left_out"])


def _column(name: str, read: Mapping[str, str]) -> Column:
    label = {language: read[language] for language in ("zh", "en")}
    return Column(name, label, read.get("named", ""), read.get("for") != "machines")


def collect(connection: sa.Connection, whom: Whom, now: datetime) -> dict[str, Any]:
    """Ready for JSON: rows by table, the oldest first, moments as ISO 8601 in UTC. `withheld` counts conversations that are
    somebody else's as well."""
    own = replace(whom, conversations=tuple(one for one in whom.conversations if one not in whom.shared))
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": now.isoformat(timespec="seconds"),
        "customer_id": whom.customer_id,
        "withheld": {"conversations": len(whom.shared)},
        "data": {part.table: _rows(connection, part, own) for part in plan().given},
        "left_out": {table: why["en"] for table, why in plan().left_out.items()},
    }


def _rows(connection: sa.Connection, part: Part, whom: Whom) -> list[dict[str, Any]]:
    table = metadata.tables[part.table]
    order = [table.c[one.name] for one in part.columns if one.is_moment]
    order += [table.c[name] for name in ("seq",) if name in table.c]
    found: list[sa.Row[Any]] = []
    for place in (one for one in DELETED if one.table == part.table):
        for theirs in theirs_of(table, place, whom):
            query = sa.select(*(table.c[one.name] for one in part.columns)).where(theirs)
            found += connection.execute(query.order_by(*order)).all()
    return [
        {column.name: _told(column, value) for column, value in zip(part.columns, row, strict=True)}
        for row in found
    ]


def _told(column: Column, value: Any) -> Any:
    if value is not None and column.is_moment:
        return from_milliseconds(value).isoformat(timespec="seconds")
    return json.loads(value) if column.name in _WRITTEN_AS_JSON and value else value
