"""The app in the whole product over real HTTP: a signed-in customer's order, a person who answers, the simulator's phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from channels.adapters.app.settings import AppSettings
from foundation.clock import utc_now
from foundation.settings import channel, load
from service.simulate import registry, stage
from service.simulate.app.phone import Phone
from service.simulate.app.shop import PushService, signers
from service.simulate.contract import DONE, Options
from tests.fakes.app_house import NEW_KEY, OLD_KEY, PUSH_SECRET
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import VECTORS, Product, few_articles, opened


@pytest.fixture
async def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Product]:
    """Serves on a real port; pushes go to another one, where the tests listen."""
    VECTORS.parent.mkdir(exist_ok=True)
    listener, port = free_port()
    spare, push_port = free_port()
    spare.close()
    for name, value in {
        "KEYS": f"k1={OLD_KEY},k2={NEW_KEY}", "PUSH_URL": f"http://127.0.0.1:{push_port}/push",
        "PUSH_SECRET": PUSH_SECRET, "PUSH_AFTER_SECONDS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"HUILIU_APP_{name}", value)
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["app"],
        public_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    async with opened(settings) as running, serving(running.app, listener):
        yield running


async def test_customer_is_known_served_handed_over_and_answered_by_a_person(product: Product) -> None:
    address = product.system.settings.address
    settings = AppSettings(keys=SecretStr(f"k1={OLD_KEY},k2={NEW_KEY}"))
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        phone = Phone(client, signers(settings, utc_now)[-1], "demo1", "d1")
        assert (await phone.open()).status_code == 201
        assert (await phone.look("蓝色跑鞋")).status_code == 202
        assert (await phone.write("我的订单到哪了")).status_code == 201
        await product.settle()
        await phone.read()
        orders = phone.shown[phone.last_seq]["choices"]
        assert orders, "the account is proven, so its orders are offered"
        await phone.write(orders[0]["value"])
        await product.settle()
        await phone.read()
        assert phone.texts[-1][0] == "bot"
        assert orders[0]["value"].split()[0] in phone.texts[-1][1]
        await phone.write("转人工")
        await product.settle()
        talk = f"/v1/desk/conversations/{phone.session['conversation_id']}"
        shown = (await product.call("GET", talk)).json()
        assert (shown["channel"], shown["name"], shown["holder"]) == ("app", "demo1", "queue")
        assert [one["title"] for one in shown["behaviour"]] == ["蓝色跑鞋"]
        assert (await product.call("POST", f"{talk}/take")).status_code == 200
        answer = await product.call("POST", f"{talk}/reply", {"text": "我来看看", "key": "r1"})
        assert answer.status_code == 200
        await product.settle()
        await phone.read()
        assert phone.texts[-1] == ("agent", "我来看看")
        assert len(phone.shown) == phone.last_seq


async def test_app_that_is_added_is_open_at_once_and_keeps_to_itself(product: Product) -> None:
    key = "another secret with 32 characters!"
    saved = await product.call("PUT", "/v1/channels/app/accounts/vip", {"settings": {"keys": f"v1={key}"}})
    assert saved.status_code == 200, saved.text
    async with httpx.AsyncClient(base_url=product.system.settings.address, trust_env=False) as client:
        known = signers(AppSettings(keys=SecretStr(f"k2={NEW_KEY},v1={key}")), utc_now)
        main = Phone(client, known[0], "demo1", "d1")
        vip = Phone(client, known[1], "demo1", "d1", account="vip")
        assert [(await one.open()).status_code for one in (main, vip)] == [201, 201]
        assert main.session["conversation_id"] != vip.session["conversation_id"]
        vip.session, main.session = main.session, vip.session
        for one in (main, vip):
            answer = await one.write("hello")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_invalid")
        vip.signer = main.signer
        vip.session = {}
        assert (await vip.open()).json()["error"]["code"] == "user_key_unknown"
        gone = await product.call("DELETE", "/v1/channels/app/accounts/vip")
        assert gone.status_code == 200, gone.text
        assert (await vip.open()).status_code == 404


async def play(product: Product, *texts: str, **changed: Any) -> tuple[int, str]:
    lines: list[str] = []
    options = Options(product.system.vault, url=product.system.settings.address, user="demo2", **changed)
    code = await registry.run("app", texts, options, say=lines.append)
    return code, "\n".join(lines)


async def test_simulated_phone_gets_its_reply_its_push_and_its_refusal(product: Product) -> None:
    code, said = await play(product, "运费多少钱", "什么时候有人上班", duplicate=3)
    assert code == DONE, said
    assert said.count("  ← ") == 2
    assert said.count("sent 3 times at once: 1 new") == 2
    assert "push to phone-of-demo2, signature right" in said
    assert "signed in with key 'k2'" in said
    code, said = await play(product, "hello", forge=True)
    assert code == DONE
    assert "401 user_token_invalid" in said


async def test_account_is_tested_by_a_call_of_the_push_service(product: Product) -> None:
    address = "/v1/channels/app/accounts/main/test"
    down = await product.call("POST", address)
    assert (down.status_code, down.json()["error"]["code"]) == (503, "app_unreachable")
    settings = channel("app", AppSettings)
    service = PushService(settings, utc_now)
    port = urlsplit(settings.push_url).port
    assert port
    async with stage.serving(service.application(), stage.bind(port)):
        up = await product.call("POST", address)
    assert "k1 (HS256), k2 (HS256)" in up.json()["answer"]
    assert service.pings == 1
