"""The whole product as `huiliu serve` runs it, in this process on a temporary folder, and as a real child process."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from fastapi import FastAPI
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from agent.tools.contract import OrderSystem
from foundation import errors
from foundation.clock import utc_now
from foundation.messages import TenantId
from foundation.settings import Settings, load
from retrieval.index_memory import MemoryIndex
from service import http, wiring
from service.operator import make_pass
from tests.conftest import start_from_template
from tests.unit.agent.shop_tools import Shop

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / ".pytest_cache" / "vectors.db"
SHOP = ROOT / "demo" / "shop" / "articles"
SHOP_SECONDS = 60.0
"""Within which the shop's own process has started, on the busiest machine."""
ARTICLES = ("delivery-fees", "return-7-days", "refund-times", "invoice-electronic", "service-hours")


class Product:
    """One running application and a client; `operator` may do everything staff may."""

    def __init__(self, app: FastAPI, system: wiring.System) -> None:
        self.app = app
        self.system = system
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=system.settings.address, timeout=60)
        token = make_pass(system.vault, system.tenants[0], utc_now)
        self.operator = {"Authorization": f"Bearer {token}"}

    async def settle(self) -> None:
        """Until nothing waits, runs or is on its way out."""
        while True:
            depth = await self.system.bus.depth()
            if not (depth.waiting or depth.running or depth.replies_waiting):
                return
            await self.system.bus.changed(0.05)

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers=self.operator, **more)


def few_articles(folder: Path) -> Path:
    for language in ("zh", "en"):
        (folder / language).mkdir(parents=True)
        for name in ARTICLES:
            text = (SHOP / language / f"{name}.md").read_text(encoding="utf-8")
            (folder / language / f"{name}.md").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def without_looking_for_a_server() -> Iterator[None]:
    """The console's framework looks through every object of the process for the server that it runs in; in a process that
    has run a thousand tests this takes as long as all the rest of a start, and here is none."""
    with mock.patch.object(gc, "get_objects", list):
        yield


@asynccontextmanager
async def opened(settings: Settings, *, served: bool = False, **replaced: Any) -> AsyncIterator[Product]:
    """`served`: with the shop's order system as a process of its own; otherwise the same code of it in this process."""
    start_from_template(settings.sql_url)
    VECTORS.parent.mkdir(exist_ok=True)
    if not served:
        replaced.setdefault("orders", Shop(settings.data_dir))
    system = wiring.build(settings, index=MemoryIndex(), vectors=VECTORS, **replaced)
    app = http.application(system)
    async with AsyncExitStack() as stack:
        with without_looking_for_a_server():
            await stack.enter_async_context(app.router.lifespan_context(app))
        product = Product(app, system)
        await stack.enter_async_context(product.client)
        yield product


async def answer_of_shop(orders: OrderSystem) -> dict[str, Any]:
    """As soon as there is one: a busy machine may take longer to start the process than a customer would wait for it."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(errors.UpstreamUnavailable), stop=stop_after_delay(SHOP_SECONDS),
        wait=wait_fixed(0.2), reraise=True,
    ):  # fmt: skip
        with attempt:
            return await orders.call("list_orders", {"customer": "demo1"})
    raise AssertionError("unreachable: the last attempt raises")


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    settings = load(
        data_dir=tmp_path / "var",
        articles=few_articles(tmp_path / "articles"),
        channels=["web_chat", "wechat_oa"],
    )
    async with opened(settings) as running:
        yield running


@pytest.fixture
def tenant() -> TenantId:
    return TenantId("demo")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
