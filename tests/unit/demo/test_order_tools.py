"""What each tool of the order system answers, through a real MCP session with a clock that the test moves."""

import asyncio
import re
from typing import Any

import pytest
from mcp import Client

from demo.shop import order_answers, order_server, return_policy
from demo.shop.order_book import OrderBook
from demo.shop.order_store import OrderStore
from tests.unit.demo.conftest import MovableClock, OpenShop

ADDRESS = {"address": "杭州市滨江区听涛路 9 号 2 幢", "receiver": "林小雨", "phone": "138 0000 1001"}
INVOICE = {
    "kind": "company",
    "title": "听雨设计有限公司",
    "tax_no": "91330100ma00000001",
    "email": "a@b.example",
}


def _asked(customer: str, order_no: str, *skus: str, reason: str = "change_of_mind") -> dict[str, Any]:
    return {"customer": customer, "order_no": order_no, "skus": list(skus), "reason": reason}


async def test_orders_come_newest_first_when_listed(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        listed = (await ask("list_orders", customer="demo1", limit=3))["orders"]
    moments = [order["placed_at"] for order in listed]
    assert moments == sorted(moments, reverse=True)
    assert [order["order_no"] for order in listed] == ["SQ2026010005", "SQ2026010007", "SQ2026010001"]


@pytest.mark.parametrize("limit", [-5, 0, 10_000])
async def test_list_stays_within_bounds_when_limit_is_absurd(open_shop: OpenShop, limit: int) -> None:
    async with open_shop() as ask:
        listed = (await ask("list_orders", customer="demo1", limit=limit))["orders"]
    assert 1 <= len(listed) <= 8


async def test_order_shows_timeline_and_masks_phone_when_read(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        order = await ask("get_order", customer="demo1", order_no="SQ2026010002")
    assert order["phone"] == "138****1001"
    assert order["amounts"] == {
        "goods": "588.00",
        "discount": "30.00",
        "delivery_fee": "0.00",
        "total": "558.00",
    }
    assert [event["event"] for event in order["events"]] == [
        "unpaid",
        "paid",
        "shipped",
        "in_transit",
        "out_for_delivery",
        "delivered",
    ]
    assert order["events"][-1]["text_en"] == "The parcel was signed for"
    # Signed on 18 May at noon in Shanghai: the 7th day after ends on the 25th at midnight there.
    assert order["return_deadline"] == "2026-05-25T15:59:59+00:00"


async def test_order_is_found_when_its_number_is_typed_carelessly(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        order = await ask("get_order", customer="demo1", order_no=" sq 2026 010002 ")
    assert order["order_no"] == "SQ2026010002"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_order", {}),
        ("check_return", {"skus": ["LP-010"], "reason": "quality"}),
        ("create_return", {"skus": ["LP-010"], "reason": "quality", "idempotency_key": "k"}),
        ("change_address", {**ADDRESS, "idempotency_key": "k"}),
        ("request_invoice", {**INVOICE, "idempotency_key": "k"}),
        ("cancel_order", {"idempotency_key": "k"}),
    ],
)
async def test_foreign_and_unknown_orders_answer_alike_when_asked_for(
    open_shop: OpenShop, tool: str, arguments: dict[str, Any]
) -> None:
    async with open_shop() as ask:
        foreign = await ask(tool, customer="demo2", order_no="SQ2026010002", **arguments)
        unknown = await ask(tool, customer="demo2", order_no="SQ9999999999", **arguments)
        injected = await ask(tool, customer="demo2", order_no="' OR 1=1 --", **arguments)
        nobody = await ask(tool, customer="nobody", order_no="SQ2026010002", **arguments)
        untouched = await ask("get_order", customer="demo1", order_no="SQ2026010002")
    assert foreign == unknown == injected == nobody
    assert foreign["code"] == "not_found"
    assert untouched["state"] == "delivered"


@pytest.mark.parametrize("tool", ["get_customer", "list_orders"])
async def test_answer_is_a_refusal_when_account_is_unknown(open_shop: OpenShop, tool: str) -> None:
    async with open_shop() as ask:
        answer = await ask(tool, customer="nobody")
    assert (answer["ok"], answer["code"]) == (False, "unknown_customer")


async def test_refusals_speak_the_customers_language_when_order_is_missing(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        chinese = await ask("get_order", customer="demo1", order_no="SQ0000000000")
        english = await ask("get_order", customer="demo2", order_no="SQ0000000000")
    assert chinese["message"].startswith("没有找到这个订单")
    assert english["message"].startswith("We could not find this order")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (_asked("demo1", "SQ2026010002", "LP-010"), (True, False, "within_window", "179.36", "shop")),
        (
            _asked("demo1", "SQ2026010002", "RC-300", "LP-010"),
            (True, False, "within_window", "558.00", "shop"),
        ),
        (_asked("demo2", "SQ2026010010", "BD-LTX"), (True, False, "within_window", "384.71", "customer")),
        (
            _asked("demo1", "SQ2026010003", "BD-150"),
            (True, True, "exception_needs_approval", "459.00", "shop"),
        ),
        (
            _asked("demo1", "SQ2026010003", "BD-150", reason="quality"),
            (True, False, "within_window", "459.00", "shop"),
        ),
        (_asked("demo1", "SQ2026010006", "CM-200"), (True, True, "amount_needs_approval", "2899.00", "shop")),
        (_asked("demo1", "SQ2026010006", "CM-DSC"), (False, False, "not_returnable", "0.00", "shop")),
        (
            _asked("demo1", "SQ2026010006", "CM-DSC", reason="damaged"),
            (True, False, "within_window", "59.00", "shop"),
        ),
        (_asked("zhaoyun", "SQ2026010017", "CT-CUS"), (False, False, "not_returnable", "0.00", "customer")),
        (_asked("demo1", "SQ2026010008", "PN-280"), (False, False, "outside_window", "0.00", "shop")),
        (
            _asked("demo1", "SQ2026010008", "PN-280", reason="quality"),
            (True, True, "exception_needs_approval", "169.00", "shop"),
        ),
        (
            _asked("wangjun", "SQ2026010030", "PN-280", reason="wrong_item"),
            (True, False, "within_window", "194.00", "shop"),
        ),
        (_asked("wangjun", "SQ2026010030", "PN-280"), (True, False, "within_window", "169.00", "customer")),
    ],
)
async def test_policy_decides_when_a_return_is_checked(
    open_shop: OpenShop, asked: dict[str, Any], expected: tuple[bool, bool, str, str, str]
) -> None:
    async with open_shop() as ask:
        answer = await ask("check_return", **asked)
    names = ("allowed", "needs_approval", "code", "refund_amount", "freight_by")
    assert tuple(answer[name] for name in names) == expected
    assert answer["message"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (_asked("demo1", "SQ2026010002", "LP-010", reason="because"), "unknown_reason"),
        (_asked("demo1", "SQ2026010002"), "no_items"),
        (_asked("demo1", "SQ2026010002", "CM-200"), "unknown_item"),
        (_asked("demo1", "SQ2026010001", "KT-170"), "not_delivered"),
        (_asked("demo1", "SQ2026010005", "DS-140"), "not_delivered"),
        (_asked("emilyroth", "SQ2026010040", "DS-120"), "closed"),
        (_asked("demo1", "SQ2026010004", "AF-500"), "already_requested"),
    ],
)
async def test_return_is_refused_with_a_code_when_the_question_cannot_be_decided(
    open_shop: OpenShop, asked: dict[str, Any], code: str
) -> None:
    async with open_shop() as ask:
        checked = await ask("check_return", **asked)
        created = await ask("create_return", **asked, idempotency_key="k")
    assert (checked["ok"], checked["code"]) == (False, code)
    assert (created["ok"], created["code"]) == (False, code)


async def test_return_window_closes_when_the_seventh_day_ends(
    open_shop: OpenShop, shop_clock: MovableClock
) -> None:
    asked = _asked("demo1", "SQ2026010002", "LP-010")
    async with open_shop() as ask:
        shop_clock.move(days=5, hours=11, minutes=59, seconds=59)
        last_second = await ask("check_return", **asked)
        shop_clock.move(seconds=1)
        too_late = await ask("check_return", **asked)
    assert last_second["code"] == "within_window"
    assert too_late["code"] == "exception_needs_approval"


async def test_return_is_created_once_when_the_same_key_comes_again_and_at_once(open_shop: OpenShop) -> None:
    wanted = {**_asked("demo1", "SQ2026010002", "LP-010"), "idempotency_key": "same"}
    async with open_shop() as ask:
        answers = await asyncio.gather(*(ask("create_return", **wanted) for _ in range(20)))
        order = await ask("get_order", customer="demo1", order_no="SQ2026010002")
    assert all(answer == answers[0] for answer in answers)
    assert re.fullmatch(r"RT\d{10}", answers[0]["return_no"])
    assert sum(event["event"] == "return_requested" for event in order["events"]) == 1


async def test_key_is_refused_when_reused_for_something_else(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        await ask("create_return", **_asked("demo1", "SQ2026010002", "LP-010"), idempotency_key="same")
        other = await ask(
            "create_return", **_asked("demo1", "SQ2026010002", "RC-300"), idempotency_key="same"
        )
        cancel = await ask("cancel_order", customer="demo1", order_no="SQ2026010005", idempotency_key="same")
    assert other["code"] == cancel["code"] == "key_reused"


async def test_keys_do_not_collide_when_two_customers_choose_the_same(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        first = await ask("cancel_order", customer="demo1", order_no="SQ2026010005", idempotency_key="k")
        second = await ask("cancel_order", customer="demo2", order_no="SQ2026010011", idempotency_key="k")
    assert (first["order_no"], second["order_no"]) == ("SQ2026010005", "SQ2026010011")


async def test_return_waits_for_a_person_when_approval_is_needed(open_shop: OpenShop) -> None:
    wanted = {**_asked("demo1", "SQ2026010003", "BD-150"), "idempotency_key": "exception"}
    async with open_shop() as ask:
        refused = await ask("create_return", **wanted)
        blank = await ask("create_return", **wanted, approved_by="  ")
        approved = await ask("create_return", **wanted, approved_by="supervisor:zhou")
    assert refused["code"] == blank["code"] == "needs_approval"
    assert refused["because"] == "exception_needs_approval"
    assert approved["ok"]


async def test_approval_cannot_override_when_policy_forbids(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        answer = await ask(
            "create_return",
            **_asked("demo1", "SQ2026010008", "PN-280"),
            idempotency_key="k",
            approved_by="supervisor:zhou",
        )
    assert (answer["ok"], answer["code"]) == (False, "outside_window")


async def test_rest_of_an_order_can_follow_when_one_item_is_returned(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        await ask("create_return", **_asked("demo1", "SQ2026010002", "LP-010"), idempotency_key="1")
        again = await ask("create_return", **_asked("demo1", "SQ2026010002", "LP-010"), idempotency_key="2")
        rest = await ask("create_return", **_asked("demo1", "SQ2026010002", "RC-300"), idempotency_key="3")
        order = await ask("get_order", customer="demo1", order_no="SQ2026010002")
    assert again["code"] == "already_requested"
    assert rest["refund_amount"] == "378.64"
    assert order["refund"]["amount"] == "558.00"


async def test_address_changes_when_order_has_not_shipped(open_shop: OpenShop) -> None:
    async with open_shop() as ask:
        changed = await ask(
            "change_address", customer="demo1", order_no="SQ2026010007", **ADDRESS, idempotency_key="k"
        )
        order = await ask("get_order", customer="demo1", order_no="SQ2026010007")
    assert changed["ok"]
    assert (order["address"], order["receiver"]) == (ADDRESS["address"], ADDRESS["receiver"])
    assert order["events"][-1]["event"] == "address_changed"


@pytest.mark.parametrize(
    ("order_no", "changes", "code"),
    [
        ("SQ2026010001", {}, "already_shipped"),
        ("SQ2026010007", {"address": "x"}, "invalid_address"),
        ("SQ2026010007", {"address": "长" * 201}, "invalid_address"),
        ("SQ2026010007", {"receiver": " "}, "invalid_receiver"),
        ("SQ2026010007", {"phone": "电话"}, "invalid_phone"),
        ("SQ2026010007", {"phone": "12"}, "invalid_phone"),
        ("SQ2026010007", {"idempotency_key": ""}, "invalid_key"),
    ],
)
async def test_address_stays_when_change_is_not_possible(
    open_shop: OpenShop, order_no: str, changes: dict[str, str], code: str
) -> None:
    async with open_shop() as ask:
        before = await ask("get_order", customer="demo1", order_no=order_no)
        arguments = {**ADDRESS, "idempotency_key": "k", **changes}
        answer = await ask("change_address", customer="demo1", order_no=order_no, **arguments)
        after = await ask("get_order", customer="demo1", order_no=order_no)
    assert (answer["ok"], answer["code"]) == (False, code)
    assert before == after


async def test_markup_in_an_address_is_kept_as_text_when_stored(open_shop: OpenShop) -> None:
    nasty = "<script>'); DROP TABLE orders;--</script>"
    async with open_shop() as ask:
        await ask(
            "change_address",
            customer="demo1",
            order_no="SQ2026010007",
            **{**ADDRESS, "address": nasty},
            idempotency_key="k",
        )
        order = await ask("get_order", customer="demo1", order_no="SQ2026010007")
    assert order["address"] == nasty


async def test_invoice_is_requested_once_when_order_was_paid(open_shop: OpenShop) -> None:
    wanted = {"customer": "demo1", "order_no": "SQ2026010002", **INVOICE}
    async with open_shop() as ask:
        first = await ask("request_invoice", **wanted, idempotency_key="1")
        repeated = await ask("request_invoice", **wanted, idempotency_key="1")
        second = await ask("request_invoice", **wanted, idempotency_key="2")
        not_signed = await ask(
            "request_invoice", **{**wanted, "order_no": "SQ2026010001"}, idempotency_key="3"
        )
    assert first == repeated
    assert (first["amount"], first["expected_by"]) == ("558.00", "2026-05-21T04:00:00+00:00")
    assert second["code"] == "already_invoiced"
    assert not_signed["expected_by"] is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": " "}, "invalid_title"),
        ({"tax_no": "123"}, "invalid_tax_no"),
        ({"tax_no": None}, "invalid_tax_no"),
        ({"email": "nowhere"}, "invalid_email"),
        ({"order_no": "SQ2026010005"}, "not_invoiceable"),
    ],
)
async def test_invoice_is_refused_when_its_data_is_wrong(
    open_shop: OpenShop, changes: dict[str, str | None], code: str
) -> None:
    wanted = {"customer": "demo1", "order_no": "SQ2026010002", **INVOICE, "idempotency_key": "k", **changes}
    async with open_shop() as ask:
        answer = await ask("request_invoice", **wanted)
    assert (answer["ok"], answer["code"]) == (False, code)


@pytest.mark.parametrize(
    ("customer", "order_no", "refund"),
    [("demo1", "SQ2026010005", "0.00"), ("demo2", "SQ2026010011", "899.00")],
)
async def test_order_is_cancelled_and_refunded_when_not_shipped(
    open_shop: OpenShop, customer: str, order_no: str, refund: str
) -> None:
    async with open_shop() as ask:
        cancelled = await ask("cancel_order", customer=customer, order_no=order_no, idempotency_key="k")
        repeated = await ask("cancel_order", customer=customer, order_no=order_no, idempotency_key="k")
        order = await ask("get_order", customer=customer, order_no=order_no)
    assert (cancelled["state"], cancelled["refund_amount"]) == ("cancelled", refund)
    assert repeated == cancelled
    assert (order["state"], order["eta"]) == ("cancelled", None)
    assert (order["refund"] or {}).get("state") == (None if refund == "0.00" else "refunding")


@pytest.mark.parametrize(
    ("customer", "order_no", "code"),
    [
        ("demo1", "SQ2026010001", "not_cancellable"),
        ("demo1", "SQ2026010003", "not_cancellable"),
        ("zhaoyun", "SQ2026010018", "not_cancellable"),
        ("zhaoyun", "SQ2026010016", "in_production"),
    ],
)
async def test_cancel_is_refused_when_too_late(
    open_shop: OpenShop, customer: str, order_no: str, code: str
) -> None:
    async with open_shop() as ask:
        answer = await ask("cancel_order", customer=customer, order_no=order_no, idempotency_key="k")
    assert (answer["ok"], answer["code"]) == (False, code)


async def test_tools_explain_themselves_when_listed(open_shop: OpenShop, tmp_path: Any) -> None:
    book = OrderBook(
        OrderStore(tmp_path / "empty.db"),
        return_policy.load_policy(order_server.SHOP / "policy.yaml"),
        wording=order_answers.load_wording(order_server.SHOP / "wording.yaml"),
        now=MovableClock(),
    )
    async with Client(order_server.build_server(book)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {
        "get_customer",
        "list_orders",
        "get_order",
        "check_return",
        "create_return",
        "change_address",
        "request_invoice",
        "cancel_order",
    }
    assert all(len(tool.description or "") > 60 for tool in tools.values())
    assert all("customer" in tool.input_schema["required"] for tool in tools.values())
