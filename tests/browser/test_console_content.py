"""Articles and replies in a real browser: written, previewed, published, rolled back; nothing written is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Dialog, Page, expect

from operations import audit
from tests.browser.console_world import CONTENT_PASSWORD, TENANT, World, open_world

pytestmark = pytest.mark.browser

FEES = "delivery-fees"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def open_article(page: Page, title: str) -> None:
    await page.locator(".item", has_text=title).first.click()
    await expect(page.locator(".cm-content")).to_be_visible()


async def write(page: Page, text: str) -> None:
    """In place of what stands in the editor."""
    await page.locator(".cm-content").click()
    await page.keyboard.press("Control+a")
    await page.keyboard.insert_text(text)


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def turn_to(page: Page, tab: str) -> None:
    await page.get_by_role("tab", name=tab).click()


async def answer(world: World, text: str, thread: str) -> str:
    conversation = await world.customer(text, thread)
    return (await world.transcript(conversation))[-1].text


async def body_of(world: World, *, version: int | None = None) -> str:
    return (await world.system.articles.get(TENANT, FEES, "zh", version)).document.body


async def test_article_is_edited_tried_published_and_rolled_back(world: World) -> None:
    title = (await world.system.articles.get(TENANT, FEES, "zh")).document.title
    before = await answer(world, "运费多少钱", "a")
    page = await world.log_in("/console/knowledge")
    await page.get_by_placeholder("搜索标题或正文").fill(title)
    await expect(page.locator(".item")).to_have_count(1)
    await open_article(page, title)
    await write(page, (await body_of(world)).replace("99", "109"))
    await turn_to(page, "试答")
    await page.locator(".sheet textarea >> visible=true").fill("运费多少钱\n怎么开发票")
    await press(page, "预览回答")
    await expect(page.locator(".answers")).to_contain_text("1 个回答会改变")
    await expect(page.locator(".card.answer").nth(0)).not_to_contain_text("109")
    await expect(page.locator(".card.answer").nth(1)).to_contain_text("109")
    assert await answer(world, "运费多少钱", "b") == before
    await press(page, "保存草稿")
    await expect(page.locator(".q-notification")).to_contain_text("第 2 版")
    assert await answer(world, "运费多少钱", "c") == before
    await press(page, "发布")
    await expect(page.locator(".progress")).to_contain_text("第 2 版已生效，用时")
    assert "109" in await answer(world, "运费多少钱", "d")
    await turn_to(page, "版本记录")
    await page.locator(".version", has_text="v1").get_by_role("button", name="与线上比较").click()
    await expect(page.locator(".diff .add").first).to_contain_text("99")
    await expect(page.locator(".diff .del").first).to_contain_text("109")
    await page.locator(".version", has_text="v1").get_by_role("button", name="回滚到此版本").click()
    await expect(page.locator(".progress")).to_contain_text("第 3 版已生效")
    assert await answer(world, "运费多少钱", "e") == before
    actions = {"knowledge.saved", "knowledge.published", "knowledge.rolled_back"}
    assert actions <= await _audited(world)


async def test_new_article_is_written_published_answers_and_is_withdrawn(world: World) -> None:
    page = await world.log_in("/console/knowledge")
    await page.get_by_role("button", name="新建文章").click()
    await press(page, "保存草稿")
    await expect(page.locator(".q-notification")).to_contain_text("文章还不完整")
    await page.get_by_label("标题").fill("礼品包装")
    await page.get_by_label("文章编号").fill("gift-wrap")
    await page.get_by_label("顾客会怎么问").fill("礼品包装要多少钱\n可以包成礼物吗")
    await write(page, "礼品包装每单 5 元，下单时勾选。")
    await turn_to(page, "显示效果")
    await expect(page.locator(".written h1")).to_have_text("礼品包装")
    await press(page, "发布")
    await expect(page.locator(".progress")).to_contain_text("第 1 版已生效")
    assert "5 元" in await answer(world, "礼品包装要多少钱", "a")
    await press(page, "下线")
    await expect(page.locator(".q-notification", has_text="已下线")).to_be_visible()
    assert "5 元" not in await answer(world, "礼品包装要多少钱", "b")


async def test_nothing_is_lost_when_a_colleague_saved_first(world: World) -> None:
    stored = await world.system.articles.get(TENANT, FEES, "zh")
    page = await world.log_in("/console/knowledge")
    await open_article(page, stored.document.title)
    await write(page, "我写的新内容")
    theirs = replace(stored.document, body="同事写的内容")
    await world.system.articles.save_draft(TENANT, theirs, author="Li", based_on=stored.version)
    await press(page, "保存草稿")
    conflict = page.locator(".card.call")
    await expect(conflict).to_contain_text("Li")
    await expect(conflict.locator(".diff .add")).to_contain_text("我写的新内容")
    await expect(page.locator(".cm-content")).to_have_text("我写的新内容")
    await press(page, "保留我的，存为新草稿")
    await expect(page.locator(".q-notification")).to_contain_text("第 3 版")
    assert await body_of(world) == "我写的新内容"
    assert await body_of(world, version=2) == "同事写的内容"


async def test_text_that_was_not_saved_waits_while_another_article_is_read(world: World) -> None:
    title = (await world.system.articles.get(TENANT, FEES, "zh")).document.title
    page = await world.log_in("/console/knowledge")
    await open_article(page, title)
    await write(page, "还没有保存")
    await page.locator(".item:not(.on)").first.click()
    await expect(page.locator(".cm-content")).not_to_have_text("还没有保存")
    await expect(page.locator(".item", has_text="未保存")).to_contain_text(title)
    await open_article(page, title)
    await expect(page.locator(".cm-content")).to_have_text("还没有保存")
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await page.get_by_role("button", name="English").click()
    assert asked == ["beforeunload"]
    await expect(page.locator(".cm-content")).to_have_text("还没有保存")


async def test_reply_is_edited_a_broken_draft_refused_and_a_good_one_used(world: World) -> None:
    before = await answer(world, "拜拜", "a")
    page = await world.log_in("/console/prompts")
    await page.get_by_placeholder("搜索编号、用途或文字").fill("goodbye")
    await expect(page.locator(".item", has_text="queue_place")).to_have_count(0)  # the list stands still
    await expect(page.locator(".item", has_text="goodbye")).to_contain_text("回应告别")
    await open_article(page, "goodbye")
    await write(page, "## zh\n再见 {{ nobody }}\n\n## en\nBye.\n")
    await expect(page.locator(".faults")).to_contain_text("nobody")
    await expect(page.locator(".fault-line")).to_contain_text("再见")
    await press(page, "发布")
    await expect(page.locator(".q-notification", has_text="未发布，草稿已保留")).to_be_visible()
    assert await answer(world, "拜拜", "b") == before
    await write(page, "## zh\n回头见，山雀欢迎您。\n\n## en\nSee you soon.\n")
    await expect(page.locator(".faults")).to_contain_text("检查通过")
    await turn_to(page, "预览")
    await expect(page.locator(".said")).to_have_text(["回头见，山雀欢迎您。", "See you soon."])
    await press(page, "发布")
    await expect(page.locator(".q-notification", has_text="已发布")).to_be_visible()
    assert await answer(world, "拜拜", "c") == "回头见，山雀欢迎您。"
    await turn_to(page, "版本记录")
    await page.locator(".version", has_text="随版本发布").get_by_role("button", name="回滚到此版本").click()
    await expect(page.locator(".q-notification", has_text="重新发布")).to_be_visible()
    assert await answer(world, "拜拜", "d") == before
    assert {"prompts.saved", "prompts.published", "prompts.rolled_back"} <= await _audited(world)


async def test_editor_reads_conversations_and_cannot_answer_in_them(world: World) -> None:
    await world.hire("ed", "editor")
    await world.customer("转人工")
    page = await world.log_in(
        "/console/prompts", login="ed", password=CONTENT_PASSWORD, locale="en-US", color_scheme="dark"
    )
    await expect(page.locator(".h-nav a")).to_have_text(["Desk", "Knowledge", "Replies & prompts"])
    await page.goto(f"{world.address}/console")
    await page.locator(".item", has_text="转人工").click()
    await expect(page.locator(".talk-name")).to_be_visible()
    await expect(page.get_by_role("button", name="Take over")).to_have_count(0)


async def _audited(world: World) -> set[str]:
    entries = await world.system.database.read(lambda c: audit.read(c, TENANT))
    return {entry.action for entry in entries}
