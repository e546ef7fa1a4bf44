"""What is known about customers, through the whole product: from angry messages to the desk, and in from other systems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from foundation.clock import to_milliseconds
from foundation.settings import load
from tests.journeys.conftest import VECTORS, Product, few_articles, opened

KEY = "a server key of more than thirty-two characters"
NOW = datetime.now(UTC)
BUYER = {"namespace": "account", "value": "buyer-7"}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    VECTORS.parent.mkdir(exist_ok=True)
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["web_chat"],
        server_keys={"demo": SecretStr(KEY)},
    )  # fmt: skip
    async with opened(settings) as running:
        yield running


async def send(product: Product, path: str, body: Any, *, key: str = KEY) -> tuple[int, Any]:
    answer = await product.client.post(path, json=body, headers={"Authorization": f"Bearer {key}"})
    return answer.status_code, answer.json()


def order(number: int, **more: Any) -> dict[str, Any]:
    at = (NOW - timedelta(days=number)).isoformat()
    return {"id": f"o{number}", "type": "order", "at": at, "amount": 100 + number, "identity": BUYER, **more}


async def test_rows_are_answered_one_by_one_and_a_repeat_changes_nothing(product: Product) -> None:
    rows = [
        order(1), order(1), order(2, id="again", order_no="SQ9"), order(3, id="other", order_no="sq9"), order(4, amount=-5),
        {"id": "x", "type": "rocket", "at": 0, "identity": BUYER}, "broken", order(5, at="2099-01-01T00:00:00Z"),
    ]  # fmt: skip
    status, answer = await send(product, "/v1/events", {"events": rows})
    assert status == 200
    assert [one["status"] for one in answer["results"]] == [
        "accepted", "duplicate", "accepted", "duplicate", "quarantined", "rejected", "rejected", "quarantined",
    ]  # fmt: skip
    assert all(one["message"] for one in answer["results"] if one["status"] != "accepted")
    _, again = await send(product, "/v1/events", {"events": rows})
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (0, 6, 2)
    identity = answer["results"][0]["identity_id"]
    profile = (await product.call("GET", f"/v1/customers/{identity}")).json()
    assert (profile["value"]["orders"], profile["value"]["amount"]) == (2, 203.0)
    await _decide_about_what_was_set_aside(product, identity)


async def _decide_about_what_was_set_aside(product: Product, identity: str) -> None:
    quality = (await product.call("GET", "/v1/data-quality")).json()
    waiting = {one["reason"]: one["id"] for one in quality["waiting"]}
    assert waiting.keys() == {"amount_out_of_range", "in_the_future"}
    counted = {(one["step"], one["reason"]): one["rows"] for one in quality["counts"]}
    assert counted[("rows", "received")] == 16
    assert counted[("duplicates", "same_id")] == 8
    let_in = await product.call("POST", f"/v1/data-quality/{waiting['in_the_future']}", {"release": True})
    thrown = await product.call(
        "POST", f"/v1/data-quality/{waiting['amount_out_of_range']}", {"release": False}
    )
    assert (let_in.json()["state"], thrown.json()["state"]) == ("released", "discarded")
    twice = await product.call("POST", f"/v1/data-quality/{waiting['in_the_future']}", {"release": True})
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "already_decided")
    profile = (await product.call("GET", f"/v1/customers/{identity}")).json()
    assert profile["value"]["orders"] == 3


WRONG: tuple[tuple[Any, str], ...] = (
    ({"events": []}, "no_rows"),
    ({"events": [1] * 501}, "too_many_rows"),
    ({"rows": []}, "malformed"),
    ([], "malformed"),
    ({"events": [1], "source": "no spaces"}, "malformed"),
)


async def test_request_is_refused_with_a_sentence_when_it_is_wrong_as_a_whole_or_its_sender_may_not(
    product: Product,
) -> None:
    for body, code in WRONG:
        status, answer = await send(product, "/v1/events", body)
        assert (status, answer["error"]["code"]) == (422, code)
        assert len(answer["error"]["message"]) > 10
    for path, body in (("/v1/events", {"events": [order(1)]}), ("/v1/customers", {"customers": [1]})):
        for key in ("", KEY[:-1], KEY.upper()):
            status, _ = await send(product, path, body, key=key)
            assert status == 401
        assert (await product.call("POST", path, body)).status_code == 200
    await product.system.staff.add(
        product.system.tenants[0], login="mei", name="Mei", role="agent", password="long enough", actor="test"
    )
    logged_in = await product.client.post("/v1/staff/login", json={"login": "mei", "password": "long enough"})
    status, answer = await send(product, "/v1/events", {"events": [order(1)]}, key=logged_in.json()["token"])
    assert (status, answer["error"]["code"]) == (403, "not_permitted")


async def test_crm_row_is_kept_with_its_source_and_shown_masked_and_can_be_tagged(product: Product) -> None:
    rows = [
        {"identity": BUYER, "observed_at": "2026-11-01T00:00:00Z", "facts": {
            "name": "林小雨", "phone": "139 1234 5678", "birthday": "2099-01-01", "shoe": "42", "form_of_address": "林女士",
        }},
        {"identity": BUYER, "observed_at": "2026-11-02T00:00:00Z", "facts": {"name": "林小玉"}},
        {"identity": BUYER}, {"facts": {"name": "x"}},
    ]  # fmt: skip
    status, answer = await send(product, "/v1/customers", {"customers": rows})
    assert status == 200
    assert [one["status"] for one in answer["results"]] == ["accepted", "accepted", "rejected", "rejected"]
    parts = {one["attribute"]: one["status"] for one in answer["results"][0]["facts"]}
    assert parts == {
        "name": "accepted", "phone": "accepted", "birthday": "quarantined", "shoe": "rejected", "form_of_address": "accepted",
    }  # fmt: skip
    _, again = await send(product, "/v1/customers", {"customers": rows})
    assert again["duplicate"] == 2
    identity = answer["results"][0]["identity_id"]
    shown = (await product.call("GET", f"/v1/customers/{identity}")).json()
    known = {one["attribute"]: one for one in shown["facts"]}
    assert (known["name"]["value"], known["name"]["source"]) == ("林小玉", "crm")
    assert [one["value"] for one in known["name"]["conflicts"]] == ["林小雨"]
    assert known["phone"]["value"] == "139****5678"
    missing = await product.call("GET", "/v1/customers/nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_customer")
    await _tag_by_hand(product, f"/v1/customers/{identity}")


async def _tag_by_hand(product: Product, place: str) -> None:
    refused = await product.call("POST", f"{place}/tags", {"tag": "vip", "reason": ""})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "reason_length")
    await product.call("POST", f"{place}/tags", {"tag": "vip", "reason": "knows the founder", "days": 30})
    [tag] = (await product.call("GET", place)).json()["tags"]
    assert (tag["tag"], tag["origin"], tag["reason"]) == ("vip", "staff", "knows the founder")
    assert tag["expires_at"] > to_milliseconds(NOW) + 29 * 86_400_000
    assert (await product.call("DELETE", f"{place}/tags/vip")).json() == {"untagged": True}
    assert (await product.call("DELETE", f"{place}/tags/vip")).status_code == 404
