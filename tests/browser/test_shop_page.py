"""The demo shop's front page and its sign-in page in a real browser, with the whole product behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console_world import TENANT, World, open_world

pytestmark = pytest.mark.browser


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_bubble_on_the_shop_page_answers_in_its_frame(world: World) -> None:
    page = await world.page("/")
    await expect(page.locator("h1")).to_contain_text("厨房与家的小好物")
    await page.get_by_role("button").last.click()
    frame = page.frame_locator("iframe")
    box = frame.locator("textarea")
    await box.fill("运费多少钱")
    await box.press("Enter")
    await expect(frame.locator("body")).to_contain_text("99 元包邮")


async def test_language_of_the_shop_page_changes_and_is_kept(world: World) -> None:
    page = await world.page("/")
    await page.locator("#language").click()
    await expect(page.locator("h1")).to_contain_text("Good small things")
    await page.reload()
    await expect(page.locator("h1")).to_contain_text("Good small things")


async def test_sign_in_page_proves_the_account_to_the_conversation_that_asked(world: World) -> None:
    conversation = await world.customer("我的订单到哪了")
    token = await world.system.database.write(
        lambda connection: world.system.directory.make_sign_in_link(connection, TENANT, conversation)
    )
    page = await world.page(f"/sign-in?token={token}")
    await expect(page.locator("#asked")).to_contain_text("网页聊天")
    await page.get_by_role("button", name="林小雨").click()
    await expect(page.locator("#result")).to_contain_text("已登录")
    await world.settle()
    person = await world.system.directory.find_person(TENANT, conversation)
    assert person is not None
    assert person.account == "demo1"


async def test_sign_in_page_says_so_when_the_link_is_not_ours(world: World) -> None:
    page = await world.page("/")
    answer = await page.request.get(f"{world.address}/v1/sign-in?token=forged")
    assert answer.status == 401
    assert "no longer valid" in (await answer.json())["error"]["message"]
