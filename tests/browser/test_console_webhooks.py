"""The webhooks page in a real browser: empty, a receiver added, its secret shown once, its log, an event sent again, trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console_world import CONTENT_PASSWORD, World, open_world
from tests.fakes.receiver import Receiver, receiving

pytestmark = pytest.mark.browser


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def world(tmp_path: Path, receiver: Receiver) -> AsyncIterator[World]:
    async with open_world(tmp_path, ["web_chat"], webhook_hosts=[receiver.origin]) as opened:
        yield opened


async def test_receiver_is_added_watched_and_sent_to_again(world: World, receiver: Receiver) -> None:
    page = await world.log_in("/console/webhooks")
    await expect(page.get_by_text("还没有接收地址。")).to_be_visible()
    await page.get_by_role("button", name="添加接收地址").click()
    address, description = page.get_by_label("地址", exact=True), page.get_by_label("备注（给同事看）")
    await address.fill("http://example.com")
    await page.get_by_role("button", name="保存").click()
    await expect(page.get_by_text("地址要以 https:// 开头。")).to_be_visible()
    await address.fill(receiver.url)
    await description.fill("数据仓库")
    await page.get_by_role("button", name="保存").click()
    secret = page.get_by_text("whsec_")
    await expect(secret).to_be_visible()
    told = str(await secret.text_content())
    await expect(page.get_by_text("还没有发送过。")).to_be_visible()
    await page.get_by_role("button", name="发送测试").click()
    await expect(page.get_by_text("测试结果：204")).to_be_visible()
    receiver.calls[0].verify(told)
    await world.customer("运费多少")
    await expect(page.get_by_text("收到顾客消息").first).to_be_visible()
    count = len(receiver.calls)
    await page.get_by_role("button", name="重新发送这一条").last.click()
    await expect(page.get_by_text("这一条将再次发送")).to_be_visible()
    await expect(page.get_by_text("第 1 次").first).to_be_visible()
    assert count >= 3
    receiver.answers.append("410 Gone")
    await world.customer("退货怎么办")
    await expect(page.get_by_text("对方已关闭").first).to_be_visible()
    await page.reload()
    await page.get_by_role("button", name="数据仓库").click()
    await expect(page.get_by_text("对方回答 410")).to_be_visible()
    assert told not in await page.content()
    await page.get_by_role("button", name="重新启用").click()
    await expect(page.get_by_role("button", name="停用")).to_be_visible()


async def test_page_speaks_english_and_is_not_for_agents(world: World) -> None:
    page = await world.log_in("/console/webhooks", locale="en-US")
    await expect(page.get_by_text("There are no receivers yet.")).to_be_visible()
    await world.hire("ann", "agent")
    other = await world.log_in("/console/webhooks", login="ann", password=CONTENT_PASSWORD)
    await expect(other.get_by_role("link", name="事件通知")).to_have_count(0)
    await expect(other.get_by_role("button", name="添加接收地址")).to_have_count(0)
