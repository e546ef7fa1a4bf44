"""The channels page in a real browser: states, the address to copy, adding an account, and a secret that stays hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console_world import CONTENT_PASSWORD, World, open_world

pytestmark = pytest.mark.browser


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_manager_adds_an_account_and_finds_its_address(world: World) -> None:
    await world.hire("mia", "manager")
    page = await world.log_in("/console/channels", login="mia", password=CONTENT_PASSWORD)
    await expect(page.locator(".item", has_text="微信公众号")).to_contain_text("已开通")
    await page.get_by_label("添加渠道账号").click()
    await page.get_by_role("option", name="微信公众号").click()
    await page.get_by_label("账号名称").fill("shop-2")
    for name, value in (("app_id", "wx2"), ("app_secret", "s3cret-one"), ("mode", "plain")):
        await page.get_by_label(name, exact=True).fill(value)
    await page.get_by_role("button", name="保存并开通").click()
    await expect(page.locator(".q-notification")).to_contain_text("token")
    await page.get_by_label("token", exact=True).fill("s3cret-two")
    await page.get_by_role("button", name="保存并开通").click()
    await expect(page.locator(".work")).to_contain_text("/v1/hooks/demo/wechat_oa/shop-2")
    await expect(page.locator(".item", has_text="shop-2")).to_contain_text("已开通")
    assert "s3cret" not in await page.content()
    await page.get_by_role("button", name="移除账号").click()
    await expect(page.locator(".item", has_text="shop-2")).to_have_count(0)
    assert world.complaints == []


async def test_agent_does_not_find_the_page(world: World) -> None:
    await world.hire("ann", "agent")
    page = await world.log_in("/console/channels", login="ann", password=CONTENT_PASSWORD)
    await expect(page.locator(".h-nav")).not_to_contain_text("渠道")
    await expect(page.locator(".pane-left")).to_contain_text("等待人工")
