"""The privacy page in a browser: a customer is looked for, what would go is shown, they are erased, and the receipts say so.

`HUILIU_PICTURES=docs/images pytest tests/browser/test_console_privacy.py` saves the picture.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.console_world import CONTENT_PASSWORD, World, open_world
from tests.browser.customers_world import LIN, Shop, give_reason

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("HUILIU_PICTURES", "")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_customer_is_found_looked_at_and_erased_with_receipts(world: World) -> None:
    shop = Shop(world)
    await shop.states("account", "lin-1", **LIN)
    await shop.hears(
        "wechat_oa", "w1", "我的包裹到哪了", ("wechat_oa:wx", "oLin", True), ("account", "lin-1", True)
    )
    await shop.compare()
    page = await world.log_in("/console/privacy")
    await expect(page.get_by_text("还没有删除过。")).to_be_visible()
    search = page.locator(".pane-left input")
    await search.fill(LIN["phone"])
    await search.press("Enter")
    await expect(page.get_by_text("将删除：2 个身份，1 个会话")).to_be_visible()
    await expect(page.get_by_text("消息 2", exact=True)).to_be_visible()
    profiling = page.locator(".card.fact", has_text="个性化画像")
    await expect(profiling.get_by_text("允许", exact=True)).to_be_visible()
    await profiling.get_by_role("button", name="改为拒绝").click()
    await give_reason(page, "电话里要求")
    await expect(profiling.get_by_text("不允许", exact=True)).to_be_visible()
    await expect(profiling.get_by_text("员工 · Admin")).to_be_visible()
    await copy_is_made_and_downloaded(page)
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / "console-privacy.png")
    await page.get_by_role("button", name="删除", exact=True).click()
    box = page.locator(".q-dialog input[placeholder]").last
    await box.fill("林小雨 asked for it")
    await box.press("Enter")
    await expect(page.get_by_text("理由会保留：请去掉")).to_be_visible()
    await give_reason(page, "书面申请")
    await expect(page.get_by_text("已完成 6 / 6 步")).to_be_visible()
    await expect(page.get_by_text("· Admin · 书面申请")).to_be_visible()
    await expect(page.get_by_text("✓ 数据库中的记录")).to_be_visible()
    await expect(page.locator(".hits .item")).to_have_count(0)
    await expect(search).to_have_value("")
    content = await page.content()
    assert not [word for word in LIN.values() if word in content]
    await search.fill(LIN["phone"])
    await search.press("Enter")
    await expect(page.get_by_text("没有找到。")).to_be_visible()


async def copy_is_made_and_downloaded(page: Page) -> None:
    await page.get_by_role("button", name="生成副本").click()
    await give_reason(page, "柜台索取")
    card = page.locator(".card", has_text="柜台索取")
    await expect(card.get_by_text("消息 2", exact=True)).to_be_visible()
    async with page.expect_download() as coming:
        await card.get_by_role("button", name="可读页面").click()
    text = Path(await (await coming.value).path()).read_text(encoding="utf-8")
    assert LIN["name"] in text
    assert "我的包裹到哪了" in text


async def test_page_speaks_english_and_is_not_for_agents(world: World) -> None:
    page = await world.log_in("/console/privacy", locale="en-US")
    await expect(page.get_by_text("Nobody was erased yet.")).to_be_visible()
    await world.hire("ann", "agent")
    other = await world.log_in("/console/privacy", login="ann", password=CONTENT_PASSWORD)
    await expect(other.get_by_role("link", name="隐私")).to_have_count(0)
    await expect(other.get_by_text("删除客户数据")).to_have_count(0)
