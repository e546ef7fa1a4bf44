"""One person over three channels, played by their platforms: begins on the website, goes on in WeChat, calls by phone. What an agent's
page shows before they have proven anything, after it, after a split and after it was taken back.

`HUILIU_PICTURES=docs/images pytest tests/browser/test_console_one_person.py` saves the four pictures.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from tests.browser.console_world import ARGUMENTS, CHROMIUM, PASSWORD, enter
from tests.browser.customers_world import give_reason
from tests.journeys.channels_world import LINK, Person, World, open_world

pytestmark = pytest.mark.browser

TENANT = TenantId("demo")
PICTURES = os.environ.get("HUILIU_PICTURES", "")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    async with open_world(tmp_path) as opened:
        yield opened


async def test_page_shows_three_strangers_then_one_person_then_two_then_one_again(world: World) -> None:
    web = await _on_the_website(world, "你好，我的订单到哪了")
    wechat = world.person("wechat_oa", "xiaoyu")
    await wechat.ask("查一下我的订单", "登录")
    phone = world.person("phone_twilio", "xiaoyu")
    await phone.ask("查一下我的订单", "登录")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1440, "height": 900}, locale="zh-CN")
        await page.goto(f"{world.url}/console")
        await enter(page, "admin", PASSWORD)
        await _before_any_proof(world, page, web)
        await _prove_on_all_three(world, wechat)
        await _after_the_proof(world, page)
        await _after_a_split(page)
        await _after_the_undo(page)
        await browser.close()


async def _before_any_proof(world: World, page: Page, web: ConversationId) -> None:
    """Three conversations are three customers; nobody is put together by what they say."""
    customers = {one: await _customer(world, one) for one in (web, *await _talks(world))}
    assert len(set(customers.values())) == len(customers) == 3
    [wechat] = await _talks(world, "wechat_oa")
    await page.goto(f"{world.url}/console/customers/{customers[wechat]}")
    await expect(page.locator(".identity:not(.claimed)")).to_have_count(1)
    await expect(page.locator(".identity.channel")).to_contain_text("仅渠道身份")
    await expect(page.locator(".work-title")).to_have_text("未知姓名")
    await expect(page.locator(".person-grid")).to_contain_text("顾客验证身份后才显示订单")
    await _picture(page, "before-proof")


async def _prove_on_all_three(world: World, wechat: Person) -> None:
    """As each channel does it: a signed-in page, and the links that the bot wrote."""
    await _on_the_website(world, "我登录了", account="demo1")
    await world.sign_in(wechat.text)
    [talk] = await _talks(world, "phone_twilio")
    lines = (await world.staff("GET", f"/v1/desk/conversations/{talk}"))["messages"]
    await world.sign_in(next(line["text"] for line in reversed(lines) if LINK.search(line["text"])))
    await world.product.settle()


async def _after_the_proof(world: World, page: Page) -> None:
    talks = await _talks(world)
    assert len({await _customer(world, one) for one in talks}) == 1
    await page.goto(f"{world.url}/console/customers/{await _customer(world, talks[0])}")
    await expect(page.locator(".identity.proven")).to_have_count(3)
    await expect(page.locator(".identity.device")).to_contain_text("用过的设备")
    await expect(page.locator(".disclose")).to_be_visible()
    await expect(page.locator(".talk-item")).to_have_count(3)
    await expect(page.locator(".person-grid")).to_contain_text("SQ2026010002")
    await _picture(page, "after-proof")


async def _after_a_split(page: Page) -> None:
    """The call was somebody else's: it goes with its conversation."""
    await page.keyboard.press("s")
    await page.locator(".q-dialog .q-checkbox", has_text="电话").first.click()
    await expect(page.locator(".q-dialog .side").nth(1)).to_contain_text("1 个会话")
    await give_reason(page, "打电话的是她先生")
    await expect(page.locator(".identity:not(.claimed)")).to_have_count(3)
    await expect(page.locator(".talk-item")).to_have_count(2)
    await expect(page.locator(".step").first).to_contain_text("打电话的是她先生")
    await _picture(page, "split")


async def _after_the_undo(page: Page) -> None:
    await page.locator(".step", has_text="打电话的是她先生").locator("button").click()
    await give_reason(page, "核对录音，是本人")
    await expect(page.locator(".identity:not(.claimed)")).to_have_count(4)
    await expect(page.locator(".identity.proven")).to_have_count(3)
    await expect(page.locator(".talk-item")).to_have_count(3)
    await expect(page.locator(".step.undone")).to_contain_text("打电话的是她先生")
    await _picture(page, "undo")


async def _on_the_website(world: World, text: str, *, account: str = "") -> ConversationId:
    """What the web chat's page sends; who is signed in there has an account."""
    system = world.product.system
    names = [Identifier(namespace="web_chat:site", value="v-7f3a", proven=True, device=True)]
    if account:
        names.append(Identifier(namespace="account", value=account, proven=True))
    message = InboundMessage(
        tenant=TENANT, channel="web_chat", account="site", thread="v-7f3a", message_id=MessageId(f"w-{text}"), sender=tuple(names),
        text=text, sent_at=system.clock(),
    )  # fmt: skip
    accepted = await system.intake.accept(message, text.encode())
    await world.product.settle()
    return accepted.conversation_id


async def _talks(world: World, channel: str = "") -> list[ConversationId]:
    inbox = await world.staff("GET", "/v1/desk/conversations")
    return [
        ConversationId(one["id"]) for listed in inbox.values() for one in listed if channel in ("", one["channel"])
    ]  # fmt: skip


async def _customer(world: World, conversation_id: ConversationId) -> str:
    person = await world.product.system.directory.find_person(TENANT, conversation_id)
    assert person is not None
    return str(person.customer_id)


async def _picture(page: Page, name: str) -> None:
    if PICTURES:
        await expect(page.locator(".q-notification")).to_have_count(0, timeout=10_000)
        await page.locator(".person").evaluate("pane => pane.scrollTo(0, 0)")
        await page.screenshot(path=Path(PICTURES) / f"oneid-{name}.png")
