"""Cancels an order that has not shipped, after one confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agent.tools import orders
from agent.tools.contract import Arguments, Check, Option, Slot, ToolContext, ToolResult, Values
from agent.tools.words import Words

CANCELLABLE = frozenset({"unpaid", "paid"})
_AGAIN = {"not_found": "order_no"}


class CancelArguments(Arguments):
    order_no: str


class OrderCancel:
    name = "cancel_order"
    arguments = CancelArguments
    effect: Literal["read", "write"] = "write"
    does = "refund_to_original_means"

    def __init__(self, words: Words) -> None:
        self.slots = (
            Slot(
                "order_no", "ask_cancel_order", read=orders.read_order_no, offered=True,
                named=words.named["order_no"],
            ),
        )  # fmt: skip

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return await orders.order_options(context, states=CANCELLABLE, purpose="cancel")

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        wanted = CancelArguments.model_validate(dict(values))
        order = await orders.fetch_order(wanted.order_no, context)
        if not order.get("ok"):
            return orders.refusal(order, again=_AGAIN, order_no=wanted.order_no)
        if order["state"] not in CANCELLABLE:
            return orders.refusal({"code": "not_cancellable"}, order_no=wanted.order_no)
        refund = str(order["total"]) if order["state"] == "paid" else ""
        names = orders.item_names(order, context.language)
        data = {"order_no": wanted.order_no, "items": names, "refund_amount": refund}
        return Check("confirm_cancel", data, amount=refund)

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = CancelArguments.model_validate(dict(values))
        orders.require_account(context)
        answer = await context.orders.call(
            "cancel_order",
            {"customer": context.account, "order_no": wanted.order_no, "idempotency_key": context.key},
        )
        if not answer.get("ok"):
            return orders.refusal(answer, again=_AGAIN, order_no=wanted.order_no)
        data = {"order_no": wanted.order_no, "refund_amount": str(answer.get("refund_amount") or "")}
        return ToolResult(True, "cancelled", "cancel_done", data=data, order_no=wanted.order_no)
