"""One invented Official Account, its channel, and the platform's calls to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import SecretStr

from channels.adapters.wechat_oa import codec
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.contract import Webhook
from channels.families.wechat.codec import parse_fields, render_xml
from channels.families.wechat.gate import Gate
from service.simulate.wechat.wechat_callback import render_call

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_KEY = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba"
SETTINGS = WechatOaSettings(
    app_id="wx0123456789abcdef",
    app_secret=SecretStr("invented-secret"),
    token=SecretStr("csgwtoken2026"),
    encoding_aes_key=SecretStr(KEY),
    original_id="gh_9a8b7c",
    mode="compatible",
)
FIELDS = {
    "ToUserName": "gh_9a8b7c",
    "FromUserName": "oAbC-123",
    "CreateTime": "1764061200",
    "MsgType": "text",
    "Content": "我要退货",
    "MsgId": "24512345678901234",
}


def settings(**changed: Any) -> WechatOaSettings:
    return SETTINGS.model_copy(update=changed)


def gate(**changed: Any) -> Gate:
    return Gate(settings(**changed).keys(), codec.identify, parse_fields)


def webhook(
    fields: Mapping[str, str] = FIELDS, *, mode: Literal["plain", "secure"] = "secure", at: datetime = NOW,
    nonce: str = "", signer: WechatOaSettings = SETTINGS,
) -> Webhook:  # fmt: skip
    call = render_call(signer, render_xml(fields), mode=mode, at=at, nonce=nonce)
    return Webhook("POST", call.query, {}, call.body, NOW)


def changed(call: Webhook, **query: str) -> Webhook:
    return replace(call, query={**call.query, **query})


def later(call: Webhook, **delta: float) -> Webhook:
    return replace(call, received_at=call.received_at + timedelta(**delta))
