"""Twenty thousand made-up profiles, one in a hundred spoilt in one of four ways; the seed is drawn by whoever asks."""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = ("unit_slip", "script", "stuck_timer", "joint")
SHARE = 0.01
NAMES = ("orders", "amount", "page_views", "seconds", "messages", "amount_an_order", "seconds_a_page")


@dataclass(frozen=True)
class People:
    rows: list[list[float]]
    spoilt: list[str]
    """"" for a sound one."""


def make(count: int, seed: int) -> People:
    """Everybody buys, looks and writes in proportion to how keen they are; prices and patience differ."""
    drawn = random.Random(seed)
    rows, spoilt = [], []
    for at in range(count):
        kind = KINDS[at % len(KINDS)] if at < count * SHARE else ""
        rows.append(_person(drawn, kind))
        spoilt.append(kind)
    return People(rows, spoilt)


def _person(drawn: random.Random, kind: str) -> list[float]:
    keen = drawn.gauss(0, 0.5)
    orders = max(1, round(drawn.lognormvariate(1.6 + keen, 0.35)))
    price = drawn.lognormvariate(4.6, 0.5)
    pages = max(1, round(drawn.lognormvariate(3.4 + keen, 0.4)))
    patience = drawn.lognormvariate(3.2, 0.3)
    messages = max(1, round(drawn.lognormvariate(1.4 + keen / 2, 0.5)))
    if kind == "unit_slip":
        price *= 100
    elif kind == "script":
        pages, patience = pages * drawn.randint(100, 400), drawn.uniform(0.3, 1.5)
    elif kind == "stuck_timer":
        patience = drawn.uniform(3_000, 40_000)
    amount, seconds = orders * price, pages * patience
    if kind == "joint":  # each number is possible, all of them together are not
        orders, pages = drawn.randint(18, 30), drawn.randint(2, 5)
        amount, seconds = drawn.uniform(60, 200), drawn.uniform(4_000, 9_000)
        messages = drawn.randint(1, 2)
    return [float(orders), amount, float(pages), seconds, float(messages), amount / orders, seconds / pages]
