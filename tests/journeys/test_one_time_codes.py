"""A customer shows by a one-time code who they are, where no sign-in is at hand, and the task goes on.

The whole product over real sockets: the platforms, the carrier of the SMS and the mail server are played beside it, and a code
is read off the phone it was sent to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from customers.verification.records import challenge_table
from foundation.conversations import message_table, raw_payload_table
from tests.journeys.channels_world import Person, World, open_world
from tests.journeys.proving_world import ASK, CODE, MAIL, SMS, Browser, code_for, number, prove_by_link, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "telegram"
ORDER = "SQ2026010002"
SENT = "如果我们认识这个号码或邮箱，验证码已经发过去了"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("codes")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(world: World) -> Person:
    return await prove_by_link(world, SMS, "codes-owner")


async def test_order_is_shown_on_the_web_chat_after_a_code_by_sms(world: World, phone: Person) -> None:
    phone.heard.clear()
    browser = await Browser(world).open()
    asked = await browser.ask(f"{ORDER} 到哪了")
    assert "哪个手机号或邮箱" in asked
    assert "签收" not in asked
    assert SENT in await browser.ask(number(world, phone.user))
    code = await code_for(world, phone)
    shown = await browser.ask(code)
    assert "身份已确认" in shown
    assert ORDER in shown
    assert "签收" in shown
    assert "签收" in await browser.ask(f"{ORDER} 到哪了"), "for half an hour nothing more is asked"
    assert "登录" in await browser.ask("我要改收货地址"), "which a code is not enough for"


async def test_half_filled_form_goes_on_when_the_code_proves_its_customer_on_another_platform(
    world: World, phone: Person
) -> None:
    await phone.ask("我要退货", "哪个订单")
    await phone.ask(ORDER, "哪一件")
    customer = world.person(CHAT, "codes-form")
    await customer.ask("我要退货", "哪个手机号或邮箱")
    await customer.ask("等一下，退货运费谁出", "运费", "邮费")
    assert "哪个手机号或邮箱" in customer.text, "the question is asked again after another one was answered"
    phone.heard.clear()
    await customer.ask(f"手机号 {number(world, phone.user)}", SENT)
    code = await code_for(world, phone)
    await customer.ask(wrong(code), "还可以试 4 次")
    await customer.ask(f"验证码是 {code}", "哪一件")
    assert "您之前在" in customer.text
    assert "哪个订单" not in customer.text
    await customer.ask("台灯", "原因")


async def test_mail_brings_the_code_to_who_talks_by_sms(world: World) -> None:
    writer: Any = await prove_by_link(world, MAIL, "codes-mail")
    writer.heard.clear()
    customer = world.person(SMS, "codes-by-sms")
    await customer.ask(ASK, "哪个手机号或邮箱")
    await customer.ask(writer.client.address, SENT)
    code = await code_for(world, writer)
    assert "哪个订单" in await customer.ask(code, "身份已确认")


async def test_nobody_is_sent_a_code_where_they_talk(world: World, phone: Person) -> None:
    phone.heard.clear()
    stranger = world.person(SMS, "codes-stranger")
    await stranger.ask(ASK, "哪个手机号或邮箱")
    await stranger.ask(number(world, phone.user), SENT)
    await world.product.settle()
    assert not CODE.search(phone.text)


async def test_known_and_unknown_are_answered_byte_for_byte_alike(world: World, phone: Person) -> None:
    phone.heard.clear()
    said: list[list[str]] = []
    for contact in (number(world, phone.user), "+8613912340987", "nobody.here@lanyu-post.cn"):
        browser = await Browser(world).open()
        words = [await browser.ask(ASK), await browser.ask(contact)]
        code = await code_for(world, phone) if not said else "402817"
        for guess in (wrong(code), wrong(wrong(code)), "重新发送", "取消"):
            words.append(await browser.ask(guess))
        said.append(words)
    assert said[0] == said[1] == said[2]


async def test_a_limit_is_answered_like_the_first_time(world: World) -> None:
    phone = await prove_by_link(world, SMS, "codes-often")
    browser = await Browser(world).open()
    await browser.ask(ASK)
    words = {await browser.ask(number(world, phone.user)) for _ in range(5)}
    assert len(words) == 1
    assert SENT in words.pop()
    assert await outcomes(world, browser.session["conversation_id"]) == ["sent"] * 3 + ["session_limit"] * 2


async def test_no_code_is_kept_anywhere(world: World) -> None:
    """Not in a transcript, on either side, and not in what the platform sent."""
    phone = await prove_by_link(world, SMS, "codes-kept")
    phone.heard.clear()
    browser = await Browser(world).open()
    await browser.ask(ASK)
    await browser.ask(number(world, phone.user))
    code = await code_for(world, phone)
    await browser.ask(f"是 {code}")
    kept = await texts(world)
    assert kept
    assert not [text for text in kept if code in text]
    assert [text for text in kept if text == "是 ••••••"]


async def outcomes(world: World, conversation_id: str) -> list[str]:
    await world.product.settle()
    table = challenge_table.c
    query = (
        sa.select(table.outcome).where(table.conversation_id == conversation_id).order_by(table.created_at)
    )
    return await world.product.system.database.read(lambda c: [row.outcome for row in c.execute(query)])


async def texts(world: World) -> list[str]:
    def read(connection: sa.Connection) -> list[str]:
        lines = [row.text for row in connection.execute(sa.select(message_table.c.text))]
        return lines + [row.body for row in connection.execute(sa.select(raw_payload_table.c.body))]

    return await world.product.system.database.read(read)


async def test_an_app_asks_and_answers_with_a_form_of_its_own(world: World) -> None:
    phone = await prove_by_link(world, SMS, "codes-api")
    phone.heard.clear()
    browser = await Browser(world).open()
    headers = {"authorization": f"Bearer {browser.session['visitor_token']}"}
    start = f"{world.url}/v1/verifications"

    async def post(address: str, **body: str) -> tuple[int, Any]:
        answer = await world.client.post(address, json=body, headers=headers)
        return answer.status_code, answer.json()

    assert (await post(start, contact="+8613912340987"))[0] == 404, (
        "before the first message there is nothing to prove"
    )
    await browser.ask(ASK)
    known = await post(start, contact=number(world, phone.user))
    unknown = await post(start, contact="+8613912340987")
    assert {**known[1], "id": ""} == {**unknown[1], "id": ""}
    assert (known[0], unknown[0]) == (202, 202)
    assert known[1]["message"].startswith(SENT)
    code = await code_for(world, phone)
    assert await post(f"{start}/{known[1]['id']}/check", code=wrong(code)) == (
        200,
        {"state": "wrong", "tries_left": 4},
    )
    assert await post(f"{start}/{unknown[1]['id']}/check", code=code) == (
        200,
        {"state": "wrong", "tries_left": 4},
    )
    assert await post(f"{start}/{known[1]['id']}/check", code=code) == (
        200,
        {"state": "right", "tries_left": 0},
    )
    assert "哪个订单" in await browser.ask("谢谢")
    assert (await post(start, contact="订单"))[1]["error"]["code"] == "no_contact"
    assert (await post(start, contact="+8613912340987", purpose="talk"))[1]["error"][
        "code"
    ] == "unknown_purpose"
    stranger = await world.client.post(start, json={"contact": "+8613912340987"})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "token_invalid")
    other = await Browser(world).open()
    await other.ask("你好")
    headers = {"authorization": f"Bearer {other.session['visitor_token']}"}
    assert await post(f"{start}/{known[1]['id']}/check", code=code) == (
        200,
        {"state": "expired", "tries_left": 0},
    )
