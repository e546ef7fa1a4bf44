"""The demo shop as its tests meet it: a session with its order system in this process, or with one of its own."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from demo.shop import order_answers, order_server, return_policy, seed
from demo.shop.order_book import OrderBook
from demo.shop.order_store import OrderStore

ROOT = Path(__file__).parents[3]
Ask = Callable[..., Awaitable[dict[str, Any]]]
OpenShop = Callable[..., AbstractAsyncContextManager[Ask]]


class MovableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 20, 4, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def shop_clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def open_shop(tmp_path: Path, shop_clock: MovableClock) -> OpenShop:
    """Opens a real MCP session with a freshly seeded order system inside this process."""
    store = OrderStore(tmp_path / "orders.db")
    seed.ensure_seeded(
        store, seed.load_seed_data(order_server.SHOP / "seed_data"), now=shop_clock(), reset=False
    )
    book = OrderBook(
        store,
        return_policy.load_policy(order_server.SHOP / "policy.yaml"),
        wording=order_answers.load_wording(order_server.SHOP / "wording.yaml"),
        now=shop_clock,
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Ask]:
        async with Client(order_server.build_server(book)) as client:
            yield _asking(client)

    return opened


@pytest.fixture
def open_stdio() -> OpenShop:
    @asynccontextmanager
    async def opened(database: Path, *flags: str) -> AsyncIterator[Ask]:
        command = ["-m", "demo.shop.order_server", "--database", str(database), "--stdio", *flags]
        async with Client(StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)) as client:
            yield _asking(client)

    return opened


@pytest.fixture
def open_http() -> OpenShop:
    @asynccontextmanager
    async def opened(database: Path, *flags: str) -> AsyncIterator[Ask]:
        with _listening(database, *flags) as url:
            async with Client(url) as client:
                yield _asking(client)

    return opened


@contextmanager
def _listening(database: Path, *flags: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "demo.shop.order_server",
        "--database",
        str(database),
        "--port",
        str(port),
    ]
    process = subprocess.Popen([*command, *flags], cwd=ROOT)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=6), timeout=10) as waiting:
            waiting.get(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _asking(client: Client) -> Ask:
    async def ask(tool: str, **arguments: object) -> dict[str, Any]:
        result = await client.call_tool(tool, dict(arguments))
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    return ask
