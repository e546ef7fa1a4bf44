"""mod_httapi's forms and XML: what the switch takes, what recognisers say, and what nobody may smuggle in."""

from __future__ import annotations

from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.adapters.phone_httapi import SPEC, codec
from channels.adapters.phone_httapi.channel import PhoneHttapiChannel
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.contract import Surroundings, Webhook
from channels.families.speech.telephone import Line, Script
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW

SETTINGS = PhoneHttapiSettings.model_validate({"user": "fs", "password": "secret", "voice_zh": "xiaoyan"})
TURN = {"step": "turn", "lang": "zh", "turn": "3"}


@pytest.fixture
def channel(database: Database, vault: Vault, clock: StandingClock) -> PhoneHttapiChannel:
    around = Surroundings(TenantId("demo"), "https://gw.example.com", database, vault, Hub(), clock)
    return PhoneHttapiChannel(SETTINGS, around)


def call(**fields: str) -> Webhook:
    body = urlencode(
        {"session_id": "s-1", "hostname": "fs1", "Caller-Caller-ID-Number": "13800138000", **fields}
    )
    return Webhook("POST", {}, {}, body.encode(), NOW)


def test_answer_listens_to_speech_and_keys() -> None:
    script = Script("listen", Line("turn", "zh", turn=1), ("您好。",), first=True)
    document = fromstring(codec.render(script, SETTINGS))
    assert document.get("type") == "xml/freeswitch-httapi"
    assert [tag.tag for tag in document.iterfind("work/*")] == ["answer", "speak", "playback"]
    speak, playback = document.find("work/speak"), document.find("work/playback")
    assert speak is not None
    assert playback is not None
    assert speak.attrib == {"engine": "unimrcp", "text": "您好。", "voice": "xiaoyan"}
    assert playback.get("name") == "said1"
    assert playback.get("asr-engine") == "unimrcp"
    assert playback.get("input-timeout") == "6000"
    assert playback.findtext("bind") == r"~\d{1,30}#"


def test_every_count_is_sent_because_the_switch_keeps_the_old_ones() -> None:
    document = fromstring(codec.render(Script("listen", Line("turn", "en", turn=4)), SETTINGS))
    params = {tag.tag: tag.text for tag in document.iterfind("params/*")}
    assert params == {
        "step": "turn", "lang": "en", "turn": "4", "missed": "0", "quiet": "0", "polls": "0", "keys": "0", "tried": "0",
    }  # fmt: skip


def test_choice_ends_at_one_key() -> None:
    document = fromstring(codec.render(Script("listen", Line("turn", "zh"), ("选。",), digits=1), SETTINGS))
    assert document.findtext("work/playback/bind") == r"~\d{1}"


def test_last_sentence_can_be_spoken_into_when_the_switch_allows_it() -> None:
    barging = SETTINGS.model_copy(update={"barge_in": True})
    script = Script("listen", Line("turn", "zh"), ("好。", "时间 9:30，${x}",))  # fmt: skip
    document = fromstring(codec.render(script, barging))
    playback = document.find("work/playback")
    assert playback is not None
    assert playback.get("file") == "say:时间 9 30， {x}"
    assert document.findtext("variables/tts_voice") == "xiaoyan"
    assert len(document.findall("work/speak")) == 1


def test_callers_use_keys_only_when_nothing_recognises_speech() -> None:
    deaf = SETTINGS.model_copy(update={"asr_engine": ""})
    playback = fromstring(codec.render(Script("listen", Line("turn", "zh")), deaf)).find("work/playback")
    assert playback is not None
    assert "asr-engine" not in playback.attrib


@pytest.mark.parametrize(
    ("target", "tags", "text"),
    [
        ("8001", ["speak", "dial"], "8001"),
        ("sip:8002", ["speak", "dial"], "8002"),
        ("queue:support@default", ["speak", "execute", "getVar"], "support@default"),
    ],
)
def test_call_is_put_through_to_a_person(target: str, tags: list[str], text: str) -> None:
    settings = SETTINGS.model_copy(update={"transfer_to": target})
    document = fromstring(codec.render(Script("transfer", Line("dialled", "zh"), ("稍候。",)), settings))
    work = document.findall("work/*")
    assert [tag.tag for tag in work] == tags
    assert text in (work[1].text, work[1].get("data"))


def test_waiting_is_bridged_by_words_or_silence(channel: PhoneHttapiChannel) -> None:
    said = fromstring(channel.respond(call(**TURN), [], waiting=True).body)
    assert [tag.get("text") for tag in said.iterfind("work/*")] == ["请稍等，我查一下。"]
    again = fromstring(channel.respond(call(**{**TURN, "step": "poll", "polls": "1"}), [], waiting=True).body)
    assert [tag.tag for tag in again.iterfind("work/*")] == ["playback"]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("要退货", "要退货"),
        ('<result><interpretation confidence="50"><input>甲</input></interpretation><interpretation confidence="90">'
         "<input>要退货</input></interpretation></result>", "要退货"),
        ('<?xml version="1.0"?><result xmlns="http://x"><interpretation><input mode="speech">要退货</input></interpretation></result>', "要退货"),
        ('{"text": "要退货"}', "要退货"),
        ("<result>", None),
        ('<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e "x">]><result>&e;</result>', None),
        ("{broken", None),
        ("[]", "[]"),
        ('{"text": 7}', None),
    ],
)  # fmt: skip
def test_result_of_a_recogniser_is_read(channel: PhoneHttapiChannel, result: str, text: str | None) -> None:
    heard = call(**TURN, said3=result, input_type="detected_speech")
    assert [message.text for message in channel.read(heard)] == ([] if text is None else [text])
    if text is None:
        assert "没有听清" in channel.acknowledge(heard).body.decode()


def test_doubtful_speech_is_asked_for_again(channel: PhoneHttapiChannel) -> None:
    result = '<result><interpretation confidence="20"><input>嗯</input></interpretation></result>'
    heard = call(**TURN, said3=result, input_type="detected_speech")
    assert channel.read(heard) == []


def test_input_of_another_turn_is_not_heard(channel: PhoneHttapiChannel) -> None:
    assert channel.read(call(**TURN, said2="旧的", input_type="detected_speech")) == []


def test_hang_up_ends_the_conversation(channel: PhoneHttapiChannel) -> None:
    (message,) = channel.read(call(**TURN, exiting="true"))
    assert message.event == "end"


def test_caller_is_back_when_the_queue_was_left(channel: PhoneHttapiChannel) -> None:
    back = {"step": "dialled", "lang": "zh", "turn": "2"}
    assert "再见" in channel.acknowledge(call(**back, cc_cause="answered")).body.decode()
    assert "没有客服" in channel.acknowledge(call(**back, cc_cause="cancel")).body.decode()


def test_half_the_credentials_are_refused() -> None:
    with pytest.raises(ValidationError, match="password"):
        PhoneHttapiSettings(user="fs")
    with pytest.raises(ValidationError, match="colon"):
        PhoneHttapiSettings.model_validate({"user": "a:b", "password": "x"})


def test_demo_opens_without_settings(channel: PhoneHttapiChannel, vault: Vault) -> None:
    assert PhoneHttapiSettings().or_demo(vault).user == "freeswitch"
    assert SPEC.name == channel.name


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.text(max_size=60),
    st.sampled_from(["dtmf", "detected_speech", "invalid", "x"]),
)
def test_any_body_is_read_or_refused_by_name(
    channel: PhoneHttapiChannel, raw: bytes, said: str, kind: str
) -> None:
    form = urlencode({"said3": said.encode("utf-8", "replace"), "input_type": kind, **TURN}).encode()
    for body in (raw, b"session_id=1&" + raw, b"session_id=1&" + form):
        webhook = Webhook("POST", {}, {"authorization": "Basic é"}, body, NOW)
        with pytest.raises(errors.NotAuthentic):
            channel.verify(webhook)
        try:
            channel.read(webhook)
        except errors.UnreadablePayload:
            continue
        fromstring(channel.acknowledge(webhook).body)
