"""Turns `policy.yaml` and a question "may these items go back?" into one decision, without touching a database.

Called from `order_book`. What may surprise: a decision can be *allowed* and still need a person (`needs_approval`), and days
count from the day after signing, in the shop's time zone, to the end of the last day.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict

FreightBy = Literal["customer", "shop"]
CENT = Decimal("0.01")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Strict):
    days: int
    exception_until_day: int
    freight_by: FreightBy
    categories_excluded: frozenset[str]


class StateRules(_Strict):
    returnable: frozenset[str]
    address_changeable: frozenset[str]
    cancellable: frozenset[str]
    not_invoiceable: frozenset[str]


class ShopPolicy(_Strict):
    time_zone: str
    currency: str
    reasons: dict[str, str]
    windows: dict[str, Window]
    approval_above: Decimal
    levels_with_free_return: frozenset[str]
    custom_made_cancel_hours: int
    invoice_hours_after_signing: int
    states: StateRules


@dataclass(frozen=True)
class Line:
    """One line of an order; it goes back as a whole."""

    sku: str
    category: str
    returnable: bool
    amount: Decimal


@dataclass(frozen=True)
class ReturnQuestion:
    lines: tuple[Line, ...]
    chosen: frozenset[str]
    reason: str
    signed_at: datetime
    level: str
    discount: Decimal
    delivery_fee: Decimal


@dataclass(frozen=True)
class ReturnDecision:
    allowed: bool
    needs_approval: bool
    code: str
    refund_amount: Decimal
    freight_by: FreightBy
    deadline: datetime


def load_policy(path: Path) -> ShopPolicy:
    return ShopPolicy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def decide_return(policy: ShopPolicy, question: ReturnQuestion, *, now: datetime) -> ReturnDecision:
    """The reason must be one of `policy.reasons` and every chosen sku one of the lines; the caller has checked both."""
    window = policy.windows[policy.reasons[question.reason]]
    refund = _refund_amount(question, whole_order_refunds_delivery=window.freight_by == "shop")
    code, allowed, needs_approval = _verdict(policy, question, window=window, refund=refund, now=now)
    free = question.level in policy.levels_with_free_return
    return ReturnDecision(
        allowed=allowed,
        needs_approval=needs_approval,
        code=code,
        refund_amount=refund if allowed else Decimal("0.00"),
        freight_by="shop" if free else window.freight_by,
        deadline=end_of_day_after(question.signed_at, days=window.days, time_zone=policy.time_zone),
    )


def end_of_day_after(signed_at: datetime, *, days: int, time_zone: str) -> datetime:
    """The last second of the day `days` days after signing, in UTC."""
    zone = ZoneInfo(time_zone)
    last_day = signed_at.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(last_day, time(23, 59, 59), tzinfo=zone).astimezone(ZoneInfo("UTC"))


def _verdict(
    policy: ShopPolicy, question: ReturnQuestion, *, window: Window, refund: Decimal, now: datetime
) -> tuple[str, bool, bool]:
    chosen = [line for line in question.lines if line.sku in question.chosen]
    if window.categories_excluded and any(
        not line.returnable or line.category in window.categories_excluded for line in chosen
    ):
        return "not_returnable", False, False
    deadline = end_of_day_after(question.signed_at, days=window.days, time_zone=policy.time_zone)
    last = end_of_day_after(question.signed_at, days=window.exception_until_day, time_zone=policy.time_zone)
    if now > last:
        return "outside_window", False, False
    if now > deadline:
        return "exception_needs_approval", True, True
    if refund > policy.approval_above:
        return "amount_needs_approval", True, True
    return "within_window", True, False


def _refund_amount(question: ReturnQuestion, *, whole_order_refunds_delivery: bool) -> Decimal:
    """What was really paid for the chosen lines: the discount is shared in proportion to the line amounts."""
    goods = sum((line.amount for line in question.lines), Decimal(0))
    chosen = sum((line.amount for line in question.lines if line.sku in question.chosen), Decimal(0))
    paid = chosen - question.discount * chosen / goods
    if whole_order_refunds_delivery and chosen == goods:
        paid += question.delivery_fee
    return paid.quantize(CENT, ROUND_HALF_UP)
