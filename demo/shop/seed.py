"""Fills an empty order database from `seed_data/`: 12 customers and 60 orders in every state.

Called from `order_server`. The data holds ages in hours, which become moments relative to the time of seeding,
so a fresh demo is never old; everything else, order numbers included, is the same each time.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from demo.shop.order_answers import render_time
from demo.shop.order_store import OrderStore

_EMPTY_ALL = (
    "DELETE FROM done",
    "DELETE FROM invoices",
    "DELETE FROM returns",
    "DELETE FROM events",
    "DELETE FROM items",
    "DELETE FROM orders",
    "DELETE FROM customers",
)
_INSERT_ORDER = """
INSERT INTO orders (
    order_no, customer, state, placed_at, paid_at, shipped_at, signed_at, eta, discount, delivery_fee,
    receiver, phone, address, carrier_zh, carrier_en, tracking_no, refund_state
) VALUES (
    :order_no, :customer, :state, :placed_at, :paid_at, :shipped_at, :signed_at, :eta, :discount, :delivery_fee,
    :receiver, :phone, :address, :carrier_zh, :carrier_en, :tracking_no, :refund_state
)
"""
_ON_THE_WAY = ("shipped", "in_transit", "out_for_delivery")
_LOST = ("shipped", "in_transit", "exception")
_AFTER_SALES = ("return_requested", "returned", "refunding", "refunded")
_COMPLETED_AFTER_HOURS = 30 * 24
_REFUND_STATES = frozenset(_AFTER_SALES)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Customer(_Strict):
    name: str
    level: str
    language: str
    phone: str
    address: str


class Product(_Strict):
    name_zh: str
    name_en: str
    price: str
    category: str
    returnable: bool


class Carrier(_Strict):
    name_zh: str
    name_en: str
    prefix: str


class OrderedItem(_Strict):
    sku: str
    quantity: int


class SeedOrder(_Strict):
    order_no: str
    customer: str
    state: str
    placed_hours_ago: float
    items: tuple[OrderedItem, ...]
    discount: str
    delivery_fee: str
    carrier: str | None = None
    signed_hours_ago: float | None = None
    changed_hours_ago: float | None = None
    eta_in_hours: float | None = None


class SeedData(_Strict):
    customers: dict[str, Customer]
    products: dict[str, Product]
    carriers: dict[str, Carrier]
    orders: tuple[SeedOrder, ...]


def load_seed_data(folder: Path) -> SeedData:
    lines = (folder / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    return SeedData(
        customers=_read_yaml(folder / "customers.yaml"),
        products=_read_yaml(folder / "products.yaml"),
        carriers=_read_yaml(folder / "carriers.yaml"),
        orders=tuple(SeedOrder.model_validate(json.loads(line)) for line in lines if line.strip()),
    )


def ensure_seeded(store: OrderStore, data: SeedData, *, now: datetime, reset: bool) -> bool:
    """Seeds a database without customers, or any database with `reset`; says whether it did."""
    with store.transaction() as db:
        if reset:
            for statement in _EMPTY_ALL:
                db.execute(statement)
        if db.execute("SELECT 1 FROM customers").fetchone():
            return False
        for account, customer in data.customers.items():
            db.execute(
                "INSERT INTO customers VALUES (?, ?, ?, ?, ?)",
                (account, customer.name, customer.level, customer.language, customer.phone),
            )
        for order in data.orders:
            _insert_order(db, data, order, now=now)
        return True


def timeline(order: SeedOrder) -> list[tuple[str, float]]:
    """The order's states so far, each with its age in hours, oldest first."""
    placed = order.placed_hours_ago
    paid = placed - min(0.1, placed / 2)
    changed = paid if order.changed_hours_ago is None else order.changed_hours_ago
    start = [("unpaid", placed)]
    if order.state == "unpaid":
        return start
    if order.state == "cancelled":
        return [*start, ("cancelled", changed)]
    start.append(("paid", paid))
    if order.state == "paid":
        return start
    if order.signed_hours_ago is None:
        way = (
            ("shipped", "in_transit", "exception")
            if order.state == "exception"
            else _up_to(_ON_THE_WAY, order.state)
        )
        return start + _spread(way, after=paid, last=changed)
    signed = order.signed_hours_ago
    story = start + _spread((*_ON_THE_WAY, "delivered"), after=paid, last=signed)
    if order.state == "completed":
        story.append(("completed", signed - _COMPLETED_AFTER_HOURS))
    if order.state in _AFTER_SALES:
        story += _spread(_up_to(_AFTER_SALES, order.state), after=signed, last=changed)
    return story


def _insert_order(db: sqlite3.Connection, data: SeedData, order: SeedOrder, *, now: datetime) -> None:
    customer = data.customers[order.customer]
    carrier = data.carriers[order.carrier] if order.carrier else None
    story = {state: render_time(now - timedelta(hours=age)) for state, age in timeline(order)}
    eta = None if order.eta_in_hours is None else render_time(now + timedelta(hours=order.eta_in_hours))
    refunding = order.state in _REFUND_STATES
    row = {
        "order_no": order.order_no,
        "customer": order.customer,
        "state": order.state,
        "placed_at": story["unpaid"],
        "paid_at": story.get("paid"),
        "shipped_at": story.get("shipped"),
        "signed_at": story.get("delivered"),
        "eta": eta,
        "discount": order.discount,
        "delivery_fee": order.delivery_fee,
        "receiver": customer.name,
        "phone": customer.phone,
        "address": customer.address,
        "carrier_zh": carrier.name_zh if carrier else None,
        "carrier_en": carrier.name_en if carrier else None,
        "tracking_no": f"{carrier.prefix}{order.order_no[-8:]}" if carrier else None,
        "refund_state": order.state if refunding else None,
    }
    db.execute(_INSERT_ORDER, row)
    for state, at in story.items():
        db.execute("INSERT INTO events (order_no, at, event) VALUES (?, ?, ?)", (order.order_no, at, state))
    _insert_items(db, data, order)
    if refunding:
        _insert_return(db, order, requested_at=story["return_requested"])


def _insert_items(db: sqlite3.Connection, data: SeedData, order: SeedOrder) -> None:
    for item in order.items:
        product = data.products[item.sku]
        db.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                order.order_no,
                item.sku,
                product.name_zh,
                product.name_en,
                product.category,
                product.price,
                item.quantity,
                product.returnable,
            ),
        )


def _insert_return(db: sqlite3.Connection, order: SeedOrder, *, requested_at: str) -> None:
    """Seeded returns cover the whole order and have no discount to share."""
    skus = ",".join(sorted(item.sku for item in order.items))
    amount = db.execute(
        "SELECT printf('%.2f', SUM(unit_price * quantity)) FROM items WHERE order_no = ?", (order.order_no,)
    ).fetchone()[0]
    number = db.execute(
        "INSERT INTO returns (order_no, skus, reason, refund_amount, freight_by, requested_at)"
        " VALUES (?, ?, 'change_of_mind', ?, 'customer', ?)",
        (order.order_no, skus, amount, requested_at),
    ).lastrowid
    return_no = f"RT{number:010d}"
    db.execute("UPDATE returns SET return_no = ? WHERE id = ?", (return_no, number))
    db.execute("UPDATE items SET return_no = ? WHERE order_no = ?", (return_no, order.order_no))
    db.execute("UPDATE orders SET refund_amount = ? WHERE order_no = ?", (amount, order.order_no))


def _up_to(states: tuple[str, ...], last: str) -> tuple[str, ...]:
    return states[: states.index(last) + 1]


def _spread(states: Sequence[str], *, after: float, last: float) -> list[tuple[str, float]]:
    """Evenly spaced ages: the last state has the age `last`, all lie between `after` and it."""
    step = (after - last) / len(states)
    return [(state, after - step * (index + 1)) for index, state in enumerate(states)]


def _read_yaml(path: Path) -> dict[str, dict[str, object]]:
    read: dict[str, dict[str, object]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read
