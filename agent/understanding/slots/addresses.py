"""Finds a postal address in a sentence, Chinese or English, by what only addresses have.

A heuristic for filling a form, whose value the customer then confirms: a Chinese address is a run with at least two
administrative or street marks and something countable; an English one begins with a house number and a street word.
"""

from __future__ import annotations

import re

_RUN = re.compile(r"[\u3400-\u9fffA-Za-z0-9\-#()()·、]+(?: [0-9A-Za-z\-#]+[\u3400-\u9fff]*)*")
_LEAD_IN = re.compile(
    r"^.*(?:地址(?:改成|改为|改到|换成|是|为|:|:|写)?|收货地(?:是)?|改成|改为|改到|改送到|寄到|送到|寄去|送去|发到|换到|搬到|转到|地址在|住在|家在|住)"
)
_TAIL = re.compile(r"(?:谢谢|可以吗|行吗|好吗|能改吗|吧|哦|呀|啊|收|,|。|,|\s)+$")
_MARK = re.compile(
    r"省|自治区|市|(?<!小)区|县|镇|乡|村|街道|路|街|道(?!理|歉)|巷|弄|胡同|小区|花园|大厦|广场|公寓|新村|[一-九\d]号|栋|幢|楼|单元|室"
)
_STREET = re.compile(r"路|街|道(?!理|歉)|巷|弄|胡同|小区|花园|大厦|广场|公寓|村|学校|大学")
_COUNTABLE = re.compile(r"[\d一二三四五六七八九十]+(?:号|栋|幢|楼|单元|室|弄|层|座|-|$)")
_PLACE_START = re.compile(
    r"(?:北京|上海|天津|重庆|香港|澳门|[\u3400-\u9fff]{2,3}省|[\u3400-\u9fff]{2,4}自治区|[\u3400-\u9fff]{2,3}市).*"
)
_ENGLISH = re.compile(
    r"(?:(?:Flat|Room|Unit|Apt\.?|Suite) ?\w{1,6},? )?\b\d{1,5}[A-Za-z]? (?:[A-Z][\w'.]* ){1,4}"
    r"(?:Road|Rd|Street|St|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Square|Place)\b\.?(?:,? ?(?:#|No\.? ?)?[A-Z0-9][\w'-]*){0,6}"
)


def take_address(text: str) -> tuple[str | None, str]:
    """Also returns the text without the address."""
    if found := _ENGLISH.search(text):
        return found[0].strip(" ,."), f"{text[: found.start()]} {text[found.end() :]}"
    for run in _RUN.finditer(text):
        address = _chinese_address(run[0])
        if address:
            return address, text.replace(address, " ", 1)
    return None, text


def _chinese_address(run: str) -> str | None:
    place = _TAIL.sub("", _LEAD_IN.sub("", run))
    if len(_MARK.findall(place)) < 2 or not _STREET.search(place) or not _COUNTABLE.search(place):
        return None
    start = _PLACE_START.search(place)
    return (start[0] if start else place).strip() or None
