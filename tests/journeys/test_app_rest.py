"""The app by REST: sessions of the shop's user tokens, two devices, pushes to whoever is away, and nothing lost or doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import structlog

from channels.adapters.app.push import ATTEMPTS
from customers import behaviour
from foundation.messages import ConversationId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.app.phone import Phone
from service.simulate.app.shop import Signer
from tests.conftest import StandingClock
from tests.fakes.app_house import NEW_KEY, OLD_KEY, PUSH_SECRET, AppHouse, settings_of
from tests.fakes.web_chat_house import TENANT, ToyAgent

GRACE = 6


@pytest.fixture
async def house(
    database: Database, vault: Vault, clock: StandingClock, tmp_path: Path
) -> AsyncIterator[AppHouse]:
    agent = ToyAgent()
    built = AppHouse(database, vault, clock, tmp_path, answerer=agent)
    agent.house = built
    async with built.open():
        yield built


@pytest.fixture
async def client(house: AppHouse) -> AsyncIterator[httpx.AsyncClient]:
    """An app has no origin."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url=house.public_url
    ) as opened:
        yield opened


@pytest.fixture
async def phone(house: AppHouse, client: httpx.AsyncClient) -> Phone:
    """Signed in and registered for pushes."""
    opened = house.phone(client)
    assert (await opened.open()).status_code == 201
    assert (await opened.register()).status_code == 204
    return opened


async def ask(house: AppHouse, phone: Phone, text: str) -> None:
    assert (await phone.write(text)).status_code == 201
    await house.settle()


async def push(house: AppHouse, clock: StandingClock, seconds: float = GRACE) -> int:
    """Everything that is due after so long; how many notifications phones have shown by then."""
    clock.move(seconds=seconds)
    while await house.pusher.work():
        pass
    return len(house.push.seen)


# ---- sessions --------------------------------------------------------------------------------------------------------


async def test_second_device_goes_on_with_the_same_conversation(
    house: AppHouse, client: httpx.AsyncClient, phone: Phone
) -> None:
    await ask(house, phone, "你好")
    tablet, stranger = house.phone(client, device="d2"), house.phone(client, user="wu")
    for other in (tablet, stranger):
        await other.open()
    assert tablet.session["conversation_id"] == phone.session["conversation_id"]
    assert tablet.session["last_seq"] == 2
    assert stranger.session["conversation_id"] != phone.session["conversation_id"]
    await ask(house, tablet, "还在吗")
    for device in (phone, tablet):
        await device.read()
    assert phone.texts == tablet.texts
    assert [text for _, text in phone.texts] == ["你好", "您说的是：你好", "还在吗", "您说的是：还在吗"]
    assert (await stranger.read()) == []


async def test_both_keys_are_taken_while_they_change_and_then_only_the_new_one(
    house: AppHouse, client: httpx.AsyncClient, clock: StandingClock, database: Database, vault: Vault, tmp_path: Path
) -> None:  # fmt: skip
    old, new = house.phone(client), house.phone(client)
    old.signer = Signer.of_secret("k1", OLD_KEY, clock)
    assert [(await one.open()).status_code for one in (old, new)] == [201, 201]
    assert old.session["conversation_id"] == new.session["conversation_id"]
    later = AppHouse(database, vault, clock, tmp_path, settings=settings_of(keys=f"k2={'n' * 32}"))
    transport = httpx.ASGITransport(later.app)
    async with httpx.AsyncClient(transport=transport, base_url=later.public_url) as after:
        old.client = after
        refused = await old.open()
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "user_key_unknown")
    assert "key" in refused.json()["error"]["message"]


async def test_session_ends_with_its_user_token_and_a_new_one_begins(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    now = int(clock().timestamp())
    answer = await phone.open(exp=now + 300)
    assert answer.json()["expires_at"] == (now + 300) * 1000
    clock.move(seconds=301)
    late = await phone.write("zu spät")
    assert (late.status_code, late.json()["error"]["code"]) == (401, "token_expired")
    stale = await phone.open(exp=now + 300, iat=now)
    assert (stale.status_code, stale.json()["error"]["code"]) == (401, "user_token_expired")
    await phone.open()
    assert (await phone.write("再来")).status_code == 201


async def test_proven_account_comes_along_only_when_the_token_says_so(
    house: AppHouse, client: httpx.AsyncClient
) -> None:
    agent = house.answerer
    assert isinstance(agent, ToyAgent)
    for user, claims in (("lin", {}), ("u-2", {"account": "demo2"}), ("u-3", {"account": False})):
        phone = house.phone(client, user=user)
        await phone.open(**claims)
        await ask(house, phone, "hello")
    senders = [
        {(one.namespace, one.value, one.proven) for one in event.message.sender} for event in agent.heard
    ]
    assert senders == [
        {("app:main", "lin", True), ("account", "lin", True)},
        {("app:main", "u-2", True), ("account", "demo2", True)},
        {("app:main", "u-3", True)},
    ]


async def test_calls_without_a_right_token_are_refused_with_a_sentence(
    house: AppHouse, client: httpx.AsyncClient, phone: Phone
) -> None:
    bare = house.phone(client)
    for method, path, form in (
        ("GET", "/messages", None), ("POST", "/messages", {"client_msg_id": str(uuid4()), "text": "x"}),
        ("POST", "/events", {"events": []}), ("POST", "/ack", {"seq": 1}), ("PUT", "/devices/d", {"handle": "h"}),
        ("DELETE", "/devices/d", None), ("GET", "/stream", None), ("POST", "/uploads", None),
    ):  # fmt: skip
        answer = await bare._call(method, path, form)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_missing"), path
    missing = await client.post("/v1/app/main/sessions", json={})
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "user_token_missing")
    for body in (b"{", b"[]", b'{"user_token": 5}', b'{"user_token": "x", "admin": true}'):
        answer = await client.post("/v1/app/main/sessions", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")
    phone.session["session_token"] = phone.signer.token("lin")
    answer = await phone.write("a user token is no session token")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_invalid")


async def test_whoever_tries_tokens_without_end_has_to_wait(
    house: AppHouse, client: httpx.AsyncClient
) -> None:
    answers = [await client.post("/v1/app/main/sessions", json={"user_token": "x"}) for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {401}
    assert answers[60].status_code == 429
    assert (await house.phone(client).open()).status_code == 201


async def test_web_view_of_any_origin_may_read_answers(client: httpx.AsyncClient, phone: Phone) -> None:
    origin = {"origin": "capacitor://localhost"}
    asked = await client.options("/v1/app/main/devices/d1", headers=origin)
    assert asked.status_code == 204
    assert "PUT" in asked.headers["access-control-allow-methods"]
    answer = await client.post("/v1/app/main/sessions", json={}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


# ---- messages --------------------------------------------------------------------------------------------------------


async def test_message_that_was_sent_again_is_one(house: AppHouse, phone: Phone) -> None:
    name = str(uuid4())
    first, again = await phone.write("一次", name), await phone.write("一次", name)
    other = await phone.write("另一句", name)
    assert [one.status_code for one in (first, again, other)] == [201, 200, 409]
    assert first.json() == again.json()
    await house.settle()
    await phone.read()
    assert phone.texts == [("customer", "一次"), ("bot", "您说的是：一次")]


async def test_what_is_looked_at_is_kept_once_and_is_no_message(house: AppHouse, phone: Phone) -> None:
    for _ in range(2):
        assert (await phone.look("蓝色跑鞋", identity="e1")).status_code == 202
    await house.settle()
    talk = ConversationId(phone.session["conversation_id"])
    found = await house.database.read(lambda c: behaviour.recent(c, TENANT, talk))
    assert [(one.id, one.title) for one in found] == [("e1", "蓝色跑鞋")]
    assert await phone.read() == []


# ---- pushes ----------------------------------------------------------------------------------------------------------


async def test_reply_that_nobody_sees_is_pushed_once_and_waits_in_the_conversation(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    await ask(house, phone, "快递到哪了")
    assert await push(house, clock, seconds=1) == 0
    assert await push(house, clock) == 1
    assert await push(house, clock) == 1
    data = dict(house.push.seen[0].data)
    assert data.pop("message_id").startswith("reply-to-")
    assert data == {
        "account": "main", "user": "lin", "device": "d1", "platform": "android", "handle": "push-d1",
        "conversation_id": phone.session["conversation_id"], "seq": 2, "from": "bot",
    }  # fmt: skip
    clock.move(hours=2)
    await phone.open()
    assert [one["text"] for one in await phone.read()] == ["快递到哪了", "您说的是：快递到哪了"]
    assert await phone.read() == []


async def test_nothing_is_pushed_when_the_app_shows_the_reply(
    house: AppHouse, client: httpx.AsyncClient, phone: Phone, clock: StandingClock
) -> None:
    tablet = house.phone(client, device="d2")
    await tablet.open()
    await tablet.register()
    await ask(house, phone, "你好")
    await tablet.read()
    assert await push(house, clock) == 0
    phone.is_away = tablet.is_away = True
    await ask(house, phone, "还有一个问题")
    await tablet.read()
    assert await push(house, clock) == 2
    assert {one.data["device"] for one in house.push.seen} == {"d1", "d2"}


async def test_push_says_what_the_settings_allow(
    database: Database, vault: Vault, clock: StandingClock, tmp_path: Path
) -> None:
    settings = settings_of(push_text=True, push_title="山茶商城", push_after_seconds=0)
    built = AppHouse(database, vault, clock, tmp_path, answerer=ToyAgent(), settings=settings)
    async with (
        built.open(),
        httpx.AsyncClient(transport=httpx.ASGITransport(built.app), base_url="http://app") as client,
    ):
        phone = built.phone(client)
        await phone.open()
        await phone.register()
        await ask(built, phone, "问" * 300)
        assert await push(built, clock, seconds=0) == 1
    data = built.push.seen[0].data
    assert (data["title"], data["text"]) == ("山茶商城", f"您说的是：{'问' * 195}")


async def test_push_is_tried_again_under_the_same_id_when_the_service_stumbles(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    house.push.failures.extend([500, 429])
    await ask(house, phone, "在吗")
    assert await push(house, clock) == 0
    assert await push(house, clock, seconds=6) == 0
    assert len(house.push.calls) == 1, "the service has asked for seven seconds"
    assert await push(house, clock, seconds=2) == 0
    assert await push(house, clock, seconds=11) == 1
    assert len(house.push.calls) == 3
    assert len(set(house.push.calls)) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 302])
async def test_push_is_let_go_when_the_service_refuses_it(
    house: AppHouse, phone: Phone, clock: StandingClock, status: int
) -> None:
    house.push.failures.append(status)
    await ask(house, phone, "在吗")
    assert await push(house, clock) == 0
    assert await push(house, clock, seconds=600) == 0
    assert len(house.push.calls) == 1
    await ask(house, phone, "还在吗")
    assert await push(house, clock) == 1, "the next reply is pushed again"


async def test_push_is_given_up_when_the_service_stays_away(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    house.push.failures.extend([503] * 50)
    await ask(house, phone, "在吗")
    for _ in range(ATTEMPTS + 5):
        await push(house, clock, seconds=400)
    assert len(house.push.calls) == ATTEMPTS


async def test_nothing_personal_is_logged(
    house: AppHouse, client: httpx.AsyncClient, clock: StandingClock
) -> None:
    user, handle, said = "lin.xiaoyu@example.com", "the-handle-of-a-phone", "我的手机号是 13800138000"
    with structlog.testing.capture_logs() as lines:
        phone = house.phone(client, user=user)
        await phone.open()
        token = phone.session["session_token"]
        await phone.open(aud="another")
        await phone.register(handle=handle)
        house.push.failures.extend([500, 401, *[503] * 3 * ATTEMPTS])
        await phone.look(said)
        for _ in range(3):
            await ask(house, phone, said)
            await push(house, clock)
        for _ in range(ATTEMPTS + 2):
            await push(house, clock, seconds=400)
    written = repr(lines)
    assert "push given up" in written
    assert [one for one in (user, handle, said, token, NEW_KEY, PUSH_SECRET) if one in written] == []


async def test_device_that_is_gone_is_forgotten(house: AppHouse, phone: Phone, clock: StandingClock) -> None:
    house.push.gone.add("push-d1")
    await ask(house, phone, "在吗")
    assert await push(house, clock) == 0
    house.push.gone.clear()
    await ask(house, phone, "还在吗")
    assert await push(house, clock) == 0
    await phone.register()
    await ask(house, phone, "回来了")
    assert await push(house, clock) == 1


async def test_phone_that_was_handed_on_gets_nothing_of_its_former_owner(
    house: AppHouse, client: httpx.AsyncClient, phone: Phone, clock: StandingClock
) -> None:
    await ask(house, phone, "我的")
    heir = house.phone(client, user="wu", device="d1")
    await heir.open()
    await heir.register(handle="push-d1")
    assert await push(house, clock) == 0
    await ask(house, heir, "她的")
    assert await push(house, clock) == 1
    assert house.push.seen[0].data["user"] == "wu"


async def test_device_that_signed_out_gets_nothing(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    assert (await phone._call("DELETE", "/devices/d1")).status_code == 204
    await ask(house, phone, "在吗")
    assert await push(house, clock) == 0


async def test_devices_are_bounded_and_their_names_are_checked(
    house: AppHouse, phone: Phone, clock: StandingClock
) -> None:
    for number in range(2, 14):
        clock.move(seconds=1)
        phone.device = f"d{number}"
        assert (await phone.register()).status_code == 204
    await ask(house, phone, "在吗")
    assert await push(house, clock) == 10
    for name in ("%00", "a%20b", "x" * 101, "%F0%9F%93%B1"):
        phone.device = name
        answer = await phone.register()
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_device")
    answer = await phone._call("PUT", "/devices/d1", {"handle": "", "platform": "toaster"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


async def test_test_of_the_account_calls_the_push_service(house: AppHouse) -> None:
    from channels.promises import Testing

    assert isinstance(house.channel, Testing)
    assert "k1 (HS256), k2 (HS256)" in await house.channel.test()
    assert house.push.pings == 1
