"""The MCP client against real servers over real pipes and sockets: answers, refusals, silence, death and return."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.tools.mcp import McpOrders
from foundation import errors

ROOT = Path(__file__).parent.parent.parent.parent
ASKED = {"customer": "demo1", "limit": 2}

DYING = """
import os
from mcp.server.mcpserver import MCPServer
server = MCPServer("dying", log_level="ERROR")

@server.tool()
def list_orders(customer: str, limit: int = 10) -> dict:
    if os.path.exists(MARK):
        return {"ok": True, "orders": []}
    open(MARK, "w").close()
    os._exit(1)

@server.tool()
async def get_order(customer: str, order_no: str) -> dict:
    import asyncio
    await asyncio.sleep(3600)
    return {"ok": True}

@server.tool()
def get_customer(customer: str) -> str:
    return "this is no answer of a shop"

server.run("stdio")
"""


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[McpOrders]:
    command = [
        sys.executable,
        "-m",
        "demo.shop.order_server",
        "--database",
        str(tmp_path / "orders.db"),
        "--stdio",
    ]
    orders = McpOrders(command, folder=ROOT)
    await orders.open()
    yield orders
    await orders.close()


@pytest.fixture
async def dying(tmp_path: Path) -> AsyncIterator[McpOrders]:
    script = tmp_path / "dying.py"
    script.write_text(f"MARK = {str(tmp_path / 'mark')!r}\n{DYING}")
    orders = McpOrders([sys.executable, str(script)], read_seconds=2)
    yield orders
    await orders.close()


async def test_many_calls_share_one_session(shop: McpOrders) -> None:
    answers = await asyncio.gather(*(shop.call("list_orders", ASKED) for _ in range(12)))
    assert all(answer == answers[0] and len(answer["orders"]) == 2 for answer in answers)


async def test_the_shops_no_is_an_answer(shop: McpOrders) -> None:
    answer = await shop.call("get_order", {"customer": "demo2", "order_no": "SQ2026010001"})
    assert (answer["ok"], answer["code"]) == (False, "not_found")


async def test_a_call_the_server_does_not_know_is_refused(shop: McpOrders) -> None:
    with pytest.raises(errors.UpstreamRefused):
        await shop.call("delete_everything", {})


async def test_it_connects_again_when_it_was_closed(shop: McpOrders) -> None:
    await shop.close()
    assert (await shop.call("list_orders", ASKED))["ok"]


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/mcp", ["/does/not/exist"], ["false"]])
async def test_it_is_unavailable_when_no_server_is_there(target: str | list[str]) -> None:
    orders = McpOrders(target)
    await orders.open()
    with pytest.raises(errors.UpstreamUnavailable):
        await orders.call("list_orders", ASKED)
    await orders.close()


async def test_the_next_call_reaches_a_new_server_when_the_first_one_died(dying: McpOrders) -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await dying.call("list_orders", ASKED)
    assert (await dying.call("list_orders", ASKED))["ok"]


async def test_a_call_ends_when_the_server_stays_silent(dying: McpOrders) -> None:
    with pytest.raises(errors.UpstreamUnavailable) as caught:
        await dying.call("get_order", {"customer": "demo1", "order_no": "x"})
    assert caught.value.code == "order_system_timeout"


async def test_an_unreadable_answer_is_refused(dying: McpOrders) -> None:
    with pytest.raises(errors.UpstreamRefused):
        await dying.call("get_customer", {"customer": "demo1"})
