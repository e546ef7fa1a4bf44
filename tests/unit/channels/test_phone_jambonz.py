"""jambonz' signature, its two forms of speech, its verbs, and the seal on where a call stands."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from channels.adapters.phone_jambonz import SPEC, codec
from channels.adapters.phone_jambonz.channel import PhoneJambonzChannel
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.contract import Surroundings, Webhook
from channels.families.speech.telephone import Line, Script
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.phone.calling import query_of
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW

SECRET = "jambonz-secret-0001"


@pytest.fixture
def channel(database: Database, vault: Vault, clock: StandingClock) -> PhoneJambonzChannel:
    around = Surroundings(TenantId("demo"), "https://gw.example.com", database, vault, Hub(), clock)
    return PhoneJambonzChannel(PhoneJambonzSettings.model_validate({"webhook_secret": SECRET}), around)


def call(fields: dict[str, Any], **query: str) -> Webhook:
    body = json.dumps({"call_sid": "c-1", "account_sid": "a-1", "from": "13800138000", **fields}).encode()
    return Webhook("POST", query, {}, body, NOW)


def test_signature_is_the_platforms_own() -> None:
    body = b'{"call_sid":"c-1","reason":"dtmfDetected","digits":"1"}'
    wanted = "eec56ec46aed2d20314c344ab66b2ed1f028251f7a494a69cba9b299eabd1287"
    assert codec.signature(SECRET, "1790000000", body) == wanted
    header = f"t=1790000000,v1={wanted}"
    assert codec.parse_signature(header) == ("1790000000", [wanted])


@pytest.mark.parametrize(("seconds", "passes"), [(0, True), (299, True), (301, False), (-301, False)])
def test_time_counts_in_both_directions(channel: PhoneJambonzChannel, seconds: int, passes: bool) -> None:
    body = b'{"call_sid":"c-1"}'
    header = f"t=1790000000,v1={codec.signature(SECRET, '1790000000', body)}"
    at = datetime.fromtimestamp(1790000000 + seconds, UTC)
    webhook = Webhook("POST", {}, {"jambonz-signature": header}, body, at)
    if passes:
        channel.verify(webhook)
    else:
        with pytest.raises(errors.NotAuthentic):
            channel.verify(webhook)


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e400", "", "x"])
def test_time_that_is_none_is_refused(channel: PhoneJambonzChannel, time: str) -> None:
    body = b'{"call_sid":"c-1"}'
    header = f"t={time},v1={codec.signature(SECRET, time, body)}"
    with pytest.raises(errors.NotAuthentic):
        channel.verify(Webhook("POST", {}, {"jambonz-signature": header}, body, NOW))


def test_recorded_call_is_refused_when_it_is_played_as_another_turn(channel: PhoneJambonzChannel) -> None:
    verbs = json.loads(channel.respond(call({}), [], waiting=True).body)
    where = query_of(verbs[-1]["actionHook"])
    body = call({}).body
    time = str(int(NOW.timestamp()))
    header = {"jambonz-signature": f"t={time},v1={codec.signature(SECRET, time, body)}"}
    mine = Webhook("POST", where, header, body, NOW)
    channel.verify(mine)
    for changed in ({"turn": "9"}, {"step": "turn"}, {"seal": "0" * 32}, {"seal": "签名"}):
        with pytest.raises(errors.NotAuthentic):
            channel.verify(replace(mine, query={**where, **changed}))


@pytest.mark.parametrize(
    "speech",
    [
        {"alternatives": [{"transcript": "要退货", "confidence": 0.8}]},
        {"channel": {"alternatives": [{"transcript": "要退货"}]}},
        {"speech": {"alternatives": [{"transcript": ""}, {"transcript": "要退货", "confidence": 80}]}},
        [{"alternatives": [{"transcript": "要退货"}]}],
    ],
)
def test_speech_is_found_in_every_form(channel: PhoneJambonzChannel, speech: Any) -> None:
    (message,) = channel.read(call({"reason": "speechDetected", "speech": speech}, step="turn", turn="1"))
    assert message.text == "要退货"


def test_verbs_listen_and_speak_at_once() -> None:
    settings = PhoneJambonzSettings.model_validate(
        {"webhook_secret": SECRET, "hints": "订单, 退款", "voice_zh": "zhiyu"}
    )
    script = Script("listen", Line("turn", "zh", turn=2), ("您好。",), digits=1)
    (verb,) = json.loads(codec.render(script, "c-1", settings, "https://a/b"))
    assert verb.pop("actionHook").startswith("https://a/b?step=turn&lang=zh&turn=2&seal=")
    assert verb == {
        "verb": "gather", "input": ["speech", "digits"], "timeout": 6, "bargein": True, "dtmfBargein": True, "numDigits": 1,
        "recognizer": {"vendor": "default", "language": "zh-CN", "hints": ["订单", "退款"]},
        "say": {"text": "您好。", "synthesizer": {"vendor": "default", "language": "zh-CN", "voice": "zhiyu"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "verb"),
    [
        ("+862100000000", {"verb": "dial", "target": [{"type": "phone", "number": "+862100000000"}]}),
        ("sip:a@b", {"verb": "dial", "target": [{"type": "sip", "sipUri": "sip:a@b"}]}),
        ("queue:support", {"verb": "enqueue", "name": "support"}),
    ],
)
def test_call_is_put_through_to_a_person(target: str, verb: dict[str, Any]) -> None:
    settings = PhoneJambonzSettings.model_validate({"webhook_secret": SECRET, "transfer_to": target})
    script = Script("transfer", Line("dialled", "zh"), ("请稍候。",))
    said, through = json.loads(codec.render(script, "c-1", settings, "https://a/b"))
    assert said["text"] == "请稍候。"
    assert {name: through[name] for name in verb} == verb
    assert "step=dialled" in through["actionHook"]


@pytest.mark.parametrize(("status", "word"), [("no-answer", "没有客服"), ("completed", "再见")])
def test_transfer_ends_or_brings_the_caller_back(
    channel: PhoneJambonzChannel, status: str, word: str
) -> None:
    back = call({"dial_call_status": status}, step="dialled", lang="zh", turn="2")
    assert channel.read(back) == []
    assert word in channel.acknowledge(back).body.decode()


def test_state_of_the_call_is_acknowledged_with_no_verbs(channel: PhoneJambonzChannel) -> None:
    for state, events in (("ringing", []), ("in-progress", []), ("completed", ["end"])):
        status = call({"call_status": state}, step="status")
        assert [message.event for message in channel.read(status)] == events
        assert channel.acknowledge(status).body == b"[]"


def test_silence_is_no_message_and_an_error_is_not_understood(channel: PhoneJambonzChannel) -> None:
    where = {"step": "turn", "lang": "zh", "turn": "1"}
    assert channel.read(call({"reason": "timeout"}, **where)) == []
    assert "还在吗" in channel.acknowledge(call({"reason": "timeout"}, **where)).body.decode()
    assert "没有听清" in channel.acknowledge(call({"reason": "error"}, **where)).body.decode()


def test_demo_opens_without_settings(channel: PhoneJambonzChannel, vault: Vault) -> None:
    settings = PhoneJambonzSettings().or_demo(vault)
    assert len(settings.webhook_secret.get_secret_value()) == 32
    assert SPEC.name == channel.name


FIELDS = (
    "call_sid", "speech", "alternatives", "transcript", "confidence", "digits", "reason", "call_status", "from",
)  # fmt: skip
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_like, st.binary(max_size=60), st.sampled_from(["", "turn", "poll", "status", "dialled"]))
def test_any_body_is_read_or_refused_by_name(
    channel: PhoneJambonzChannel, content: Any, raw: bytes, step: str
) -> None:
    named = {**content, "call_sid": "c-1"} if isinstance(content, dict) else content
    for body in (json.dumps(content).encode(), json.dumps(named).encode(), raw):
        webhook = Webhook("POST", {"step": step}, {"jambonz-signature": "t=é,v1=ü"}, body, NOW)
        with pytest.raises(errors.NotAuthentic):
            channel.verify(webhook)
        try:
            channel.read(webhook)
        except errors.UnreadablePayload:
            continue
        json.loads(channel.acknowledge(webhook).body)


@given(st.text(max_size=100))
def test_any_saying_becomes_json(text: str) -> None:
    script = Script("again", Line("poll", "en"), (text,))
    settings = PhoneJambonzSettings.model_validate({"webhook_secret": SECRET})
    assert json.loads(codec.render(script, "c", settings, "https://a/b"))[-1]["verb"] == "redirect"
