"""Requests the electronic invoice of a paid order: order, personal or company, title, tax number, e-mail, confirmation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

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

INVOICEABLE = frozenset(
    {
        "paid",
        "shipped",
        "in_transit",
        "out_for_delivery",
        "delivered",
        "completed",
        "exception",
        "return_requested",
        "returned",
        "refunding",
    }
)
_EMAIL = re.compile(r"[^@\s,，。;；]{1,64}@[^@\s.,，。;；]+(?:\.[a-zA-Z0-9-]+)+")
_TAX_NO = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{18}(?![0-9A-Za-z])")
_COMPANY = re.compile(
    r"[\u4e00-\u9fffA-Za-z0-9()（）&·]{2,60}?(?:有限公司|股份公司|有限责任公司|事务所|合伙企业|集团|研究院|大学|医院)"
)
_LEAD = re.compile(r"^(抬头|名称|公司名称?|title|name|name it)(是|为|写|开|:|：| is)?[:：\s]*", re.I)
_ASKING = re.compile(
    r"^(我?要?(请)?(帮我)?(开|需要)?(张|一张)?发?票?,?)?(抬头|公司|单位)?(是|为|写|开|叫|:)?"
)
_AGAIN = {
    "not_found": "order_no", "invalid_kind": "kind", "invalid_title": "title", "invalid_tax_no": "tax_no",
    "invalid_email": "email",
}  # fmt: skip


class InvoiceArguments(Arguments):
    order_no: str
    kind: Literal["personal", "company"]
    title: str
    email: str
    tax_no: str | None = None


class InvoiceRequest:
    name = "invoice_request"
    arguments = InvoiceArguments
    effect: Literal["read", "write"] = "write"
    does = "order_invoice"

    def __init__(self, words: Words) -> None:
        named = words.named
        self._kinds = words.kind_options

        def read_kind(heard: Heard) -> str | None:
            if _company_in(heard) or heard.entities.get("tax_no"):
                return "company"
            return words.first(words.kinds, heard.plain)

        self.slots = (
            Slot("order_no", "ask_invoice_order", read=orders.read_order_no, offered=True, named=named["order_no"]),
            Slot("kind", "ask_invoice_kind", read=read_kind, offered=True, named=named["kind"]),
            Slot("title", "ask_invoice_title", read=_company_in, read_answer=_take_title, named=named["title"]),
            Slot(
                "tax_no", "ask_tax_no", read=_read_tax_no, named=named["tax_no"],
                when=lambda values: values.get("kind") == "company",
            ),
            Slot("email", "ask_email", read=_read_email, named=named["email"]),
        )  # fmt: skip

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        if slot == "kind":
            return self._kinds
        return await orders.order_options(context, states=INVOICEABLE, purpose="invoice")

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return await orders.unfit(values, context, states=INVOICEABLE, code="not_invoiceable")

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        wanted = _arguments(values)
        order = await orders.fetch_order(wanted.order_no, context)
        if not order.get("ok"):
            return orders.refusal(order, again=_AGAIN, order_no=wanted.order_no)
        if order["state"] not in INVOICEABLE:
            return orders.refusal({"code": "not_invoiceable"}, order_no=wanted.order_no)
        data = {
            **wanted.model_dump(),
            "tax_no": wanted.tax_no or "",
            "amount": str(order["amounts"]["total"]),
        }
        return Check("confirm_invoice", data)

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = _arguments(values)
        orders.require_account(context)
        asked: dict[str, Any] = {
            "customer": context.account, "order_no": wanted.order_no, "kind": wanted.kind, "title": wanted.title,
            "email": wanted.email, "idempotency_key": context.key,
        }  # fmt: skip
        if wanted.tax_no:
            asked["tax_no"] = wanted.tax_no
        answer = await context.orders.call("request_invoice", asked)
        if not answer.get("ok"):
            return orders.refusal(answer, again=_AGAIN, order_no=wanted.order_no)
        data = {
            "invoice_no": str(answer["invoice_no"]), "order_no": wanted.order_no, "amount": str(answer["amount"]),
            "email": wanted.email, "expected_by": orders.moment(answer.get("expected_by")),
        }  # fmt: skip
        return ToolResult(True, "requested", "invoice_done", data=data, order_no=wanted.order_no)


def _arguments(values: Values) -> InvoiceArguments:
    """A tax number that was given before "personal, rather" does not go along."""
    known = dict(values)
    if known.get("kind") != "company":
        known.pop("tax_no", None)
    return InvoiceArguments.model_validate(known)


def _company_in(heard: Heard) -> str | None:
    found = _COMPANY.search(_LEAD.sub("", heard.text.strip()))
    if not found:
        return None
    name = _ASKING.sub("", found[0])
    return name if len(name) > 4 else None


def _take_title(heard: Heard) -> str | None:
    text = _LEAD.sub("", heard.text.strip()).strip(' 。.!！"“”')
    if heard.question or not 1 <= len(text) <= 100 or "@" in text or _TAX_NO.fullmatch(text):
        return None
    return text


def _read_tax_no(heard: Heard) -> str | None:
    found = _TAX_NO.search(heard.text)
    return found[0].upper() if found and any(mark.isdigit() for mark in found[0]) else None


def _read_email(heard: Heard) -> str | None:
    found = _EMAIL.search(heard.text)
    return found[0] if found else None
