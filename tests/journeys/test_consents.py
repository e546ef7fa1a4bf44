"""A customer whose staff, whose company's systems and who themselves say what their data may be used for; and what follows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foundation.outward.outbox import event_table
from tests.journeys.identities_world import KEY, MEI, TENANT, WANG, Shop
from tests.journeys.test_erasing_a_person import shop_in

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_in(tmp_path) as running:
        yield running


async def crm(shop: Shop, account: str, **row: Any) -> Any:
    row = {"identity": {"namespace": "account", "value": account}, **row}
    answer = await shop.product.client.post(
        "/v1/customers", json={"customers": [row]}, headers={"Authorization": f"Bearer {KEY}"}
    )
    return answer.json()["results"][0]


async def buys(shop: Shop, account: str, number: str) -> None:
    order = {
        "id": number, "type": "order", "channel": "shop", "at": shop.product.system.clock().isoformat(), "order_no": number,
        "amount": "88.00", "product": "lamp", "identity": {"namespace": "account", "value": account},
    }  # fmt: skip
    answer = await shop.product.client.post(
        "/v1/events", json={"events": [order]}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert answer.json()["accepted"] == 1, answer.text


async def told(shop: Shop) -> list[tuple[str, str, bool]]:
    query = (
        sa.select(event_table.c.data)
        .where(event_table.c.type == "customer.consent_changed")
        .order_by(event_table.c.id)
    )
    rows = await shop.product.system.database.read(lambda c: c.execute(query).scalars().all())
    return [(one["purpose"], one["state"], one["allowed"]) for one in map(json.loads, rows)]


async def test_refusing_a_purpose_has_its_effect_and_everybody_who_may_know_is_told(shop: Shop) -> None:
    mei = await shop.states("account", "mei", **MEI)
    wang = await shop.states("account", "wang", **WANG)
    await buys(shop, "mei", "HL-1")
    await buys(shop, "wang", "HL-2")
    await shop.hears("wechat_oa", "w1", ("wechat_oa:wx1", "oMei", True), ("account", "mei", True))
    path = f"/v1/customers/{mei}/consents"
    begun = await shop.get(path)
    assert {one["purpose"]: one["allowed"] for one in begun["consents"]} == {
        "service": True, "quality": True, "profiling": True, "marketing": False, "training": True, "guardian": False,
    }  # fmt: skip
    assert (begun["child"], begun["history"]) == (False, [])
    assert (await shop.get(f"/v1/customers/{mei}"))["risks"]

    async def put(**body: str) -> Any:
        return await shop.product.call("PUT", path, body)

    for body, code in (
        ({"purpose": "profiling", "state": "refused"}, "reason_missing"),
        ({"purpose": "selling", "state": "refused", "reason": "x"}, "unknown_purpose"),
        ({"purpose": "profiling", "state": "perhaps", "reason": "x"}, "bad_consent_state"),
        ({"purpose": "service", "state": "refused", "reason": "x"}, "service_needed"),
    ):
        answer = await put(**body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert (await shop.get(path))["history"] == []

    answer = await put(purpose="profiling", state="refused", reason="said so on the phone")
    done = {one["purpose"]: one for one in answer.json()["consents"]}
    assert (done["profiling"]["allowed"], done["profiling"]["said"]["source"]) == (False, "staff")
    judged = await shop.get(f"/v1/customers/{mei}")
    assert (judged["judged"], judged["risks"], judged["value"]["orders"], judged["interests"]) == (
        False,
        {},
        0,
        [],
    )
    assert {one["attribute"] for one in judged["facts"]} >= {"name", "phone"}, "the service's data stays"
    assert (await shop.get(f"/v1/customers/{wang}"))["judged"], "nobody else's changes"
    night = await shop.product.system.customers.nightly.run(TENANT)
    assert night is not None
    assert night.people == 1

    row = await crm(shop, "mei", consents={"marketing": "granted", "training": "refused"})
    assert [part["attribute"] for part in row["facts"]] == ["consent.marketing", "consent.training"]
    assert (await crm(shop, "mei", consents={"selling": "granted"}))["reason"] == "bad_consents"
    assert (await crm(shop, "mei", consents={"service": "refused"}))["reason"] == "bad_consents"
    objectors = shop.product.system.customers.consenting.known.objectors
    left_out = await shop.product.system.database.read(lambda c: objectors(c, TENANT, "training"))
    assert mei in left_out
    assert wang not in left_out

    assert await told(shop) == [
        ("profiling", "refused", False), ("marketing", "granted", True), ("training", "refused", False),
    ]  # fmt: skip
    assert (await shop.audited()).count("privacy.consent_changed") == 1
    history = (await shop.get(path))["history"]
    assert [(one["purpose"], one["source"]) for one in history] == [
        ("training", "crm"), ("marketing", "crm"), ("profiling", "staff"),
    ]  # fmt: skip


async def test_merge_brings_a_refusal_along_and_a_split_takes_it_back(shop: Shop) -> None:
    mei = await shop.states("account", "mei", **MEI)
    other = await shop.states("crm", "77", name="林小雨")
    await crm(shop, "mei", consents={"profiling": "refused"})
    before = await shop.get(f"/v1/customers/{other}")
    assert before["judged"]
    linked = await shop.post("/v1/identities/link", one=mei, other=other, reason="same name and address")
    merged = await shop.get(f"/v1/customers/{other}/consents")
    [profiling] = [one for one in merged["consents"] if one["purpose"] == "profiling"]
    assert (profiling["allowed"], merged["customer_id"]) == (False, linked["customer_id"])
    assert not (await shop.get(f"/v1/customers/{other}"))["judged"]
    await shop.post("/v1/identities/split", identities=[other], reason="they are two")
    assert (await shop.get(f"/v1/customers/{other}")) == before
    assert not (await shop.get(f"/v1/customers/{mei}"))["judged"]


async def said(shop: Shop, talk: str) -> str:
    """The bot's newest line there."""
    lines = (await shop.get(f"/v1/desk/conversations/{talk}"))["messages"]
    return str([one["text"] for one in lines if one["role"] == "bot"][-1])


async def test_customer_hears_what_is_known_and_refuses_a_use_in_the_chat(shop: Shop) -> None:
    mei = await shop.states("account", "mei", **MEI)
    wang = await shop.states("crm", "wang-77", **WANG)
    await shop.post("/v1/identities/link", one=mei, other=wang, reason="staff think so")
    await buys(shop, "mei", "HL-1")
    browser = ("web_chat:site", "visitor-1", True)
    account = ("account", "mei", True)

    stranger = await shop.hears("web_chat", "t0", ("email", "who@nowhere.cn", False), text="你们知道我什么")
    assert "网页" in await said(shop, stranger)
    await shop.hears("web_chat", "t0", ("email", "who@nowhere.cn", False), text="不要给我做画像")
    assert "登录" in await said(shop, stranger), "nobody refuses for somebody they only say they are"

    talk = await shop.hears("web_chat", "t1", browser, text="你们有我的哪些信息？")
    told_little = await said(shop, talk)
    assert "登录或验证身份后" in told_little
    assert "订单记录" not in told_little
    await shop.hears("web_chat", "t1", browser, text="我同意用于模型训练")
    assert "登录" in await said(shop, talk), "agreeing needs more proof than refusing"
    await shop.hears("web_chat", "t1", browser, text="请不要给我做画像")
    assert "个性化画像" in await said(shop, talk)
    await shop.hears("web_chat", "t1", browser, text="确认")
    assert "已经停止：个性化画像" in await said(shop, talk)

    await shop.hears("web_chat", "t1", browser, account, text="What do you know about me?")
    whole = await said(shop, talk)
    assert "Orders seen: 1" in whole, whole
    assert "Contacts: " in whole or "After signing in" in whole
    assert not [one for one in (*MEI.values(), *WANG.values()) if one in whole]
    assert "company" not in whole
    assert "profiling" in whole.partition("Not used for:")[2], (
        "what the browser refused holds for whoever is likely behind it"
    )
    await shop.hears("web_chat", "t1", browser, account, text="please do not use my chats for training")
    await shop.hears("web_chat", "t1", browser, account, text="confirm")
    assert "we have stopped: training our models" in await said(shop, talk)
    history = (await shop.get(f"/v1/customers/{mei}/consents"))["history"]
    assert [(one["purpose"], one["source"], one["identity_id"] == mei) for one in history] == [
        ("training", "chat", True), ("profiling", "chat", False),
    ]  # fmt: skip
