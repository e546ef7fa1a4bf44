"""A customer asks for everything that is kept about them: staff make the copy, it holds their words and nobody else's, and it is
gone when they are erased or the week is over."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from customers.privacy import copies
from foundation import errors
from operations.staff import Member
from service.remotely import privacy as commands
from tests.journeys.identities_world import TENANT, Shop
from tests.journeys.test_erasing_a_person import (
    ACCOUNT,
    FILE,
    MAIL,
    NAME,
    OPENID,
    ORDER,
    STRANGER,
    WORDS,
    Search,
    erased,
    live,
    shop_in,
)  # fmt: skip

GIVEN = (NAME, "13705718839", MAIL, ACCOUNT, OPENID, ORDER, "琥珀色", "黄昏", "tangerine parasol", "薄荷信封")
"""Of the words that only this person has, those that a copy must hold."""


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_in(tmp_path) as running:
        yield running


async def made(shop: Shop, customer: str, reason: str = "asked at the counter") -> Any:
    return (await shop.post(f"/v1/customers/{customer}/exports", reason=reason))["export"]


async def download(shop: Shop, export: str, format: str, language: str = "zh") -> Any:
    answer = await shop.product.call(
        "GET", f"/v1/privacy/exports/{export}?format={format}&language={language}"
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert f'filename="{export}.{format}"' in answer.headers["content-disposition"]
    return answer


async def test_copy_holds_what_is_kept_of_them_and_nothing_of_anybody_else(shop: Shop) -> None:
    await shop.hears("wechat_oa", "w2", ("wechat_oa:wx1", "oStranger", True), text=f"我是{STRANGER}")
    await shop.states("account", "stranger-1", name=STRANGER)
    customer, talks = await live(shop)
    export = await made(shop, customer)
    look = (await shop.post(f"/v1/customers/{customer}/erasures", preview=True))["preview"]["counts"]
    given = {part.table for part in copies.plan().given}
    assert export["counts"] == {table: rows for table, rows in look.items() if table in given}
    found = (await download(shop, export["id"], "json")).json()
    text = json.dumps(found, ensure_ascii=False)
    assert [word for word in GIVEN if word not in text] == []
    assert STRANGER not in text
    assert "stranger" not in text
    assert {one["id"] for one in found["data"]["conversation"]} == set(talks)
    lines = [one for one in found["data"]["message"] if one["conversation_id"] == talks[1]]
    assert [one["role"] for one in lines][:2] == ["customer", "bot"]
    assert found["withheld"] == {"conversations": 0}
    assert set(found["left_out"]) == set(copies.plan().left_out)


async def test_copy_is_a_page_in_two_languages_and_an_archive_with_the_files(shop: Shop) -> None:
    customer, _ = await live(shop)
    await shop.hears(
        "web_chat", "amber", ("web_chat:site", "visitor-amber", True), ("account", ACCOUNT, True), text="<script>alert(1)</script>"
    )  # fmt: skip
    export = await made(shop, customer)
    for language, told in (
        ("zh", ("您的个人信息副本", "微信公众号", "商城账号", "智能助手", '<dd dir="auto">进行中</dd>')),
        ("en", ("A copy of your personal data", "Shop account", "Assistant", '<dd dir="auto">open</dd>')),
    ):
        answer = await download(shop, export["id"], "html", language)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert [word for word in told if word not in answer.text] == []
        assert [word for word in GIVEN if word not in answer.text] == []
        assert "\\u" not in answer.text
        assert ("<script" in answer.text, "&lt;script&gt;" in answer.text) == (False, True)
    packed = zipfile.ZipFile(io.BytesIO((await download(shop, export["id"], "zip")).content))
    assert packed.namelist() == ["data.json", "copy.zh.html", "copy.en.html", "files/001-琥珀色.txt"]
    assert packed.read("files/001-琥珀色.txt").decode() == FILE
    assert json.loads(packed.read("data.json"))["format"] == "huiliu personal copy"


async def test_conversation_in_which_somebody_else_has_proven_an_account_is_not_given(shop: Shop) -> None:
    customer, talks = await live(shop)
    other = await shop.hears(
        "web_chat",
        "amber",
        ("web_chat:site", "visitor-amber", True),
        ("account", "sister-1", True),
        text="我的礼物是秘密",
    )
    assert other == talks[0], "one browser, two people"
    found = (await download(shop, (await made(shop, customer))["id"], "json")).json()
    assert found["withheld"] == {"conversations": 1}
    assert talks[0] not in {one["id"] for one in found["data"]["conversation"]}
    assert "秘密" not in json.dumps(found, ensure_ascii=False)


async def test_copy_is_gone_with_the_customer_and_after_a_week(shop: Shop) -> None:
    customer, _ = await live(shop)
    export = await made(shop, customer, reason=f"{NAME} asked")
    assert [one["id"] for one in (await shop.get("/v1/privacy/exports"))["exports"]] == [export["id"]]
    assert (await shop.get(f"/v1/privacy/exports/{export['id']}"))["export"] == export
    await erased(shop, customer)
    assert (await shop.get("/v1/privacy/exports"))["exports"] == []
    assert await Search(shop).tables(WORDS) == {}
    again = await shop.states("crm", "77", city="杭州")
    export = await made(shop, again)
    side = shop.product.system.customers
    later = shop.product.system.clock() + timedelta(days=7, seconds=1)
    side.copying._clock = side.nightly._clock = lambda: later
    assert (await shop.get("/v1/privacy/exports"))["exports"] == []
    answer = await shop.product.call("GET", f"/v1/privacy/exports/{export['id']}?format=json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_copy")
    assert "personal_copy" in await Search(shop).tables([again])
    assert await side.nightly.run(TENANT)
    assert "personal_copy" not in await Search(shop).tables([again]), "the night takes it away"


async def test_what_cannot_be_done_is_said(shop: Shop) -> None:
    customer, _ = await live(shop)
    assert await shop.refused(f"/v1/customers/{customer}/exports", reason=" ") == (422, "reason_missing")
    assert await shop.refused("/v1/customers/nobody/exports", reason="x") == (404, "unknown_identity")
    export = await made(shop, customer)
    for asked in ("format=pdf", "format=html&language=fr"):
        answer = await shop.product.call("GET", f"/v1/privacy/exports/{export['id']}?{asked}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_copy_format")
    agent = Member(TENANT, "ann", "ann", "Ann", "agent")
    with pytest.raises(errors.NotPermitted):
        await shop.product.system.customers.copying.download(agent, export["id"])
    stranger = Member("other", "bob", "bob", "Bob", "admin")  # type: ignore[arg-type]
    with pytest.raises(errors.NotFound):
        await shop.product.system.customers.copying.download(stranger, export["id"])


async def test_terminal_writes_a_new_file_that_only_its_owner_reads(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    customer, _ = await live(shop)
    settings, file = shop.product.system.settings, tmp_path / "copy.zip"
    await commands.export(settings, customer, file, reason="by letter", identity="", language="en")
    assert "conversation 3" in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    assert "data.json" in zipfile.ZipFile(file).namelist()
    for name in (file, tmp_path / "copy.pdf"):
        with pytest.raises(errors.InvalidInput) as refused:
            await commands.export(settings, customer, name, reason="by letter", identity="", language="en")
        assert refused.value.code == "bad_file_name"
    assert len((await shop.get("/v1/privacy/exports"))["exports"]) == 1
