"""What the tools share about orders: choosing one, reading the shop's answers, and what they mean for a customer.

Pure but for `fetch_orders` and `fetch_order`, which call the order system for the proven account. Times arrive as UTC in
ISO 8601 and are shown in the shop's time zone by the replies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from agent.tools.contract import Heard, Option, ToolContext, ToolResult, Values
from customers.proof.levels import Allowed
from foundation import errors

SHOWN = 6
"""Orders offered at once: what fits on a phone, and into the numbers people type."""

SHOP_ZONE = ZoneInfo("Asia/Shanghai")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Order = Mapping[str, Any]


def require_account(context: ToolContext) -> None:
    if not context.account or not isinstance(context.decide(), Allowed):
        raise errors.NotPermitted("Please sign in first.", code="sign_in")


async def fetch_orders(context: ToolContext, *, limit: int = 30) -> list[Order]:
    require_account(context)
    answer = await context.orders.call("list_orders", {"customer": context.account, "limit": limit})
    orders = answer.get("orders", [])
    return [order for order in orders if isinstance(order, dict)] if answer.get("ok") else []


async def fetch_order(order_no: str, context: ToolContext) -> dict[str, Any]:
    """The shop's own answer, with its `ok`; a stranger's order and no order answer the same."""
    require_account(context)
    return await context.orders.call("get_order", {"customer": context.account, "order_no": order_no})


async def order_options(
    context: ToolContext, *, states: Collection[str], purpose: str
) -> Sequence[Option] | ToolResult:
    """Orders in these states, newest first; the reply that there is none for this `purpose`."""
    orders = [order for order in await fetch_orders(context) if order.get("state") in states]
    if not orders:
        return nothing(purpose)
    return [as_option(order) for order in orders[:SHOWN]]


async def unfit(
    values: Values, context: ToolContext, *, states: Collection[str], code: str
) -> ToolResult | None:
    """The refusal for an order in another state, or for one that does not exist; None while no order is known."""
    order_no = str(values.get("order_no", ""))
    if not order_no:
        return None
    order = await fetch_order(order_no, context)
    if not order.get("ok"):
        return refusal(order, again={"not_found": "order_no"}, order_no=order_no)
    if order["state"] in states:
        return None
    closed = order["state"] in ("cancelled", "refunded")
    return refusal({"code": "closed" if closed else code}, order_no=order_no)


def nothing(purpose: str) -> ToolResult:
    return ToolResult(False, "no_order", "no_order", data={"purpose": purpose})


def moment(value: object) -> dict[str, Any] | None:
    """The parts of a point in time, in the shop's time zone, from which a reply makes its own form."""
    if not isinstance(value, str) or not value:
        return None
    local = datetime.fromisoformat(value).astimezone(SHOP_ZONE)
    return {
        "month": local.month,
        "month_name": MONTHS[local.month - 1],
        "day": local.day,
        "time": f"{local:%H:%M}",
    }


def as_option(order: Order) -> Option:
    return Option(
        value=str(order["order_no"]),
        zh=f"{order['order_no']} {'、'.join(item_names(order, 'zh'))}",
        en=f"{order['order_no']} {', '.join(item_names(order, 'en'))}",
    )


def item_names(order: Order, language: str) -> list[str]:
    return [str(item[f"name_{language}"]) for item in order.get("items", [])]


def item_option(item: Mapping[str, Any]) -> Option:
    return Option(value=str(item["sku"]), zh=str(item["name_zh"]), en=str(item["name_en"]))


def read_order_no(heard: Heard) -> str | None:
    """The last one named: "not …01, I mean …02"."""
    numbers = heard.entities.get("order_no", ())
    return numbers[-1].upper() if numbers else None


def refusal(answer: Mapping[str, Any], *, again: Mapping[str, str] = {}, order_no: str = "") -> ToolResult:
    """The shop said no. `again` maps codes to the slot whose value is to blame."""
    code = str(answer.get("code", "refused"))
    return ToolResult(
        False, code, "shop_refusal",
        data={"code": code, "message": str(answer.get("message", "")), "order_no": order_no},
        again=again.get(code, ""), order_no=order_no,
    )  # fmt: skip
