"""What the desk shows: rows, names, the customer's last words, orders, and what happens when the shop is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from customers.directory import Directory
from customers.matching.online import Matcher
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profiles
from foundation import errors
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId
from operations.console import words
from operations.console.reading import ORDER_LIMIT, DeskReading, caller
from operations.identities.person import PersonReading
from tests.unit.operations.conftest import OTHER_TENANT, Office


class Shop:
    """The order system as a shop without orders' worth of code: answers, fails or never answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failure: BaseException | None = None

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((name, dict(arguments)))
        if self.failure is not None:
            raise self.failure
        if name == "get_customer":
            return {"ok": True, "name": "林小雨", "level": "gold"}
        return {"ok": True, "orders": [{"order_no": "SQ1", "state": "shipped"}]}


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def reading(office: Office, shop: Shop) -> DeskReading:
    directory = Directory(office.database, office.database.vault, office.clock)
    titles = {"web_chat": {"zh": "网页聊天", "en": "Web chat"}}
    vault = office.database.vault
    people = PersonReading(directory, Profiles(vault, office.clock), Matcher(vault, office.clock))
    return DeskReading(
        office.database, people, desk=office.desk, staff=office.staff, orders=shop, titles=titles, clock=office.clock,
        notes=OrderNotes(office.database, Profiles(office.database.vault, office.clock), office.clock),
    )  # fmt: skip


async def test_rows_show_the_customers_last_words_and_who_holds(office: Office, reading: DeskReading) -> None:
    mei = await office.hire("mei")
    waiting = await office.customer_says("<b>多久</b>能到", "c1")
    office.clock.move(minutes=3)
    held = await office.customer_says("转人工", "c2")
    await office.desk.take_over(mei, held)
    await office.desk.reply(mei, held, "您好")
    rows = await reading.rows(office.tenant)
    assert [(row.conversation.id, row.last_text, row.holder_name) for row in rows] == [
        (waiting, "<b>多久</b>能到", ""),
        (held, "转人工", "Mei"),
    ]
    assert (rows[0].channel_title("zh"), rows[0].channel_title("en"), rows[0].channel_title("fr")) == (
        "网页聊天", "Web chat", "web_chat",
    )  # fmt: skip
    assert await reading.rows(OTHER_TENANT) == []


async def test_rows_are_read_again_only_when_something_moved(office: Office, reading: DeskReading) -> None:
    await office.customer_says("你好", waits=False)
    first = await reading.rows(office.tenant)
    assert await reading.rows(office.tenant) is first
    await office.customer_says("在吗", waits=False)
    second = await reading.rows(office.tenant)
    assert second[0].last_text == "在吗"
    assert (await asyncio.gather(*(reading.rows(office.tenant) for _ in range(10))))[9] is second


async def test_orders_stay_locked_until_an_account_is_proven(
    office: Office, reading: DeskReading, shop: Shop
) -> None:
    conversation = await office.customer_says("我是 demo1，给我看订单")
    view = await reading.view(office.tenant, conversation)
    assert (view.orders.state, view.person, view.name, shop.calls) == ("locked", None, "", [])


async def test_proven_customer_is_shown_with_orders_of_the_proven_account_only(
    office: Office, reading: DeskReading, shop: Shop
) -> None:
    conversation = await _signed_in(office)
    view = await reading.view(office.tenant, conversation)
    assert (view.orders.state, view.orders.name, view.orders.level) == ("shown", "林小雨", "gold")
    assert [order["order_no"] for order in view.orders.orders] == ["SQ1"]
    assert shop.calls == [
        ("list_orders", {"customer": "demo1", "limit": ORDER_LIMIT}),
        ("get_customer", {"customer": "demo1"}),
    ]
    await reading.view(office.tenant, conversation)
    assert len(shop.calls) == 2
    office.clock.move(minutes=1)
    await reading.view(office.tenant, conversation)
    assert len(shop.calls) == 4
    with pytest.raises(errors.NotFound):
        await reading.view(OTHER_TENANT, conversation)


@pytest.mark.parametrize(
    "failure",
    [errors.UpstreamUnavailable("down"), errors.UpstreamRefused("no"), TimeoutError()],
)
async def test_page_shows_the_rest_when_the_shop_does_not_answer(
    office: Office, reading: DeskReading, shop: Shop, failure: BaseException
) -> None:
    conversation = await _signed_in(office)
    shop.failure = failure
    view = await reading.view(office.tenant, conversation)
    assert (view.orders.state, view.messages[0].text) == ("down", "我的订单")
    asked = len(shop.calls)
    await reading.view(office.tenant, conversation)
    assert len(shop.calls) == asked
    shop.failure = None
    office.clock.move(seconds=6)
    assert (await reading.view(office.tenant, conversation)).orders.state == "shown"


def test_strangers_are_told_apart() -> None:
    english = words.load()["en"]
    assert caller(english, "", ConversationId("abcdef")) != caller(english, "", ConversationId("bcdefg"))
    assert caller(english, "Lin", ConversationId("abcdef")) == "Lin"


async def _signed_in(office: Office) -> ConversationId:
    conversation = await office.customer_says("我的订单")
    directory = Directory(office.database, office.database.vault, office.clock)
    message = InboundMessage(
        tenant=office.tenant, channel="web_chat", account="main", thread="t", message_id=MessageId("m1"),
        sender=(
            Identifier(namespace="web_chat", value="v1", proven=True),
            Identifier(namespace="account", value="demo1", proven=True),
        ),
        text="我的订单", sent_at=office.clock(),
    )  # fmt: skip
    await office.database.write(lambda c: directory.resolve(c, office.tenant, message, conversation))
    return conversation
