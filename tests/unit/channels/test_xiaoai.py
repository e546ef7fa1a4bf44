"""XiaoAi: the published vector, what only XiaoAi does, and everything hostile."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels.adapters.xiaoai import codec, gate
from channels.adapters.xiaoai.channel import XiaoaiChannel, build
from channels.adapters.xiaoai.settings import XiaoaiSettings, key_bytes
from channels.contract import Surroundings, Webhook
from channels.families.speakers import spoken
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW
from tests.fakes.specimens.speakers import USER
from tests.fakes.specimens.xiaoai import XiaoaiSpecimen

SECRET = "eGlhb21pLWRlbW8tc2VjcmV0LWtleS0zMmJ5dGVzISE="
SETTINGS = XiaoaiSettings(key_id="kid-demo==", secret=SecretStr(SECRET))
AUTHORIZATION = (
    "MIAI-HmacSHA256-V1 kid-demo==::4473b3ae14bd3cdbe078a727f50fe0b5b5b11da1677ba4b733c64f0f974b1610"
)
VECTOR = Webhook(
    "POST",
    {},
    {
        "authorization": AUTHORIZATION,
        "x-xiaomi-date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "host": "voice.example.com",
        "content-type": "application/json; charset=utf-8",
        "content-md5": "64e23f615fb5b944932a9f0685859268",
    },
    b'{"version":"1.0"}',
    datetime(2026, 1, 1, tzinfo=UTC),
    path="/xiaoai/skill",
)
HOOK = "https://voice.example.com/xiaoai/skill"


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def xiaoai(surroundings: Surroundings) -> XiaoaiSpecimen:
    return XiaoaiSpecimen(surroundings)


def opened(xiaoai: XiaoaiSpecimen) -> XiaoaiChannel:
    assert isinstance(xiaoai.channel, XiaoaiChannel)
    return xiaoai.channel


def admit(call: Webhook, hook: str = "https://elsewhere.example.com/x") -> None:
    gate.admit(call, SETTINGS.keys, hook, 300)


def test_published_vector_passes() -> None:
    admit(VECTOR)


def test_vector_passes_behind_a_proxy_that_changes_host_and_path() -> None:
    inside = replace(VECTOR, path="/skill", headers={**VECTOR.headers, "host": "10.0.0.7:8080"})
    admit(inside, HOOK)
    with pytest.raises(errors.NotAuthentic):
        admit(inside)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"body": b'{"version":"1.1"}'}, "bad_digest"),
        ({"path": "/xiaoai/other"}, "bad_signature"),
        ({"query_string": "a=1"}, "bad_signature"),
        ({"method": "GET"}, "bad_signature"),
        ({"received_at": VECTOR.received_at + timedelta(seconds=301)}, "stale_timestamp"),
        ({"received_at": VECTOR.received_at - timedelta(seconds=301)}, "stale_timestamp"),
        ({"headers": {}}, "unsigned"),
    ],
)
def test_vector_is_refused_when_one_thing_changes(change: dict[str, Any], code: str) -> None:
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(replace(VECTOR, **change))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "authorization",
    [
        "MIAI-HmacSHA256-V1 kid-demo==:" + AUTHORIZATION.rpartition(":")[2],
        "MIAI-HmacSHA256-V1 other==::" + AUTHORIZATION.rpartition(":")[2],
        "MIAI-HmacSHA1-V1 kid-demo==::" + AUTHORIZATION.rpartition(":")[2],
        AUTHORIZATION[:-1],
        AUTHORIZATION[:-1] + "０",
        "MIAI-HmacSHA256-V1 ::",
        "\udcff",
    ],
)
def test_other_credentials_are_refused(authorization: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        admit(replace(VECTOR, headers={**VECTOR.headers, "authorization": authorization}))


@pytest.mark.parametrize("date", ["", "now", "Thu, 99 Jan 2026", "Thu, 01 Jan 0000 00:00:00 GMT", "日期"])
def test_signed_date_that_is_none_is_refused(date: str) -> None:
    headers = {**VECTOR.headers, "x-xiaomi-date": date}
    signature = gate.sign(key_bytes(SECRET), "POST", VECTOR.path, "", headers)
    headers["authorization"] = f"{gate.SCHEME} kid-demo==::{signature}"
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(replace(VECTOR, headers=headers))
    assert refused.value.code == "stale_timestamp"


def test_digest_may_be_hex_or_base64() -> None:
    headers = {**VECTOR.headers, "content-md5": gate.digests(VECTOR.body)[1]}
    signature = gate.sign(key_bytes(SECRET), "POST", VECTOR.path, "", headers)
    admit(replace(VECTOR, headers={**headers, "authorization": f"{gate.SCHEME} kid-demo==::{signature}"}))


def test_silence_is_asked_once_and_ends_the_session_then(xiaoai: XiaoaiSpecimen) -> None:
    channel = opened(xiaoai)
    answers = []
    for _ in range(2):
        call = xiaoai.call(xiaoai.platform.say("…", user=USER))
        channel.verify(call)
        assert channel.read(call) == []
        assert channel.listens(call) is None
        answers.append(json.loads(channel.acknowledge(call).body))
        xiaoai.heard(channel.acknowledge(call).body)
    assert [answer["is_session_end"] for answer in answers] == [False, True]
    assert [answer["response"]["open_mic"] for answer in answers] == [True, False]


def test_silence_ends_the_session_at_once_where_nothing_comes_back(xiaoai: XiaoaiSpecimen) -> None:
    channel = opened(xiaoai)
    call = xiaoai.call(xiaoai.platform.say("…", user=USER))
    content = json.loads(call.body)
    content["session"] |= {"is_new": False, "attributes": {}}
    again = xiaoai.signed_body_call(json.dumps(content).encode())
    assert json.loads(channel.acknowledge(again).body)["is_session_end"] is True


def test_late_reply_comes_with_go_on(xiaoai: XiaoaiSpecimen) -> None:
    channel = opened(xiaoai)
    first = xiaoai.call(xiaoai.platform.say("我的快递到哪了", user=USER))
    assert channel.read(first)[0].text == "我的快递到哪了"
    assert "接着说" in xiaoai.heard(channel.respond(first, [], waiting=True).body)
    following = xiaoai.call(xiaoai.platform.say("接着说", user=USER))
    assert channel.read(following) == []
    assert channel.listens(following) is not None


@pytest.mark.parametrize("remembers", [True, False])
def test_long_reply_is_said_in_turns_or_cut_aloud(xiaoai: XiaoaiSpecimen, remembers: bool) -> None:
    settings = xiaoai.settings.model_copy(update={"session_memory": remembers})
    channel = XiaoaiChannel(settings, xiaoai.surroundings)
    call = xiaoai.text_call("退货规则", 1)
    heard = codec.parse(call.body, settings, NOW, lambda *_: ())
    speech = spoken.portion("很长的规定。" * 60, "zh", limit=180, remembers=heard.remembers)
    assert (spoken.REST in codec.render(speech)["session_attributes"]) is remembers
    assert speech.text.endswith(spoken.word("more" if remembers else "too_long", "zh"))
    assert channel.capabilities.synchronous_deadline_seconds == 2.2


def test_leaving_is_answered_with_the_end_of_the_session(xiaoai: XiaoaiSpecimen) -> None:
    call = xiaoai.call(xiaoai.platform.say("close", user=USER))
    assert opened(xiaoai).read(call)[0].event == "end"
    for answer in (opened(xiaoai).respond(call, [], waiting=False), opened(xiaoai).acknowledge(call)):
        assert json.loads(answer.body)["is_session_end"] is True


def test_call_for_another_skill_is_refused(xiaoai: XiaoaiSpecimen) -> None:
    channel = XiaoaiChannel(xiaoai.settings.model_copy(update={"app_id": "2002"}), xiaoai.surroundings)
    with pytest.raises(errors.UnreadablePayload):
        channel.read(xiaoai.text_call("x", 1))


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"key_id": "k"}, "secret"),
        ({"secret": SECRET}, "key_id"),
        ({"key_id": "k", "secret": SECRET, "previous_key_id": "o"}, "previous_secret"),
        ({"key_id": "k", "secret": "no base64!"}, "secret"),
    ],
)
def test_half_of_the_credentials_is_refused_by_name(fields: dict[str, str], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        XiaoaiSettings.model_validate(fields)


def test_demo_key_is_the_installations_own(surroundings: Surroundings, vault: Vault) -> None:
    assert build(XiaoaiSettings(), surroundings).name == "xiaoai"
    demo, other = (
        XiaoaiSettings().or_demo(vault),
        XiaoaiSettings().or_demo(Vault(b"another master key of 32 bytes..!")),
    )
    assert demo.keys == XiaoaiSettings().or_demo(vault).keys != other.keys


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["version", "session", "context", "request"]), ANYTHING), st.binary())
def test_codec_raises_nothing_else_for_any_json(content: dict[str, Any], raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        with pytest.raises(errors.UnreadablePayload):
            codec.parse(body, SETTINGS, NOW, lambda *_: ())


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_codec_reads_whatever_stands_beside_the_names(
    kind: object, intent: object, timestamp: object, attributes: object, info: object
) -> None:
    content = {
        "query": intent,
        "session": {"user": {"user_id": "u"}, "attributes": attributes},
        "request": {
            "type": kind,
            "request_id": "r",
            "intent": intent,
            "timestamp": timestamp,
            "slot_info": info,
        },
    }
    assert codec.parse(json.dumps(content).encode(), SETTINGS, NOW, lambda *_: ()).thread == "u"
