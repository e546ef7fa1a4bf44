"""The whole product on a port of its own and a browser before it: for tests that look at the console."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from foundation.conversations import Message
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.settings import load
from operations.staff import Member, Role
from retrieval.index_memory import MemoryIndex
from service import http, wiring
from tests.conftest import start_from_template
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import VECTORS, few_articles
from tests.unit.agent.shop_tools import Shop

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
TENANT = TenantId("demo")
PASSWORD = "huiliu-demo"
CONTENT_PASSWORD = "a long password"
PATIENCE_MILLISECONDS = 15_000
"""How long a page may take to show what it must show: a loaded machine is no fault."""

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@dataclass
class World:
    system: wiring.System
    browser: Browser
    address: str
    complaints: list[str] = field(default_factory=list)
    """What a browser complained about, and what it fetched elsewhere."""
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def customer(self, text: str, thread: str = "t1", *, account: str = "") -> ConversationId:
        """A message of the web chat, worked on until nothing waits."""
        number = next(self.numbers)
        sender = [Identifier(namespace="web_chat", value=f"visitor-{thread}", proven=True)]
        if account:
            sender.append(Identifier(namespace="account", value=account, proven=True))
        message = InboundMessage(
            tenant=TENANT, channel="web_chat", account="site", thread=thread, message_id=MessageId(f"{thread}-{number}"),
            sender=tuple(sender), text=text, sent_at=self.system.clock(),
        )  # fmt: skip
        accepted = await self.system.intake.accept(message, text.encode())
        await self.settle()
        return accepted.conversation_id

    async def settle(self) -> None:
        while True:
            depth = await self.system.bus.depth()
            if not (depth.waiting or depth.running or depth.replies_waiting):
                return
            await self.system.bus.changed(0.05)

    async def transcript(self, conversation_id: ConversationId) -> list[Message]:
        return list((await self.system.reading.view(TENANT, conversation_id)).messages)

    async def hire(self, login: str, role: Role) -> Member:
        return await self.system.staff.add(
            TENANT, login=login, name=login.title(), role=role, password=CONTENT_PASSWORD, actor="test"
        )

    async def page(self, path: str = "/console", **context: Any) -> Page:
        """A fresh browser of somebody who has not logged in."""
        options: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "locale": "zh-CN", **context}
        opened = await self.browser.new_context(**options)
        opened.set_default_timeout(PATIENCE_MILLISECONDS)
        page = await opened.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._check_request(request.url))
        await page.goto(f"{self.address}{path}")
        return page

    async def log_in(
        self, path: str = "/console", *, login: str = "admin", password: str = PASSWORD, **context: Any
    ) -> Page:
        page = await self.page(path, **context)
        await enter(page, login, password)
        await expect(page.locator(".h-bar")).to_be_visible()
        return page

    def _check_request(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"fetched {url}")


async def enter(page: Page, login: str, password: str) -> None:
    await page.fill("input[name=login]", login)
    await page.fill("input[name=password]", password)
    await page.click("button[type=submit]")


@asynccontextmanager
async def open_world(
    folder: Path, channels: Sequence[str] = ("web_chat", "wechat_oa"), **changed: Any
) -> AsyncIterator[World]:
    """Ends with the assertion that no page complained and none fetched anything from elsewhere."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    VECTORS.parent.mkdir(exist_ok=True)
    listener, port = free_port()
    settings = load(
        data_dir=folder / "var",
        articles=few_articles(folder / "articles"),
        port=port,
        channels=list(channels),
        **changed,
    )
    start_from_template(settings.sql_url)
    VECTORS.parent.mkdir(exist_ok=True)
    system = wiring.build(settings, index=MemoryIndex(), vectors=VECTORS, orders=Shop(settings.data_dir))
    app = http.application(system)
    async with app.router.lifespan_context(app), serving(app, listener), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        world = World(system, browser, f"http://127.0.0.1:{port}")
        yield world
        await browser.close()
        assert world.complaints == []
