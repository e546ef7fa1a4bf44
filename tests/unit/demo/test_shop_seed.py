"""The seed data: twelve customers, sixty orders in every state, and stories that run forward in time."""

from collections import Counter

import pytest

from demo.shop.order_server import SHOP
from demo.shop.return_policy import load_policy
from demo.shop.seed import SeedData, SeedOrder, load_seed_data, timeline

DATA: SeedData = load_seed_data(SHOP / "seed_data")
STATES = {
    "unpaid",
    "paid",
    "shipped",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "completed",
    "cancelled",
    "return_requested",
    "returned",
    "refunding",
    "refunded",
    "exception",
}


def test_every_state_occurs_when_all_orders_are_counted() -> None:
    assert len(DATA.orders) == len({order.order_no for order in DATA.orders}) == 60
    assert len(DATA.customers) == 12
    assert {order.state for order in DATA.orders} == STATES


def test_demo_customers_have_the_promised_orders_when_signed_in() -> None:
    counts = Counter(order.customer for order in DATA.orders)
    states = {order.state for order in DATA.orders if order.customer == "demo1"}
    signed = {order.signed_hours_ago for order in DATA.orders if order.customer == "demo1"}
    assert counts["demo1"] >= 6
    assert counts["demo2"] >= 5
    assert {"shipped", "delivered", "refunding", "unpaid"} <= states
    assert {48, 480} <= signed


@pytest.mark.parametrize("order", DATA.orders, ids=lambda order: order.order_no)
def test_story_runs_forward_and_ends_in_the_state_when_told(order: SeedOrder) -> None:
    story = timeline(order)
    ages = [age for _, age in story]
    assert story[-1][0] == order.state
    assert ages == sorted(ages, reverse=True)
    assert ages[-1] >= 0


@pytest.mark.parametrize("order", DATA.orders, ids=lambda order: order.order_no)
def test_order_is_possible_when_compared_with_catalogue_and_policy(order: SeedOrder) -> None:
    assert order.customer in DATA.customers
    assert {item.sku for item in order.items} <= set(DATA.products)
    assert order.carrier is None or order.carrier in DATA.carriers
    assert order.state != "unpaid" or order.placed_hours_ago < 24
    assert order.state != "completed" or (order.signed_hours_ago or 0) >= 30 * 24
    assert order.state != "delivered" or (order.signed_hours_ago or 0) < 30 * 24


def test_excluded_categories_are_marked_when_in_the_catalogue() -> None:
    excluded = load_policy(SHOP / "policy.yaml").windows["no_reason"].categories_excluded
    marked = {sku for sku, product in DATA.products.items() if not product.returnable}
    assert marked == {sku for sku, product in DATA.products.items() if product.category in excluded}
