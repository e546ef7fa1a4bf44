"""Accounts of channels while the product runs: added, used, changed, refused, removed, and what is never told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.families.wechat.codec import render_xml
from foundation.messages import TenantId
from service.simulate.wechat.wechat_callback import render_call, text_fields
from tests.journeys.conftest import Product

PATH = "/v1/channels/wechat_oa/accounts/shop-2"
SETTINGS = {"app_id": "wx2", "app_secret": "hidden-secret", "token": "hidden-token", "mode": "plain"}


async def post_text(
    product: Product, settings: dict[str, Any], text: str, *, account: str = "/shop-2"
) -> int:
    known = WechatOaSettings.model_validate(settings)
    now = datetime.now(UTC)
    fields = text_fields(known, "oCustomerOfTheSecondShop", text, now)
    call = render_call(known, render_xml(fields), mode="plain", at=now)
    hook = f"/v1/hooks/demo/wechat_oa{account}"
    answer = await product.client.post(hook, params=dict(call.query), content=call.body)
    return answer.status_code


async def test_added_account_takes_messages_at_its_own_address_at_once(product: Product) -> None:
    saved = await product.call("PUT", PATH, {"settings": SETTINGS})
    assert saved.status_code == 200
    assert saved.json()["hook"].endswith("/v1/hooks/demo/wechat_oa/shop-2")
    assert saved.json()["is_open"]
    assert await post_text(product, SETTINGS, "运费多少") == 200
    assert await post_text(product, SETTINGS, "运费多少", account="") == 401
    listed = (await product.call("GET", "/v1/channels")).json()["accounts"]
    mine = next(one for one in listed if one["account"] == "shop-2")
    assert mine["last_in"]


async def test_secrets_are_kept_when_they_are_not_given_and_never_told(product: Product) -> None:
    await product.call("PUT", PATH, {"settings": SETTINGS})
    changed = await product.call("PUT", PATH, {"settings": {"app_id": "wx3", "mode": "plain"}})
    assert changed.status_code == 200
    form = await product.call("GET", "/v1/channels/wechat_oa/form?account=shop-2")
    fields = {field["name"]: field for field in form.json()}
    assert (fields["app_id"]["value"], fields["token"]["value"], fields["token"]["is_set"]) == (
        "wx3",
        "",
        True,
    )
    listed = await product.call("GET", "/v1/channels")
    assert "hidden" not in form.text + listed.text + changed.text
    assert await post_text(product, {**SETTINGS, "app_id": "wx3"}, "你好") == 200


@pytest.mark.parametrize(
    ("path", "settings", "code"),
    [
        (PATH, {"app_id": "wx2"}, "bad_settings"),
        (PATH, {**SETTINGS, "colour": "red"}, "unknown_setting"),
        ("/v1/channels/wechat_oa/accounts/main", SETTINGS, "bad_account_name"),
        ("/v1/channels/wechat_oa/accounts/Shop%202", SETTINGS, "bad_account_name"),
        ("/v1/channels/pigeons/accounts/a", SETTINGS, "unknown_channel"),
    ],
)
async def test_wrong_account_is_refused_by_name(
    product: Product, path: str, settings: dict[str, str], code: str
) -> None:
    answer = await product.call("PUT", path, {"settings": settings})
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]["code"] == code


async def test_removed_account_takes_nothing_any_more(product: Product) -> None:
    await product.call("PUT", PATH, {"settings": SETTINGS})
    assert (await product.call("DELETE", PATH)).status_code == 200
    assert await post_text(product, SETTINGS, "你好") == 401
    assert (await product.call("DELETE", PATH)).status_code == 404


async def test_agents_may_not_see_or_change_accounts(product: Product) -> None:
    await product.system.staff.add(
        TenantId("demo"), login="ann", name="Ann", role="agent", password="a long password", actor="test"
    )
    log_in = {"login": "ann", "password": "a long password"}
    token = (await product.client.post("/v1/staff/login", json=log_in)).json()["token"]
    header = {"Authorization": f"Bearer {token}"}
    assert (await product.client.get("/v1/channels", headers=header)).status_code == 403
    assert (await product.client.put(PATH, json={"settings": SETTINGS}, headers=header)).status_code == 403


async def test_shown_address_is_the_one_that_lets_calls_in_where_the_platform_signs_nothing(
    product: Product,
) -> None:
    names = ("secret_id", "secret_key", "app_id", "template_id", "sign_name")
    secret = "a-path-that-nobody-guesses"
    settings = {name: "x" for name in names} | {"path_secret": secret}
    path = "/v1/channels/sms_tencent/accounts/shop-2"
    shown = (await product.call("PUT", path, {"settings": settings})).json()
    assert (shown["hook_is_secret"], secret in shown["hook"]) == (True, True)
    text = {"extend": "", "mobile": "13800000000", "nationcode": "86", "sign": "x", "text": "hi", "time": 1}
    address = shown["hook"].removeprefix(product.system.settings.address)
    assert (await product.client.post(address, json=text)).status_code == 200
    assert (await product.client.post(address.partition("?")[0], json=text)).status_code == 401
    listed = (await product.call("GET", "/v1/channels")).json()["accounts"]
    mine = next(one for one in listed if one["account"] == "shop-2")
    assert (mine["refused"], bool(mine["last_in"])) == ({"bad_address": 1}, True)
