"""What an import would do, before it does anything: drafts in, numbers out. Reads, writes nothing.

The desk asks for the preview, the job to tell new customers from known ones. Who would be proposed as one person is told by
the keys under which the staff find customers; the matcher decides about them afterwards, with all that it knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from customers import search
from customers.cleaning import reading
from customers.cleaning.collection import Collection
from customers.cleaning.pipeline import Counts
from customers.graph.records import identity_table
from customers.importing.files import Row, Sheet
from customers.importing.rows import Draft, Reader
from customers.profile import records as profiles
from customers.profile.facts import Fact
from foundation.messages import TenantId

BROKEN_SHOWN = 20
AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Sorted:
    """The rows of a table by what is to become of them."""

    good: tuple[Draft, ...]
    repeats: int
    broken: tuple[tuple[Row, Draft], ...]
    counts: Counts = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Standing:
    """Positions of drafts: whose key nobody has yet, and who says nothing that is not known."""

    new: frozenset[int]
    unchanged: frozenset[int]


def sort(sheet: Sheet, reader: Reader) -> Sorted:
    """Pure. A row that says the same as one above it is a repeat."""
    counts: Counts = Counter()
    good: list[Draft] = []
    broken: list[tuple[Row, Draft]] = []
    seen: set[tuple[object, ...]] = set()
    repeats = 0
    for row in sheet.rows:
        draft = reader.read(row, counts)
        if draft.problems:
            broken.append((row, draft))
        elif draft.content() in seen:
            repeats += 1
        else:
            seen.add(draft.content())
            good.append(draft)
    if repeats:
        counts[("duplicates", "same_content")] += repeats
    return Sorted(tuple(good), repeats, tuple(broken), counts)


def standing(
    connection: sa.Connection, collection: Collection, tenant: TenantId, drafts: Sequence[Draft]
) -> Standing:
    """What is known about them now. Of two rows with one key only the first can be new."""
    new: set[int] = set()
    unchanged: set[int] = set()
    met: set[str] = set()
    for start in range(0, len(drafts), AT_A_TIME):
        some = drafts[start : start + AT_A_TIME]
        owners = [collection.identity_id(tenant, one.namespace, one.value) for one in some]
        known = _known_identities(connection, tenant, owners)
        stated = [_fact_ids(collection, tenant, owner, one) for owner, one in zip(owners, some, strict=True)]
        kept = profiles.known_facts(connection, tenant, (one for ids in stated for one in ids))
        for at, (owner, ids) in enumerate(zip(owners, stated, strict=True), start):
            if owner not in known and owner not in met:
                new.add(at)
            elif kept.issuperset(ids):
                unchanged.add(at)
            met.add(owner)
    return Standing(frozenset(new), frozenset(unchanged))


def count_proposals(
    connection: sa.Connection, collection: Collection, tenant: TenantId, drafts: Sequence[Draft]
) -> int:
    """Rows whose phone number or address somebody else has, here or in another row of the table."""
    vault = collection.profiles.vault
    holders: dict[str, set[str]] = {}
    keys: list[tuple[str, list[str]]] = []
    for one in drafts:
        owner = collection.identity_id(tenant, one.namespace, one.value)
        mine = [
            key
            for kind in ("phone", "email")
            for key in search.keys_of(vault, tenant, kind, one.facts.get(kind, ""))
        ]
        keys.append((owner, mine))
        for key in mine:
            holders.setdefault(key, set()).add(owner)
    for key, owner in search.holders(connection, tenant, holders):
        holders[key].add(owner)
    return sum(any(holders[key] - {owner} for key in mine) for owner, mine in keys)


def preview(
    connection: sa.Connection, collection: Collection, tenant: TenantId, rows: Sorted
) -> dict[str, object]:
    """As it is stored with the import and shown; samples hold no cell."""
    stands = standing(connection, collection, tenant, rows.good)
    return {
        "new": len(stands.new),
        "updates": len(rows.good) - len(stands.new) - len(stands.unchanged),
        "unchanged": len(stands.unchanged),
        "repeats": rows.repeats,
        "merges_proposed": count_proposals(connection, collection, tenant, rows.good),
        "broken": len(rows.broken),
        "changed": changed(rows.counts),
        "broken_by": _by_reason(rows),
        "broken_sample": [
            problem for row, draft in rows.broken[:BROKEN_SHOWN] for problem in problems_of(row, draft)
        ],
    }


def changed(counts: Counts) -> list[dict[str, object]]:
    """What cleaning did to the cells, most first."""
    return [
        {"step": step, "reason": reason, "cells": number}
        for (step, reason), number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


def _by_reason(rows: Sorted) -> list[dict[str, object]]:
    """Broken rows by column and reason, most first; a row with two faults is under both."""
    problems = [one for row, draft in rows.broken for one in dict.fromkeys(draft.problems)]
    return [
        {
            "column": one.column,
            "code": one.code,
            "zh": one.sentence("zh"),
            "en": one.sentence("en"),
            "rows": number,
        }
        for one, number in Counter(problems).most_common()
    ]


def problems_of(row: Row, draft: Draft) -> list[dict[str, object]]:
    return [
        {
            "row": row.number, "column": one.column, "code": one.code,
            "zh": one.sentence("zh"), "en": one.sentence("en"),
        }
        for one in draft.problems
    ]  # fmt: skip


def samples(sheet: Sheet, *, count: int = 3) -> list[list[str]]:
    """Of each column the first values, hidden in part where they are long numbers, addresses or dates."""
    found: list[list[str]] = []
    for at in range(len(sheet.header)):
        values = (row.cells[at] for row in sheet.rows if not row.trouble and row.cells[at])
        found.append([_masked(value) for value, _ in zip(values, range(count), strict=False)])
    return found


def _masked(value: str) -> str:
    short = value if len(value) <= 40 else f"{value[:40]}…"
    name, at, domain = short.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    if not short.isdigit() and (day := reading.read_date(short.partition(" ")[0])) is not None:
        return f"****-{day:%m-%d}"
    digits = sum(sign.isdigit() for sign in short)
    return f"{short[:3]}****{short[-2:]}" if digits >= 7 else short


def _fact_ids(collection: Collection, tenant: TenantId, owner: str, draft: Draft) -> list[str]:
    at = draft.at or collection.clock()
    return [
        collection.profiles.fact_id(tenant, Fact(owner, name, value, "crm", 1, 1.0, at))
        for name, value in draft.facts.items()
    ]


def _known_identities(connection: sa.Connection, tenant: TenantId, ids: Iterable[str]) -> set[str]:
    table = identity_table.c
    query = sa.select(table.id).where(table.tenant == tenant, table.id.in_(set(ids)))
    return set(connection.execute(query).scalars())
