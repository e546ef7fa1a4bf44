"""The data page in a real browser: empty, a table dropped in, mapped, started, its broken rows fetched; English; not for agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from operations.console.data import teach
from tests.browser.console_world import CONTENT_PASSWORD, World, open_world

pytestmark = pytest.mark.browser

TABLE = (
    "会员号,姓名,手机号,备注\nc1,王小明,13912349999,好\nc2,李四,１３９１２３４９９９８,\nc3,赵六,1.39E+10,\n"
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, ["web_chat"]) as opened:
        yield opened


async def test_table_is_dropped_looked_at_and_taken_in(world: World, tmp_path: Path) -> None:
    file = tmp_path / "客户.csv"
    file.write_text(TABLE, encoding="gb18030")
    page = await world.log_in("/console/data")
    await expect(page.get_by_text("把其他系统的客户导进来")).to_be_visible()
    await expect(page.get_by_text("还没有导入过")).to_be_visible()
    async with page.expect_download() as fetched:
        await page.get_by_role("button", name="下载示例文件").click()
    assert (await (await fetched.value).path()).read_bytes() == b"\xef\xbb\xbf" + (
        teach.SAMPLES / "customers-zh.csv"
    ).read_bytes()
    await page.locator("input[type=file]").set_input_files(file)
    await expect(page.get_by_text("3 行，编码 gb18030")).to_be_visible()
    await expect(page.get_by_text("新增 2", exact=True)).to_be_visible()
    await expect(page.get_by_text("第 4 行", exact=True)).to_be_visible()
    await expect(page.get_by_text("手机号 · 表格软件把号码变成了科学计数法")).to_be_visible()
    assert "13912349999" not in await page.content()
    await _say_what_column_is(page, 2, "不导入")
    await expect(page.get_by_text("新增 3", exact=True)).to_be_visible()
    await _say_what_column_is(page, 2, "姓名")
    await expect(page.get_by_text("Two columns are mapped to name")).to_be_visible()
    await expect(page.get_by_role("button", name="开始导入")).to_be_hidden()
    await _say_what_column_is(page, 2, "手机号")
    async with page.expect_download() as fetched:
        await page.get_by_role("button", name="下载未导入的 1 行及原因").click()
    assert "1.39E+10" in (await (await fetched.value).path()).read_text(encoding="utf-8-sig")
    await page.get_by_role("button", name="开始导入").click()
    await expect(page.get_by_text("已导入 2 / 2 行")).to_be_visible()
    await expect(page.get_by_text("已完成").first).to_be_visible()
    await page.reload()
    await page.get_by_role("button", name="客户.csv").click()
    await expect(page.get_by_text("新增 2", exact=True)).to_be_visible()
    await expect(page.get_by_text("改好，可以直接再导入")).to_be_visible()


async def _say_what_column_is(page: Page, at: int, target: str) -> None:
    row = page.locator(".told.mapping > div").nth(at + 1)
    await row.locator(".q-select").click()
    await page.locator(".q-menu .q-item").get_by_text(target, exact=True).click()


async def test_page_speaks_english_and_is_not_for_agents(world: World, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("who,what\nc1,Ann\n", encoding="utf-8")
    page = await world.log_in("/console/data", locale="en-US")
    await expect(page.get_by_text("Bring customers in from another system")).to_be_visible()
    await page.locator("input[type=file]").set_input_files(file)
    await expect(page.get_by_text("Nothing says who a row is about")).to_be_visible()
    await expect(page.get_by_role("button", name="Start the import")).to_have_count(0)
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_text("Bring customers in from another system")).to_be_visible()
    await world.hire("ann", "agent")
    other = await world.log_in("/console/data", login="ann", password=CONTENT_PASSWORD)
    await expect(other.get_by_role("link", name="数据", exact=True)).to_have_count(0)
    await expect(other.locator("input[type=file]")).to_have_count(0)
