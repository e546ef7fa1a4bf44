"""Facts in a message: found through full-width characters, blanks and dashes, and not found where there are none."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.understanding.slots import ANY_ORDER, Money, Slots, find_slots

WEDNESDAY = datetime.date(2024, 11, 27)
FULL_WIDTH = str.maketrans("0123456789SQ", "0123456789SQ")


def read(text: str) -> Slots:
    return find_slots(text, today=WEDNESDAY)


def wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


@settings(max_examples=100, deadline=None)
@given(
    st.from_regex(r"\A[0-9]{10}\Z"),
    st.lists(st.sampled_from(["", " ", "-"]), min_size=11, max_size=11),
    st.booleans(),
)
def test_an_order_number_is_found_however_it_is_spaced(
    digits: str, gaps: list[str], full_width: bool
) -> None:
    number = "SQ" + digits
    typed = "".join(one + gap for one, gap in zip(number, [*gaps, ""], strict=True))
    typed = wide(typed) if full_width else typed
    assert read(f"订单号{typed},我想退货").order_numbers == (number,)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["138", "159", "186", "199", "177"]),
    st.from_regex(r"\A[0-9]{8}\Z"),
    st.sampled_from(["", " ", "-"]),
)
def test_a_chinese_mobile_is_found_however_it_is_spaced(prefix: str, rest: str, gap: str) -> None:
    typed = gap.join([prefix, rest[:4], rest[4:]])
    assert read(f"我的电话是{typed}").phone == f"+86{prefix}{rest}"
    assert read(wide(f"电话{typed}谢谢")).phone == f"+86{prefix}{rest}"


@settings(max_examples=100, deadline=None)
@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31)))
def test_a_full_date_is_read_in_every_spelling(day: datetime.date) -> None:
    for typed in (
        day.isoformat(),
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}/{day.month}/{day.day}",
    ):
        assert read(f"是{typed}买的").date == day


@settings(max_examples=100, deadline=None)
@given(st.decimals(min_value=Decimal("0.01"), max_value=Decimal(99999), places=2))
def test_a_sum_is_read_with_sign_or_unit(value: Decimal) -> None:
    assert read(f"退了¥{value}").amount == Money(value, "CNY")
    assert read(f"少退我{value}元").amount == Money(value, "CNY")
    assert read(f"you owe me ${value}").amount == Money(value, "USD")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    read(text).to_json()


@settings(max_examples=50, deadline=None)
@given(st.from_regex(r"\A[A-Z]{0,4}[0-9]{6,12}\Z"))
def test_other_shops_numbers_are_found_with_their_own_pattern(number: str) -> None:
    assume(not number.startswith("SQ"))
    assert find_slots(f"order {number} please", today=WEDNESDAY, order_pattern=ANY_ORDER).order_numbers == (
        number,
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("今天", "2024-11-27"),
        ("昨天下的单", "2024-11-26"),
        ("琴日落單", "2024-11-26"),
        ("聽日送嚟", "2024-11-28"),
        ("大后天要用", "2024-11-30"),
        ("三天前", "2024-11-24"),
        ("两周后", "2024-12-11"),
        ("上周五寄的", "2024-11-22"),
        ("下周三", "2024-12-04"),
        ("星期天送", "2024-12-01"),
        ("3月5日", "2025-03-05"),
        ("十二月一号", "2024-12-01"),
        ("last Friday", "2024-11-22"),
        ("next Monday", "2024-12-02"),
        ("on Friday please", "2024-11-29"),
        ("March 5th", "2025-03-05"),
        ("5 March 2025", "2025-03-05"),
        ("the day after tomorrow", "2024-11-29"),
        ("in 3 days", "2024-11-30"),
    ],
)
def test_a_day_is_counted_from_today(text: str, day: str) -> None:
    assert read(text).date == datetime.date.fromisoformat(day)


@pytest.mark.parametrize(
    "text", ["2月30日", "一个月了", "8号楼", "第3天", "13月5日", "几号送", "I may return it", "2024-13-01"]
)
def test_no_day_is_invented(text: str) -> None:
    assert read(text).date is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("收货地址改为浙江省杭州市西湖区文三路200号", "浙江省杭州市西湖区文三路200号"),
        ("寄到上海市浦东新区张江路88弄3号楼502室吧", "上海市浦东新区张江路88弄3号楼502室"),
        ("地址是广州天河区体育西路101号,收件人王丽", "广州天河区体育西路101号"),
        ("改成深圳市南山区科技园南路15号2栋1802", "深圳市南山区科技园南路15号2栋1802"),
        ("please deliver to 25 Nanjing Road, Shanghai", "25 Nanjing Road, Shanghai"),
    ],
)
def test_an_address_is_found_in_a_sentence(text: str, address: str) -> None:
    assert read(text).address == address


@pytest.mark.parametrize(
    "text", ["地址写错了怎么改", "快递还在路上", "送到门口", "没道理啊,都3号了", "我在路上"]
)
def test_no_address_is_invented(text: str) -> None:
    assert read(text).address is None


def test_several_facts_are_read_from_one_message() -> None:
    found = read(
        "SQ2024110033那单里的两件退掉,退我¥199.00,电话138-1234-5678,发票寄Zhang@Example.com,税号91330106MA2CDEFG1X"
    )
    assert found == Slots(
        order_numbers=("SQ2024110033",),
        phone="+8613812345678",
        email="zhang@example.com",
        amount=Money(Decimal("199.00"), "CNY"),
        quantity=2,
        tax_number="91330106MA2CDEFG1X",
    )


def test_two_order_numbers_keep_their_order_and_are_named_once() -> None:
    assert read("不是SQ2024110065,是sq2024110056,对,SQ2024110056").order_numbers == (
        "SQ2024110065",
        "SQ2024110056",
    )


@pytest.mark.parametrize(
    ("text", "count"), [("退两件", 2), ("买了十二双", 12), ("3 pieces", 3), ("x2", 2), ("two of them", 2)]
)
def test_a_quantity_is_read(text: str, count: int) -> None:
    assert read(text).quantity == count


@pytest.mark.parametrize("text", ["等了三个月", "两个工作日", "3个小时", "一个人"])
def test_spans_of_time_are_no_quantity(text: str) -> None:
    assert read(text).quantity is None
