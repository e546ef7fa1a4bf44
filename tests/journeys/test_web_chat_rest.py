"""The web chat by REST: sessions, messages, uploads, receipts, polls, and everything hostile that can be sent there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from foundation import conversations
from foundation.messages import ConversationId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.web_chat_house import GUEST, IDENTITY_SECRET, SERVER_KEY, TENANT, House, ToyAgent

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.fixture
def agent() -> ToyAgent:
    return ToyAgent()


@pytest.fixture
async def house(
    database: Database, vault: Vault, clock: StandingClock, tmp_path: Path, agent: ToyAgent
) -> AsyncIterator[House]:
    built = House(database, vault, clock, tmp_path, answerer=agent)
    agent.house = built
    async with built.open():
        yield built


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as opened:
        yield opened


class Visitor:
    """A browser with a session."""

    def __init__(self, client: httpx.AsyncClient, session: dict[str, Any]) -> None:
        self.client = client
        self.session = session
        self.path = f"/v1/conversations/{session['conversation_id']}"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.session['visitor_token']}"}

    async def post(self, text: str, client_id: str = "", **more: Any) -> httpx.Response:
        form = {"client_msg_id": client_id or str(uuid4()), "text": text, **more}
        return await self.client.post(f"{self.path}/messages", json=form, headers=self.headers)

    async def get(self, query: str = "after_seq=0") -> dict[str, Any]:
        answer = await self.client.get(f"{self.path}/messages?{query}", headers=self.headers)
        assert answer.status_code == 200
        listed: dict[str, Any] = answer.json()
        return listed


async def begin(client: httpx.AsyncClient, **form: Any) -> Visitor:
    answer = await client.post("/v1/widget/sessions", json={"site_key": "site", **form})
    assert answer.status_code in (200, 201), answer.text
    return Visitor(client, answer.json())


def identity(clock: StandingClock, account: str = "demo1", key: str = IDENTITY_SECRET, **claims: Any) -> str:
    now = int(clock().timestamp())
    key_id = claims.pop("kid", "k1")
    head = {"alg": "HS256"} | ({"kid": key_id} if key_id else {})
    body = {"sub": account, "aud": "huiliu", "iat": now, "exp": now + 3600, **claims}
    return jwt.encode(head, {k: v for k, v in body.items() if v is not None}, OctKey.import_key(key.encode()))


# ---- sessions --------------------------------------------------------------------------------------------------------


async def test_session_names_a_conversation_and_sets_a_closed_cookie(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/widget/sessions", json={})
    assert answer.status_code == 201
    assert answer.json()["last_seq"] == 0
    assert answer.json()["ws_url"] == "ws://127.0.0.1:8080/v1/widget/socket"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "Path=/v1/widget;" in cookie
    assert "refresh_token" not in answer.json()


@pytest.mark.parametrize(
    "origin",
    ["null", "https://shop.example.com.evil.com", "https://evil-shop.example.com", "http://shop.example.com",
     "https://shop.example.com:8443", "https://SHOP.example.com", "", "http://127.0.0.1:9090"],
)  # fmt: skip
async def test_session_is_refused_when_the_origin_is_not_on_the_list(
    client: httpx.AsyncClient, origin: str
) -> None:
    answer = await client.post("/v1/widget/sessions", json={"site_key": "site"}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in answer.headers


async def test_allowed_site_may_read_answers_and_refusals(client: httpx.AsyncClient) -> None:
    guest = {"origin": GUEST}
    good = await client.post("/v1/widget/sessions", json={"site_key": "site"}, headers=guest)
    bad = await client.post("/v1/widget/sessions", json={"site_key": "other"}, headers=guest)
    asked = await client.options("/v1/conversations/x/messages", headers=guest)
    assert (good.status_code, bad.status_code, asked.status_code) == (201, 404, 204)
    for answer in (good, bad, asked):
        assert answer.headers["access-control-allow-origin"] == GUEST
    assert bad.json()["error"]["code"] == "unknown_site"


async def test_server_without_origin_needs_its_key(house: House) -> None:
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url=house.public_url) as server:
        form = {"site_key": "site", "keep": "storage"}
        for key, status in ((None, 403), ("wrong", 403), ("密钥".encode(), 403), (SERVER_KEY, 201)):
            headers = {} if key is None else {"x-server-key": key}
            answer = await server.post("/v1/widget/sessions", json=form, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == status


async def test_session_goes_on_when_the_refresh_token_is_used(client: httpx.AsyncClient) -> None:
    first = await begin(client, keep="storage")
    again = await begin(client, keep="storage", refresh_token=first.session["refresh_token"])
    assert again.session["renewed"]
    assert again.session["conversation_id"] == first.session["conversation_id"]
    assert again.session["refresh_token"] != first.session["refresh_token"]


async def test_family_ends_when_an_old_refresh_token_turns_up_again(
    client: httpx.AsyncClient, clock: StandingClock
) -> None:
    first = (await begin(client, keep="storage")).session["refresh_token"]
    second = (await begin(client, keep="storage", refresh_token=first)).session["refresh_token"]
    clock.move(seconds=61)
    reused = await client.post("/v1/widget/sessions", json={"keep": "storage", "refresh_token": first})
    assert (reused.status_code, reused.json()["error"]["code"]) == (401, "refresh_reused")
    newest = await client.post("/v1/widget/sessions", json={"keep": "storage", "refresh_token": second})
    assert (newest.status_code, newest.json()["error"]["code"]) == (401, "refresh_expired")


async def test_two_tabs_may_renew_at_once(client: httpx.AsyncClient) -> None:
    token = (await begin(client, keep="storage")).session["refresh_token"]
    tabs = await asyncio.gather(*(begin(client, keep="storage", refresh_token=token) for _ in range(2)))
    assert tabs[0].session["refresh_token"] == tabs[1].session["refresh_token"]
    assert tabs[0].session["conversation_id"] == tabs[1].session["conversation_id"]


@pytest.mark.parametrize("token", ["x", "a.1.b", "a.1", "....", "é.1.x", "x.99999999999.y"])
async def test_forged_refresh_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/v1/widget/sessions", json={"keep": "storage", "refresh_token": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "refresh_expired")


async def test_messages_carry_the_account_when_the_shop_signed_it(
    client: httpx.AsyncClient, clock: StandingClock, agent: ToyAgent
) -> None:
    visitor = await begin(client, identity_jwt=identity(clock, "demo1"))
    assert visitor.session["account"] == "demo1"
    await visitor.post("我的订单到哪了")
    await visitor.get("after_seq=1&wait=5")
    accounts = [one for one in agent.heard[0].message.sender if one.namespace == "account"]
    assert [(one.value, one.proven) for one in accounts] == [("demo1", True)]


async def test_conversation_learns_of_a_sign_in_in_its_middle(
    client: httpx.AsyncClient, clock: StandingClock, house: House
) -> None:
    anonymous = await begin(client)
    await anonymous.post("我的订单到哪了")
    token = identity(clock, "demo1")
    signed = await begin(client, identity_jwt=token)
    await begin(client, identity_jwt=token)
    assert signed.session["conversation_id"] == anonymous.session["conversation_id"]
    assert house.proofs == [{"account": "demo1", "method": "web_chat", "seconds": 3600}]


async def test_somebody_else_gets_another_conversation(
    client: httpx.AsyncClient, clock: StandingClock
) -> None:
    one = await begin(client, identity_jwt=identity(clock, "demo1"))
    await one.post("我的地址是……")
    other = await begin(client, identity_jwt=identity(clock, "demo2"))
    out = await begin(client, fresh=True)
    ids = {visitor.session["conversation_id"] for visitor in (one, other, out)}
    assert len(ids) == 3
    assert out.session["account"] is None


async def test_proof_runs_out_with_its_token(client: httpx.AsyncClient, clock: StandingClock) -> None:
    one = await begin(client, identity_jwt=identity(clock, "demo1"))
    clock.move(hours=2)
    later = await begin(client)
    assert later.session["account"] is None
    assert later.session["conversation_id"] != one.session["conversation_id"]


@pytest.mark.parametrize(
    "claims",
    [{"kid": "other"}, {"kid": None}, {"aud": "someone"}, {"aud": None}, {"exp": None}, {"exp": 1}, {"exp": "never"}, {"exp": True},
     {"sub": None}, {"sub": ""}, {"sub": 5}, {"exp": 99_999_999_999}, {"nbf": 99_999_999_999}, {"key": "another key with 32 characters...."}],
)  # fmt: skip
async def test_user_token_is_refused(
    client: httpx.AsyncClient, clock: StandingClock, claims: dict[str, Any]
) -> None:
    answer = await client.post("/v1/widget/sessions", json={"identity_jwt": identity(clock, **claims)})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] in ("identity_invalid", "identity_expired", "token_invalid")


@pytest.mark.parametrize("token", ["x", "a.b.c", "ééé", "eyJhbGciOiJub25lIn0.e30."])
async def test_rubbish_is_no_user_token(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/v1/widget/sessions", json={"identity_jwt": token})
    assert answer.status_code == 401


# ---- messages --------------------------------------------------------------------------------------------------------


async def test_question_is_answered(client: httpx.AsyncClient) -> None:
    visitor = await begin(client)
    sent = await visitor.post("你好")
    assert (sent.status_code, set(sent.json())) == (201, {"id", "seq", "ts"})
    view = await visitor.get("after_seq=1&wait=10")
    assert [(one["role"], one["text"], one["seq"]) for one in view["messages"]] == [
        ("bot", "您说的是：你好", 2)
    ]
    assert view["receipts"] == {"delivered": 1, "read": 1, "seen": 0}
    assert view["status"] == {"t": "status", "state": "bot"}


async def test_repeat_has_the_same_answer_and_other_content_is_a_conflict(client: httpx.AsyncClient) -> None:
    visitor = await begin(client)
    client_id = str(uuid4())
    first, again = await visitor.post("退货", client_id), await visitor.post("退货", client_id)
    other = await visitor.post("换货", client_id)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.content == again.content
    assert other.json()["error"]["code"] == "client_msg_id_reused"


async def test_fifty_repeats_at_once_are_one_message(
    client: httpx.AsyncClient, house: House, agent: ToyAgent
) -> None:
    visitor = await begin(client)
    client_id = str(uuid4())
    answers = await asyncio.gather(*(visitor.post("五十次", client_id) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.content for answer in answers}) == 1
    view = await visitor.get("after_seq=1&wait=10")
    assert [one["seq"] for one in view["messages"]] == [2]
    assert len(agent.heard) == 1


async def test_two_messages_in_the_same_millisecond_are_two_in_order(client: httpx.AsyncClient) -> None:
    visitor = await begin(client)
    answers = await asyncio.gather(visitor.post("第一条"), visitor.post("第二条"))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["ts"] for answer in answers}) == 1
    assert len({answer.json()["seq"] for answer in answers}) == 2


@pytest.mark.parametrize(
    ("text", "stored"),
    [("", ""), ("<script>alert(1)</script>", None), ("'; DROP TABLE message;--", None), ("👩‍👧‍👦 مرحبا \u202eabc", None), ("a\x00b", "ab"), ("\ud800x", "\ufffdx")],
)  # fmt: skip
async def test_strange_text_is_kept_as_text(client: httpx.AsyncClient, text: str, stored: str | None) -> None:
    visitor = await begin(client)
    body = json.dumps({"client_msg_id": str(uuid4()), "text": text})
    sent = await client.post(f"{visitor.path}/messages", content=body, headers=visitor.headers)
    assert sent.status_code == 201
    assert (await visitor.get())["messages"][0]["text"] == (text if stored is None else stored)


async def test_long_text_is_cut_and_the_agent_is_told(client: httpx.AsyncClient, agent: ToyAgent) -> None:
    visitor = await begin(client)
    assert (await visitor.post("长" * 12_000)).status_code == 201
    view = await visitor.get("after_seq=1&wait=10")
    assert len((await visitor.get())["messages"][0]["text"]) == 10_000
    assert agent.heard[0].message.event_data == {"truncated": "12000"}
    assert view["messages"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"\xff\xfe{}", 422), (b"{", 422), (b"[]", 422), (b"null", 422), (b'{"text":"x"}', 422), (b'{"client_msg_id":"1","text":"x"}', 422),
     (b'{"client_msg_id":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","text":5}', 422), (b'{"client_msg_id":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","text":"x","role":"bot"}', 422),
     (b"{" + b" " * 5_000_000 + b"}", 413)],
)  # fmt: skip
async def test_malformed_body_is_refused_with_a_code(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    visitor = await begin(client)
    answer = await client.post(f"{visitor.path}/messages", content=body, headers=visitor.headers)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] in ("malformed", "too_large")
    assert (await visitor.get())["messages"] == []


async def test_too_many_messages_are_held_back_and_told_when(client: httpx.AsyncClient) -> None:
    visitor = await begin(client)
    answers = [await visitor.post(f"{number}") for number in range(12)]
    refused = answers[-1]
    assert [answer.status_code for answer in answers] == [201] * 10 + [429] * 2
    assert refused.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 10


async def test_choice_that_comes_back_becomes_its_value(client: httpx.AsyncClient, agent: ToyAgent) -> None:
    visitor = await begin(client)
    await visitor.post("我想退货")
    offered = (await visitor.get("after_seq=1&wait=10"))["messages"][0]
    await visitor.post(offered["choices"][1]["label"])
    await visitor.get("after_seq=3&wait=10")
    heard = agent.heard[1].message
    assert (heard.text, heard.event_data) == ("reason-1", {"chosen_from": "不喜欢了"})
    assert (await visitor.get())["messages"][2]["text"] == "不喜欢了"


async def test_history_is_read_in_pages(client: httpx.AsyncClient, house: House) -> None:
    visitor = await begin(client)
    await visitor.post("开始")
    conversation_id = ConversationId(visitor.session["conversation_id"])
    await visitor.get("after_seq=1&wait=10")
    for number in range(10):
        await house.say(conversation_id, f"{number}", number=number)
    assert [one["seq"] for one in (await visitor.get("after_seq=4&limit=3"))["messages"]] == [5, 6, 7]
    assert [one["seq"] for one in (await visitor.get("before_seq=6&limit=2"))["messages"]] == [4, 5]
    assert (await visitor.get("after_seq=12"))["messages"] == []


async def test_receipts_only_go_forward(client: httpx.AsyncClient, house: House) -> None:
    visitor = await begin(client)
    await visitor.post("你好")
    await visitor.get("after_seq=1&wait=10")
    for seq in (2, 1, 0, 999_999):
        answer = await client.post(f"{visitor.path}/read", json={"seq": seq}, headers=visitor.headers)
        assert answer.status_code == 204
        found = await house.database.read(
            lambda c: conversations.get(c, TENANT, ConversationId(visitor.session["conversation_id"]))
        )
        assert (found.customer_read_seq, found.customer_delivered_seq) == (2, 2)


async def test_walk_is_the_same_on_both_engines(
    either_database: Database, vault: Vault, clock: StandingClock, tmp_path: Path
) -> None:
    agent = ToyAgent()
    house = House(either_database, vault, clock, tmp_path, answerer=agent)
    agent.house = house
    async with house.open(), house.client() as client:
        visitor = await begin(client, identity_jwt=identity(clock))
        assert (await visitor.post("转人工")).status_code == 201
        view = await visitor.get("after_seq=1&wait=10")
        assert [one["role"] for one in view["messages"]] == ["bot"]
        assert view["status"] == {"t": "status", "state": "queued", "position": 1}
        kept = await client.post(f"{visitor.path}/uploads?name=a.png", content=PNG, headers=visitor.headers)
        assert (
            await visitor.post("图", attachments=[{"upload_id": kept.json()["upload_id"]}])
        ).status_code == 201
        read = await client.post(f"{visitor.path}/read", json={"seq": 2}, headers=visitor.headers)
        assert read.status_code == 204
        assert (await visitor.get())["receipts"]["seen"] == 2
        again = await begin(client)
        assert again.session["account"] == "demo1"


async def test_page_without_cookies_is_another_visitor(client: httpx.AsyncClient) -> None:
    kept = await begin(client)
    framed = await begin(client, keep="storage")
    later = await begin(client)
    assert framed.session["conversation_id"] != kept.session["conversation_id"]
    assert later.session["conversation_id"] == kept.session["conversation_id"]


# ---- tokens ----------------------------------------------------------------------------------------------------------


async def test_token_opens_its_own_conversation_only(client: httpx.AsyncClient) -> None:
    one, other = await begin(client), await begin(client, fresh=True)
    for path in ("messages", "stream"):
        answer = await client.get(f"{other.path}/{path}", headers=one.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_conversation")
    for path in ("messages", "read", "stop", "typing", "uploads"):
        answer = await client.post(f"{other.path}/{path}", headers=one.headers, json={})
        assert answer.status_code == 404


async def test_token_is_refused_when_it_is_old_changed_or_missing(
    client: httpx.AsyncClient, clock: StandingClock
) -> None:
    visitor = await begin(client)
    good = visitor.headers["authorization"]
    for header, code in (("", "token_missing"), ("Basic x", "token_missing"), ("Bearer x", "token_invalid"), (good[:-3] + "abc", "token_invalid")):  # fmt: skip
        answer = await client.get(f"{visitor.path}/messages", headers={"authorization": header})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    clock.now += timedelta(minutes=15)
    answer = await client.get(f"{visitor.path}/messages", headers=visitor.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


async def test_user_token_of_the_shop_is_no_visitor_token(
    client: httpx.AsyncClient, clock: StandingClock
) -> None:
    visitor = await begin(client)
    headers = {"authorization": f"Bearer {identity(clock)}"}
    assert (await client.get(f"{visitor.path}/messages", headers=headers)).status_code == 401


# ---- uploads ---------------------------------------------------------------------------------------------------------


async def test_picture_is_sent_and_only_downloads(client: httpx.AsyncClient, house: House) -> None:
    visitor = await begin(client)
    kept = await client.post(
        f"{visitor.path}/uploads?name=../面单<b>.png", content=PNG, headers=visitor.headers
    )
    assert kept.status_code == 201
    assert kept.json()["media_type"] == "image/png"
    assert "/" not in kept.json()["name"]
    sent = await visitor.post("", attachments=[{"upload_id": kept.json()["upload_id"]}])
    assert sent.status_code == 201
    (attachment,) = (await visitor.get())["messages"][0]["attachments"]
    file = await client.get(httpx.URL(attachment["url"]).raw_path.decode())
    assert file.content == PNG
    assert file.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in file.headers["content-security-policy"]
    stored = [path.read_bytes() for path in (house.folder / "web_chat").rglob("*") if path.is_file()]
    assert len(stored) == 1
    assert b"PNG" not in stored[0]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"", 422, "empty_file"), (b"<html>", 422, "file_type"), (b"MZ\x90", 422, "file_type"), (PNG + b"x" * 5_300_000, 413, "too_large")],
)  # fmt: skip
async def test_upload_is_refused(client: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    visitor = await begin(client)
    answer = await client.post(
        f"{visitor.path}/uploads", content=body, headers={**visitor.headers, "content-type": "image/png"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_upload_of_somebody_else_cannot_be_sent_or_read(client: httpx.AsyncClient) -> None:
    one = await begin(client)
    kept = (await client.post(f"{one.path}/uploads", content=PNG, headers=one.headers)).json()
    other = await begin(client, fresh=True)
    answer = await other.post("", attachments=[{"upload_id": kept["upload_id"]}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "upload_unknown")
    assert (await client.get(f"/v1/uploads/{kept['upload_id']}?key=wrong")).status_code == 404


# ---- around it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/hooks/nobody/web_chat", "/v1/hooks/demo/fax", "/v1/hooks/demo/fax/a"])
async def test_unknown_tenant_or_channel_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_hook")


async def test_webhook_of_the_web_chat_is_closed_and_counted(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post("/v1/hooks/demo/web_chat", content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_webhook")
    refused = house.metrics.registry.get_sample_value(
        "huiliu_webhooks_refused_total", {"channel": "web_chat", "code": "no_webhook"}
    )
    assert refused == 1.0


async def test_webhook_over_the_cap_is_refused_before_it_is_verified(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/hooks/demo/web_chat", content=b"x" * 5_000_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_page_lets_in_no_foreign_script_and_only_known_frames(client: httpx.AsyncClient) -> None:
    page = await client.get("/chat")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert policy.split("frame-ancestors ")[1].split() == [
        "'self'", "http://127.0.0.1:8080", "http://localhost:8080", GUEST,
    ]  # fmt: skip
    assert "<script>" not in page.text
    assert "style=" not in page.text
    assert (await client.get("/t/demo/chat")).content == page.content
    again = await client.get("/chat", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304
