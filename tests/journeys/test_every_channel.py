"""Every channel through its simulated platform: an order, a return, a person and back, as its customers live it.

One product with all channels open; the platforms call it and are called over real sockets. Where a platform says which
account of the shop its customer is (a linked speaker) that is enough; elsewhere the customer signs in by the link that the
bot sent. On the phone the link is not read out: it stands in the transcript, as the text message would bring it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.journeys.channels_world import LINK, NAMES, Person, World, open_world
from tests.journeys.conftest import answer_of_shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEAKERS = ("aligenie", "dueros", "xiaoai", "alexa")
PHONES = ("phone_twilio", "phone_jambonz", "phone_httapi")
GLOBAL = ("sms_twilio", "alexa", "slack", "teams", "whatsapp", "messenger", "telegram", "line")
SETTINGS = {
    f"HUILIU_{name.upper()}_{field}": value
    for name in SPEAKERS
    for field, value in (("ACCOUNT_LINKING", "user_token"), ("DEADLINE_SECONDS", "2"))
}
ORDER = "SQ2026010002"
"""Of demo1: delivered, two items, inside the time of returns."""


@dataclass(frozen=True)
class Script:
    """What a customer says in one language, and a word of what is answered."""

    order: tuple[str, str]
    sign_in: str
    steps: tuple[tuple[str, str], ...]
    """The return: from the wish to the number of the return."""
    person: tuple[str, str]
    agent: str
    thanks: str
    fee: str


CHINESE = Script(
    order=(f"{ORDER} 到哪了", "签收"),
    sign_in="登录",
    steps=(
        ("我要退货", "哪个订单"), (ORDER, "哪一件"), ("台灯", "原因"), ("就是不太喜欢，没用过", "确认提交"), ("确认", "退货单号"),
    ),
    person=("转人工", "同事"), agent="您好，我是小王，马上为您处理。", thanks="好的，谢谢", fee="运费多少钱",
)  # fmt: skip
ENGLISH = Script(
    order=(f"Where is my order {ORDER}?", "delivered"),
    sign_in="sign in",
    steps=(
        ("I want to return something", "Which order"), (ORDER, "Which of them"), ("the desk lamp", "reason"),
        ("I just don't like it, unused", "submit"), ("yes", "requested"),
    ),
    person=("I want to talk to a human agent", "colleague"), agent="Hello, this is Kim, let me look into it.",
    thanks="thank you", fee="How much is delivery?",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("channels"), SETTINGS) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pristine(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The order system is a process of its own and makes its file when it starts, which the product does not wait for: by the
    first answer the file is there."""
    await answer_of_shop(world.product.system.orders)
    copy = tmp_path_factory.mktemp("orders") / "orders.db"
    _copy(_orders(world), copy)
    return copy


@pytest.fixture(autouse=True)
def fresh_orders(world: World, pristine: Path) -> Iterator[None]:
    """The shop's orders as they were: every channel's customer returns the same lamp."""
    yield
    _copy(pristine, _orders(world))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def script(name: str) -> Script:
    return ENGLISH if name in GLOBAL else CHINESE


async def test_order_question_is_answered_as_soon_as_the_customer_is_known(
    world: World, name: str, script: Script
) -> None:
    customer = world.person(name, "order")
    asked, state = script.order
    refused = await customer.ask(asked, script.sign_in)
    assert state not in refused
    answered = await _prove(world, customer, state) if name not in SPEAKERS else ""
    if name in SPEAKERS:
        await _link(world, customer)
        answered = await customer.ask(asked, state)
    assert state in answered


async def test_return_is_arranged_in_several_turns_and_done_after_a_yes(
    world: World, name: str, script: Script
) -> None:
    customer = world.person(name, "return")
    (wish, which), *steps = script.steps
    if name in SPEAKERS:
        await _link(world, customer)
        await customer.ask(wish, which)
    else:
        await customer.ask(wish, script.sign_in)
        await _prove(world, customer, which)
    for said, word in steps:
        assert _state(world) == "delivered"
        await customer.ask(said, word)
    assert _state(world) == "return_requested"


async def test_person_takes_over_answers_on_the_channel_and_gives_back(
    world: World, name: str, script: Script
) -> None:
    customer = world.person(name, "person")
    await customer.ask(*script.person)
    conversation = await _find(world, name, "queue")
    await world.staff("POST", f"{conversation}/take")
    await world.staff("POST", f"{conversation}/reply", {"text": script.agent})
    await _hear_later(world, customer, script.thanks, script.agent.rstrip("。."))
    assert (await world.staff("GET", conversation))["holder"] == "human"
    await world.staff("POST", f"{conversation}/give-back")
    await world.product.settle()
    await customer.ask(script.fee, "99", "九十九")
    lines = (await world.staff("GET", conversation))["messages"]
    assert [line["role"] for line in lines if line["text"] == script.agent] == ["agent"]


async def _prove(world: World, customer: Person, word: str) -> str:
    """Signs in by the link that the bot wrote; what had to wait goes on by itself."""
    link = customer.text
    if customer.channel in PHONES:
        lines = (await world.staff("GET", await _find(world, customer.channel, "bot")))["messages"]
        link = next(line["text"] for line in reversed(lines) if LINK.search(line["text"]))
    await world.sign_in(link)
    return await _hear_later(world, customer, "", word)


async def _hear_later(world: World, customer: Person, said: str, word: str) -> str:
    """What comes by itself; a voice says it as soon as the customer is silent, or says the next thing."""
    if customer.channel in (*PHONES, *SPEAKERS):
        await world.product.settle()
        await customer.write("" if customer.channel in PHONES else said)
    return await customer.hears(word)


async def _link(world: World, customer: Person) -> None:
    """The customer has linked the skill with their account of the shop."""
    speaker: Any = world.platforms[customer.channel]
    speaker.linked[customer.user] = await world.identity_token("demo1")


async def _find(world: World, channel: str, holder: str) -> str:
    """The newest conversation of this channel, as the desk shows it."""
    inbox = await world.staff("GET", "/v1/desk/conversations")
    found = [one["id"] for one in inbox[holder] if one["channel"] == channel]
    assert found, inbox
    return f"/v1/desk/conversations/{found[0]}"


def _orders(world: World) -> Path:
    return world.product.system.settings.data_dir / "shop" / "orders.db"


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def _state(world: World) -> str:
    with closing(sqlite3.connect(_orders(world))) as shop:
        (state,) = shop.execute("SELECT state FROM orders WHERE order_no = ?", (ORDER,)).fetchone()
    return str(state)
