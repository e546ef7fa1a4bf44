"""A customer's orders as cards. Drawn by the desk's side panel and by the customer's page."""

from __future__ import annotations

from nicegui import ui

from operations.console import frame
from operations.console.reading import Orders
from operations.console.words import Words

_ORDER_TONES = {"delivered": "good", "completed": "good", "exception": "bad", "lost": "bad"}
_GREY_ORDERS = frozenset({"cancelled", "refunded", "returned"})


def draw_orders(words: Words, orders: Orders) -> None:
    frame.section(words("desk.orders"), len(orders.orders) or None)
    if orders.state != "shown" or not orders.orders:
        key = {"locked": "desk.orders_locked", "down": "desk.orders_down", "shown": "desk.orders_none"}
        ui.label(words(key[orders.state])).classes("quiet")
    name = "name_zh" if words.language == "zh" else "name_en"
    for order in orders.orders:
        state = str(order.get("state", ""))
        with ui.element("div").classes("card"):
            with ui.element("div").classes("row between"):
                ui.label(str(order.get("order_no", ""))).classes("card-title")
                tone = "" if state in _GREY_ORDERS else _ORDER_TONES.get(state, "accent")
                frame.badge(words.order_state(state), tone)
            items = [str(item.get(name, "")) for item in order.get("items", ())]
            ui.label(("、" if words.language == "zh" else ", ").join(items)).classes("quiet")
            with ui.element("div").classes("row between"):
                ui.label(f"¥ {order.get('total', '')}")
                ui.label(str(order.get("placed_at") or "")[:10]).classes("quiet")
