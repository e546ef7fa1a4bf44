"""Which column of a table is what: headers and a few rows in, a target for each column out. Pure.

A target is a key (`account`, `crm`), an attribute that can be stated about somebody, `custom.<name>`, `moment` (when the row
was true), or "" for a column that is left out. The guess is shown to a person before anything is done with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from customers.importing.files import Sheet
from customers.matching import normalise
from customers.profile import facts
from foundation import errors

KEYS = ("account", "crm")
MOMENT = "moment"
_CONTACTS = ("phone", "email")
_BRACKETS = re.compile(r"[(\[（【].*?[)\]）】]")
_MARKS = re.compile(r"[\W_]+")
_NO_NAME = re.compile(r"[^a-z0-9]+")
_SAMPLE = 50
_ENOUGH = 0.8
"""Of the sampled values that must look like one, before a column without a known header is taken for it."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    zh: str
    en: str


def guess(sheet: Sheet) -> tuple[str, ...]:
    """By the headers; a column that nobody knows by what stands in it. Each target is given once, from the left."""
    targets = [_by_header(name) for name in sheet.header]
    seen: set[str] = set()
    for at, target in enumerate(targets):
        if target in seen or (target in KEYS and seen.intersection(KEYS)):
            targets[at] = ""
        seen.add(targets[at])
    for at, target in enumerate(targets):
        if not target and (looks := _by_values(sheet, at)) and looks not in seen:
            targets[at] = looks
            seen.add(looks)
    return tuple(targets)


def check(sheet_columns: int, targets: Sequence[str]) -> tuple[str, ...]:
    """What a person chose. Raises `InvalidInput` that says what to change."""
    if len(targets) != sheet_columns:
        raise errors.InvalidInput(
            f"Name a target for each of the {sheet_columns} columns, in their order; \"\" leaves one out.",
            code="mapping_length",
        )  # fmt: skip
    chosen = [one for one in targets if one]
    for one in chosen:
        if one not in KEYS and one != MOMENT and facts.attribute(one) is None:
            raise errors.InvalidInput(
                f"There is no target {one[:60]!r}; use {', '.join(t.name for t in known())} or custom.<name>.",
                code="unknown_target",
            )
        if chosen.count(one) > 1:
            raise errors.InvalidInput(f"Two columns are mapped to {one}; choose one.", code="target_twice")
    if all(key in chosen for key in KEYS):
        raise errors.InvalidInput(
            "Map either the account or the CRM's id: one of them names the row. Keep the other as custom.<name>.",
            code="two_keys",
        )
    if not any(one in chosen for one in (*KEYS, *_CONTACTS)):
        raise errors.InvalidInput(
            "Nothing says who a row is about: map an account, the CRM's id, a phone number or an e-mail address.",
            code="no_key",
        )
    if not any(facts.attribute(one) for one in chosen):
        raise errors.InvalidInput(
            "Map at least one column that says something about a customer.", code="no_facts"
        )
    return tuple(targets)


@cache
def known() -> tuple[Target, ...]:
    """What can be chosen, beside custom.<name>."""
    stored = _stored()
    named = {**stored["keys"], **stored["facts"], MOMENT: stored["moment"]}
    return tuple(Target(name, one["zh"], one["en"]) for name, one in named.items())


def custom(header: str, at: int) -> str:
    """The target that keeps a column which is none of the known ones: by its header where that is Latin, else by its place."""
    name = _NO_NAME.sub("_", normalise.fold(header).casefold()).strip("_")[:40]
    return f"custom.{name or f'column_{at + 1}'}"


def language_code(text: str) -> str:
    """Of a language's name as people write it; a code stays as it is."""
    codes: Mapping[str, str] = _stored()["languages"]
    return codes.get(text.casefold(), text)


def _by_header(name: str) -> str:
    return _headers().get(_plain(name), "")


def _by_values(sheet: Sheet, at: int) -> str:
    values = [row.cells[at] for row in sheet.rows[:_SAMPLE] if not row.trouble and row.cells[at]]
    for target in _CONTACTS:
        looks = sum(normalise.find(target, value) is not None for value in values)
        if len(values) > 2 and looks >= _ENOUGH * len(values):
            return target
    return ""


def _plain(name: str) -> str:
    folded = normalise.simplified(normalise.fold(name).casefold())
    return _MARKS.sub("", _BRACKETS.sub("", folded))


@cache
def _headers() -> dict[str, str]:
    stored = _stored()
    named = {**stored["keys"], **stored["facts"], MOMENT: stored["moment"]}
    return {_plain(str(header)): name for name, one in named.items() for header in one["headers"]}


@cache
def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = yaml.safe_load(
        (Path(__file__).parent / "columns.yaml").read_text(encoding="utf-8")
    )
    return stored
