"""What a customer's copy of their data holds: every row that erasing would take, as declared in `copies.yaml`.

The copy is of who has *proven* to be the one who asks, as erasing is. A conversation in which somebody else has proven an
account is in nobody's copy: it would show one of them what the other said. `operations/privacy/copying.py` keeps and hands it
out.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
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

_WRITTEN_AS_JSON = frozenset({"dialogue", "sums", "features", "data"})

Words = Mapping[str, str]
"""A text by language."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the copy; `columns` in the order in which people read them."""

    table: str
    title: Words
    columns: Mapping[str, Words]


@dataclass(frozen=True, slots=True)
class Plan:
    given: tuple[Part, ...]
    left_out: Mapping[str, Words]
    values: Mapping[str, Mapping[str, Words]]
    """How a code in a column reads."""


@functools.cache
def plan() -> Plan:
    read = yaml.safe_load(_PLAN.read_text(encoding="utf-8"))
    given = tuple(Part(table, one["title"], one["columns"]) for table, one in read["given"].items())
    return Plan(given, read["left_out"], read["values"])


def collect(connection: sa.Connection, whom: Whom, now: datetime) -> dict[str, Any]:
    """Ready for JSON: rows by table, moments as ISO 8601 in UTC. `withheld` counts conversations that are somebody else's as
    well."""
    own = replace(whom, conversations=tuple(one for one in whom.conversations if one not in whom.shared))
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": now.isoformat(timespec="seconds"),
        "customer_id": whom.customer_id,
        "withheld": {"conversations": len(whom.shared)},
        "data": {part.table: _rows(connection, part, own) for part in plan().given},
        "left_out": {table: words["en"] for table, words in plan().left_out.items()},
    }


def _rows(connection: sa.Connection, part: Part, whom: Whom) -> list[dict[str, Any]]:
    table = metadata.tables[part.table]
    found: list[sa.Row[Any]] = []
    for place in (one for one in DELETED if one.table == part.table):
        for theirs in theirs_of(table, place, whom):
            found += connection.execute(
                sa.select(*(table.c[name] for name in _read(table, part))).where(theirs)
            ).all()
    rows = [dict(row._mapping) for row in found]
    rows.sort(key=lambda row: _order(table, row))
    return [{name: _told(name, row[name]) for name in part.columns} for row in rows]


def _read(table: sa.Table, part: Part) -> Iterable[str]:
    """What is given, and what it is sorted by."""
    return dict.fromkeys((*part.columns, *(("seq",) if "seq" in table.c else ())))


def _order(table: sa.Table, row: Mapping[str, Any]) -> tuple[Any, ...]:
    if table.name == "message":
        return (row["conversation_id"], row["seq"])
    return tuple(row[name] or 0 for name in row if _is_moment(name))


def _told(name: str, value: Any) -> Any:
    if value is not None and _is_moment(name):
        return from_milliseconds(value).isoformat(timespec="seconds")
    return json.loads(value) if name in _WRITTEN_AS_JSON and value else value


def _is_moment(name: str) -> bool:
    return name == "at" or name.endswith(("_at", "_seen"))
