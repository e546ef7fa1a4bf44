"""The platform's rules as the simulator and the fake keep them: what its documentation says is refused, is."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from service.simulate.wechat.wechat_api import Shown, WechatApi
from tests.conftest import StandingClock

OPENID = "oAbC-123"
HELLO = {"touser": OPENID, "msgtype": "text", "text": {"content": "你好"}}


class Caller:
    def __init__(self, clock: StandingClock) -> None:
        self.seen: list[Shown] = []
        self.api = WechatApi("wx1", "secret", clock, self.seen.append)
        transport = httpx.ASGITransport(self.api.application())
        self._client = httpx.AsyncClient(transport=transport, base_url="http://wechat")
        self.token = ""

    async def fetch_token(self, **changed: Any) -> dict[str, Any]:
        asked = {"grant_type": "client_credential", "appid": "wx1", "secret": "secret", **changed}
        answer = (await self._client.post("/cgi-bin/stable_token", json=asked)).json()
        self.token = answer.get("access_token", self.token)
        return dict(answer)

    async def call(self, path: str, content: bytes) -> int:
        response = await self._client.post(
            f"/cgi-bin/message/custom/{path}", params={"access_token": self.token}, content=content
        )
        return int(response.json()["errcode"])

    async def send(self, **changed: Any) -> int:
        return await self.call("send", json.dumps({**HELLO, **changed}).encode())


@pytest.fixture
async def caller(clock: StandingClock) -> Caller:
    caller = Caller(clock)
    await caller.fetch_token()
    caller.api.note_action(OPENID)
    return caller


async def test_token_stays_the_same_until_it_is_forced_or_ends(caller: Caller, clock: StandingClock) -> None:
    first = caller.token
    assert (await caller.fetch_token())["access_token"] == first
    clock.move(seconds=100)
    assert (await caller.fetch_token())["expires_in"] == 7100
    assert (await caller.fetch_token(force_refresh=True))["access_token"] != first
    second = caller.token
    clock.move(seconds=7200)
    assert await caller.send() == 42001
    assert (await caller.fetch_token())["access_token"] != second


async def test_token_is_refused_when_the_credentials_are_wrong(caller: Caller) -> None:
    assert (await caller.fetch_token(appid="wx2"))["errcode"] == 40013
    assert (await caller.fetch_token(secret="guess"))["errcode"] == 40125
    caller.token = "guess"
    assert await caller.send() == 40001


async def test_message_is_refused_when_it_breaks_a_rule(caller: Caller) -> None:
    assert await caller.call("send", b"{not json") == 47001
    assert await caller.call("send", b"[]") == 47001
    assert await caller.send(touser="gh_1") == 40003
    assert await caller.send(touser="oStranger") == 45015
    assert await caller.send(msgtype="hologram") == 40008
    assert await caller.send(text={"content": ""}) == 44004
    assert await caller.send(text={"content": "汉" * 683}) == 45002
    assert caller.seen == []
    assert await caller.send(text={"content": "汉" * 682}) == 0


async def test_allowance_follows_the_last_action(caller: Caller, clock: StandingClock) -> None:
    assert [await caller.send() for _ in range(6)] == [0, 0, 0, 0, 0, 45047]
    caller.api.note_action(OPENID, "menu")
    assert [await caller.send() for _ in range(4)] == [0, 0, 0, 45047]
    caller.api.note_action(OPENID, "menu")
    clock.move(seconds=60)
    assert await caller.send() == 45015


async def test_typing_is_taken_once_and_soon_after_a_message(caller: Caller, clock: StandingClock) -> None:
    typing = json.dumps({"touser": OPENID, "command": "Typing"}).encode()
    assert [await caller.call("typing", typing) for _ in range(2)] == [0, 45081]
    await caller.send()
    assert await caller.call("typing", typing) == 0
    clock.move(seconds=30)
    assert await caller.call("typing", typing) == 45080
