"""The order system as other processes meet it: over stdio, over HTTP, both at once, and after a restart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.demo.conftest import Ask, OpenShop

RETURN = {
    "customer": "demo1",
    "order_no": "SQ2026010002",
    "skus": ["LP-010"],
    "reason": "change_of_mind",
    "idempotency_key": "one-and-only",
}
INVOICE = {"kind": "personal", "title": "林小雨", "email": "lin@mail.example", "idempotency_key": "invoice-1"}


@pytest.fixture(params=["stdio", "http"])
def open_server(request: pytest.FixtureRequest, open_stdio: OpenShop, open_http: OpenShop) -> OpenShop:
    return open_stdio if request.param == "stdio" else open_http


async def _use_every_tool(ask: Ask) -> dict[str, Any]:
    demo1 = {"customer": "demo1"}
    address = {"address": "杭州市滨江区听涛路 9 号", "receiver": "林小雨", "phone": "13800001001"}
    return {
        "customer": await ask("get_customer", **demo1),
        "orders": await ask("list_orders", **demo1),
        "order": await ask("get_order", **demo1, order_no="SQ2026010002"),
        "check": await ask("check_return", **{k: v for k, v in RETURN.items() if k != "idempotency_key"}),
        "return": await ask("create_return", **RETURN),
        "address": await ask(
            "change_address", **demo1, order_no="SQ2026010007", **address, idempotency_key="addr"
        ),
        "invoice": await ask("request_invoice", **demo1, order_no="SQ2026010003", **INVOICE),
        "cancel": await ask("cancel_order", **demo1, order_no="SQ2026010005", idempotency_key="cancel"),
    }


async def test_every_tool_answers_when_called_by_another_process(
    open_server: OpenShop, tmp_path: Path
) -> None:
    async with open_server(tmp_path / "orders.db") as ask:
        answers = await _use_every_tool(ask)
        foreign = await ask("get_order", customer="demo2", order_no="SQ2026010002")
    assert [name for name, answer in answers.items() if not answer["ok"]] == []
    assert answers["customer"]["name"] == "林小雨"
    assert len(answers["orders"]["orders"]) == 8
    assert answers["return"]["refund_amount"] == "179.36"
    assert (foreign["ok"], foreign["code"]) == (False, "not_found")


async def test_data_is_kept_when_the_server_restarts(open_server: OpenShop, tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    async with open_server(database) as ask:
        created = await ask("create_return", **RETURN)
    async with open_server(database) as ask:
        order = await ask("get_order", customer="demo1", order_no="SQ2026010002")
        repeated = await ask("create_return", **RETURN)
    assert order["state"] == "return_requested"
    assert repeated == created


async def test_data_is_seeded_again_when_reset_is_asked(open_stdio: OpenShop, tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    async with open_stdio(database) as ask:
        await ask("create_return", **RETURN)
    async with open_stdio(database, "--reset") as ask:
        order = await ask("get_order", customer="demo1", order_no="SQ2026010002")
    assert order["state"] == "delivered"


async def test_one_return_is_created_when_two_processes_send_the_same_key_at_once(
    open_stdio: OpenShop, open_http: OpenShop, tmp_path: Path
) -> None:
    database = tmp_path / "orders.db"
    async with open_http(database) as over_http, open_stdio(database) as over_stdio:
        asks = [over_http, over_stdio] * 10
        answers = await asyncio.gather(*(ask("create_return", **RETURN) for ask in asks))
        order = await over_http("get_order", customer="demo1", order_no="SQ2026010002")
    assert {answer["return_no"] for answer in answers} == {answers[0]["return_no"]}
    assert sum(event["event"] == "return_requested" for event in order["events"]) == 1
    assert order["refund"] == {"state": "return_requested", "amount": "179.36"}
