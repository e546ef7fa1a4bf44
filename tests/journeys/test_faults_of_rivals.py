"""What other products get wrong, each done to ours: through the platforms' own calls, to the answer at the customer.

Of the same faults, deep in the adapters: the cursor of 微信客服 with 1,200 customers' messages and processes that die is in
`tests/unit/channels/test_wecom_kf_pull.py`; one message for fifty repeats at once in `tests/unit/channels/test_intake.py`;
an attack split over two turns in the suites of the guard.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from service.simulate.chat import meta
from service.simulate.contract import Call
from tests.journeys.channels_world import Person, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION, ANSWER = "运费多少钱", "99 元"
CHANNELS = (
    "wechat_oa", "wecom_kf", "whatsapp", "slack", "telegram", "line", "messenger", "sms_twilio", "sms_generic", "teams",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("rivals")
    async with open_world(folder, {"HUILIU_CHANNELS": json.dumps(["web_chat", *CHANNELS])}) as opened:
        yield opened


async def settled(person: Person) -> str:
    """Everything that came, once nothing more is on its way."""
    await person.world.product.settle()
    await asyncio.sleep(0)
    return person.text


def platform(world: World, name: str) -> Any:
    return world.platforms[name]


async def test_three_customers_are_answered_when_they_write_before_one_pull(world: World) -> None:
    kf, people = platform(world, "wecom_kf"), [world.person("wecom_kf", f"three-{n}") for n in range(3)]
    for person in people:
        kf.api.write(kf.customer(person.user), QUESTION)
    await people[0].call(kf.bell())
    for person in people:
        assert ANSWER in await person.hears(ANSWER)


async def test_three_customers_are_answered_behind_1200_retained_items(world: World) -> None:
    kf, people = platform(world, "wecom_kf"), [world.person("wecom_kf", f"behind-{n}") for n in range(3)]
    told = kf.customer("served before")
    for number in range(1200):
        kf.api.put(
            kf.api.accounts[0], told, {"origin": 5, "msgtype": "text", "text": {"content": str(number)}}
        )
    for person in people:
        kf.api.write(kf.customer(person.user), QUESTION)
    await people[0].call(kf.bell())
    for person in people:
        assert ANSWER in await person.hears(ANSWER)


async def test_five_messages_of_one_batch_are_answered_five_times(world: World) -> None:
    whatsapp, person = platform(world, "whatsapp"), world.person("whatsapp", "batch")
    values = [whatsapp.message("batch", {"type": "text", "text": {"body": QUESTION}}) for _ in range(5)]
    together = {**values[0], "messages": [message for value in values for message in value["messages"]]}
    await person.call(whatsapp.call(together))
    await hears_often(person, 5)


async def test_five_changes_of_one_call_are_answered_five_times(world: World) -> None:
    whatsapp, person = platform(world, "whatsapp"), world.person("whatsapp", "changes")
    values = [whatsapp.message("changes", {"type": "text", "text": {"body": QUESTION}}) for _ in range(5)]
    await person.call(whatsapp.call(*values))
    await hears_often(person, 5)


@pytest.mark.parametrize("name", CHANNELS)
async def test_same_sentence_said_twice_on_purpose_is_answered_twice(world: World, name: str) -> None:
    person = world.person(name, "twice")
    for _ in range(2):
        await person.call(platform(world, name).say(QUESTION, user="twice"))
    await hears_often(person, 2)


async def test_nothing_is_lost_that_is_written_while_an_answer_is_thought_about(world: World) -> None:
    """The workers rest, as if the first answer took for ever; the platform's five seconds are kept all the same."""
    person, worker = world.person("wechat_oa", "meanwhile"), world.product.system.worker
    await worker.stop()
    try:
        for text in (QUESTION, "退款多久到账", QUESTION):
            await person.call(platform(world, "wechat_oa").say(text, user="meanwhile"))
        assert person.text == ""
    finally:
        worker.start()
    await settled(person)
    (found,) = (await world.staff("GET", "/v1/desk/conversations"))["bot"][:1]
    lines = (await world.staff("GET", f"/v1/desk/conversations/{found['id']}"))["messages"]
    said = [(line["role"], line["text"]) for line in lines]
    assert [role for role, _ in said] == ["customer"] * 3 + ["bot"] * 3, said
    assert [ANSWER in text for role, text in said if role == "bot"] == [True, False, True], said
    assert len(person.heard) == 3, (person.text, said)


async def test_slack_retries_are_one_message(world: World) -> None:
    slack, person = platform(world, "slack"), world.person("slack", "retries")
    call = slack.say(QUESTION, user="retries")
    again = [
        replace(
            call,
            headers={**call.headers, "x-slack-retry-num": str(n), "x-slack-retry-reason": "http_timeout"},
        )
        for n in (1, 2, 3)
    ]
    await asyncio.gather(*(person.call(one) for one in (call, *again)))
    await hears_often(person, 1)


def _lean_whatsapp(chat: Any) -> Call:
    (message,) = chat.message("lean", {"type": "text", "text": {"body": QUESTION}})["messages"]
    kept = {name: message[name] for name in ("from", "id", "type", "text")}
    value = {"metadata": {"phone_number_id": chat.settings.phone_number_id}, "messages": [kept]}
    whole = {
        "object": "whatsapp_business_account",
        "entry": [{"changes": [{"field": "messages", "value": value}]}],
    }
    return meta.signed(chat.settings.app_secret.get_secret_value(), whole)


def _lean_messenger(chat: Any) -> Call:
    item = chat.item("lean", message={"mid": chat._mid(), "text": QUESTION})
    kept = {name: item[name] for name in ("sender", "recipient", "message")}
    entry = {"id": chat.settings.page_id, "messaging": [kept]}
    return meta.signed(chat.settings.app_secret.get_secret_value(), {"object": "page", "entry": [entry]})


def _lean_slack(chat: Any) -> Call:
    user = chat.know("lean")
    event = {"type": "message", "channel": f"D{user}", "user": user, "text": QUESTION, "ts": chat._next_ts()}
    whole = {"type": "event_callback", "team_id": chat.account.team_id, "event": event}
    return chat.signed(json.dumps(whole).encode())  # type: ignore[no-any-return]  # a simulator's call


def _lean_telegram(chat: Any) -> Call:
    message = chat.message("lean", text=QUESTION)
    kept = {"message_id": message["message_id"], "date": message["date"], "text": QUESTION}
    chat_id = message["chat"]["id"]
    lean = {**kept, "chat": {"id": chat_id, "type": "private"}, "from": {"id": chat_id, "is_bot": False}}
    return chat.update("message", lean)  # type: ignore[no-any-return]  # a simulator's call


def _lean_line(chat: Any) -> Call:
    event = chat.event("lean", type="message", message={"id": "59", "type": "text", "text": QUESTION})
    kept = {name: event[name] for name in ("type", "timestamp", "source", "message")}
    return chat.events(kept)  # type: ignore[no-any-return]  # a simulator's call


def _lean_sms_twilio(chat: Any) -> Call:
    fields = {"MessageSid": chat._sid("in"), "AccountSid": chat.settings.account_sid, "Body": QUESTION}
    fields |= {"From": chat.phones.international("lean"), "To": chat.settings.from_number}
    return chat.signed(urlencode(fields).encode())  # type: ignore[no-any-return]  # a simulator's call


def _lean_sms_generic(chat: Any) -> Call:
    body = {"from": chat.phones.international("lean"), "text": QUESTION}
    return chat.signed(json.dumps(body).encode())  # type: ignore[no-any-return]  # a simulator's call


def _lean_teams(chat: Any) -> Call:
    activity = chat.envelope(chat.know("lean"), "lean") | {"type": "message", "text": QUESTION}
    kept = {
        n: activity[n] for n in ("id", "type", "text", "serviceUrl", "channelId", "conversation", "recipient")
    }
    return chat.signed(json.dumps({**kept, "from": {"id": activity["from"]["id"]}}).encode())  # type: ignore[no-any-return]  # a simulator's call


LEAN: dict[str, Callable[[Any], Call]] = {
    "whatsapp": _lean_whatsapp, "messenger": _lean_messenger, "slack": _lean_slack, "telegram": _lean_telegram,
    "line": _lean_line, "sms_twilio": _lean_sms_twilio, "sms_generic": _lean_sms_generic, "teams": _lean_teams,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LEAN))
async def test_message_without_anything_optional_is_answered(world: World, name: str) -> None:
    person = world.person(name, "lean")
    await person.call(LEAN[name](platform(world, name)))
    assert ANSWER in await person.hears(ANSWER)


async def hears_often(person: Person, times: int) -> None:
    """So many answers, and not one more."""
    await settled(person)
    await person.hears(ANSWER)
    found = [seen.text for seen in person.heard]
    assert len([text for text in found if ANSWER in text]) == times, found
