"""A row of a table: what is mended in it, what keeps all of it out, and why, in both languages."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from customers.cleaning.pipeline import Counts
from customers.importing import rows
from customers.importing.files import Row
from customers.importing.rows import IMPORTED, Draft, Problem, Reader

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def read(counts: Counts | None = None, **cells: str) -> Draft:
    """Columns are called like their targets; `custom_x` is custom.x."""
    targets = [name.replace("custom_", "custom.") for name in cells]
    reader = Reader(list(cells), targets, NOW, lambda kind, value: f"{kind}:{value}")
    return reader.read(Row(7, tuple(cells.values())), Counter() if counts is None else counts)


def codes(draft: Draft) -> list[tuple[str, str]]:
    return [(one.column, one.code) for one in draft.problems]


def test_cells_are_put_into_their_common_form_and_each_change_is_counted() -> None:
    counts: Counts = Counter()
    draft = read(
        counts, crm="ｃ－1", name="  王　小明 ", phone="１３９１２３４９９９９", email="Wang@Huifeng.CN", birthday="1990年2月3日",
        language="英语", custom_x="4",
    )  # fmt: skip
    assert draft.problems == []
    assert (draft.namespace, draft.value) == ("crm", "c-1")
    assert draft.facts == {
        "name": "王 小明", "phone": "13912349999", "email": "wang@huifeng.cn", "birthday": "1990-02-03",
        "language": "en", "custom.x": "4",
    }  # fmt: skip
    assert counts[("tidy", "width_or_blanks:phone")] == 1
    assert counts[("types", "code_from_name:language")] == 1


@pytest.mark.parametrize("cell", ["无", "n/a", "NULL", "13800138000", "00000000000", "12345678901"])
def test_placeholder_is_an_empty_cell_and_is_counted(cell: str) -> None:
    counts: Counts = Counter()
    draft = read(counts, crm="c1", name="Ann", phone=cell)
    assert (draft.problems, draft.facts) == ([], {"name": "Ann"})
    assert counts[("types", "placeholder:phone")] == 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"crm": "无", "name": "Ann"}, [("crm", "placeholder_key")]),
        ({"crm": "", "name": "Ann"}, [("crm", "missing_key")]),
        ({"crm": "x" * 201, "name": "Ann"}, [("crm", "bad_key")]),
        ({"account": "1.38E+10", "name": "Ann"}, [("account", "scientific")]),
        ({"crm": "c1", "phone": "1.39E+10", "email": "no"}, [("phone", "scientific"), ("email", "bad_email")]),
        ({"crm": "c1", "name": "Jоhn"}, [("name", "lookalike")]),
        ({"crm": "с1", "name": "Ann"}, [("crm", "lookalike")]),
        ({"crm": "c1", "email": "аnn@huifeng.cn"}, [("email", "lookalike")]),
        ({"crm": "c1", "birthday": "2099-01-01"}, [("birthday", "in_the_future")]),
        ({"crm": "c1", "birthday": "1880-01-01"}, [("birthday", "too_old")]),
        ({"crm": "c1", "birthday": "2001-02-30"}, [("birthday", "bad_date")]),
        ({"crm": "c1", "phone": "call me"}, [("phone", "bad_phone")]),
        ({"crm": "c1", "name": "x" * 101}, [("name", "too_long")]),
        ({"crm": "c1", "language": "Klingon!"}, [("language", "bad_language")]),
        ({"crm": "c1", "name": "Ann", "moment": "soon"}, [("moment", "bad_time")]),
        ({"crm": "c1", "name": "Ann", "moment": "2027-01-01"}, [("moment", "in_the_future")]),
        ({"crm": "c1", "name": ""}, [("", "nothing_said")]),
        ({"phone": "400-810-1234", "name": "Ann"}, [("", "no_contact_key")]),
        ({"phone": "010-62345678转801", "name": "Ann"}, [("phone", "bad_phone")]),
        ({"email": "info@huifeng.cn", "name": "Ann"}, [("", "no_contact_key")]),
    ],
)  # fmt: skip
def test_one_bad_cell_keeps_the_whole_row_out(cells: dict[str, str], expected: list[tuple[str, str]]) -> None:
    draft = read(None, **cells)
    assert codes(draft) == expected
    assert all(one.sentence(language) for one in draft.problems for language in ("zh", "en"))


def test_row_that_could_not_be_read_says_so() -> None:
    reader = Reader(["crm"], ["crm"], NOW, lambda kind, value: value)
    assert codes(reader.read(Row(3, ("x",), "unreadable_row"), Counter())) == [("", "unreadable_row")]


def test_name_in_cyrillic_letters_alone_is_a_name() -> None:
    assert read(crm="c1", name="Вова").facts == {"name": "Вова"}


def test_row_without_a_key_is_kept_under_a_digest_of_its_contact_data() -> None:
    by_phone = read(phone="+86 139 1234 9999", email="ann@huifeng.cn")
    assert (by_phone.namespace, by_phone.value) == (IMPORTED, "phone:+8613912349999")
    again = read(phone="13912349999", name="Ann")
    assert again.value == by_phone.value
    by_address = read(phone="", email="a.n.n@gmail.com")
    assert by_address.value == "email:ann@gmail.com"


def test_old_moment_is_raised_to_what_can_be_counted_and_slashes_are_dates() -> None:
    counts: Counts = Counter()
    old = read(counts, crm="c1", name="Ann", moment="2019/3/4 10:05")
    assert old.at is not None
    assert old.at.year == 2023
    assert counts[("ranges", "old_moment:at")] == 1
    assert read(crm="c1", name="Ann", moment="2026/3/4 10:05").at == datetime(2026, 3, 4, 10, 5, tzinfo=UTC)


def test_number_that_a_program_wrote_as_a_decimal_is_the_number() -> None:
    assert read(crm="1042.0", phone="13912349999.0").facts == {"phone": "13912349999"}


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    stored = yaml.safe_load((Path(rows.__file__).parent / "reasons.yaml").read_text(encoding="utf-8"))
    assert all(set(one) == {"zh", "en"} and all(one.values()) for one in stored.values())
    assert Problem("", "never heard of").sentence("zh") == stored["other"]["zh"]
