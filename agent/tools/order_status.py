"""Where is my order, and where is my money: reads one order of the proven account, changes nothing.

The intent decides which orders are offered first: those on their way, or those with a refund.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agent.tools import orders
from agent.tools.contract import Arguments, Check, Option, Slot, ToolContext, ToolResult, Values

REFUND_STATES = frozenset({"return_requested", "returned", "refunding", "refunded"})
OPEN_STATES = frozenset({"unpaid", "paid", "shipped", "in_transit", "out_for_delivery", "exception"})


class OrderStatusArguments(Arguments):
    order_no: str


class OrderStatus:
    name = "order_status"
    arguments = OrderStatusArguments
    effect: Literal["read", "write"] = "read"
    does = "order_status"

    def __init__(self, *, named: re.Pattern[str]) -> None:
        self.slots = (
            Slot("order_no", "ask_which_order", read=orders.read_order_no, offered=True, named=named),
        )

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        """The orders the question can be about; all of them when there is none in such a state."""
        wanted = REFUND_STATES if context.intent == "refund_status" else OPEN_STATES
        found = await orders.fetch_orders(context)
        if not found:
            return orders.nothing("any")
        first = [order for order in found if order.get("state") in wanted]
        if context.intent == "refund_status" and not first:
            return orders.nothing("refund")
        rest = [order for order in found if order.get("state") not in wanted]
        shown = first if first else rest
        return [orders.as_option(order) for order in shown[: orders.SHOWN]]

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        return Check("order_status", {})

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = OrderStatusArguments.model_validate(dict(values))
        answer = await orders.fetch_order(wanted.order_no, context)
        if not answer.get("ok"):
            return orders.refusal(answer, again={"not_found": "order_no"}, order_no=wanted.order_no)
        return ToolResult(
            True,
            "found",
            "order_status",
            data=_shown(answer, context.language),
            order_no=str(answer["order_no"]),
        )


def _shown(order: Mapping[str, Any], language: str) -> dict[str, Any]:
    events = order.get("events") or []
    last = events[-1] if events else {}
    refund = order.get("refund") or {}
    return {
        "order_no": order["order_no"],
        "state": order["state"],
        "items": orders.item_names(order, language),
        "carrier": order.get(f"carrier_{language}") or "",
        "tracking_no": order.get("tracking_no") or "",
        "eta": orders.moment(order.get("eta")),
        "signed_at": orders.moment(order.get("signed_at")),
        "total": str(order.get("total", "")),
        "refund_state": refund.get("state") or "",
        "refund_amount": str(refund.get("amount") or ""),
        "news": str(last.get(f"text_{language}") or ""),
        "news_at": orders.moment(last.get("at")),
    }
