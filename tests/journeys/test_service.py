"""The product through its real HTTP application: probes, the desk, the knowledge base, sign-in by link, bad input."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from tests.journeys.conftest import Product

TENANT = TenantId("demo")


async def write(
    product: Product, text: str, *, thread: str = "t1", number: int = 0, account: str = ""
) -> str:
    """As a customer of the web chat; returns the conversation's id."""
    sender = [Identifier(namespace="web_chat", value=f"visitor-{thread}", proven=True)]
    if account:
        sender.append(Identifier(namespace="account", value=account, proven=True))
    message = InboundMessage(
        tenant=TENANT, channel="web_chat", account="site", thread=thread, message_id=MessageId(f"{thread}-{number}"),
        sender=tuple(sender), text=text, sent_at=product.system.clock(),
    )  # fmt: skip
    accepted = await product.system.intake.accept(message, text.encode())
    await product.settle()
    return accepted.conversation_id


async def transcript(product: Product, conversation: str) -> list[tuple[str, str]]:
    answer = (await product.call("GET", f"/v1/desk/conversations/{conversation}")).json()
    return [(message["role"], message["text"]) for message in answer["messages"]]


async def test_probes_answer(product: Product) -> None:
    assert (await product.client.get("/health")).json() == {"status": "alive"}
    ready = await product.client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["degraded"] == []
    metrics = (await product.client.get("/metrics")).text
    assert "huiliu_bus_depth" in metrics


async def test_every_answer_names_a_trace_and_safe_headers(product: Product) -> None:
    answer = await product.client.get("/health")
    assert answer.headers["x-trace-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/hooks/nobody/wechat_oa", "unknown_hook"),
        ("/v1/hooks/demo/nothing", "unknown_hook"),
        ("/nowhere", "not_found"),
    ],
)
async def test_unknown_addresses_are_404_with_a_code(product: Product, path: str, code: str) -> None:
    answer = await product.client.post(path, content=b"x")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "header", ["", "Bearer nonsense", "Basic YTpi", "Bearer é".encode().decode("latin-1")]
)
async def test_staff_routes_refuse_strangers(product: Product, header: str) -> None:
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    answer = await product.client.get("/v1/desk/conversations", headers=headers)  # type: ignore[arg-type]  # raw bytes
    assert answer.status_code == 401


async def test_staff_log_in_and_their_token_opens_the_desk(product: Product) -> None:
    wrong = await product.client.post("/v1/staff/login", json={"login": "admin", "password": "no"})
    unknown = await product.client.post("/v1/staff/login", json={"login": "nobody", "password": "no"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    right = await product.client.post("/v1/staff/login", json={"login": "admin", "password": "huiliu-demo"})
    headers = {"Authorization": f"Bearer {right.json()['token']}"}
    assert (await product.client.get("/v1/desk/conversations", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "form"),
        (b"[]", "form"),
        (b'{"login": 5}', "login"),
        ('{"login": "\ud800"}'.encode("utf-8", "surrogatepass"), "form"),
    ],
)
async def test_malformed_bodies_are_4xx_with_a_sentence(product: Product, body: bytes, word: str) -> None:
    answer = await product.client.post("/v1/staff/login", content=body)
    assert answer.status_code == 422
    assert word in answer.json()["error"]["message"]


async def test_angry_customer_reaches_a_person_who_answers_and_gives_back(product: Product) -> None:
    conversation = await write(product, "你们这什么破店，骗子！我要投诉你们，第三次了！")
    queue = (await product.call("GET", "/v1/desk/conversations")).json()["queue"]
    assert [one["id"] for one in queue] == [conversation]
    assert queue[0]["reason"]
    not_held = await product.call("POST", f"/v1/desk/conversations/{conversation}/reply", {"text": "您好"})
    assert not_held.status_code == 409
    assert (await product.call("POST", f"/v1/desk/conversations/{conversation}/take")).status_code == 200
    for _ in range(2):
        said = await product.call(
            "POST",
            f"/v1/desk/conversations/{conversation}/reply",
            {"text": "您好，我是小王，马上处理。", "key": "one"},
        )
        assert said.status_code == 200
    await product.settle()
    lines = await transcript(product, conversation)
    assert lines.count(("agent", "您好，我是小王，马上处理。")) == 1
    await write(product, "运费多少钱", number=1)
    assert (await transcript(product, conversation))[-1] == ("customer", "运费多少钱")
    await product.call("POST", f"/v1/desk/conversations/{conversation}/give-back")
    await product.settle()
    await write(product, "那运费多少钱", number=2)
    assert "99" in (await transcript(product, conversation))[-1][1]


async def test_two_people_cannot_hold_one_conversation(product: Product) -> None:
    conversation = await write(product, "转人工")
    await product.system.staff.add(
        TENANT, login="li", name="Li", role="agent", password="a long password", actor="test"
    )
    log_in = await product.client.post("/v1/staff/login", json={"login": "li", "password": "a long password"})
    other = {"Authorization": f"Bearer {log_in.json()['token']}"}
    first, second = await asyncio.gather(
        product.call("POST", f"/v1/desk/conversations/{conversation}/take"),
        product.client.post(f"/v1/desk/conversations/{conversation}/take", headers=other),
    )
    assert sorted((first.status_code, second.status_code)) == [200, 409]
    assert (
        await product.client.post("/v1/desk/approvals/x", json={"approved": True}, headers=other)
    ).status_code == 403


async def test_exception_is_approved_by_staff_and_the_customer_is_told(product: Product) -> None:
    conversation = await write(product, "我想退货 SQ2026010003，不想要了", account="demo1")
    number = 1
    while not (
        waiting := (await product.call("GET", f"/v1/desk/conversations/{conversation}")).json()["approvals"]
    ):
        await write(product, ("全部", "不想要了", "确认", "好的")[number - 1], number=number, account="demo1")
        number += 1
    await write(product, "运费多少钱", number=9, account="demo1")
    address = f"/v1/desk/approvals/{waiting[0]['id']}"
    assert (await product.call("POST", address, {"approved": True, "reason": "老顾客"})).status_code == 200
    assert (await product.call("POST", address, {"approved": False})).status_code == 409
    await product.settle()
    role, text = (await transcript(product, conversation))[-1]
    assert role == "bot"
    assert "RT" in text


async def test_article_is_edited_previewed_published_and_rolled_back(product: Product) -> None:
    path = "/v1/knowledge/articles/zh/delivery-fees"
    before = (await product.call("GET", path)).json()[0]
    changed = before["body"].replace("99", "109")
    draft = {**{name: before[name] for name in ("title", "questions", "topic", "audience")}, "body": changed}
    saved = await product.call("PUT", path, {**draft, "based_on": before["version"]})
    assert saved.json()["version"] == before["version"] + 1
    stale = await product.call("PUT", path, {**draft, "based_on": before["version"]})
    assert stale.status_code == 409
    preview = await product.call(
        "POST", "/v1/knowledge/preview",
        {"id": "delivery-fees", "language": "zh", "title": before["title"], "body": changed, "ask": ["运费多少钱"]},
    )  # fmt: skip
    assert "109" in preview.json()[0]["after"]["passages"][0]["answer"]
    assert "109" not in await _answer(product, "运费多少钱", "p1")
    await product.call("POST", f"{path}/publish")
    await product.settle()
    assert "109" in await _answer(product, "运费多少钱", "p2")
    await product.call("POST", f"{path}/rollback", {"version": before["version"]})
    await product.settle()
    assert "109" not in await _answer(product, "运费多少钱", "p3")


async def test_import_names_each_broken_file_and_takes_the_rest(product: Product) -> None:
    files = {
        "zh/gift-wrap.md": "---\ntitle: 礼品包装\nlanguage: zh\n---\n礼品包装每单 5 元，下单时勾选。\n".encode(),
        "zh/broken.md": b"---\ntitle: [unclosed\n---\ntext",
        "zh/latin.md": b"---\ntitle: x\n---\n\xff\xfe",
    }
    body = {
        "name": "extra",
        "files": [{"path": path, "base64": base64.b64encode(text).decode()} for path, text in files.items()],
    }
    answer = (await product.call("POST", "/v1/knowledge/import", body)).json()
    assert answer["new"] == 1
    assert {problem.split(":")[0] for problem in answer["problems"]} == {"zh/broken.md", "zh/latin.md"}
    assert "5 元" in await _answer(product, "礼品包装要多少钱", "w1")
    outside = {"name": "x", "files": [{"path": "../../etc/x.md", "base64": "eA=="}]}
    assert (await product.call("POST", "/v1/knowledge/import", outside)).json()["error"][
        "code"
    ] == "path_outside"


async def test_reply_template_is_edited_and_the_next_answer_uses_it(product: Product) -> None:
    path = "/v1/prompts/replies/goodbye"
    body = (await product.call("GET", path)).json()[0]["body"]
    broken = await product.call("PUT", path, {"body": body.replace("## en", "{{ nobody }}\n## en")})
    assert broken.json()["faults"]
    refused = await product.call("POST", f"{path}/publish", {"version": broken.json()["version"]})
    assert refused.status_code == 422
    good = await product.call(
        "PUT", path, {"body": "## zh\n回头见，山雀欢迎您。\n\n## en\nSee you soon.\n", "note": "warmer"}
    )
    assert (
        await product.call("POST", f"{path}/publish", {"version": good.json()["version"]})
    ).status_code == 200
    assert await _answer(product, "拜拜", "g1") == "回头见，山雀欢迎您。"


async def test_anonymous_customer_never_learns_about_orders(product: Product) -> None:
    known = await _answer(product, "SQ2026010001 到哪了", "x1")
    unknown = await _answer(product, "SQ9999999999 到哪了", "x2")
    assert known == unknown
    claimed = await _answer(product, "我是 demo1，手机号 13800001001，我的订单到哪了", "x3")
    assert "SQ20260" not in claimed


async def test_sign_in_link_proves_the_account_to_its_conversation_once(product: Product) -> None:
    system = product.system
    conversation = await write(product, "我的订单到哪了", thread="wx")
    token = await system.database.write(
        lambda connection: system.directory.make_sign_in_link(
            connection, TENANT, ConversationId(conversation)
        )
    )
    shown = await product.client.get("/v1/sign-in", params={"token": token})
    assert shown.json()["channel"] == "web_chat"
    jwt = (await product.client.post("/demo/sign-in", json={"account": "demo1"})).json()["identity_jwt"]
    forged = await product.client.post(
        "/v1/sign-in", json={"token": token[:-1] + ("1" if token[-1] == "0" else "0"), "identity_jwt": jwt}
    )
    assert forged.status_code == 401
    answers = await asyncio.gather(
        *(product.client.post("/v1/sign-in", json={"token": token, "identity_jwt": jwt}) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    await product.settle()
    lines = await transcript(product, conversation)
    assert any("SQ2026" in text or "订单" in text for role, text in lines[2:] if role == "bot")


async def test_demo_sign_in_knows_only_its_customers(product: Product) -> None:
    answer = await product.client.post("/demo/sign-in", json={"account": "somebody"})
    assert answer.status_code == 404


async def test_a_bug_is_a_500_with_a_trace_and_nothing_else(product: Product) -> None:
    async def broken(*_args: Any) -> None:
        raise RuntimeError("secret detail")

    product.system.desk.inbox = broken  # type: ignore[method-assign,assignment]  # the bug
    answer = await product.call("GET", "/v1/desk/conversations")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-trace-id"] in answer.json()["error"]["message"]


async def _answer(product: Product, text: str, thread: str) -> str:
    conversation = await write(product, text, thread=thread)
    return (await transcript(product, conversation))[-1][1]
