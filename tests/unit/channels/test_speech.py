"""What a caller hears of a text: examples of each rule, and what must hold for any text."""

from __future__ import annotations

import re
from decimal import Decimal
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.families import speech
from foundation.messages import Choice

MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
READ = {**{sign: str(value) for value, sign in enumerate("零一二三四五六七八九")}, "幺": "1"}
PLACES = {"十": 10, "百": 100, "千": 1000}


def said_digits(text: str) -> str:
    return "".join(READ.get(sign, sign) for sign in text if sign in READ or sign in "0123456789")


def counted(text: str) -> int:
    """The other way round from `cardinal`, for what is below 10¹²."""
    for name, worth in (("亿", 10**8), ("万", 10**4)):
        head, found, tail = text.rpartition(name)
        if found:
            return counted(head) * worth + counted(tail)
    total = digit = 0
    for sign in text:
        if sign in PLACES:
            total, digit = total + (digit or 1) * PLACES[sign], 0
        else:
            digit = int(READ[sign])
    return total + digit


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("共 199.90 元", "共 一百九十九元九角。"),
        ("¥0.05", "五分。"),
        ("¥1,299.05", "一千二百九十九元零五分。"),
        ("100元和10005.00元", "一百元和一万零五元。"),
        ("退 -5元", "退 负五元。"),
        ("$12.50", "十二点五美元。"),
        ("优惠12.5%", "优惠百分之十二点五。"),
        ("2026-11-25 09:05 到", "二零二六年十一月二十五日 九点零五分 到。"),
        ("2026年1月5日前", "二零二六年一月五日前。"),
        ("9:00-18:00", "九点 到 十八点。"),
        ("3-5天", "3 到 5天。"),
        ("100-200元", "100 到 二百元。"),
        ("打20%-30%折扣", "打百分之二十 到 百分之三十折扣。"),
        ("补¥1.2万", "补一点二万元。"),
        ("iPhone15", "iPhone15。"),
        ("订单号 1001", "订单号 幺零零幺。"),
        ("订单HL20261125001已发", "订单 H L 二零二六幺幺二五零零幺已发。"),
        ("电话138-0013-8000", "电话 幺三八，零零幺三，八零零零。"),
        ("共3件，7天内", "共3件，7天内。"),
        ("12,345件", "一万二千三百四十五件。"),
        ("**重要**：`不要`拆", "重要：不要拆。"),
        ("1. 申请\n2. 寄回", "第一，申请。第二，寄回。"),
        ("- 申请\n- 寄回", "第一，申请。第二，寄回。"),
        ("| 项 | 天 |\n|---|---|\n| 退 | 7 |", "项，天。退，7。"),
        ("好的 🎉", "好的。"),
        ("1２３45６", "幺二三四五六。"),
        ("🎉", ""),
        ("", ""),
    ],
)
def test_chinese_is_said_as_people_say_it(text: str, spoken: str) -> None:
    assert speech.speakable(text, "zh") == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It is 199.90 yuan", "It is 199 yuan and 90 fen."),
        ("$1,299.05 off", "1299 dollars and 5 cents off."),
        ("15% less", "15 percent less."),
        ("by 2026-11-25.", "by November 25, 2026."),
        ("Order SQ1234567890", "Order S Q 1 2 3 4 5 6 7 8 9 0."),
        ("order 42 is there", "order 4 2 is there."),
        ("9:00am", "9:00am."),
        ("order No. HL-2026 is", "order No. H L, 2 0 2 6 is."),
        ("order No. HL-2026.", "order No. H L, 2 0 2 6."),
        ("USD 30", "30 dollars."),
        ("call +8613800138000", "call 8 6 1 3 8 0 0 1 3 8 0 0 0."),
        ("- open\n- close", "First, open. Second, close."),
        ("12. twelfth", "Item 12, twelfth."),
        ("R&D", "R and D."),
    ],
)
def test_english_is_said_as_people_say_it(text: str, spoken: str) -> None:
    assert speech.speakable(text, "en") == spoken


def test_link_is_named_and_never_read() -> None:
    said = speech.speakable("看[退货页](https://shop.example.com/r?id=77)，或 www.example.com。", "zh")
    assert "example" not in said
    assert "网站" in said
    went = speech.speakable("看 https://a.example.com", "zh", speech.Manner(links_went="短信"))
    assert "已经发到您的短信" in went
    honest = speech.speakable("see https://a.example.com", "en")
    assert "website" in honest
    assert "text message" not in honest


def test_one_is_said_in_its_common_form_when_the_manner_asks_for_it() -> None:
    assert speech.speakable("订单号 11111", "zh", speech.Manner(yao=False)) == "订单号 一一一一一。"


def test_mail_address_is_spelled() -> None:
    assert speech.speakable("a1@b.cn", "zh") == "a 幺 艾特 b 点 cn。"


def test_choices_are_offered_with_their_keys() -> None:
    assert speech.offered(MENU, "zh") == "查物流，请按1。退货，请按2。"
    assert speech.offered(MENU[:1], "en") == "For 查物流, press 1."
    assert speech.offered((), "en") == ""


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("2", "return"),
        ("1#", "track"),
        ("3", "3"),
        ("0", "0"),
        ("12345#", "12345"),
        ("", ""),
        ("1 2-3", "123"),
    ],
)
def test_keys_become_the_choice_or_their_digits(keys: str, text: str) -> None:
    assert speech.pressed(keys, MENU) == text


def test_titles_are_named_once() -> None:
    assert speech.sourced(["退货", "退货", "换货"], "zh") == "以上依据：退货、换货。"
    assert speech.sourced([], "zh") == ""


@given(st.text(max_size=300), st.sampled_from(["zh", "en", "yue", "fr", ""]))
def test_any_text_can_be_said(text: str, language: str) -> None:
    said = speech.speakable(text, language)
    assert not re.search(r"[*_`#|<>\[\]{}\x00-\x1f]", said)
    assert fromstring(speech.ssml(said, "zh-CN")).text == (said or None)
    speech.pressed(text, MENU)
    speech.offered((Choice(label=text, value="v"),), language)


@given(st.text(max_size=300))
def test_any_text_can_be_escaped(text: str) -> None:
    fromstring(speech.ssml(text, text))


@given(st.text(alphabet="0123456789 ,.-abcXY天 号()", max_size=60), st.sampled_from(["zh", "en"]))
def test_no_digit_is_lost_when_nothing_is_counted(text: str, language: str) -> None:
    """Without sums, dates, grouping and the items of a list each digit is heard, in order."""
    if re.search(r"\d,\d{3}|\d{4}[\-.]\d|^\s*\d{1,2}[.)]|^\s*- ", text):
        return
    assert said_digits(speech.speakable(text, language)) == re.sub(r"\D", "", text)


@given(
    st.text(alphabet="0123456789", min_size=5, max_size=24),
    st.sampled_from(["", "SQ", "HL-", "订单", "code "]),
)
def test_number_is_heard_digit_by_digit(digits: str, before: str) -> None:
    assert said_digits(speech.speakable(f"{before}{digits}", "zh")) == digits


@given(st.integers(0, 10**12 - 1))
def test_counting_words_say_the_number(number: int) -> None:
    assert counted(speech.cardinal(number)) == number


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_sum_is_heard_to_the_cent(yuan: int, cents: int) -> None:
    said = speech.speakable(f"{yuan}.{cents:02} 元", "zh").rstrip("。")
    whole, jiao, fen = re.fullmatch(r"(?:(.+)元)?(?:(.)角)?(?:零?(.)分)?", said).groups("零")  # type: ignore[union-attr]  # it matches
    assert Decimal(counted(whole)) + Decimal(counted(jiao)) / 10 + Decimal(counted(fen)) / 100 == Decimal(
        f"{yuan}.{cents:02}"
    )


@given(st.text(max_size=2000))
def test_pieces_hold_everything(text: str) -> None:
    said = speech.speakable(text, "zh")
    parts = speech.pieces(said, 450)
    assert all(len(part) <= 450 for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", said)
