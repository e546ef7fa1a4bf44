"""The customer's page and the widget in a real browser, against a small house with a toy agent.

What is looked at: what the customer sees, that nothing is lost or doubled, that no text becomes markup, that nothing
foreign is fetched and no script fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from playwright.async_api import Browser, FilePayload, Page, async_playwright, expect
from playwright.async_api import Route as Held
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from channels.adapters.web_chat.connection import WebChat
from customers import behaviour
from foundation import conversations
from foundation.clock import utc_now
from foundation.conversations import Draft
from foundation.live import Signal
from foundation.messages import ConversationId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.fakes.web_chat_house import IDENTITY_SECRET, TENANT, House, ToyAgent, free_port, serving

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fea7352d8c0000000049454e44ae426082"
)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def house(database: Database, vault: Vault, tmp_path: Path) -> AsyncIterator[House]:
    listener, port = free_port()
    guest, guest_port = free_port()
    agent = ToyAgent()
    built = House(
        database, vault, utc_now, tmp_path, public_url=f"http://127.0.0.1:{port}", answerer=agent,
        origins=(f"http://127.0.0.1:{guest_port}",), brand="汇流小店",
    )  # fmt: skip
    agent.house = built
    built.app.router.routes += [
        Route("/demo/customers", _customers),
        Route("/demo/sign-in", _sign_in, methods=["POST"]),
    ]
    async with built.open(), serving(built.app, listener), serving(_shop(built.public_url), guest):
        yield built


async def _customers(_request: Request) -> Response:
    return JSONResponse({"customers": [{"account": "demo1", "name": "林小雨"}]})


async def _sign_in(request: Request) -> Response:
    account = (await request.json())["account"]
    claims = {"sub": account, "aud": "huiliu", "exp": int(time.time()) + 3600}
    key = OctKey.import_key(IDENTITY_SECRET.encode())
    return JSONResponse({"identity_jwt": jwt.encode({"alg": "HS256", "kid": "k1"}, claims, key)})


def _shop(care: str) -> Starlette:
    """A shop's page with the snippet; it stands on an origin of its own."""
    page = f'<!doctype html><html lang="zh"><body><h1>小店</h1><script src="{care}/widget.js" data-site-key="site"></script></body></html>'

    async def index(_request: Request) -> Response:
        return HTMLResponse(page)

    return Starlette(routes=[Route("/", index)])


class Watch:
    """What a page does behind the customer's back."""

    def __init__(self, page: Page, *allowed: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((*allowed, "blob:", "data:"))
                else self.foreign.append(request.url)
            ),
        )


@asynccontextmanager
async def chat(chromium: Browser, house: House, **context: Any) -> AsyncIterator[Page]:
    options: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN", **context}
    opened = await chromium.new_context(**options)
    page = await opened.new_page()
    watch = Watch(page, house.public_url)
    await page.goto(f"{house.public_url}/chat")
    await expect(page.locator("#empty")).to_be_visible()
    yield page
    assert watch.foreign == []
    assert watch.complaints == []
    await opened.close()


async def say(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def conversation_of(house: House) -> ConversationId:
    return await house.database.read(
        lambda c: conversations.search(c, TENANT)[0].id,
    )


async def test_customer_asks_and_gets_the_answer_with_its_source(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await expect(page.locator("#brand")).to_have_text("汇流小店")
        await page.click("text=多久能收到退款？")
        await expect(page.locator("#empty")).to_be_hidden()
        await expect(page.locator(".running")).to_be_visible()
        await expect(page.locator(".theirs strong")).to_have_text("1–3 个工作日")
        await expect(page.locator(".theirs li")).to_have_count(2)
        await expect(page.locator(".running")).to_have_count(0)
        await expect(page.locator(".own .meta")).to_have_attribute("data-state", "read")
        await page.click(".source")
        await expect(page.locator("#sheet blockquote")).to_contain_text("原路退回")
        await expect(page.locator("#sheet")).to_contain_text("版本 3")
        await page.click("#sheet-close")
        await expect(page.locator("#sheet")).to_be_hidden()
        await expect(page.locator(".line")).to_have_count(2)


async def test_choice_is_picked_by_its_button(chromium: Browser, house: House) -> None:
    async with chat(chromium, house, locale="en-US") as page:
        await say(page, "I want to return something")
        await page.click(".choice:has-text('I changed my mind')")
        await expect(page.locator(".theirs").last).to_contain_text("reason-1")
        await expect(page.locator(".own").last).to_contain_text("I changed my mind")
        await expect(page.locator(".log .choice:visible")).to_have_count(0)


async def test_nothing_is_lost_or_doubled_when_the_line_breaks(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await say(page, "第一条")
        await expect(page.locator(".theirs")).to_have_count(1)
        assert isinstance(house.channel, WebChat)
        await house.channel._lobby.close()
        await page.context.set_offline(True)
        await expect(page.locator("#banner")).to_contain_text("网络已断开")
        await say(page, "断网时写的")
        await expect(page.locator(".own .meta").last).to_have_attribute("data-state", "queued")
        await house.say(await conversation_of(house), "期间来的消息", number=1)
        await page.context.set_offline(False)
        await expect(page.locator(".theirs")).to_have_count(3, timeout=15_000)
        await expect(page.locator("#banner")).to_be_hidden()
        texts = [text.strip() for text in await page.locator(".line .bubble").all_inner_texts()]
        assert texts == ["第一条", "您说的是：第一条", "期间来的消息", "断网时写的", "您说的是：断网时写的"]


async def test_message_goes_out_after_a_reload_when_the_page_was_closed_on_it(
    chromium: Browser, house: House
) -> None:
    async with chat(chromium, house) as page:
        await say(page, "你好")
        await expect(page.locator(".theirs")).to_have_count(1)
        await page.evaluate("WebSocket.prototype.send = () => {}")
        await say(page, "没发出去的")
        await page.reload()
        await expect(page.locator(".theirs")).to_have_count(2)
        texts = [text.strip() for text in await page.locator(".own .bubble").all_inner_texts()]
        assert texts == ["你好", "没发出去的"]


async def test_tabs_of_one_browser_show_one_conversation(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as one:
        other = await one.context.new_page()
        await other.goto(f"{house.public_url}/chat")
        await expect(other.locator("#empty")).to_be_visible()
        await say(one, "在这里写")
        await expect(other.locator(".own")).to_contain_text("在这里写")
        await say(other, "在那里写")
        for tab in (one, other):
            await expect(tab.locator(".line")).to_have_count(4)


@pytest.mark.parametrize("broken", ["WebSocket", "WebSocket and TextDecoderStream"])
async def test_chat_works_without_a_socket(chromium: Browser, house: House, broken: str) -> None:
    """Server-sent events carry it, and long polls where even streams are broken."""
    context = await chromium.new_context(locale="zh-CN")
    await context.add_init_script(
        "window.WebSocket = class { constructor() { setTimeout(() => this.onclose && this.onclose({ code: 1006 })); } close() {} };"
    )
    if "Stream" in broken:
        await context.add_init_script("window.TextDecoderStream = undefined;")
    page = await context.new_page()
    await page.goto(f"{house.public_url}/chat")
    await expect(page.locator("#empty")).to_be_visible()
    await say(page, "没有套接字")
    await expect(page.locator(".theirs")).to_contain_text("您说的是：没有套接字", timeout=20_000)
    await house.say(await conversation_of(house), "推送来的", number=1)
    await expect(page.locator(".theirs").last).to_contain_text("推送来的", timeout=10_000)
    await expect(page.locator(".line")).to_have_count(3)
    await context.close()


async def test_text_never_becomes_markup(chromium: Browser, house: House) -> None:
    nasty = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> [x](javascript:alert(1))"
    async with chat(chromium, house) as page:
        await say(page, nasty)
        await expect(page.locator(".theirs")).to_contain_text("<img src=x")
        assert await page.locator(".log img, .log script, .log a").count() == 0
        assert await page.title() == "汇流小店"
        await say(page, "见 [文档](https://example.com/a) 和 **粗体**")
        anchor = page.locator(".theirs").last.locator("a")
        await expect(anchor).to_have_attribute("href", "https://example.com/a")
        assert "noopener" in (await anchor.get_attribute("rel") or "")


async def test_customer_signs_in_and_out(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await say(page, "我的订单")
        await expect(page.locator(".theirs")).to_have_count(1)
        await page.click("#sign-in")
        await page.click("text=林小雨")
        await expect(page.locator("#sign-in")).to_have_text("林小雨")
        await expect(page.locator(".line")).to_have_count(2)
        assert [proof["account"] for proof in house.proofs] == ["demo1"]
        await page.click("#sign-in")
        await page.click(".sheet >> text=退出")
        await expect(page.locator("#empty")).to_be_visible()
        await expect(page.locator("#sign-in")).to_have_text("登录")
        await say(page, "新的对话")
        await expect(page.locator(".line")).to_have_count(2)


async def test_customer_sees_the_queue_the_person_and_their_typing(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await say(page, "转人工")
        await expect(page.locator("#status-text")).to_contain_text("下一位就是您")
        conversation_id = await conversation_of(house)

        def take(connection: Any) -> None:
            now = utc_now()
            conversations.take_over(connection, TENANT, conversation_id, staff="li", now=now)
            draft = Draft(id="a-1", role="agent", author="李静", text="您好，我是李静。", sent_at=now)
            conversations.append(connection, TENANT, conversation_id, draft)

        await house.database.write(take)
        house.hub.tell(Signal("changed", conversation_id))
        await expect(page.locator("#status-text")).to_have_text("李静 正在为您服务")
        await expect(page.locator(".from-agent .author")).to_have_text("李静")
        house.hub.tell(Signal("typing", conversation_id, who="李静"))
        await expect(page.locator("#typing")).to_be_visible()


async def test_picture_is_sent_and_a_wrong_file_is_explained(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await page.set_input_files("#file", {"name": "面单.png", "mimeType": "image/png", "buffer": PNG})
        await expect(page.locator(".chip:not(.busy)")).to_contain_text("面单.png")
        await page.click("#send")
        picture = page.locator(".own img")
        await expect(picture).to_have_js_property("naturalWidth", 1)
        large = FilePayload(name="a.png", mimeType="image/png", buffer=PNG + b"x" * 5_300_000)
        await page.set_input_files("#file", large)
        await expect(page.locator("#notice")).to_have_text("文件太大，最多 5 MB。")


async def test_file_that_is_chosen_before_the_session_began_is_sent_with_it(
    chromium: Browser, house: House
) -> None:
    began = asyncio.Event()

    async def hold(route: Held) -> None:
        await began.wait()
        await route.continue_()

    async with chat(chromium, house) as page:
        await page.route("**/v1/widget/sessions", hold)
        await page.reload()
        await expect(page.locator("#text")).to_be_enabled()
        await page.set_input_files("#file", {"name": "面单.png", "mimeType": "image/png", "buffer": PNG})
        await expect(page.locator(".chip.busy")).to_contain_text("面单.png")
        began.set()
        await expect(page.locator(".chip:not(.busy)")).to_contain_text("面单.png")


async def test_language_and_theme_are_remembered(chromium: Browser, house: House) -> None:
    async with chat(chromium, house, color_scheme="dark", locale="en-GB") as page:
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.locator("#hello")).to_have_text("Hello, how can we help?")
        await page.click("#theme")
        await page.click("#language")
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await expect(page.locator("#hello")).to_have_text("您好，有什么可以帮您？")


async def test_shift_enter_makes_a_new_line(chromium: Browser, house: House) -> None:
    async with chat(chromium, house) as page:
        await page.fill("#text", "一")
        await page.press("#text", "Shift+Enter")
        await page.type("#text", "二")
        assert await page.locator(".line").count() == 0
        await page.press("#text", "Enter")
        await expect(page.locator(".own .plain")).to_have_text("一\n二", use_inner_text=True)


async def test_widget_opens_in_an_allowed_shop_and_counts_what_was_missed(
    chromium: Browser, house: House
) -> None:
    page = await (
        await chromium.new_context(viewport={"width": 1200, "height": 800}, locale="zh-CN")
    ).new_page()
    shop = house.origins[0]
    watch = Watch(page, house.public_url, shop)
    await page.goto(shop)
    await page.evaluate("Huiliu.look({ title: '蓝色跑鞋', product: '1001' })")
    await expect(page.locator("iframe")).to_have_count(0)
    await page.evaluate("Huiliu.open()")
    frame = page.frame_locator("iframe")
    await expect(frame.locator("#hello")).to_be_visible()
    async with page.expect_response(lambda answer: answer.url.endswith("/events")) as told:
        await page.evaluate("Huiliu.look({ type: 'search', query: '鞋垫' })")
    answer = await told.value
    assert answer.status == 202
    talk = answer.url.split("/")[-2]
    await frame.locator("#text").fill("从小店来")
    await frame.locator("#text").press("Enter")
    await expect(frame.locator(".theirs")).to_contain_text("从小店来")
    claims = {"sub": "demo1", "aud": "huiliu", "exp": int(time.time()) + 600}
    token = jwt.encode({"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key(IDENTITY_SECRET.encode()))
    await page.evaluate("token => Huiliu.identify(token)", token)
    await expect(frame.locator("#sign-in")).to_have_text("林小雨")
    seen = await house.database.read(lambda c: behaviour.recent(c, TENANT, ConversationId(talk)))
    assert [(one.type, one.title, one.query) for one in seen] == [
        ("search", "", "鞋垫"), ("page_view", "蓝色跑鞋", ""),
    ]  # fmt: skip
    await frame.locator("#close").click()
    await expect(page.locator("iframe")).to_be_hidden()
    await page.goto(shop)
    await page.evaluate("Huiliu.open()")
    await expect(frame.locator(".line")).to_have_count(2)
    assert watch.foreign == []
    assert [line for line in watch.complaints if "favicon" not in line and "404" not in line] == []


async def test_widget_stays_closed_in_a_shop_that_is_not_on_the_list(chromium: Browser, house: House) -> None:
    listener, port = free_port()
    async with serving(_shop(house.public_url), listener):
        page = await chromium.new_page()
        await page.goto(f"http://127.0.0.1:{port}")
        async with page.expect_console_message(lambda line: "frame-ancestors" in line.text):
            await page.evaluate("Huiliu.open()")
        assert await page.frame_locator("iframe").locator("#hello").count() == 0
        await page.close()
