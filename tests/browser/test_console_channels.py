"""The channels page in a real browser: states, the address to copy, adding an account, and a secret that stays hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from playwright.async_api import expect

from channels import records
from channels.adapters.sms_aliyun.settings import SmsAliyunSettings
from channels.platforms.shelf import Shelf
from foundation import conversations
from foundation.conversations import Draft
from foundation.messages import ConversationId
from tests.browser.console_world import CONTENT_PASSWORD, TENANT, World, open_world

pytestmark = pytest.mark.browser

OPEN = ("web_chat", "wechat_oa", "sms_aliyun", "email")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, OPEN) as opened:
        yield opened


async def furnish(world: World) -> None:
    """One account in trouble: a token that came, a conversation with one reply of five, one failure, refused calls."""
    system = world.system

    async def fetch() -> tuple[str, float]:
        return "the-token-itself", 7200.0

    shelf = Shelf("wechat_oa", system.channels.surroundings(TENANT))
    await shelf.token(fetch)
    conversation_id, now = ConversationId("ABCD-1"), system.clock()

    def write(connection: sa.Connection) -> None:
        conversations.ensure(
            connection,
            conversation_id,
            tenant=TENANT,
            channel="wechat_oa",
            account="main",
            recipient="r",
            now=now,
        )
        for draft in (
            Draft(id="in", role="customer", text="?", sent_at=now),
            Draft(id="m-1", role="bot", text="!", sent_at=now, state="sent"),
            Draft(id="m-2", role="bot", text="!", sent_at=now, state="failed"),
        ):
            conversations.append(connection, TENANT, conversation_id, draft)
        records.remember_sent(
            connection, TENANT, conversation_id, "m-1", part=0, provider_id="p", now=system.clock()
        )

    await system.database.write(write)
    async with httpx.AsyncClient(base_url=world.address) as client:
        for _ in range(2):
            hook = "/v1/hooks/demo/wechat_oa?signature=x&timestamp=1&nonce=1"
            assert (await client.post(hook, content=b"<xml/>")).status_code == 401


ZH = {
    "微信公众号": {
        "last_in": ["刚刚"], "last_out": ["刚刚"], "errors": ["2 条中失败 1 条（50.0%）"],
        "token": ["有效", "获取于：刚刚", "1 小时后更新"],
        "window": ["1 个会话可以回复", "最多回复 5 条", "剩 4 / 5 条"], "refused": ["2 次", "签名不对"], "dead": ["没有"],
    },
    "网页聊天": {"last_in": ["还没有"], "errors": ["没有发送过"], "token": ["不需要"], "window": ["没有限制"]},
    "电子邮件": {"token": ["不需要"], "refused": ["没有"]},
}  # fmt: skip
EN = {
    "WeChat Official Account": {
        "errors": ["1 of 2 failed (50.0%)"], "token": ["valid", "Renewed in 1 h"], "window": ["4 of 5 left"],
        "refused": ["2 refused", "wrong signature"], "dead": ["none"],
    },
    "Web chat": {"last_out": ["never"], "window": ["no limit"]},
}  # fmt: skip


async def test_page_says_how_each_account_does(world: World) -> None:
    await furnish(world)
    for language, table in (("zh-CN", ZH), ("en-US", EN)):
        page = await world.log_in("/console/channels", locale=language)
        for title, facts in table.items():
            await page.locator(".item", has_text=title).click()
            await expect(page.locator(".work .card-title").first).to_have_text(title)
            cards = page.locator(".fact")
            await expect(cards).to_have_count(len(ZH["微信公众号"]))
            for name, wanted in facts.items():
                for text in wanted:
                    await expect(cards.nth(list(ZH["微信公众号"]).index(name))).to_contain_text(text)
        assert "the-token-itself" not in await page.content()


async def test_address_to_enter_is_whole_with_its_secret_or_says_that_there_is_none(world: World) -> None:
    page = await world.log_in("/console/channels")
    await page.locator(".item", has_text="阿里云短信").click()
    settings = SmsAliyunSettings().or_demo(world.system.vault)
    secret = settings.path_secret.get_secret_value()
    await expect(page.locator(".work")).to_contain_text(f"/v1/hooks/demo/sms_aliyun/{secret}")
    await expect(page.locator(".work")).to_contain_text("地址里有密钥")
    await expect(page.locator(".work")).to_contain_text("演示凭证，没有平台")
    await page.locator(".item", has_text="电子邮件").click()
    await expect(page.locator(".work")).to_contain_text("这里不用填写")


async def test_manager_adds_an_account_and_finds_its_address(world: World) -> None:
    await world.hire("mia", "manager")
    page = await world.log_in("/console/channels", login="mia", password=CONTENT_PASSWORD)
    await expect(page.locator(".item", has_text="微信公众号")).to_contain_text("演示")
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
