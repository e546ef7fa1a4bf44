"""The explicit list of tools. A new one: a module beside this file, and one line here; the contract suite finds it."""

from __future__ import annotations

from collections.abc import Mapping

from agent.tools import words
from agent.tools.address_change import AddressChange
from agent.tools.contract import Tool
from agent.tools.human import Human
from agent.tools.invoice_request import InvoiceRequest
from agent.tools.order_cancel import OrderCancel
from agent.tools.order_status import OrderStatus
from agent.tools.own_data.about_me import AboutMe
from agent.tools.own_data.consent_change import ConsentChange
from agent.tools.return_request import ReturnRequest
from agent.tools.verification import Verification


def build(language: words.Words) -> Mapping[str, Tool]:
    tools: tuple[Tool, ...] = (
        OrderStatus(named=language.named["order_no"]),
        ReturnRequest(language),
        AddressChange(language),
        InvoiceRequest(language),
        OrderCancel(language),
        Human(),
        Verification(language),
        ConsentChange(language, agrees=False),
        ConsentChange(language, agrees=True),
        AboutMe(),
    )
    return {tool.name: tool for tool in tools}
