"""The customer's page and the review queue in a real browser: finding, opening, confirming, splitting, taking back, deciding by key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.console_world import World, open_world
from tests.browser.customers_world import LIN, Shop, give_reason

pytestmark = pytest.mark.browser


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_person_is_found_opened_confirmed_split_and_put_together_again(world: World) -> None:
    shop = Shop(world)
    await shop.trust_the_matcher()
    account = await shop.states("account", "demo1", **LIN)
    talk = await shop.hears(
        "wechat_oa", "oX9", "转人工", ("wechat_oa:wx", "oXm9f8a7b6c5d4", True), ("account", "demo1", True)
    )
    card = await shop.states("crm", "card-7781", **LIN)
    await shop.compare()
    page = await world.log_in("/console/customers")
    await expect(page.locator(".work")).to_contain_text("在左侧输入顾客报出的手机号")
    await _search(page, "1395716")
    await expect(page.locator(".hits")).to_contain_text("没有找到")
    await _search(page, "139-5716-2043")
    await expect(page.locator(".work-title")).to_have_text("林小雨")
    assert page.url.endswith(f"/console/customers/{account}")
    await _look_at_what_is_likely(page)
    await _open_the_phone_number(page)
    await _split_and_undo(page)
    await expect(page.locator(f"a[href='/console?conversation={talk}']").first).to_contain_text("等待人工")
    await page.locator(f"a[href='/console?conversation={talk}']").first.click()
    await expect(page.locator(".talk-name")).to_be_visible()
    panel = page.locator(".pane-right")
    await expect(panel.locator(".identity")).to_have_count(3)
    await panel.locator("a.whole").click()
    await expect(page.locator(".person-head")).to_contain_text("demo1")
    await page.goto(f"{world.address}/console/customers/{card}")
    await expect(page.locator(".work-title")).to_have_text(
        "林小雨"
    )  # an id of any time leads to the customer
    await page.goto(f"{world.address}/console/customers/nobody")
    await expect(page.locator(".empty")).to_contain_text("没有这位客户")


async def _search(page: Page, text: str) -> None:
    box = page.locator(".pane-left input")
    await box.fill(text)
    await box.press("Enter")


async def _look_at_what_is_likely(page: Page) -> None:
    await expect(page.locator(".identity.proven")).to_have_count(2)
    likely = page.locator(".identity.likely")
    await expect(likely).to_contain_text("可能 99.99%")
    await expect(likely).to_contain_text("手机号相同")
    await expect(page.locator(".disclose")).to_contain_text("不要向顾客透露")
    await likely.locator(".btn", has_text="确认是同一人").click()
    await page.locator(".q-dialog .btn-accent").click()
    await expect(page.locator(".q-notification", has_text="请填写理由")).to_be_visible()
    await give_reason(page, "电话里核对过地址")
    await expect(page.locator(".identity.stated")).to_contain_text("Admin 关联")
    await expect(page.locator(".disclose")).to_be_visible()  # a colleague's word is no proof


async def _open_the_phone_number(page: Page) -> None:
    phone = page.locator(".between", has_text="电话：139****2043")
    await expect(page.locator("body")).not_to_contain_text("13957162043")
    await phone.locator("button").click()
    await give_reason_without_closing(page, "回电")
    await expect(page.locator(".opened")).to_contain_text("13957162043")
    await page.keyboard.press("Escape")
    await expect(page.locator(".opened")).to_have_count(0)


async def give_reason_without_closing(page: Page, reason: str) -> None:
    box = page.locator(".q-dialog input").last
    await box.fill(reason)
    await box.press("Enter")


async def _split_and_undo(page: Page) -> None:
    await page.keyboard.press("s")
    await page.locator(".q-dialog .q-checkbox", has_text="card-7781").click()
    sides = page.locator(".q-dialog .side")
    await expect(sides.nth(0)).to_contain_text("demo1")
    await expect(sides.nth(1)).to_contain_text("card-7781")
    await give_reason(page, "是她的妹妹")
    await expect(page.locator(".identity")).to_have_count(2)
    await expect(page.locator(".disclose")).to_have_count(0)
    split = page.locator(".step", has_text="是她的妹妹")
    await split.locator("button").click()
    await give_reason(page, "看错了")
    await expect(page.locator(".identity")).to_have_count(3)
    await expect(page.locator(".step.undone")).to_contain_text("是她的妹妹")


async def test_pairs_are_decided_by_key_and_an_empty_queue_says_what_it_is_for(world: World) -> None:
    shop = Shop(world)
    await shop.states("account", "demo1", **LIN)
    await shop.states("crm", "card-1", **{**LIN, "birthday": "1991-06-18"})
    await shop.states("account", "wang", name="王强", email="qiang@lanyu-post.cn", city="北京")
    await shop.states("crm", "card-2", name="王强", email="qiang@lanyu-post.cn", city="上海")
    await shop.compare()
    page = await world.log_in("/console/reviews", locale="en-US", color_scheme="dark")
    await expect(page.locator(".nav-count")).to_have_text("2")
    await expect(page.locator(".review")).to_contain_text("2 left")
    if not await page.locator(".card.conflict").count():
        await page.keyboard.press("n")
    await expect(page.locator(".card.conflict")).to_contain_text("Conflict: two different values of Birthday")
    await expect(page.locator(".pair-name.differs")).to_contain_text("Birthday")
    await expect(page.locator(".review")).to_contain_text("same phone number")
    await page.keyboard.press("d")
    await expect(page.locator(".q-dialog input")).to_have_value("Differ: Birthday")
    await page.locator(".q-dialog input").press("Enter")
    await expect(page.locator(".review")).to_contain_text("1 left")
    await page.keyboard.press("s")
    await expect(page.locator(".q-dialog input")).to_have_value("Agree: Name, E-mail")
    await page.locator(".q-dialog input").press("Enter")
    await expect(page.locator(".empty")).to_contain_text("Nothing to review")
    assert world.complaints == []
