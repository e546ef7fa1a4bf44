"""Reads a calendar day from Chinese and English phrases, seen from a given today.

A weekday without more is the next one from today on; 上周五 and 下周五 count weeks from Monday; "last Friday" is the latest one
before today. A day without a year is the one nearest to today. Days that do not exist (2月30日) are not read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

from agent.understanding.slots.numbers import whole_number

_DAY = datetime.timedelta(days=1)
_RELATIVE = {"大前天": -3, "前天": -2, "昨天": -1, "昨晚": -1, "今天": 0, "今晚": 0, "今日": 0, "明天": 1, "明日": 1, "明早": 1, "明晚": 1,
             "后天": 2, "大后天": 3, "day before yesterday": -2, "yesterday": -1, "today": 0, "tonight": 0,
             "day after tomorrow": 2, "tomorrow": 1}  # fmt: skip
_CHINESE_WEEKDAYS = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6, "末": 5}
_WEEKDAYS = {name: day for day, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: month for month, name in enumerate(_MONTH_NAMES, 1)}
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_SMALL = r"(\d{1,3}|[一二两三四五六七八九十]{1,3})"

Reader = Callable[[re.Match[str], datetime.date], datetime.date]


def take_date(text: str, today: datetime.date) -> tuple[datetime.date | None, str]:
    for pattern, read in _READERS:
        for found in pattern.finditer(text):
            try:
                day = read(found, today)
            except (ValueError, OverflowError):
                continue
            return day, f"{text[: found.start()]} {text[found.end() :]}"
    return None, text


def _full(found: re.Match[str], today: datetime.date) -> datetime.date:
    return datetime.date(int(found[1]), int(found[2]), int(found[3]))


def _month_and_day(found: re.Match[str], today: datetime.date) -> datetime.date:
    return _nearest(whole_number(found[1]), whole_number(found[2]), today)


def _day_of_month(found: re.Match[str], today: datetime.date) -> datetime.date:
    """The nearest such day in last, this and next month."""
    day = int(found[1])
    first = today.replace(day=1)
    months = (first - _DAY, first, first + 31 * _DAY)
    possible = [month.replace(day=day) for month in months if day <= _last_day(month)]
    return min(possible, key=lambda one: abs(one - today))


def _english_month_first(found: re.Match[str], today: datetime.date) -> datetime.date:
    return _english(found[1], found[2], found[3], today)


def _english_day_first(found: re.Match[str], today: datetime.date) -> datetime.date:
    return _english(found[2], found[1], found[3], today)


def _english(month: str, day: str, year: str | None, today: datetime.date) -> datetime.date:
    number = _MONTHS[month.lower()[:3]]
    return datetime.date(int(year), number, int(day)) if year else _nearest(number, int(day), today)


def _relative(found: re.Match[str], today: datetime.date) -> datetime.date:
    return today + _RELATIVE[found[0].lower()] * _DAY


def _days_away(found: re.Match[str], today: datetime.date) -> datetime.date:
    days = whole_number(found[1]) * (7 if found[2] in ("周", "星期", "礼拜") else 1)
    return today + days * _DAY * (1 if found[3] == "后" else -1)


def _english_days_ahead(found: re.Match[str], today: datetime.date) -> datetime.date:
    return today + int(found[1]) * _DAY


def _english_days_ago(found: re.Match[str], today: datetime.date) -> datetime.date:
    return today - int(found[1]) * _DAY


def _chinese_weekday(found: re.Match[str], today: datetime.date) -> datetime.date:
    day = _CHINESE_WEEKDAYS[found[2]]
    if not found[1]:
        return today + (day - today.weekday()) % 7 * _DAY
    weeks = {"上": -1, "这": 0, "本": 0, "下": 1}[found[1][0]] * len(found[1].rstrip("个"))
    return today + (day - today.weekday() + 7 * weeks) * _DAY


def _english_weekday(found: re.Match[str], today: datetime.date) -> datetime.date:
    ahead = (_WEEKDAYS[found[2].lower()[:3]] - today.weekday()) % 7
    which = (found[1] or "").strip().lower()
    if which == "last":
        return today + (ahead - 7) * _DAY
    if which == "next":
        return today + (_WEEKDAYS[found[2].lower()[:3]] - today.weekday() + 7) * _DAY
    return today + ahead * _DAY


def _nearest(month: int, day: int, today: datetime.date) -> datetime.date:
    possible = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            possible.append(datetime.date(year, month, day))
        except ValueError:
            continue
    return min(possible, key=lambda one: abs(one - today))


def _last_day(month: datetime.date) -> int:
    return ((month.replace(day=1) + 31 * _DAY).replace(day=1) - _DAY).day


def _rule(pattern: str, read: Reader) -> tuple[re.Pattern[str], Reader]:
    return re.compile(pattern, re.IGNORECASE), read


_READERS = [
    _rule(r"(?<!\d)((?:19|20)\d{2})[-/.年]\s?(\d{1,2})[-/.月]\s?(\d{1,2})(?:日|号)?(?!\d)", _full),
    _rule(rf"(?<!\d){_SMALL}\s?月\s?{_SMALL}\s?[日号]?(?![\d个])", _month_and_day),
    _rule(rf"\b{_MONTH}\s(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s((?:19|20)\d{{2}}))?\b", _english_month_first),
    _rule(
        rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s((?:19|20)\d{{2}}))?\b", _english_day_first
    ),
    _rule("|".join(sorted(_RELATIVE, key=len, reverse=True)), _relative),
    _rule(rf"{_SMALL}\s?个?(天|日|周|星期|礼拜)(?:之|以)?(后|前)", _days_away),
    _rule(r"\bin (\d{1,3}) days?\b", _english_days_ahead),
    _rule(r"\b(\d{1,3}) days? ago\b", _english_days_ago),
    _rule(r"(上上个?|下下个?|上个?|下个?|这个?|本)?(?:周|星期|礼拜)([一二三四五六日天末])", _chinese_weekday),
    _rule(
        r"\b(last |next |this |on |by )?(mon(?:day)|tue(?:sday)|wed(?:nesday)|thu(?:rsday)|fri(?:day)|sat(?:urday)|sun(?:day))\b",
        _english_weekday,
    ),
    _rule(r"(?<![\d/])(\d{1,2})/(\d{1,2})(?![\d/])", _month_and_day),
    _rule(r"(?<![\d月第])(\d{1,2})[号日](?![楼栋院店线门仓])", _day_of_month),
]
