"""Marks on a customer, each with who set it, how sure, until when and why. Pure; rules are data (`tag_rules.yaml`).

Tags by rule and by model are worked out whenever a profile is read, so that they hold for this very moment and need no
expiry; tags by hand are rows that run out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from customers.profile.figures import Figures
from customers.profile.risk import Kind, Risk

Origin = Literal["staff", "rule", "model"]
_FILE = Path(__file__).parent / "tag_rules.yaml"


@dataclass(frozen=True, slots=True)
class Tag:
    """`reason` is a person's words, or for rules and models the figure that made it, with its value."""

    tag: str
    origin: Origin
    score: float = 1.0
    reason: str = ""
    author: str = ""
    at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    tag: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None


def derive(figures: Figures, risks: Mapping[Kind, Risk], rules: Iterable[Rule]) -> list[Tag]:
    known = numbers(figures)
    found = [
        Tag(rule.tag, "rule", reason=f"{rule.figure}={known[rule.figure]:.4g}")
        for rule in rules
        if rule.figure in known and _holds(rule, known[rule.figure])
    ]
    for kind, risk in risks.items():
        if risk.level == "high":
            reasons = ",".join(reason.feature for reason in risk.reasons)
            found.append(Tag(f"{kind}_risk", "model", score=round(risk.probability, 4), reason=reasons))
    return found


def numbers(figures: Figures) -> dict[str, float]:
    """What a rule may ask for; a figure that is not known is missing, so that no rule about it holds."""
    buying, seen = figures.buying, figures.interaction.seen
    looks = float(seen.get("page_view", 0))
    known: dict[str, float | None] = {
        "orders": buying.orders, "frequency": buying.frequency, "monetary": buying.monetary, "refunds": buying.refunds,
        "repeats": figures.interaction.repeats, "mean_mood": figures.feeling.mean, "slope": figures.feeling.slope,
        "complaints": figures.feeling.complaints, "open_tickets": len(figures.service.open_since),
        "satisfaction": figures.service.satisfaction, "silent_days": figures.silent_days,
        "looks_without_order": looks if not buying.orders else 0.0,
    }  # fmt: skip
    return {name: float(value) for name, value in known.items() if value is not None}


@cache
def rules() -> tuple[Rule, ...]:
    return tuple(Rule(**one) for one in yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def _holds(rule: Rule, value: float) -> bool:
    return (rule.at_least is None or value >= rule.at_least) and (
        rule.at_most is None or value <= rule.at_most
    )
