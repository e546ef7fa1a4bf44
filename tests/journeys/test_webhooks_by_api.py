"""Another system hears what happens here: added over HTTP, called while a customer is served, sent again, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import utc_now
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId
from foundation.outward import outbox
from foundation.settings import load
from service import rehearsal
from tests.fakes.receiver import Receiver, receiving
from tests.journeys.conftest import VECTORS, Product, few_articles, opened

DEMO = TenantId("demo")
WORDS = "运费多少，我住在隐巷五号"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def product(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Product]:
    VECTORS.parent.mkdir(exist_ok=True)
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["web_chat"],
        webhook_hosts=[receiver.origin],
    )  # fmt: skip
    async with opened(settings) as running:
        yield running


async def call(product: Product, method: str, path: str, body: Any = None) -> Any:
    answer = await product.call(method, path, body)
    assert answer.is_success, answer.text
    return answer.json()


async def until(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(60):
        while len(receiver.calls) < count:
            await asyncio.sleep(0.05)


async def say(product: Product, text: str, number: int) -> None:
    message = InboundMessage(
        tenant=DEMO, channel="web_chat", account="site", thread="t1", message_id=MessageId(f"m{number}"),
        sender=(Identifier(namespace="web_chat", value="v1", proven=True),), text=text, sent_at=utc_now(),
    )  # fmt: skip
    await product.system.intake.accept(message, text.encode())
    await product.settle()


async def test_another_system_hears_a_conversation_while_it_happens(
    product: Product, receiver: Receiver
) -> None:
    made = await call(product, "POST", "/v1/webhooks", {"url": receiver.url})
    tested = await call(product, "POST", f"/v1/webhooks/{made['id']}/test", {})
    assert tested == {**tested, "delivered": True, "status": 204}
    receiver.calls[0].verify(made["secret"])
    await say(product, WORDS, 1)
    await say(product, "转人工", 2)
    await until(receiver, 7)
    for one in receiver.calls:
        one.verify(made["secret"])
    heard = receiver.types[1:]
    assert heard[:3] == ["conversation.started", "message.received", "message.sent"]
    assert "conversation.handed_over" in heard
    assert "隐巷" not in "".join(one.body.decode() for one in receiver.calls)
    page = f"/v1/webhooks/{made['id']}/deliveries"
    log = (await call(product, "GET", page))["deliveries"]
    assert {one["status"] for one in log} == {204}
    count = len(receiver.calls)
    oldest = min(one["id"] for one in log if one["type"] != "webhook.test")
    await call(product, "POST", f"{page}/{oldest}/replay", {})
    await until(receiver, count + 1)
    assert receiver.types[-1] == "conversation.started"
    since = {"since": (utc_now() - timedelta(minutes=10)).isoformat()}
    assert (await call(product, "POST", f"/v1/webhooks/{made['id']}/replay", since))["events"] == count - 1
    await until(receiver, count * 2)
    ids = [one.headers["webhook-id"] for one in receiver.calls]
    assert len(set(ids)) == count
    listed = await call(product, "GET", "/v1/webhooks")
    assert listed["webhooks"][0]["delivered"] == count
    assert "message.received" in [one["type"] for one in listed["events"]]
    assert made["secret"] not in str(listed)
    await call(product, "DELETE", f"/v1/webhooks/{made['id']}")
    assert (await product.call("GET", page)).status_code == 404


async def test_receiver_in_trouble_is_named_by_the_readiness(product: Product, receiver: Receiver) -> None:
    made = await call(product, "POST", "/v1/webhooks", {"url": receiver.url, "types": ["message.received"]})
    receiver.refuses = "message.received"
    await say(product, WORDS, 1)
    await until(receiver, 1)
    named = f"webhook:{made['id']}"
    async with asyncio.timeout(60):
        while named not in (await product.system.readiness())["degraded"]:
            await asyncio.sleep(0.05)
    assert (await product.client.get("/ready")).status_code == 200


async def test_nobody_is_called_when_a_conversation_is_only_rehearsed(
    product: Product, receiver: Receiver
) -> None:
    """The rehearsal works on a copy of the database, with the receivers in it and events that wait for them."""
    await call(product, "POST", "/v1/webhooks", {"url": receiver.url})
    assert product.system.sync.is_sending
    await product.system.sync.close()
    await say(product, WORDS, 1)
    async with rehearsal.rehearse(product.system.settings) as stage:
        await stage.say("运费多少", conversation="rehearsed")
        assert len(await stage.system.sync.desk.overview(DEMO)) == 1
        assert await stage.system.database.read(lambda c: outbox.has_news(c, DEMO))
        assert not stage.system.sync.is_sending
    assert receiver.calls == []


async def test_wrong_wishes_and_strangers_are_refused_by_name(product: Product, receiver: Receiver) -> None:
    for body, code in (
        ({}, "malformed"), ({"url": "http://example.com"}, "not_https"), ({"url": "https://10.0.0.1/"}, "private_address"),
        ({"url": receiver.url, "types": ["moon.risen"]}, "unknown_event"), ({"url": receiver.url, "with_text": True}, "texts_not_allowed"),
    ):  # fmt: skip
        answer = await product.call("POST", "/v1/webhooks", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    for method, path in (
        ("PUT", "/v1/webhooks/none"), ("DELETE", "/v1/webhooks/none"), ("POST", "/v1/webhooks/none/test"),
        ("POST", "/v1/webhooks/none/secret"), ("POST", "/v1/webhooks/none/deliveries/1/replay"),
    ):  # fmt: skip
        assert (await product.call(method, path, {"url": receiver.url})).status_code == 404
    for path in ("deliveries?before=x", "deliveries?before=%F0%9F%92%A9"):
        assert (await product.call("GET", f"/v1/webhooks/none/{path}")).status_code == 422
    late = {"since": "2020-01-01T00:00:00"}
    assert (await product.call("POST", "/v1/webhooks/none/replay", late)).json()["error"][
        "code"
    ] == "bad_moment"
    await product.system.staff.add(
        DEMO, login="ann", name="Ann", role="agent", password="a long password", actor="test"
    )
    log_in = {"login": "ann", "password": "a long password"}
    token = (await product.client.post("/v1/staff/login", json=log_in)).json()["token"]
    header = {"Authorization": f"Bearer {token}"}
    assert (await product.client.get("/v1/webhooks", headers=header)).status_code == 403
    assert (await product.client.get("/v1/webhooks")).status_code == 401
