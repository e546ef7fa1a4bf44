"""No table may hold something of a customer and be forgotten when they are erased: each is declared, one way or the other."""

from __future__ import annotations

from customers.privacy import copies
from customers.privacy.erasure_places import DELETED, NOTHING, REDACTED, SHORT_LIVED
from foundation.storage.database import Sealed, metadata
from service import revise

SEALED_BUT_NOBODYS = {"channel_account", "channel_shelf", "webhook", "erasure"}
"""Secrets of the shop, and the reason of an erasure, which may not name anybody."""


def test_every_table_says_how_a_person_is_erased_from_it_or_why_nobody_is_in_it() -> None:
    revise.declare_tables()
    declared = [*dict.fromkeys(place.table for place in DELETED), *REDACTED, *SHORT_LIVED, *NOTHING]
    assert sorted(declared) == sorted(metadata.tables), (
        "declare each table once in customers/privacy/erasure_places.py"
    )


def test_places_name_columns_that_there_are() -> None:
    revise.declare_tables()
    missing = [
        f"{place.table}.{column}"
        for place in DELETED
        for column, _ in place.keys
        if column not in metadata.tables[place.table].c
    ]
    assert missing == []


def test_what_is_sealed_is_somebodys_unless_it_is_a_secret_of_the_shop() -> None:
    revise.declare_tables()
    sealed = {
        table.name
        for table in metadata.tables.values()
        if any(isinstance(column.type, Sealed) for column in table.c)
    }
    assert sealed & set(NOTHING) <= SEALED_BUT_NOBODYS


def test_tables_that_name_an_identity_or_a_conversation_are_not_said_to_hold_nothing() -> None:
    revise.declare_tables()
    naming = {"identity_id", "conversation_id", "account_identity_id"}
    assert [name for name in NOTHING if naming & set(metadata.tables[name].c.keys())] == []


def test_every_table_that_erasing_empties_is_in_the_copy_or_left_out_with_a_reason() -> None:
    plan = copies.plan()
    declared = [*(part.table for part in plan.given), *plan.left_out]
    assert sorted(declared) == sorted({place.table for place in DELETED}), "declare it in copies.yaml"


def test_copy_names_columns_that_there_are_and_says_everything_in_both_languages() -> None:
    revise.declare_tables()
    plan = copies.plan()
    for part in plan.given:
        assert {one.name for one in part.columns} <= set(metadata.tables[part.table].c.keys()), part.table
    labels = [one.label for part in plan.given for one in part.columns]
    for words in (*(part.title for part in plan.given), *labels, *plan.left_out.values()):
        assert [name for name, text in words.items() if text] == ["zh", "en"], words
