"""How a text travels by SMS: its alphabet and segments, numbers of phones, and a cut that says that it is one. Pure.

GSM 03.38: 160 septets in one message, 153 in each of several; any character outside the alphabet turns the whole text
into UCS-2 with 70, or 67 each. A character of two units never lies across a border.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from channels import text as texts
from channels.families.sms.keywords import words

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_SINGLE = {"gsm7": 160, "ucs2": 70}
_JOINED = {"gsm7": 153, "ucs2": 67}
_SMALLEST = 4
"""Characters that must be left of a text beside the notice."""
_CHINESE = ("zh", "yue", "wuu", "cmn")
_MAINLAND = re.compile(r"1[3-9]\d{9}")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(frozen=True, slots=True)
class Length:
    encoding: Literal["gsm7", "ucs2"]
    units: int
    segments: int


def measure(text: str) -> Length:
    """What the text costs on the air."""
    encoding: Literal["gsm7", "ucs2"] = (
        "gsm7" if all(mark in _BASIC or mark in _EXTENDED for mark in text) else "ucs2"
    )
    sizes = [_units(mark, encoding) for mark in text]
    total = sum(sizes)
    if total <= _SINGLE[encoding]:
        return Length(encoding, total, 1)
    return Length(encoding, total, _segments(sizes, _JOINED[encoding]))


def numbered(text: str, index: int, count: int) -> str:
    """Carriers deliver separate messages in any order, so each of several says its place."""
    return f"({index + 1}/{count}) {text}" if count > 1 else text


def cut(text: str, limit: int, language: str, *, more: bool = False) -> tuple[str, bool]:
    """At most `limit` characters, ending with a notice where something is missing (`more`: what follows is not sent
    either). True when it was cut."""
    if len(text) <= limit and not more:
        return text, False
    notice = str(words()["cut"]["zh" if language.startswith(_CHINESE) else "en"])
    if limit < len(notice) + _SMALLEST:
        notice = "…"
    kept = (texts.split(text, max(_SMALLEST, limit - len(notice)), "characters") or [""])[0]
    return kept[: limit - len(notice)].rstrip() + notice, True


def one_line(text: str) -> str:
    """Without line breaks, which variables of templates do not take."""
    return " ".join(text.split())


def e164(number: str, country: str = "") -> str:
    """+8613800138000; "" where it is no number that can be written so. `country`: its code, for national numbers."""
    digits = re.sub(r"[\s()-]", "", number)
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if not digits.startswith("+") and country:
        known = country != "86" or _MAINLAND.fullmatch(digits)
        digits = f"+{country}{digits}" if known else f"+{digits}"
    return digits if digits.isascii() and _E164.fullmatch(digits) else ""


def _units(mark: str, encoding: str) -> int:
    if encoding == "gsm7":
        return 2 if mark in _EXTENDED else 1
    return 2 if ord(mark) > 0xFFFF else 1


def _segments(sizes: Iterable[int], room: int) -> int:
    count, used = 1, 0
    for size in sizes:
        if used + size > room:
            count, used = count + 1, 0
        used += size
    return count
