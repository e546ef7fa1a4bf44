"""Changes where an unshipped order goes: order, address, receiver, phone, read back, one confirmation.

The order system shows phones masked, so a number cannot be carried over: it is asked for. The receiver can stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from agent.tools import orders
from agent.tools.contract import (
    Arguments,
    Check,
    Heard,
    Option,
    Slot,
    ToolContext,
    ToolResult,
    Values,
)
from agent.tools.words import Words

CHANGEABLE = frozenset({"unpaid", "paid"})
AMENDMENT_LENGTH = 24
"""Characters of a message that only puts a number right."""
_ADDRESS = (5, 200)
_NUMBER = re.compile(r"\d+")
_PHONE = re.compile(r"\+?\d(?:[ -]?\d){6,19}")
_LEAD = re.compile(
    r"^(请|麻烦)?(帮我)?(改(到|成|为)|换(到|成)|送到|寄到|新?地址(是|改成|改为|:|：)?|change (it )?to|(the )?new address( is|:)?|to)[:：,\uff0c\s]*",
    re.I,
)
_CLAUSE = re.compile(r"[,，。;；!！?？\n]|(?:收货人|收件人|电话|手机|谢谢|可以吗|行吗|receiver|phone)")
_AGAIN = {
    "not_found": "order_no",
    "invalid_address": "address",
    "invalid_receiver": "receiver",
    "invalid_phone": "phone",
}


class AddressArguments(Arguments):
    order_no: str
    address: str
    receiver: str
    phone: str


class AddressChange:
    name = "address_change"
    arguments = AddressArguments
    effect: Literal["read", "write"] = "write"
    does = "order_delivery"

    def __init__(self, words: Words) -> None:
        named = words.named
        self._same = words.same
        self.slots = (
            Slot(
                "order_no",
                "ask_address_order",
                read=orders.read_order_no,
                offered=True,
                named=named["order_no"],
            ),
            Slot(
                "address",
                "ask_new_address",
                read=_read_address,
                read_answer=_take_address,
                named=named["address"],
                amend=_amend_address,
            ),
            Slot("receiver", "ask_receiver", read_answer=self._take_receiver, named=named["receiver"]),
            Slot("phone", "ask_phone", read=_read_phone, named=named["phone"]),
        )

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return await orders.order_options(context, states=CHANGEABLE, purpose="address")

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return await orders.unfit(values, context, states=CHANGEABLE, code="already_shipped")

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        wanted = AddressArguments.model_validate(dict(values))
        order = await orders.fetch_order(wanted.order_no, context)
        if not order.get("ok"):
            return orders.refusal(order, again=_AGAIN, order_no=wanted.order_no)
        if order["state"] not in CHANGEABLE:
            return orders.refusal({"code": "already_shipped"}, order_no=wanted.order_no)
        data = {
            "order_no": wanted.order_no,
            "address": wanted.address,
            "receiver": wanted.receiver or str(order["receiver"]),
            "phone": wanted.phone,
        }
        return Check("confirm_address", data)

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = AddressArguments.model_validate(dict(values))
        orders.require_account(context)
        receiver = wanted.receiver
        if not receiver:
            order = await orders.fetch_order(wanted.order_no, context)
            receiver = str(order.get("receiver", ""))
        answer = await context.orders.call(
            "change_address",
            {
                "customer": context.account, "order_no": wanted.order_no, "address": wanted.address,
                "receiver": receiver, "phone": wanted.phone, "idempotency_key": context.key,
            },
        )  # fmt: skip
        if not answer.get("ok"):
            return orders.refusal(answer, again=_AGAIN, order_no=wanted.order_no)
        data = {"order_no": wanted.order_no, "address": wanted.address, "receiver": receiver}
        return ToolResult(True, "changed", "address_done", data=data, order_no=wanted.order_no)

    def _take_receiver(self, heard: Heard) -> str | None:
        """ "" keeps the one of the order."""
        text = heard.text.strip(" 。.!！,，")
        if self._same.search(heard.plain):
            return ""
        if heard.question or not 1 <= len(text) <= 50 or any(mark.isdigit() for mark in text):
            return None
        return text


def _read_address(heard: Heard) -> str | None:
    """From where the address begins to the end of its clause: house numbers are often written with blanks."""
    found = heard.entities.get("address", ())
    if not found:
        return None
    start = heard.text.find(found[-1])
    whole = _CLAUSE.split(heard.text[start:])[0].strip() if start >= 0 else found[-1]
    return whole if _ADDRESS[0] <= len(whole) <= _ADDRESS[1] else None


def _amend_address(heard: Heard, address: str) -> str | None:
    """ "No, 302" for "… building 2, 301": the one number said replaces the number of the address that is most like it.

    None when it could stand for two of them, or is like none.
    """
    said = _NUMBER.findall(heard.text)
    if heard.question or len(said) != 1 or len(heard.plain) > AMENDMENT_LENGTH:
        return None
    places = [place for place in _NUMBER.finditer(address) if _is_like(place[0], said[0])]
    if len(places) != 1:
        return None
    number: str = said[0]
    return address[: places[0].start()] + number + address[places[0].end() :]


def _is_like(old: str, new: str) -> bool:
    """As long, and only one digit different."""
    return len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1


def _take_address(heard: Heard) -> str | None:
    text = _LEAD.sub("", heard.text.strip()).strip(" 。.!！")
    if heard.question or not _ADDRESS[0] <= len(text) <= _ADDRESS[1]:
        return None
    return text


def _read_phone(heard: Heard) -> str | None:
    found = heard.entities.get("phone", ())
    if found:
        return found[-1]
    match = _PHONE.fullmatch(heard.text.strip())
    return match[0] if match else None
