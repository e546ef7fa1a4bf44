"""Reads order numbers, tax numbers, sums of money and quantities; what is taken is also cut out of the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

SHOP_ORDER = re.compile(r"(?<![A-Za-z0-9])S[ \-]?Q(?:[ \-]?\d){10}(?!\d)", re.IGNORECASE)
"""SQ and ten digits, as the demo shop numbers its orders."""
ANY_ORDER = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z\-]*\d)[A-Za-z]{0,4}-?\d[A-Za-z0-9\-]{4,30}[A-Za-z0-9](?![A-Za-z0-9])"
)
"""For shops with numbers of other forms: letters and digits, at least six, one of them a digit."""

# The 18 characters of GB 32100-2015; the form only, because customers also send numbers with a wrong check digit.
_TAX_NUMBER = re.compile(
    r"(?<![A-Za-z0-9])(?:[159Y][1-59A]|N2)\d{6}[0-9A-HJ-NP-RTUW-Y]{10}(?![A-Za-z0-9])", re.IGNORECASE
)

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?"
_CHINESE_NUMBER = r"[零一二两三四五六七八九十百千万]{1,9}"
_SIGN_FIRST = re.compile(rf"(¥|￥|\$|€|£|RMB|CNY|USD|HKD|HK\$|US\$)\s?({_NUMBER})", re.IGNORECASE)
_UNIT_LAST = re.compile(
    rf"({_NUMBER}|{_CHINESE_NUMBER})\s?(元|块钱|块|圆|人民币|港币|港元|美元|美金|蚊|rmb|yuan|usd|dollars?|bucks|cny|hkd)(?![a-z])",
    re.IGNORECASE,
)
_CURRENCIES = {
    "$": "USD", "US$": "USD", "USD": "USD", "DOLLAR": "USD", "DOLLARS": "USD", "BUCKS": "USD", "美元": "USD", "美金": "USD",
    "HK$": "HKD", "HKD": "HKD", "港币": "HKD", "港元": "HKD", "蚊": "HKD", "€": "EUR", "£": "GBP",
}  # fmt: skip
_COUNTED = "件个只台本瓶盒条套箱双包袋副块支把部份单对顶罐桶"
_QUANTITY = re.compile(
    rf"(\d{{1,4}}|{_CHINESE_NUMBER})\s?[{_COUNTED}](?!月|星期|礼拜|小时|工作日|钱|号|人|多月)"
)
_ENGLISH_QUANTITY = re.compile(
    r"\b(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten)\s+"
    r"(?:of (?:them|these|those)|items?|pieces?|pcs|pairs?|units?|copies|boxes|bottles|sets?|shirts?|books?)\b",
    re.IGNORECASE,
)
_TIMES = re.compile(r"(?:\bx|×|\bqty\.?:?|数量[::]?是?)\s?(\d{1,4})\b", re.IGNORECASE)
_ENGLISH_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {word: value for value, word in enumerate(_ENGLISH_NUMBERS)}
_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_PLACES = {"十": 10, "百": 100, "千": 1_000}


@dataclass(frozen=True)
class Money:
    value: Decimal
    currency: str


def take_orders(text: str, pattern: re.Pattern[str]) -> tuple[tuple[str, ...], str]:
    """In order of appearance, each once, upper case, without the blanks and dashes that were typed inside."""
    found = [re.sub(r"[\s\-]", "", match[0]).upper() for match in pattern.finditer(text)]
    return tuple(dict.fromkeys(found)), pattern.sub(" ", text)


def take_tax_number(text: str) -> tuple[str | None, str]:
    found = _TAX_NUMBER.search(text)
    return (found[0].upper(), _TAX_NUMBER.sub(" ", text, count=1)) if found else (None, text)


def take_amount(text: str) -> tuple[Money | None, str]:
    if found := _SIGN_FIRST.search(text):
        money = _money(found[2], found[1])
    elif found := _UNIT_LAST.search(text):
        money = _money(found[1], found[2])
    else:
        return None, text
    return money, f"{text[: found.start()]} {text[found.end() :]}"


def find_quantity(text: str) -> int | None:
    found = _TIMES.search(text) or _QUANTITY.search(text) or _ENGLISH_QUANTITY.search(text)
    if found is None:
        return None
    word = found[1].lower()
    return _WORDS[word] if word in _WORDS else whole_number(word)


def whole_number(text: str) -> int:
    """Arabic or Chinese digits up to 99,999,999: 十二, 两百零五, 3万."""
    if text.isdecimal():
        return int(text)
    high, separator, low = text.rpartition("万")
    return (
        (_below_ten_thousand(high) or 1) * 10_000 + _below_ten_thousand(low)
        if separator
        else _below_ten_thousand(text)
    )


def _below_ten_thousand(text: str) -> int:
    total, digit = 0, 0
    for character in text:
        if character in _PLACES:
            total += (digit or 1) * _PLACES[character]
            digit = 0
        else:
            digit = _DIGITS.get(character, 0)
    return total + digit


def _money(number: str, unit: str) -> Money:
    plain = number.replace(",", "")
    value = Decimal(plain) if plain[0].isdecimal() else Decimal(whole_number(plain))
    return Money(value, _CURRENCIES.get(unit.upper(), "CNY"))
