"""Each step of cleaning: what it changes, what it sends back, what it sets aside, and that all of it is counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.cleaning import outliers, pipeline, reading, statements
from customers.cleaning.pipeline import Bounds, Counts, Draft
from customers.profile import facts

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
WHO = {"namespace": "account", "value": "demo1"}


def row(**more: Any) -> dict[str, Any]:
    return {"id": "e1", "type": "order", "at": "2026-11-24T09:00:00Z", "amount": 10, "identity": WHO, **more}


def cleaned(*rows: Any, spreads: dict[str, outliers.Spread] | None = None) -> tuple[list[Draft], Counts]:
    counts: Counts = Counter()
    drafts = pipeline.clean(rows, Bounds(NOW, spreads or {}), counts)
    pipeline.count_end(drafts, counts)
    return drafts, counts


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"identity": None}, "rejected", "identity_missing"),
        ({"identity": {"namespace": "account", "value": "null"}}, "rejected", "placeholder:identity"),
        ({"identity": {"namespace": "phone", "value": "13912345678"}}, "rejected", "identity_is_contact_data"),
        ({"identity": {"namespace": "Account!", "value": "x"}}, "rejected", "bad_identity"),
        ({"type": "rocket"}, "rejected", "unknown_type"),
        ({"type": ["order"]}, "rejected", "bad_text:type"),
        ({"at": "yesterday"}, "rejected", "bad_time:at"),
        ({"at": 10**30}, "rejected", "bad_time:at"),
        ({"amount": "a lot"}, "rejected", "bad_number:amount"),
        ({"amount": True}, "rejected", "bad_number:amount"),
        ({"amount": None}, "rejected", "missing:amount"),
        ({"amount": "n/a"}, "rejected", "missing:amount"),
        ({"id": "x" * 200}, "rejected", "too_long:id"),
        ({"language": "Chinese!"}, "rejected", "bad_language"),
        ({"unit": "bushel"}, "rejected", "unknown_unit"),
        ({"amount": -1}, "quarantined", "amount_out_of_range"),
        ({"amount": 1e12}, "quarantined", "amount_out_of_range"),
        ({"currency": "USD"}, "quarantined", "other_currency"),
        ({"at": "2027-01-01T00:00:00Z"}, "quarantined", "in_the_future"),
        ({"at": "2019-01-01T00:00:00Z"}, "quarantined", "too_old"),
        ({"type": "rated", "score": 9}, "quarantined", "score_out_of_range"),
        ({"type": "dwell", "seconds": 90_000}, "quarantined", "seconds_out_of_range"),
    ],
)  # fmt: skip
def test_row_ends_with_its_reason(changed: dict[str, Any], status: str, reason: str) -> None:
    [draft], counts = cleaned(row(**changed))
    assert (draft.status, draft.reason) == (status, reason)
    assert counts[("rows", status)] == 1
    assert counts[(draft.step, reason)] == 1
    assert pipeline.sentence(reason)


@pytest.mark.parametrize("broken", [None, 7, "row", [], [[]]])
def test_what_is_no_object_is_sent_back(broken: Any) -> None:
    [draft], _ = cleaned(broken)
    assert (draft.status, draft.reason) == ("rejected", "not_an_object")


def test_values_are_put_into_their_common_form_and_every_change_is_counted() -> None:
    [draft], counts = cleaned(
        row(id=" ｅ１ ", amount="￥1,234.50", at=1_795_500_000_000, product="热水 壶\u200b", colour="red", channel="无")
    )  # fmt: skip
    assert draft.status == "accepted"
    assert draft.fields == {
        "id": "e1", "type": "order", "at": datetime.fromtimestamp(1_795_500_000, UTC), "amount": 1234.5, "product": "热水 壶",
    }  # fmt: skip
    assert {reason for _, reason in counts} >= {
        "width_or_blanks:id", "width_or_blanks:product", "number_from_text:amount", "time_from_number:at", "unknown_field",
        "placeholder:channel",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "amount", "expected"), [("fen", 1234, 12.34), ("FEN", 100, 1.0), ("yuan", 12, 12)]
)
def test_amounts_are_brought_to_one_unit(unit: str, amount: float, expected: float) -> None:
    [draft], _ = cleaned(row(unit=unit, amount=amount))
    assert draft.fields["amount"] == pytest.approx(expected)


def test_number_far_from_all_others_is_set_aside() -> None:
    known = outliers.spread([float(90 + at % 40) for at in range(500)])
    assert known is not None
    [sound, far], _ = cleaned(row(), row(id="e2", amount=1_000_000), spreads={"order": known})
    assert (far.status, far.reason) == ("quarantined", "far:order")
    [sound], _ = cleaned(row(amount=110), spreads={"order": known})
    assert sound.status == "accepted"


def test_repeats_are_found_by_id_and_by_content_within_the_batch() -> None:
    rows = [row(), row(), row(id="e2"), row(id="e3", amount=11), row(id="e4", at="2026-11-24T09:01:00Z")]
    drafts, _ = cleaned(*rows)
    keys = [(str(one.fields["id"]), ("i1", pipeline.content_of(one))) for one in drafts]
    pipeline.mark_duplicates(drafts, keys, set(), set())
    assert [(one.status, one.reason) for one in drafts] == [
        ("accepted", ""), ("duplicate", "same_id"), ("duplicate", "same_content"), ("accepted", ""), ("accepted", ""),
    ]  # fmt: skip


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)  # fmt: skip


@given(fields=st.dictionaries(st.sampled_from([*pipeline.rules()["fields"], "identity", "x"]), _json))
def test_no_row_whatever_breaks_a_batch(fields: dict[str, Any]) -> None:
    drafts, counts = cleaned(fields, {**row(), **fields}, row(id="sound", identity=WHO))
    assert drafts[-1].status == "accepted"
    assert sum(counts[("rows", one)] for one in ("accepted", "quarantined", "rejected")) == 3
    for draft in drafts:
        assert pipeline.sentence(draft.reason) or draft.status == "accepted"
        if draft.status == "accepted":
            json.dumps(draft.fields, default=str)


@given(text=st.text())
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    once = pipeline.tidy_text(text)
    assert pipeline.tidy_text(once) == once


@pytest.mark.parametrize(
    ("attribute", "written", "status", "value_or_reason"),
    [
        ("name", " 林小雨　", "accepted", "林小雨"),
        ("name", "未知", "rejected", "placeholder"),
        ("phone", "１３９ 1234-5678", "accepted", "13912345678"),
        ("phone", "13800138000", "rejected", "placeholder"),
        ("phone", "0000000000", "rejected", "placeholder"),
        ("phone", "ask him", "rejected", "bad_phone"),
        ("email", "Lin@Example.COM", "accepted", "lin@example.com"),
        ("email", "test@test.com", "rejected", "placeholder"),
        ("email", "lin(at)example", "rejected", "bad_email"),
        ("birthday", "1990年5月6日", "accepted", "1990-05-06"),
        ("birthday", "2030-01-01", "quarantined", "in_the_future"),
        ("birthday", "1915-01-01", "quarantined", "too_old"),
        ("birthday", "1990-13-01", "rejected", "bad_date"),
        ("language", "zh-Hans", "accepted", "zh-Hans"),
        ("custom.size", "XL", "accepted", "XL"),
        ("custom.a\x00b", "XL", "rejected", "unknown_attribute"),
        ("shoe", "42", "rejected", "unknown_attribute"),
        ("name", ["a"], "rejected", "bad_text"),
        ("name", "x" * 101, "rejected", "too_long"),
    ],
)
def test_statement_is_kept_sent_back_or_set_aside(
    attribute: str, written: Any, status: str, value_or_reason: str
) -> None:
    counts: Counts = Counter()
    stated = statements.clean(attribute, written, NOW, counts)
    assert stated.status == status
    assert value_or_reason in (stated.value, stated.reason)
    assert pipeline.sentence(stated.reason) or status == "accepted"
    assert status == "accepted" or sum(counts.values()) >= 1


def test_times_are_read_as_systems_write_them() -> None:
    for written in ("2026-11-25T17:00:00+08:00", "2026-11-25T09:00:00Z", 1_795_597_200, "1795597200000"):
        read = reading.read_time(written)
        assert read is not None
        assert read.value == NOW
    assumed = reading.read_time("2026-11-25T09:00:00")
    assert assumed is not None
    assert (assumed.value, assumed.changed) == (NOW, "zone_assumed")


def test_nobody_is_older_than_the_oldest_on_the_day_before_their_birthday() -> None:
    oldest = pipeline.rules()["oldest_age"]
    counts: Counts = Counter()
    born = NOW.date().replace(year=NOW.year - oldest - 1) + timedelta(days=1)
    assert statements.clean("birthday", born.isoformat(), NOW, counts).status == "accepted"
    assert facts.attribute("birthday") is not None
