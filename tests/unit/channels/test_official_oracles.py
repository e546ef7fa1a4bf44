"""The platforms' own client libraries as referees: they accept what our simulators sign, and we accept what they sign.

Only what proves authenticity is theirs here; a simulator that signs as we verify would prove nothing by itself.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import standardwebhooks
from defusedxml.ElementTree import fromstring
from linebot.v3.webhook import SignatureValidator
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator
from wechatpy.crypto import WeChatCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as WeComCrypto
from wechatpy.exceptions import InvalidSignatureException

from channels.adapters.teams import demo
from channels.contract import Channel, Surroundings, Webhook
from channels.families.wechat.codec import render_xml
from channels.families.wechat.crypto import sign
from channels.registry import CHANNELS
from foundation import errors
from foundation.clock import utc_now
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.contract import Call, Options
from service.simulate.registry import SIMULATORS
from service.simulate.wechat.wechat_callback import render_call, text_fields

URL = "https://care.example.com"
TEXT = "我的订单到哪了？ <b>&</b> 📦"
WECHAT = ("wechat_oa", "wechat_mini", "wecom_app")


class Pair:
    """A channel with the demo's credentials, and its platform with the same."""

    def __init__(self, name: str, database: Database, vault: Vault) -> None:
        spec = next(one for one in CHANNELS if one.name == name)
        simulator = next(one for one in SIMULATORS if one.name == name)
        surroundings = Surroundings(TenantId("demo"), URL, database, vault, Hub(), utc_now)
        self.name = name
        self.channel: Channel = spec.build(spec.settings(), surroundings)
        self.settings: Any = spec.settings().or_demo(vault)  # type: ignore[attr-defined]  # all of these have it
        self.hook = f"{URL}/v1/hooks/demo/{name}"
        options = Options(vault, url=URL)
        self.platform: Any = simulator.platform and simulator.platform(
            spec.settings(), options, utc_now, lambda _seen: None
        )

    def call(self) -> Call:
        """A customer's text, as the simulator sends it."""
        if self.platform is not None:
            made: Call = self.platform.say(TEXT, user="ann")
            return made
        fields = text_fields(self.settings, "oAnn", TEXT, utc_now())
        xml = render_call(self.settings, render_xml(fields), mode="secure", at=utc_now())
        return Call(xml.body, xml.query)

    def accepts(self, call: Call) -> bool:
        parts = urlsplit(self.hook)
        webhook = Webhook(
            call.method, dict(call.query), {"host": parts.netloc, **call.headers}, call.body, datetime.now(UTC),
            path=parts.path, query_string=urlencode(call.query),
        )  # fmt: skip
        try:
            self.channel.verify(webhook)
        except errors.NotAuthentic:
            return False
        return True


@pytest.fixture
def pair(request: pytest.FixtureRequest, database: Database, vault: Vault) -> Pair:
    return Pair(request.param, database, vault)


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("pair", names, indirect=True)


@of("slack")
def test_slack_sdk_and_we_accept_each_others_signatures(pair: Pair) -> None:
    call = pair.call()
    referee = SignatureVerifier(pair.settings.signing_secret.get_secret_value())
    stamp = call.headers["x-slack-request-timestamp"]
    assert referee.is_valid(call.body, stamp, call.headers["x-slack-signature"])
    assert not referee.is_valid(call.body + b" ", stamp, call.headers["x-slack-signature"])
    theirs = referee.generate_signature(timestamp=stamp, body=call.body)
    assert theirs is not None
    signed = replace(call, headers={"x-slack-request-timestamp": stamp, "x-slack-signature": theirs})
    assert pair.accepts(signed)
    assert not pair.accepts(replace(signed, body=call.body + b" "))


@of("sms_twilio", "phone_twilio")
def test_twilio_and_we_accept_each_others_signatures(pair: Pair) -> None:
    call = pair.call()
    referee = RequestValidator(pair.settings.auth_token.get_secret_value())
    form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
    url = f"{pair.hook}?{urlencode(call.query)}" if call.query else pair.hook
    assert referee.validate(url, form, call.headers["x-twilio-signature"])
    assert not referee.validate(url, {**form, "From": "+1"}, call.headers["x-twilio-signature"])
    form |= {"Body": "签名 & ünïcode", "MediaUrl0": "", "Body2": "a b+c"}
    signed = Call(
        urlencode(form).encode(), call.query, {"x-twilio-signature": referee.compute_signature(url, form)}
    )
    assert pair.accepts(signed)
    assert not pair.accepts(replace(signed, body=signed.body + b"1"))


@of("sms_generic")
def test_standard_webhooks_and_we_accept_each_others_signatures(pair: Pair) -> None:
    call = pair.call()
    referee = standardwebhooks.Webhook(pair.settings.secret.get_secret_value())
    assert referee.verify(call.body, dict(call.headers))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        referee.verify(call.body + b" ", dict(call.headers))
    now, identity = datetime.now(UTC), "msg_theirs"
    headers = {
        "webhook-id": identity, "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": referee.sign(identity, now, call.body.decode()),
    }  # fmt: skip
    assert pair.accepts(replace(call, headers=headers))
    assert not pair.accepts(replace(call, headers=headers, body=call.body + b" "))


@of("line")
def test_line_sdk_accepts_our_signature(pair: Pair) -> None:
    call = pair.call()
    referee = SignatureValidator(pair.settings.channel_secret.get_secret_value())
    assert referee.validate(call.body.decode(), call.headers["x-line-signature"])
    assert not referee.validate(call.body.decode() + " ", call.headers["x-line-signature"])
    assert pair.accepts(call)


@of("teams")
def test_pyjwt_accepts_the_token_of_teams(pair: Pair) -> None:
    call = pair.call()
    key = demo.signing_key(pair.platform._vault).as_pem(private=False)
    token = call.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(
        token, key.decode(), ["RS256"], audience=pair.settings.app_id, issuer=pair.settings.issuer
    )
    assert claims["serviceurl"] == pair.platform.service_url
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key.decode(), ["RS256"], audience="another", issuer=pair.settings.issuer)


@of(*WECHAT)
def test_wechatpy_opens_what_our_simulator_encrypts(pair: Pair) -> None:
    call = pair.call()
    referee, given = crypto(pair), call.query
    body = envelope(call.body)
    opened = referee.decrypt_message(body, given["msg_signature"], given["timestamp"], given["nonce"])
    text = opened.decode() if isinstance(opened, bytes) else opened
    assert (
        json.loads(text)["Content"] if text.startswith("{") else fromstring(text).findtext("Content")
    ) == TEXT
    with pytest.raises(InvalidSignatureException):
        referee.decrypt_message(body, "0" * 40, given["timestamp"], given["nonce"])


@of(*WECHAT)
def test_we_open_what_wechatpy_encrypts(pair: Pair) -> None:
    ours = pair.call()
    plain = crypto(pair).decrypt_message(
        envelope(ours.body), ours.query["msg_signature"], ours.query["timestamp"], ours.query["nonce"]
    )
    nonce, stamp = secrets.token_hex(8), ours.query["timestamp"]
    sealed = crypto(pair).encrypt_message(plain, nonce, stamp)
    signature = fromstring(sealed).findtext("MsgSignature")
    assert signature is not None
    query = {**ours.query, "msg_signature": signature, "nonce": nonce, "timestamp": stamp}
    if pair.name != "wecom_app":
        query["signature"] = sign(pair.settings.token.get_secret_value(), stamp, nonce)
    call = Call(sealed.encode(), query)
    assert pair.accepts(call)
    webhook = Webhook("POST", dict(query), {}, call.body, datetime.now(UTC))
    assert [message.text for message in pair.channel.read(webhook)] == [TEXT]
    assert not pair.accepts(replace(call, query={**query, "nonce": "another"}))


def crypto(pair: Pair) -> Any:
    token, key = (getattr(pair.settings, name).get_secret_value() for name in ("token", "encoding_aes_key"))
    if pair.name == "wecom_app":
        return WeComCrypto(token, key, pair.settings.corp_id)
    return WeChatCrypto(token, key, pair.settings.app_id)


def envelope(body: bytes) -> str:
    """The library reads XML only; a mini program may also post JSON."""
    if body.startswith(b"{"):
        return f"<xml><Encrypt><![CDATA[{json.loads(body)['Encrypt']}]]></Encrypt></xml>"
    return body.decode()
