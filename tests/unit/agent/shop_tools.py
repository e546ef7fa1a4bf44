"""What tests of forms and tools share: the real tools and words, and the demo shop's order book inside this process.

`Shop` calls the same functions that the order server offers over MCP, without the process around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.tools import contract, registry, words
from agent.writing import Writing
from customers.proof.levels import Standing
from demo.shop import order_answers, order_server, return_policy, seed
from demo.shop.order_book import OrderBook
from demo.shop.order_store import OrderStore
from foundation import errors

WORDS = words.load()
TOOLS = registry.build(WORDS)
WRITING = Writing()
SEED = seed.load_seed_data(order_server.SHOP / "seed_data")
SEEDED_AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


class Shop:
    """`calls` keeps what was asked of it."""

    def __init__(self, folder: Path) -> None:
        store = OrderStore(folder / "orders.db")
        seed.ensure_seeded(store, SEED, now=SEEDED_AT, reset=False)
        self.book = OrderBook(
            store,
            return_policy.load_policy(order_server.SHOP / "policy.yaml"),
            wording=order_answers.load_wording(order_server.SHOP / "wording.yaml"),
            now=lambda: SEEDED_AT,
        )
        self._server = order_server.build_server(self.book)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((name, dict(arguments)))
        result = await self._server.call_tool(name, dict(arguments))
        answer = getattr(result, "structured_content", None)
        assert isinstance(answer, dict)
        return answer

    def changes(self) -> list[str]:
        """The names of the calls that change something."""
        return [
            name
            for name, _ in self.calls
            if name in ("create_return", "change_address", "request_invoice", "cancel_order")
        ]


class Away:
    """An order system that is not there."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise errors.UpstreamUnavailable("away", code="order_system_down")


def context(
    orders: contract.OrderSystem,
    *,
    account: str = "demo1",
    key: str = "c/1/tool",
    intent: str = "",
    approved_by: str = "",
    does: str = "order_status",
) -> contract.ToolContext:
    return contract.ToolContext(
        orders=orders, account=account, standing=Standing(account=bool(account)), does=does, language="zh",
        key=key, intent=intent, approved_by=approved_by,
    )  # fmt: skip


def heard(
    text: str, *, acts: tuple[str, ...] = (), question: bool = False, **entities: str
) -> contract.Heard:
    return contract.Heard(
        text=text,
        plain=WRITING.plain(text),
        acts=frozenset(acts),
        entities={name: [value] for name, value in entities.items()},
        question=question,
    )
