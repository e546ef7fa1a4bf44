"""Names of people as staff see them who have not asked for the whole with a reason: enough to recognise, too little to use. Pure."""

from __future__ import annotations

import re

from customers.graph.partition import ACCOUNT

_PHONE = re.compile(r"\+?[\d\s()-]{8,20}")
SHORT = 10
"""A platform's id of at most so many signs is shown as it is: it tells nothing about anybody."""


def mask(namespace: str, value: str) -> str:
    """By what it looks like, whatever it is called: in many shops the account is the phone number."""
    if "@" in value:
        name, _, domain = value.rpartition("@")
        return f"{name[:1]}***@{domain}"
    if _PHONE.fullmatch(value):
        digits = value.removeprefix("+86")
        return f"{digits[:3]}****{digits[-4:]}"
    if namespace == ACCOUNT or len(value) <= SHORT:
        return value
    return f"{value[:4]}…{value[-4:]}"


def is_masked(namespace: str, value: str) -> bool:
    return mask(namespace, value) != value
