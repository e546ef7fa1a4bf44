"""The desk in a real browser: logging in, the queue, taking over, answering, giving back, and what must not happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from foundation import conversations
from foundation.clock import utc_now
from foundation.live import Signal
from foundation.messages import Observation
from tests.browser.console_world import CONTENT_PASSWORD, TENANT, World, enter, open_world

pytestmark = pytest.mark.browser

REPLY = "输入回复，Ctrl+Enter 发送"
NOTE = "只有同事看得到，回车保存"
ANGRY = "你们这什么破店，骗子！我要投诉你们，第三次了！"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def choose(page: Page, text: str) -> None:
    await page.locator(".item", has_text=text).first.click()
    await expect(page.locator(".talk-name")).to_be_visible()


async def test_stranger_logs_in_and_lands_where_they_wanted(world: World) -> None:
    page = await world.page("/console/knowledge")
    await expect(page).to_have_url(f"{world.address}/console/login?next=/console/knowledge")
    await enter(page, "admin", "wrong password")
    await expect(page.get_by_role("alert")).to_contain_text("账号或密码不对")
    await enter(page, "admin", "huiliu-demo")
    await expect(page.locator(".h-nav .on")).to_have_text("知识库")
    await page.get_by_label("退出登录").click()
    await expect(page.locator("input[name=login]")).to_be_visible()
    await page.goto(f"{world.address}/console")
    await expect(page.locator("input[name=login]")).to_be_visible()


async def test_customer_and_agent_talk_and_the_bot_takes_over_again(world: World) -> None:
    customer = await world.page("/chat")
    desk = await world.log_in()
    await expect(desk.locator(".pane-left")).to_contain_text("没有人在等待")
    await customer.fill("#text", ANGRY)
    await customer.press("#text", "Enter")
    waiting = desk.locator(".item", has_text="骗子")
    await expect(waiting).to_contain_text("情绪激动")
    await waiting.click()
    await expect(desk.locator(".line.customer .bubble")).to_have_text(ANGRY)
    await expect(desk.locator(".pane-right")).to_contain_text("交接摘要")
    await expect(desk.get_by_placeholder(REPLY)).to_be_hidden()
    await desk.get_by_role("button", name="接管").click()
    await desk.get_by_placeholder(REPLY).fill("您好，我是小王 😀，马上处理。")
    await desk.get_by_placeholder(REPLY).press("Control+Enter")
    await expect(customer.locator("text=您好，我是小王 😀，马上处理。")).to_be_visible()
    await expect(desk.locator(".line.agent .bubble")).to_have_text("您好，我是小王 😀，马上处理。")
    await expect(desk.get_by_placeholder(REPLY)).to_have_value("")
    await customer.fill("#text", "谢谢，那运费多少钱")
    await customer.press("#text", "Enter")
    await expect(desk.locator(".line.customer .bubble").last).to_have_text("谢谢，那运费多少钱")
    await desk.get_by_role("button", name="交还机器人").click()
    await expect(desk.locator(".talk-head .badge")).to_have_text("机器人接待中")
    await customer.fill("#text", "运费多少钱")
    await customer.press("#text", "Enter")
    await expect(desk.locator(".line.bot .bubble").last).to_contain_text("99")


async def test_what_was_written_stays_with_its_conversation(world: World) -> None:
    for thread, text in (("a", "转人工 甲"), ("b", "转人工 乙")):
        await world.customer(text, thread)
    page = await world.log_in()
    for text in ("甲", "乙"):
        await choose(page, text)
        await page.get_by_role("button", name="接管").click()
        await page.get_by_placeholder(REPLY).fill(f"给{text}的草稿")
        await page.get_by_placeholder(NOTE).fill(f"备注{text}")
    await choose(page, "甲")
    await expect(page.get_by_placeholder(REPLY)).to_have_value("给甲的草稿")
    await expect(page.get_by_placeholder(NOTE)).to_have_value("备注甲")
    await world.customer("在吗", "a")
    await expect(page.locator(".line.customer .bubble").last).to_have_text("在吗")
    await expect(page.get_by_placeholder(REPLY)).to_have_value("给甲的草稿")
    await expect(page.get_by_placeholder(NOTE)).to_have_value("备注甲")


async def test_reply_comes_back_into_the_box_when_it_could_not_be_sent(world: World) -> None:
    conversation = await world.customer("转人工")
    page = await world.log_in()
    await choose(page, "转人工")
    await page.get_by_role("button", name="接管").click()
    await page.get_by_placeholder(REPLY).fill("字" * 5001)
    await page.get_by_placeholder(REPLY).press("Control+Enter")
    await expect(page.locator(".q-notification", has_text="5000")).to_be_visible()
    await expect(page.get_by_placeholder(REPLY)).to_have_value("字" * 5001)
    assert [message.role for message in await world.transcript(conversation)].count("agent") == 0


async def test_shortcuts_walk_take_answer_and_give_back(world: World) -> None:
    for thread in ("a", "b"):
        await world.customer(f"转人工 {thread}", thread)
    page = await world.log_in()
    await expect(page.locator(".item")).to_have_count(2)
    await page.keyboard.press("j")
    await expect(page.locator(".item.on")).to_contain_text("转人工 a")
    await page.keyboard.press("j")
    await expect(page.locator(".item.on")).to_contain_text("转人工 b")
    await page.keyboard.press("k")
    await page.keyboard.press("t")
    await expect(page.get_by_placeholder(REPLY)).to_be_focused()
    await page.locator(".talk-lines").click()
    await expect(page.get_by_placeholder(REPLY)).not_to_be_focused()
    await page.keyboard.press("r")
    await expect(page.get_by_placeholder(REPLY)).to_be_focused()
    await page.keyboard.type("tgjk 您好")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".line.agent .bubble")).to_have_text("tgjk 您好")
    await page.locator(".talk-lines").click()
    await page.keyboard.press("?")
    await expect(page.locator(".h-dialog")).to_contain_text("快捷键")
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await expect(page.locator(".talk-head .badge")).to_have_text("机器人接待中")


async def test_notes_are_seen_by_colleagues_and_never_by_the_customer(world: World) -> None:
    conversation = await world.customer("转人工")
    await world.hire("li", "agent")
    mei, li = await world.log_in(), await world.log_in(login="li", password=CONTENT_PASSWORD)
    for page in (mei, li):
        await choose(page, "转人工")
    await mei.get_by_placeholder(NOTE).fill("老顾客，<b>请耐心</b>")
    await mei.get_by_placeholder(NOTE).press("Enter")
    await expect(li.locator(".card.note")).to_contain_text("老顾客，<b>请耐心</b>")
    assert all("老顾客" not in message.text for message in await world.transcript(conversation))


async def test_what_the_customer_looked_at_stands_beside_the_conversation(world: World) -> None:
    conversation = await world.customer("转人工")
    now = utc_now()
    await world.system.intake.observe(
        TENANT,
        conversation,
        [
            Observation(id="e1", type="page_view", at=now - timedelta(minutes=2), title="<b>蓝色</b>跑鞋"),
            Observation(id="e2", type="dwell", at=now, title="尺码表", seconds=41.6),
            Observation(id="e3", type="added_to_cart", at=now - timedelta(hours=3), product="1001"),
        ],
    )
    await world.settle()
    page = await world.log_in()
    await choose(page, "转人工")
    panel = page.locator(".pane-right")
    await expect(panel).to_contain_text("浏览了 <b>蓝色</b>跑鞋")
    await expect(panel).to_contain_text("2 分钟")
    await expect(panel).to_contain_text("在 尺码表 停留了 42 秒")
    await expect(panel).to_contain_text("added_to_cart 1001")


async def test_second_agent_is_told_when_a_colleague_was_quicker(world: World) -> None:
    conversation = await world.customer("转人工")
    li = await world.hire("li", "agent")
    page = await world.log_in()
    await choose(page, "转人工")
    now = utc_now()
    await world.system.database.write(
        lambda c: conversations.take_over(c, TENANT, conversation, staff=li.id, now=now)
    )
    await page.get_by_role("button", name="接管").click()
    await expect(page.locator(".q-notification", has_text="已经有同事接管")).to_be_visible()
    await expect(page.locator(".talk-head .badge")).to_have_text("Li 处理中")


async def test_manager_decides_an_exception_and_the_customer_is_told(world: World) -> None:
    await world.customer("我想退货 SQ2026010003，不想要了", account="demo1")
    for text in ("全部", "不想要了", "确认"):
        conversation = await world.customer(text, account="demo1")
        if (await world.system.reading.view(TENANT, conversation)).approvals:
            break
    await world.hire("li", "agent")
    agent = await world.log_in(login="li", password=CONTENT_PASSWORD)
    await choose(agent, "等待审批")
    await expect(agent.locator(".card.call")).to_contain_text("SQ2026010003")
    await expect(agent.get_by_role("button", name="同意", exact=True)).to_have_count(0)
    page = await world.log_in()
    await choose(page, "等待审批")
    await expect(page.locator(".pane-right")).to_contain_text("林小雨")
    await page.get_by_placeholder("理由（顾客可能会看到）").fill("老顾客")
    await page.get_by_role("button", name="同意", exact=True).click()
    await expect(page.locator(".card.call")).to_have_count(0)
    await expect(page.locator(".line.bot .bubble").last).to_contain_text("RT")


async def test_markup_and_right_to_left_text_are_shown_as_text(world: World) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> 转人工"
    await world.customer(hostile, "a")
    await world.customer("שלום، مرحبا 👨‍👩‍👧‍👦 转人工", "b")
    page = await world.log_in()
    await choose(page, "<script>")
    await expect(page.locator(".line.customer .bubble")).to_have_text(hostile)
    assert await page.locator(".talk img, .talk script, .pane img").count() == 0
    await choose(page, "שלום")
    await expect(page.locator(".line.customer .bubble")).to_have_css("direction", "rtl")


async def test_role_without_the_power_sees_no_buttons_and_no_other_pages(world: World) -> None:
    await world.customer("转人工")
    await world.hire("qa", "qa")
    page = await world.log_in("/console/knowledge", login="qa", password=CONTENT_PASSWORD)
    await expect(page.locator(".h-nav a")).to_have_text(["工作台"])
    await choose(page, "转人工")
    await expect(page.get_by_role("button", name="接管")).to_have_count(0)
    await expect(page.get_by_placeholder(NOTE)).to_have_count(0)


async def test_page_is_left_when_the_account_is_switched_off(world: World) -> None:
    boss, li = await world.hire("boss", "admin"), await world.hire("li", "agent")
    await world.customer("转人工")
    page = await world.log_in(login="li", password=CONTENT_PASSWORD)
    await choose(page, "转人工")
    await world.system.staff.set_active(boss, li.id, active=False)
    await expect(page.locator("input[name=login]")).to_be_visible()


async def test_typing_of_the_customer_is_seen(world: World) -> None:
    conversation = await world.customer("转人工")
    page = await world.log_in()
    await choose(page, "转人工")
    world.system.hub.tell(Signal("typing", conversation, who="customer"))
    await expect(page.locator("text=顾客正在输入…")).to_be_visible()


async def test_language_and_theme_are_kept(world: World) -> None:
    page = await world.log_in()
    await page.get_by_role("button", name="明暗主题").click()
    await expect(page.locator("body.body--dark")).to_be_visible()
    await page.get_by_role("button", name="English").click()
    await expect(page.locator(".h-nav .on")).to_have_text("Desk")
    await expect(page.locator("body.body--dark")).to_be_visible()


async def test_phone_shows_one_thing_at_a_time(world: World) -> None:
    await world.customer("转人工")
    page = await world.log_in(viewport={"width": 400, "height": 850})
    await expect(page.locator(".talk")).to_be_hidden()
    await choose(page, "转人工")
    await expect(page.locator(".pane-left")).to_be_hidden()
    await page.get_by_role("button", name="顾客", exact=True).click()
    await expect(page.locator(".pane-right")).to_contain_text("仅渠道身份")
    await page.locator(".pane-right").get_by_role("button", name="返回").click()
    await page.locator(".talk").get_by_role("button", name="返回").click()
    await expect(page.locator(".item")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 400
