"""The strongest grader: what changed in the shop's database, by whatever way. `changed_rows` finds it, `end_state` judges.

An expectation names tables and, for each, the rows that must be new or different, by the fields that matter. Everything
that changed must be expected and everything expected must have changed: an empty expectation means that nothing did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.graders.seen import Rows, Seen


def changed_rows(before: Rows, after: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """A row that vanished counts as well, marked `gone`."""
    changes: dict[str, list[Mapping[str, Any]]] = {}
    for table in sorted({*before, *after}):
        old, new = list(before.get(table, ())), list(after.get(table, ()))
        appeared = [row for row in new if row not in old]
        keys = [_key(row) for row in new]
        vanished = [{**row, "gone": True} for row in old if row not in new and _key(row) not in keys]
        if appeared or vanished:
            changes[table] = [*appeared, *vanished]
    return changes


def end_state(wanted: Rows, seen: Seen) -> str | None:
    complaints = [
        complaint
        for table in sorted({*wanted, *seen.changes})
        for complaint in _compare(table, wanted.get(table, ()), seen.changes.get(table, ()))
    ]
    return "; ".join(complaints) or None


def _compare(
    table: str, wanted: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]
) -> list[str]:
    left = list(changed)
    complaints: list[str] = []
    for row in wanted:
        match = next((one for one in left if _fits(row, one)), None)
        if match is None:
            complaints.append(f"{table}: no change fits {dict(row)}")
        else:
            left.remove(match)
    return complaints + [f"{table}: unexpected change {_short(row)}" for row in left]


def _fits(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(name in row and _same(value, row[name]) for name, value in wanted.items())


def _same(wanted: Any, found: Any) -> bool:
    """Lists are sets here: in which order two items go back does not matter. Money is text: "459.00" is 459."""
    if isinstance(wanted, list) and isinstance(found, list):
        return sorted(map(str, wanted)) == sorted(map(str, found))
    if isinstance(wanted, int | float) and not isinstance(wanted, bool) and isinstance(found, str):
        try:
            return float(found) == float(wanted)
        except ValueError:
            return False
    return bool(wanted == found)


def _key(row: Mapping[str, Any]) -> str:
    """By the first column, as tables are declared."""
    return str(next(iter(row.values()), ""))


def _short(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in list(row.items())[:4])
