"""What the shop's own system tells about a customer while it is asked for something else, as events and statements.

The agent's tools and the desk read orders of an account that is proven; each order they see is counted once for that account's
identity, and counted back when it is returned or refunded. Nothing is asked of the shop for this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
import structlog

from customers import search
from customers.graph.graph import Graph
from customers.profile import records
from customers.profile.aggregates import ProfileEvent
from customers.profile.facts import Fact
from customers.profile.profile import Profiles
from foundation import errors
from foundation.clock import Clock
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.storage.database import Database

NOT_YET = frozenset({"unpaid"})
TAKEN_BACK = frozenset({"cancelled", "refunded", "returned"})
STATED = ("name", "level", "language")
REMEMBERED = 20_000
"""What this process has noted lately, so that a panel that is drawn again writes nothing."""

_log = structlog.get_logger(__name__)


def event_id(kind: str, identity_id: str, order_no: str) -> str:
    """The same whoever tells of the order: the shop's system, an import, the API."""
    return f"{kind}:{identity_id}:{order_no.upper()}"


@dataclass(slots=True)
class OrderNotes:
    database: Database
    profiles: Profiles
    clock: Clock
    _noted: set[tuple[str, ...]] = field(default_factory=set)

    async def seen(self, tenant: TenantId, account: str, answer: Mapping[str, Any]) -> None:
        """Any answer of the order system about this account. Never in the way: what cannot be written now is noted the next
        time somebody looks."""
        listed = answer.get("orders")
        orders = listed if isinstance(listed, list) else [answer] if "order_no" in answer else []
        orders = [one for one in orders if isinstance(one, dict) and self._is_news(tenant, account, one)]
        stated = {name: str(answer[name]) for name in STATED if "order_no" not in answer and answer.get(name)}
        if stated and (tenant, account, *stated.values()) in self._noted:
            stated = {}
        if not orders and not stated:
            return
        try:
            await self.database.write(lambda c: self._write(c, tenant, account, orders, stated))
        except (errors.UpstreamUnavailable, errors.Overloaded) as error:
            _log.info("orders not noted", code=error.code)
            return
        if len(self._noted) > REMEMBERED:
            self._noted.clear()
        self._noted.update(_mark(tenant, account, one) for one in orders)
        if stated:
            self._noted.add((tenant, account, *stated.values()))

    def _is_news(self, tenant: TenantId, account: str, order: Mapping[str, Any]) -> bool:
        return _mark(tenant, account, order) not in self._noted

    def _write(
        self, connection: sa.Connection, tenant: TenantId, account: str, orders: Iterable[Mapping[str, Any]],
        stated: Mapping[str, str],
    ) -> None:  # fmt: skip
        now = self.clock()
        identity_id = self.profiles.vault.lookup_key("identity", tenant, "vouched", "account", account)
        holder = Identifier(namespace="account", value=account, proven=True)
        Graph(self.profiles.vault, self.clock).observe(
            connection, tenant, [holder], conversation_id=ConversationId(identity_id), seen_at=now
        )
        for order in orders:
            number = str(order.get("order_no") or "")
            search.add(connection, self.profiles.vault, tenant, identity_id, ("order", number))
            for event in _events(connection, tenant, identity_id, order, now):
                size = event.amount if event.type == "order" else None
                self.profiles.note(connection, tenant, identity_id, event, size=size)
        for name, value in stated.items():
            fact = Fact(identity_id, name, value, "account", 2, 1.0, now)
            self.profiles.state(connection, tenant, fact, occasion=f"{now:%Y-%m-%d}")


def _events(
    connection: sa.Connection, tenant: TenantId, identity_id: str, order: Mapping[str, Any], now: datetime
) -> list[ProfileEvent]:
    amount, placed_at = _amount(order.get("total")), _moment(order.get("placed_at"))
    state, order_no = str(order.get("state", "")), str(order.get("order_no", ""))
    if amount is None or placed_at is None or not order_no or state in NOT_YET:
        return []
    bought = event_id("order", identity_id, order_no)
    found = []
    if state == "cancelled" and not records.known_events(connection, tenant, [bought]):
        return []  # it never was one
    items = order.get("items")
    first = next((one for one in items if isinstance(one, dict)), {}) if isinstance(items, list) else {}
    product = str(first.get("sku") or first.get("name_zh") or "")[:100]
    found.append(ProfileEvent(bought, "order", placed_at, product=product, amount=amount))
    if state in TAKEN_BACK:
        found.append(ProfileEvent(event_id("refund", identity_id, order_no), "refund", now, amount=amount))
    return found


def _mark(tenant: TenantId, account: str, order: Mapping[str, Any]) -> tuple[str, ...]:
    return (tenant, account, str(order.get("order_no")), str(order.get("state")))


def _amount(value: object) -> float | None:
    try:
        return float(Decimal(str(value)))
    except InvalidOperation:
        return None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
