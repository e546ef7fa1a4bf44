"""What every tool promises, asked of each line of the registry with the demo shop's order book behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.tools.contract import ToolResult
from customers.proof import levels
from foundation import errors
from prompts.library import FOLDER
from prompts.source import parse
from tests.unit.agent.shop_tools import TOOLS, Away, Shop, context

ADDRESS = {
    "order_no": "SQ2026010007", "address": "杭州市滨江区听涛路 9 号", "receiver": "李雷", "phone": "13900001111",
}  # fmt: skip
GOOD: Mapping[str, dict[str, Any]] = {
    "order_status": {"order_no": "SQ2026010001"},
    "return_request": {"order_no": "SQ2026010002", "items": ["LP-010"], "reason": "quality"},
    "address_change": ADDRESS,
    "invoice_request": {
        "order_no": "SQ2026010002", "kind": "company", "title": "杭州听雨设计有限公司",
        "tax_no": "91330100MA00000001", "email": "a@b.example",
    },
    "cancel_order": {"order_no": "SQ2026010007"},
    "human": {},
    "verification": {},
    "consent_refuse": {"purpose": "profiling"},
    "consent_give": {"purpose": "profiling"},
    "about_me": {},
}  # fmt: skip
ABOUT_THEMSELVES = ("consent_refuse", "consent_give", "about_me")
READING_SHOP = [name for name in TOOLS if name not in ("human", "verification", *ABOUT_THEMSELVES)]
WRITING = [name for name in READING_SHOP if TOOLS[name].effect == "write"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_the_suite_knows_every_tool() -> None:
    assert set(GOOD) == set(TOOLS)
    assert {name for name in TOOLS} == {tool.name for tool in TOOLS.values()}


@pytest.mark.parametrize("name", TOOLS)
def test_what_it_does_stands_in_the_table_of_levels(name: str) -> None:
    needed = levels.actions()[TOOLS[name].does].level
    assert needed is not None
    assert (needed >= levels.Level.CODE) == (name in READING_SHOP or name == "consent_give")


@pytest.mark.parametrize("name", TOOLS)
def test_arguments_are_strict(name: str) -> None:
    model = TOOLS[name].arguments
    model.model_validate(GOOD[name])
    with pytest.raises(ValidationError):
        model.model_validate({**GOOD[name], "customer": "demo2"})
    for argument in GOOD[name]:
        with pytest.raises(ValidationError):
            model.model_validate({**GOOD[name], argument: 7})


@pytest.mark.parametrize("name", TOOLS)
def test_no_argument_says_who_the_customer_is(name: str) -> None:
    assert not {"customer", "account", "user"} & set(TOOLS[name].arguments.model_fields)


@pytest.mark.parametrize("name", TOOLS)
def test_everything_it_says_is_a_reply_file_in_both_languages(name: str) -> None:
    for slot in TOOLS[name].slots:
        reply = f"replies/{slot.ask}"
        source = parse(reply, (FOLDER / f"{reply}.md").read_text(encoding="utf-8"))
        assert source.body("zh").text
        assert source.body("en").text


@pytest.mark.parametrize("name", READING_SHOP)
async def test_it_is_not_permitted_when_no_account_is_proven(name: str, shop: Shop) -> None:
    with pytest.raises(errors.NotPermitted):
        await TOOLS[name].run(GOOD[name], context(shop, account=""))
    assert shop.calls == []


@pytest.mark.parametrize("name", READING_SHOP)
async def test_the_proven_account_is_bound_when_it_calls(name: str, shop: Shop) -> None:
    await TOOLS[name].run(GOOD[name], context(shop))
    assert shop.calls
    assert {arguments["customer"] for _, arguments in shop.calls} == {"demo1"}


@pytest.mark.parametrize("name", READING_SHOP)
async def test_a_strangers_order_is_not_found_when_it_is_named(name: str, shop: Shop) -> None:
    result = await TOOLS[name].run(GOOD[name], context(shop, account="demo2"))
    assert (result.ok, result.code) == (False, "not_found")
    assert "message" in result.data


@pytest.mark.parametrize("name", WRITING)
async def test_checking_changes_nothing(name: str, shop: Shop) -> None:
    checked = await TOOLS[name].check(GOOD[name], context(shop))
    assert not isinstance(checked, ToolResult)
    assert shop.changes() == []


@pytest.mark.parametrize("name", WRITING)
async def test_it_is_done_once_when_the_same_key_comes_again(name: str, shop: Shop) -> None:
    first = await TOOLS[name].run(GOOD[name], context(shop, key="c/1/x"))
    again = await TOOLS[name].run(GOOD[name], context(shop, key="c/1/x"))
    other = await TOOLS[name].run(GOOD[name], context(shop, key="c/2/x"))
    assert first.ok
    assert first == again
    assert name == "address_change" or not other.ok


@pytest.mark.parametrize("name", WRITING)
async def test_a_refusal_is_safe_for_customers_when_the_shop_says_no(name: str, shop: Shop) -> None:
    """An order that is on its way cannot be returned, redirected or cancelled; an unpaid one cannot be invoiced."""
    order_no = "SQ2026010005" if name == "invoice_request" else "SQ2026010001"
    result = await TOOLS[name].run(
        {**GOOD[name], "order_no": order_no, **_of_that_order(name)}, context(shop)
    )
    assert (result.ok, result.reply) == (False, "shop_refusal")
    assert set(result.data) == {"code", "message", "order_no"}


@pytest.mark.parametrize("name", READING_SHOP)
async def test_an_absent_order_system_is_a_named_error(name: str) -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await TOOLS[name].run(GOOD[name], context(Away()))


def _of_that_order(name: str) -> dict[str, Any]:
    return {"items": ["KT-170"]} if name == "return_request" else {}
