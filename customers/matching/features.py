"""A record as columns: what is known about somebody in, the strings that blocking and comparisons look at out.

`online.py` derives a new record, training derives them all. A value that a normaliser refuses is no column: a
placeholder must not become evidence.

What would surprise you: attributes that were only claimed make columns too, for people to look at, but `Derived.trusted`
is without them, and only that side may ever link by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from customers.matching import names, normalise

Columns = Mapping[str, str]

ATTRIBUTES = ("name", "phone", "email", "address", "birth_date", "device", "ip", "company")
_MASKED = re.compile(r"(?:\+?86)?[\s-]*(\d{0,4})[*xX×•·.…-]{2,}(\d{3,4})")
_DIGITS = re.compile(r"\d+")
_REGION_WORDS = re.compile(r"(?:特别行政区|自治区|自治州|自治县|街道|[省市区县镇乡号室栋幢楼弄层])")
_CITY = re.compile(r"(?:[^省市区]{2,4}(?:省|自治区))?([^省市区县]{2,8}?)市")
_CAPITALS = ("北京", "上海", "天津", "重庆", "香港", "澳门")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about one identity. `claimed` names the attributes that a person only typed."""

    attributes: Mapping[str, str]
    claimed: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Derived:
    """`columns` of everything; `trusted` of what nobody merely claimed (the same object where nothing was)."""

    columns: Columns
    trusted: Columns


def derive(record: Record, region: str = "CN") -> Derived:
    everything = derive_columns(record.attributes, region)
    if not record.claimed.intersection(record.attributes):
        return Derived(everything, everything)
    proven = {name: value for name, value in record.attributes.items() if name not in record.claimed}
    return Derived(everything, derive_columns(proven, region))


def derive_columns(attributes: Mapping[str, str], region: str = "CN") -> dict[str, str]:
    """Unknown attributes are passed on as they are, so a tenant's model may use columns of its own."""
    columns: dict[str, str] = {}
    for attribute, value in attributes.items():
        if not value:
            continue
        derive_one = _DERIVE.get(attribute)
        columns.update(derive_one(value, region) if derive_one else {attribute: value})
    return columns


def _name(value: str, _region: str) -> dict[str, str]:
    name = names.parse(value)
    return name.columns() if name else {}


def _phone(value: str, region: str) -> dict[str, str]:
    masked = _MASKED.fullmatch(normalise.fold(value))
    if masked:
        return {"phone_tail": masked[2][-4:]} if len(masked[2]) == 4 else {}
    normal = normalise.find("phone", value, region=region)
    if normal is None or normal.shared:
        return {}
    return {"phone": normal.match, "phone_tail": normal.match[-4:]}


def _email(value: str, _region: str) -> dict[str, str]:
    normal = normalise.find("email", value)
    if normal is None or normal.shared or normal.weak:
        return {}
    local = normal.match.rpartition("@")[0]
    return {"email": normal.match, "email_local": local}


def _address(value: str, _region: str) -> dict[str, str]:
    normal = normalise.find("address", value)
    if normal is None:
        return {}
    columns = {"address": _REGION_WORDS.sub("", normal.match)}
    city = _city(normal.match)
    if city:
        columns["city"] = city
        columns["address"] = columns["address"].split(city, 1)[-1] or columns["address"]
    numbers = _DIGITS.findall(normal.match)
    if numbers:
        columns["house"] = "-".join(numbers)
    return columns


def _city(address: str) -> str:
    for capital in _CAPITALS:
        if address.startswith(capital):
            return capital
    found = _CITY.match(address)
    return found[1] if found else ""


def _birth_date(value: str, _region: str) -> dict[str, str]:
    normal = normalise.find("birth_date", value)
    return {"birth_date": normal.key, "birth_year": normal.key[:4]} if normal else {}


def _ip(value: str, _region: str) -> dict[str, str]:
    normal = normalise.find("ip", value)
    return {"ip": normal.key, "network": normal.match} if normal else {}


def _device(value: str, _region: str) -> dict[str, str]:
    normal = normalise.find("device", value)
    return {"device": normal.key} if normal else {}


def _company(value: str, _region: str) -> dict[str, str]:
    text = normalise.simplified(normalise.fold(value).lower())
    return {"company": text} if len(text) > 1 else {}


_DERIVE = {
    "name": _name,
    "phone": _phone,
    "email": _email,
    "address": _address,
    "birth_date": _birth_date,
    "ip": _ip,
    "device": _device,
    "company": _company,
}
