"""Reads telephone numbers and e-mail addresses; each function also returns the text without what it read."""

from __future__ import annotations

import re

import phonenumbers

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_LOOKS_LIKE_A_PHONE = re.compile(r"(?<![A-Za-z0-9])(?:\+|00)?\d(?:[ \-]?\d){6,16}(?![A-Za-z0-9])")
_IS_A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
HOME = "CN"


def take_email(text: str) -> tuple[str | None, str]:
    found = _EMAIL.search(text)
    if found is None:
        return None, text
    return found[0].strip(".").lower(), _without(text, found.start(), found.end())


def take_phone(text: str) -> tuple[str | None, str]:
    """The first number that can exist; without a country code it is read as a Chinese one."""
    for found in _LOOKS_LIKE_A_PHONE.finditer(text):
        if _IS_A_DAY.fullmatch(found[0]):
            continue
        try:
            number = phonenumbers.parse(found[0], HOME)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            readable = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            return readable, _without(text, found.start(), found.end())
    return None, text


def _without(text: str, start: int, end: int) -> str:
    return f"{text[:start]} {text[end:]}"
