"""Reads the facts a message states: numbers of orders, phones, money, dates, addresses and so on.

Called by `understand` on every turn and by forms on an answer. Pure; nothing is looked up, so a well-formed order number
may still not exist. Full-width characters and blanks or dashes inside numbers are read through.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

from agent.understanding.normalise import fold, normalise_query
from agent.understanding.slots import addresses, contacts, dates, numbers
from agent.understanding.slots.numbers import ANY_ORDER, SHOP_ORDER, Money

__all__ = ["ANY_ORDER", "SHOP_ORDER", "Money", "Slots", "find_slots"]


@dataclass(frozen=True)
class Slots:
    order_numbers: tuple[str, ...] = ()
    phone: str | None = None
    """In international form, +8613812345678."""
    email: str | None = None
    date: datetime.date | None = None
    amount: Money | None = None
    quantity: int | None = None
    address: str | None = None
    tax_number: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Only what was found."""
        found: dict[str, Any] = {name: value for name, value in vars(self).items() if value}
        if self.order_numbers:
            found["order_numbers"] = list(self.order_numbers)
        if self.date is not None:
            found["date"] = self.date.isoformat()
        if self.amount is not None:
            found["amount"] = {"value": str(self.amount.value), "currency": self.amount.currency}
        return found


def find_slots(text: str, *, today: datetime.date, order_pattern: re.Pattern[str] = SHOP_ORDER) -> Slots:
    """What is read first is taken out, so that the digits of a phone are not read again as an amount."""
    rest = fold(text)
    email, rest = contacts.take_email(rest)
    tax_number, rest = numbers.take_tax_number(rest)
    orders, rest = numbers.take_orders(rest, order_pattern)
    phone, rest = contacts.take_phone(rest)
    address, without_address = addresses.take_address(rest)
    plain = normalise_query(without_address)
    date, plain = dates.take_date(plain, today)
    amount, plain = numbers.take_amount(plain)
    return Slots(
        order_numbers=orders,
        phone=phone,
        email=email,
        date=date,
        amount=amount,
        quantity=numbers.find_quantity(plain),
        address=address,
        tax_number=tax_number,
    )
