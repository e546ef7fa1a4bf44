"""What a customer looks at, from the page's report to the desk: once each, no turn, no conversation begun by it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from foundation.clock import to_milliseconds, utc_now
from tests.journeys.conftest import Product

START = to_milliseconds(utc_now()) - 60_000


class Browser:
    """A page with a session."""

    def __init__(self, product: Product, session: dict[str, Any]) -> None:
        self.product = product
        self.id: str = session["conversation_id"]
        self.headers = {"authorization": f"Bearer {session['visitor_token']}"}

    async def report(self, *events: dict[str, Any], **more: Any) -> httpx.Response:
        address = f"/v1/conversations/{self.id}/events"
        body = more or {"events": list(events)}
        return await self.product.client.post(address, json=body, headers=self.headers)

    async def write(self, text: str) -> None:
        form = {"client_msg_id": str(uuid4()), "text": text}
        address = f"/v1/conversations/{self.id}/messages"
        answer = await self.product.client.post(address, json=form, headers=self.headers)
        assert answer.status_code == 201, answer.text
        await self.product.settle()

    async def seen_at_the_desk(self) -> dict[str, Any]:
        answer = await self.product.call("GET", f"/v1/desk/conversations/{self.id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


@pytest.fixture
async def browser(product: Product) -> Browser:
    origin = {"origin": product.system.settings.address}
    answer = await product.client.post("/v1/widget/sessions", json={}, headers=origin)
    return Browser(product, answer.json())


def view(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "page_view", "at": START + number, **more}


async def test_what_was_looked_at_is_at_the_desk_and_was_never_a_message(browser: Browser) -> None:
    events = [view(1, title="蓝色跑鞋", product="SKU-1"), view(2, type="search", query="鞋垫")]
    first = await browser.report(*events)
    await browser.product.settle()
    inbox = (await browser.product.call("GET", "/v1/desk/conversations")).json()
    assert [one for group in inbox.values() for one in group] == []
    repeat = await browser.report(*events)
    more = await browser.report(events[1], view(3, type="dwell", title="蓝色跑鞋", seconds=42.5))
    assert [first.status_code, repeat.status_code, more.status_code] == [202, 202, 202]
    await browser.write("运费多少钱")
    shown = await browser.seen_at_the_desk()
    assert [(one["id"], one["type"]) for one in shown["behaviour"]] == [
        ("e3", "dwell"), ("e2", "search"), ("e1", "page_view"),
    ]  # fmt: skip
    assert (shown["behaviour"][0]["seconds"], shown["behaviour"][2]["product"]) == (42.5, "SKU-1")
    assert [line["role"] for line in shown["messages"]] == ["customer", "bot"]


BAD: dict[str, dict[str, Any]] = {
    "none": {"events": []},
    "too many": {"events": [view(number) for number in range(101)]},
    "no id": {"events": [view(1, id="")]},
    "hostile id": {"events": [view(1, id="a\u0000b")]},
    "hostile type": {"events": [view(1, type="Page View")]},
    "no date": {"events": [view(1, at=10**15)]},
    "words for a date": {"events": [view(1, at="now")]},
    "negative": {"events": [view(1, seconds=-1)]},
    "long": {"events": [view(1, url="x" * 2001)]},
    "unknown field": {"events": [view(1, colour="blue")]},
    "no list": {"events": "all"},
    "another form": {"something": "else"},
}


async def test_what_is_no_event_is_refused_with_a_sentence(browser: Browser) -> None:
    for name, body in BAD.items():
        answer = await browser.report(**body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed"), name
    address = f"/v1/conversations/{browser.id}/events"
    large = await browser.product.client.post(address, content=b" " * 65_537, headers=browser.headers)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    unsigned = await browser.product.client.post(address, json={"events": [view(1)]})
    assert (unsigned.status_code, unsigned.json()["error"]["code"]) == (401, "token_missing")
    future = await browser.report(view(1, at=253_402_300_799_999, title="tomorrow"))
    assert future.status_code == 202


async def test_hasty_page_is_told_to_wait(browser: Browser) -> None:
    codes = [(await browser.report(view(number))).status_code for number in range(61)]
    assert (set(codes[:60]), codes[60]) == ({202}, 429)
