"""Files as spreadsheets write them: encodings, delimiters, quotes that do not match, and what is no table at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.importing import columns, files
from foundation import errors

TABLE = '客户编号,姓名,手机号\nc1,王小明,13912349999\nc2,"李, 四",13912349998\n'


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("gb18030", b""), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")],
)  # fmt: skip
def test_table_is_the_same_in_every_encoding(encoding: str, mark: bytes) -> None:
    sheet = files.read(mark + TABLE.encode(encoding))
    assert sheet.encoding == encoding
    assert sheet.header == ("客户编号", "姓名", "手机号")
    assert [row.cells for row in sheet.rows] == [
        ("c1", "王小明", "13912349999"), ("c2", "李, 四", "13912349998"),
    ]  # fmt: skip
    assert [row.number for row in sheet.rows] == [2, 3]


def test_utf_16_without_a_mark_is_recognised_by_its_zero_bytes() -> None:
    assert files.read("id,name\n1,Ann\n".encode("utf-16-le")).rows[0].cells == ("1", "Ann")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_found_also_where_values_hold_the_others(delimiter: str) -> None:
    lines = [["id", "name", "note"], ["1", "Ann; Bob", "a, b, c"], ["2", "Cid", "x"]]
    quoted = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    sheet = files.read(quoted.encode())
    assert sheet.delimiter == delimiter
    assert sheet.rows[0].cells == ("1", "Ann; Bob", "a, b, c")


def test_spreadsheet_may_name_its_delimiter_in_a_first_line() -> None:
    assert files.read(b"sep=;\nid;name\n1;a,b,c\n").rows[0].cells == ("1", "a,b,c")


def test_line_breaks_within_quotes_belong_to_the_value() -> None:
    sheet = files.read(b'id,note\r\n1,"first\r\nsecond"\r\n2,x\r\n')
    assert sheet.rows[0].cells == ("1", "first\r\nsecond")
    assert sheet.rows[1].number == 4


def test_quote_that_is_never_closed_costs_its_own_row_and_no_other() -> None:
    body = "".join(f"{at},name {at}\n" for at in range(2, 400))
    sheet = files.read(f'id,name\n1,"open\n{body}'.encode())
    assert [row.number for row in sheet.rows if row.trouble] == [2]
    assert len(sheet.rows) == 399
    assert sheet.rows[-1].cells == ("399", "name 399")


def test_short_rows_are_filled_long_ones_are_trouble_and_blank_ones_nothing() -> None:
    sheet = files.read(b"a,b,c\n1\n\n,,\n1,2,3,,\n1,2,3,4\n")
    assert [(row.number, row.cells, row.trouble) for row in sheet.rows] == [
        (2, ("1", "", ""), ""), (5, ("1", "2", "3"), ""), (6, ("1", "2", "3", "4"), "too_many_cells"),
    ]  # fmt: skip


def test_apostrophe_that_keeps_a_cell_from_being_calculated_is_taken_away() -> None:
    assert files.read(b"a,b\n'+8613912349999,'tis\n").rows[0].cells == ("+8613912349999", "'tis")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"), (b"\n \n", "empty_file"), (b"id,name\n", "no_rows"), (b",,\n1,2,3\n", "no_header"),
        (b'"id,name\n1,2\n', "no_header"), (b"\xff\xfe\x00", "unreadable_file"), (b"id,name\n1,\x81\xff\n", "unreadable_file"),
        (",".join(f"c{at}" for at in range(101)).encode() + b"\n1\n", "too_many_columns"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        files.read(content)
    assert refused.value.code == code


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_named_refusal(content: bytes) -> None:
    try:
        sheet = files.read(content)
    except errors.InvalidInput:
        return
    assert all(row.trouble or len(row.cells) == len(sheet.header) for row in sheet.rows)
    columns.guess(sheet)


def test_columns_are_guessed_from_chinese_and_english_headers() -> None:
    header = "客户编号,姓名（必填）,手机号码,电子邮箱,出生日期,会员等级,备注"
    sheet = files.read(f"{header}\nc1,a,b,c,d,e,f\n".encode())
    assert columns.guess(sheet) == ("crm", "name", "phone", "email", "birthday", "level", "")
    sheet = files.read(
        b"User ID,Full Name,Mobile Number,E-mail Address,Date of Birth,Company,Updated_At\n1,a,b,c,d,e,f\n"
    )
    assert columns.guess(sheet) == ("account", "name", "phone", "email", "birthday", "company", "moment")


def test_unknown_column_is_guessed_by_its_values_and_a_target_is_given_once() -> None:
    rows = "".join(f"{at},p{at},1391234{at:04},1391235{at:04}\n" for at in range(1000, 1006))
    sheet = files.read(f"customer id,account,wie erreichbar,zweite\n{rows}".encode())
    assert columns.guess(sheet) == ("crm", "", "phone", "")


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        (["crm", "name"], "mapping_length"), (["crm", "name", "rank"], "unknown_target"), (["crm", "name", "name"], "target_twice"),
        (["crm", "account", "name"], "two_keys"), (["", "name", "city"], "no_key"), (["crm", "", ""], "no_facts"),
        (["crm", "custom.Bad Name", "name"], "unknown_target"),
    ],
)  # fmt: skip
def test_mapping_that_cannot_work_is_refused_with_a_code(targets: list[str], code: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        columns.check(3, targets)
    assert refused.value.code == code


def test_mapping_may_name_fields_of_the_tenants_own() -> None:
    assert columns.check(3, ["", "phone", "custom.shoe_size"]) == ("", "phone", "custom.shoe_size")
