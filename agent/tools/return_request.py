"""Returns items of an order: order, items, reason, the policy's answer read back, one confirmation, then the return.

The shop's system decides what is allowed; where it says a person has to agree first (an exception to the return policy, a large
amount), the confirmed request becomes an approval instead of a return.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

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

RETURNABLE = frozenset({"delivered", "completed", "return_requested"})
ON_THE_WAY_BACK = frozenset({"returned", "refunding"})
"""Delivered once; what may still go back is seen item by item."""
_AGAIN = {
    "not_found": "order_no", "unknown_item": "items", "no_items": "items", "unknown_reason": "reason",
}  # fmt: skip


class ReturnArguments(Arguments):
    order_no: str
    items: list[str] = Field(min_length=1)
    reason: str


class ReturnRequest:
    name = "return_request"
    arguments = ReturnArguments
    effect: Literal["read", "write"] = "write"
    does = "refund_to_original_means"

    def __init__(self, words: Words) -> None:
        named = words.named
        self._reasons = words.reason_options

        def read_reason(heard: Heard) -> str | None:
            return words.first(words.reasons, heard.plain)

        self.slots = (
            Slot(
                "order_no",
                "ask_return_order",
                read=orders.read_order_no,
                offered=True,
                named=named["order_no"],
            ),
            Slot(
                "items",
                "ask_return_items",
                offered=True,
                several=True,
                after=("order_no",),
                named=named["items"],
            ),
            Slot("reason", "ask_return_reason", read=read_reason, offered=True, named=named["reason"]),
        )

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        if slot == "order_no":
            return await orders.order_options(context, states=RETURNABLE, purpose="return")
        if slot == "reason":
            return self._reasons
        order_no = str(values["order_no"])
        answer = await orders.fetch_order(order_no, context)
        if not answer.get("ok"):
            return orders.refusal(answer, again=_AGAIN, order_no=order_no)
        items = [item for item in answer["items"] if not item.get("return_no")]
        if not items:
            return orders.refusal({"code": "already_requested"}, order_no=order_no)
        return [orders.item_option(item) for item in items]

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return await orders.unfit(values, context, states=RETURNABLE | ON_THE_WAY_BACK, code="not_delivered")

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        wanted = ReturnArguments.model_validate(dict(values))
        answer = await context.orders.call("check_return", _asked(wanted, context))
        if not answer.get("ok") or not answer.get("allowed"):
            return orders.refusal(answer, again=_AGAIN, order_no=wanted.order_no)
        needs = str(answer["code"]) if answer.get("needs_approval") else ""
        data = {
            "order_no": wanted.order_no,
            "items": await self._names(wanted, context),
            "reason": self._label(wanted.reason, context.language),
            "refund_amount": str(answer["refund_amount"]),
            "freight_by": str(answer["freight_by"]),
            "needs_approval": needs,
        }
        return Check("confirm_return", data, needs_approval=needs, amount=str(answer["refund_amount"]))

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = ReturnArguments.model_validate(dict(values))
        asked = {**_asked(wanted, context), "idempotency_key": context.key}
        if context.approved_by:
            asked["approved_by"] = context.approved_by
        answer = await context.orders.call("create_return", asked)
        if not answer.get("ok"):
            return orders.refusal(answer, again=_AGAIN, order_no=wanted.order_no)
        data = {
            "return_no": str(answer["return_no"]),
            "order_no": wanted.order_no,
            "refund_amount": str(answer["refund_amount"]),
            "freight_by": str(answer["freight_by"]),
        }
        return ToolResult(True, "requested", "return_done", data=data, order_no=wanted.order_no)

    def _label(self, reason: str, language: Literal["zh", "en"]) -> str:
        labels = {option["value"]: option[language] for option in self._reasons}
        return labels.get(reason, reason)

    async def _names(self, wanted: ReturnArguments, context: ToolContext) -> list[str]:
        order = await orders.fetch_order(wanted.order_no, context)
        return [
            str(item[f"name_{context.language}"])
            + (f" ×{item['quantity']}" if item.get("quantity", 1) > 1 else "")
            for item in order.get("items", [])
            if item["sku"] in wanted.items
        ]


def _asked(wanted: ReturnArguments, context: ToolContext) -> dict[str, Any]:
    orders.require_account(context)
    return {
        "customer": context.account,
        "order_no": wanted.order_no,
        "skus": list(wanted.items),
        "reason": wanted.reason,
    }
