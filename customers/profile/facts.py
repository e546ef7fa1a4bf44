"""What somebody said or a system knows about a customer: statements with their origin in, the one to show out. Pure.

Statements are never overwritten. Which of several is shown is decided when it is read: the higher proof first, then the
source that counts for more, then the newer, then what was stated more often; the others stay visible as conflicts.
`attributes.yaml` says what can be stated and whose word counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

Source = Literal["staff", "account", "crm", "form", "channel", "chat", "inferred"]
_CUSTOM_NAME = re.compile(r"custom\.[a-z0-9_]{1,40}")
CUSTOM_LONGEST = 200
_FILE = Path(__file__).parent / "attributes.yaml"


@dataclass(frozen=True, slots=True)
class Fact:
    """`proof` is the level at which it was stated (0 claimed, 1 channel, 2 account), `times` on how many occasions."""

    identity_id: str
    attribute: str
    value: str
    source: Source
    proof: int
    confidence: float
    observed_at: datetime
    times: int = 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """The statement that survived, and the other values that somebody stated."""

    fact: Fact
    conflicts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    kind: Literal["text", "language", "date", "phone", "email"]
    longest: int


def survivors(facts: Iterable[Fact], *, preferred: Collection[str] = ()) -> dict[str, Chosen]:
    """By attribute, whatever the order of `facts`. What is stated of a `preferred` identity comes before everything else: staff
    see likely identities as well, and those must not outweigh what is known of the customer proper."""
    by_attribute: dict[str, list[Fact]] = {}
    for fact in facts:
        by_attribute.setdefault(fact.attribute, []).append(fact)
    return {name: _choose(stated, preferred) for name, stated in sorted(by_attribute.items())}


def attribute(name: str) -> Attribute | None:
    """None for a name that cannot be stated."""
    found: Attribute | None = _rules()[1].get(name)
    if found is None and _CUSTOM_NAME.fullmatch(name):
        return Attribute("text", CUSTOM_LONGEST)
    return found


def masked(fact: Fact) -> str:
    """As it is shown to staff who have not asked for it with a reason: contact data by its ends only."""
    rule = attribute(fact.attribute)
    if rule is None or rule.kind not in ("phone", "email", "date"):
        return fact.value
    if rule.kind == "email":
        name, _, domain = fact.value.partition("@")
        return f"{name[:1]}***@{domain}"
    if rule.kind == "date":
        return f"****{fact.value[4:]}"
    return f"{fact.value[:3]}****{fact.value[-4:]}" if len(fact.value) > 8 else f"****{fact.value[-2:]}"


def priority(source: str) -> int:
    return int(_rules()[0].get(source, 0))


def _choose(stated: list[Fact], preferred: Collection[str]) -> Chosen:
    ranked = sorted(stated, key=lambda fact: (fact.identity_id in preferred, *_rank(fact)), reverse=True)
    shown = ranked[0]
    others: dict[str, Fact] = {}
    for fact in ranked[1:]:
        if fact.value != shown.value:
            others.setdefault(fact.value, fact)
    return Chosen(shown, tuple(others.values()))


def _rank(fact: Fact) -> tuple[Any, ...]:
    """The last three only make the answer the same for every order of reading."""
    return (
        fact.proof,
        priority(fact.source),
        fact.observed_at,
        fact.times,
        fact.confidence,
        fact.value,
        fact.identity_id,
    )


@cache
def _rules() -> tuple[Mapping[str, int], Mapping[str, Attribute]]:
    stored = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return stored["sources"], {name: Attribute(**one) for name, one in stored["attributes"].items()}
