"""The customer's profile at the desk, in a real browser: what it says of a stranger, of an angry one, and of a known one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console_world import World, open_world

pytestmark = pytest.mark.browser

ANGRY = ("你们这什么破店，第三次了还没人管，我要投诉！", "骗子！再不处理我就去12315投诉你们！")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_desk_shows_facts_with_their_source_and_risk_with_its_reasons(world: World) -> None:
    told = {
        "identity": {"namespace": "account", "value": "demo1"},
        "facts": {"form_of_address": "林女士", "phone": "139 1234 5678", "city": "杭州"},
    }
    [result] = await world.system.customers.collection.add_customers(
        world.system.tenants[0], [told], source="crm"
    )
    assert result.status == "accepted"
    for text in ANGRY:
        await world.customer(text, "t1", account="demo1")
    await world.customer("转人工", "t2")
    desk = await world.log_in()
    first = desk.locator(".item").first
    await expect(first).to_contain_text("优先")
    await first.click()
    panel = desk.locator(".pane-right")
    for shown in (
        "客户画像",
        "称呼：林女士",
        "CRM · 刚刚",
        "电话：139****5678",
        "投诉风险",
        "提到法律或媒体",
        "客户价值",
    ):
        await expect(panel).to_contain_text(shown)
    await expect(panel).not_to_contain_text("13912345678")
    await desk.locator(".item", has_text="转人工").click()
    await expect(panel).to_contain_text("联系 1 次")
    assert world.complaints == []
