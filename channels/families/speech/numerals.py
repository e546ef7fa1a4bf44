"""Numbers as they are said: counted, spelled sign by sign, or as sums, dates and times. Pure.

`spoken` calls `read_aloud` for each line of what a caller hears; the words are in `words.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import yaml

Tongue = Literal["zh", "en"]

_WORDS = Path(__file__).parent / "words.yaml"
_CHINESE = ("zh", "yue", "wuu", "cmn")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,12}(?:\.\d+)?"
_DATE = re.compile(r"(?<![\d\-/.])(\d{4})([\-/.])(\d{1,2})\2(\d{1,2})(?![\d\-/]|\.\d)")
_CHINESE_DATE = re.compile(r"(?:(\d{4})\s?年\s?)?(?<!\d)(\d{1,2})\s?月\s?(\d{1,2})\s?([日号號])")
_TIME = re.compile(r"(?<![\d:.])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])")
_RANGE = re.compile(
    r"(?<![A-Za-z0-9_\-.])(\d{1,3})\s?[\-–—~～]\s?(\d{1,3})(?=\s?(?:[天日个個小元块%分工件月年周]|days?|hours?|minutes?|weeks?|working))"
)
_RANGE_SIGN = re.compile(r"(?<=\d:\d\d)\s?[\-–—~～]\s?(?=\d{1,2}:\d\d)|(?<=\d[%％元])\s?[\-–—~～]\s?(?=\d)")
"""Between two times, two shares or two sums."""
_PERCENT = re.compile(rf"(?<![A-Za-z0-9_.])({_NUMBER})\s?[%％]")
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.])(?:\+|00)?\d{1,4}(?:[ \-]\(?\d{2,8}\)?){1,5}(?![\w.])|(?<![A-Za-z0-9_.])\+\d{6,15}(?!\w)"
)
_LONG = re.compile(
    r"(?<![A-Za-z0-9.])(?=[A-Za-z\-]{0,9}\d)[A-Za-z]{0,8}-?\d(?:[A-Za-z0-9]|-(?=[A-Za-z0-9]))*(?![A-Za-z0-9]|\.\d)"
)
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PHONE_DIGITS = 7
_LONG_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is said. `yao`: a 1 that is read as a digit is 幺, as on the phone in Mandarin; `links_went`: the name of the
    channel where links were written to, "" where they were not."""

    yao: bool = True
    links_went: str = ""


PLAIN = Manner()


def tongue(language: str) -> Tongue:
    """The language of the words here for any language of a reply."""
    return "zh" if language.startswith(_CHINESE) else "en"


def words(language: str) -> Mapping[str, str]:
    found: Mapping[str, str] = lexicon()[tongue(language)]
    return found


def read_aloud(line: str, language: str, manner: Manner) -> str:
    """Every pass leaves what it has put into words without Arabic digits, or marks it as done."""
    kept: list[str] = []

    def keep(spoken: str) -> str:
        """Later passes must not read again what is already said."""
        kept.append(spoken)
        return "\ue000" + "\ue001" * len(kept) + "\ue002"

    def passed(pattern: re.Pattern[str], say: Callable[[re.Match[str]], str | None], text: str) -> str:
        return pattern.sub(lambda m: m[0] if (spoken := say(m)) is None else keep(spoken), text)

    line = re.sub("[\ue000-\ue002]", " ", line)
    zh = tongue(language) == "zh"
    spell = partial(spelled, language=language, manner=manner)
    line = _RANGE_SIGN.sub(f" {words(language)['range']} ", line)
    line = _RANGE.sub(rf"\1 {words(language)['range']} \2", line)
    line = passed(_DATE, partial(_date, zh=zh), line)
    if zh:
        line = passed(_CHINESE_DATE, _chinese_date, line)
    line = passed(_TIME, _time if zh else lambda m: m[0], line)
    line = passed(_money(), partial(_amount, zh=zh), line)
    line = passed(_PERCENT, partial(_percentage, language=language), line)
    line = passed(_named(), lambda m: m["name"] + " " + spell(m["token"]), line)
    line = passed(_PHONE, lambda m: spell(m[0]) if _count(m[0]) >= _PHONE_DIGITS else None, line)
    line = passed(_LONG, lambda m: spell(m[0]) if _is_reference(m[0]) else None, line)
    if zh:
        line = passed(_GROUPED, lambda m: _decimal(m[0]), line)
    return re.sub("\ue000(\ue001+)\ue002", lambda m: kept[len(m[1]) - 1], line)


def _is_reference(token: str) -> bool:
    """An order or parcel number or one that begins with zero, and not a plain count or a word like "A4"."""
    return _count(token) >= _LONG_DIGITS or (token[0] == "0" and len(token) > 2)


def _count(token: str) -> int:
    return sum(sign.isdigit() for sign in token)


def _date(match: re.Match[str], *, zh: bool) -> str | None:
    year, month, day = match[1], int(match[3]), int(match[4])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if zh:
        return f"{_year(year)}{cardinal(month)}月{cardinal(day)}日"
    return f"{lexicon()['months_en'][month - 1]} {day}, {year}"


def _chinese_date(match: re.Match[str]) -> str | None:
    year, month, day = match[1], int(match[2]), int(match[3])
    return f"{_year(year) if year else ''}{cardinal(month)}月{cardinal(day)}{match[4]}"


def _year(year: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in year) + "年"


def _time(match: re.Match[str]) -> str | None:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    if hour > 24 or minute > 59 or (second and int(second) > 59):
        return None
    spoken = f"{cardinal(hour)}点"
    if minute or second:
        spoken += f"{'零' if 0 < minute < 10 else ''}{cardinal(minute)}分"
    return f"{spoken}{cardinal(int(second))}秒" if second else spoken


def _amount(match: re.Match[str], *, zh: bool) -> str | None:
    number = (match["first"] or match["last"]).replace(",", "")
    code = _currency_codes()[(match["sign"] or match["name"]).casefold()]
    minus = lexicon()["zh" if zh else "en"]["minus"] if match["minus"] else ""
    currency = lexicon()["currencies"][code]
    if match["big"]:
        return f"{minus}{_decimal(number)}{match['big']}{currency['zh']}" if zh else None
    whole, _, rest = number.partition(".")
    if len(rest.rstrip("0")) > 2:
        spoken = f"{_decimal(number)}{currency['zh']}" if zh else f"{number} {currency['en'][0]}"
        return f"{minus}{spoken}" if zh else f"{minus} {spoken}".strip()
    cents = int((rest + "00")[:2])
    if not zh:
        spoken = f"{minus} {int(whole)} {currency['en'][0]}".strip()
        return f"{spoken} {lexicon()['en']['and']} {cents} {currency['en'][1]}" if cents else spoken
    if code != "CNY":
        return f"{minus}{_decimal(_short(number))}{currency['zh']}"
    return minus + _yuan(int(whole), cents)


def _yuan(whole: int, cents: int) -> str:
    jiao, fen = divmod(cents, 10)
    spoken = f"{cardinal(whole)}元" if whole or not cents else ""
    if jiao:
        spoken += f"{_DIGITS[jiao]}角"
    if fen:
        spoken += f"{'零' if spoken and not jiao else ''}{_DIGITS[fen]}分"
    return spoken


def _short(number: str) -> str:
    return format(Decimal(number).normalize(), "f")


def _percentage(match: re.Match[str], *, language: str) -> str | None:
    number = match[1]
    spoken = _decimal(number) if tongue(language) == "zh" else number
    return words(language)["percent"].format(number=spoken)


def cardinal(number: int) -> str:
    """A number below 10¹⁶ in Chinese words, as it is counted: 10 is 十, 105 is 一百零五, 12 000 is 一万二千."""
    if number < 0:
        return words("zh")["minus"] + cardinal(-number)
    if number >= 10**16:
        return "".join(_DIGITS[int(digit)] for digit in str(number))
    spoken, gap = "", False
    for power, name in ((12, "万亿"), (8, "亿"), (4, "万"), (0, "")):
        group = number // 10**power % 10_000
        if not group:
            gap = bool(spoken)
            continue
        spoken += ("零" if spoken and (gap or group < 1000) else "") + _group(group) + name
        gap = False
    return (spoken[1:] if spoken.startswith("一十") else spoken) or "零"


_DIGITS = "零一二三四五六七八九"
_PLACES = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))


def _group(number: int) -> str:
    spoken, gap = "", False
    for place, name in _PLACES:
        digit = number // place % 10
        if digit:
            spoken += ("零" if gap and spoken else "") + _DIGITS[digit] + name
        gap = not digit
    return spoken


def _decimal(number: str) -> str:
    """199.90 as it is read in Chinese; every digit behind the point stays."""
    whole, _, rest = number.replace(",", "").partition(".")
    tail = "".join(_DIGITS[int(digit)] for digit in rest)
    return cardinal(int(whole)) + (f"点{tail}" if tail else "")


def spelled(token: str, language: str, manner: Manner) -> str:
    """Sign by sign, with a short break where a dash or blank stood."""
    zh = tongue(language) == "zh"
    groups = []
    for group in re.split(r"[\s\-()]+", token):
        if not group:
            continue
        signs = [_digit(sign, manner) if zh else sign for sign in group.upper() if sign != "+"]
        groups.append(_joined(signs) if zh else " ".join(signs))
    return ("，" if zh else ", ").join(groups)


def _joined(signs: Sequence[str]) -> str:
    """Chinese digits together, Latin letters apart."""
    return re.sub(r"\s+", " ", "".join(f" {sign} " if sign.isascii() else sign for sign in signs)).strip()


def _digit(sign: str, manner: Manner) -> str:
    if not ("0" <= sign <= "9"):
        return sign
    return "幺" if sign == "1" and manner.yao else _DIGITS[int(sign)]


@cache
def lexicon() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded


@cache
def _currency_codes() -> dict[str, str]:
    currencies: Mapping[str, Any] = lexicon()["currencies"]
    return {
        name.casefold(): code for code, one in currencies.items() for name in (*one["signs"], *one["names"])
    }


@cache
def _money() -> re.Pattern[str]:
    currencies = lexicon()["currencies"].values()
    signs = _either(sign for one in currencies for sign in one["signs"])
    names = _either(name for one in currencies for name in one["names"])
    return re.compile(
        rf"(?<![A-Za-z0-9_.])(?P<minus>-)?(?:(?P<sign>{signs})\s?(?P<first>{_NUMBER})(?P<big>[万亿])?(?!\.?\d)"
        rf"|(?P<last>{_NUMBER})\s?(?P<name>{names})(?![A-Za-z]))",
        re.IGNORECASE,
    )


@cache
def _named() -> re.Pattern[str]:
    """A number that its name says to be one: 订单 1001, code 42."""
    names = _either(lexicon()["number_names"])
    return re.compile(
        rf"(?<![A-Za-z])(?P<name>(?:{names})(?:\s?[号號]码?)?\s?(?:是|为|is|:|：)?)\s?(?P<token>[A-Za-z]{{0,8}}-?\d[\d\-]*)(?![A-Za-z0-9%]|[.,]\d|\s?[天元件个日月年张次])",
        re.IGNORECASE,
    )


def _either(names: Any) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
