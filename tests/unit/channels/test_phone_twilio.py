"""Twilio's forms and TwiML: vectors of its signature, the ladders, and documents for hostile and long texts."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode
from xml.etree.ElementTree import Element, fromstring

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.phone_twilio import SPEC, codec
from channels.adapters.phone_twilio.channel import PhoneTwilioChannel
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.contract import Part, Surroundings, Webhook
from channels.families import speech
from channels.families.speech import telephone
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    Choice,
    Citation,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.contract import Options
from service.simulate.phone.phone_twilio import TwilioVoice
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW

ACCOUNT = "AC00000000000000000000000000000001"
MENU = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://gw.example.com", database, vault, Hub(), clock)


def line(surroundings: Surroundings, **settings: object) -> PhoneTwilioChannel:
    given = {"account_sid": ACCOUNT, "auth_token": "tw-auth-token-0001", **settings}
    return PhoneTwilioChannel(PhoneTwilioSettings.model_validate(given), surroundings)


def call(fields: Mapping[str, str], **query: str) -> Webhook:
    base = {"CallSid": "CA1", "AccountSid": ACCOUNT, "From": "+8613800138000", "CallStatus": "in-progress"}
    return Webhook(
        "POST", query, {}, urlencode({**base, **fields}).encode(), NOW, query_string=urlencode(query)
    )


def parts(reply: Reply, channel: PhoneTwilioChannel) -> list[Part]:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel=codec.NAME, account="", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient="CA1", role="bot", reply=reply,
    )  # fmt: skip
    return degrade.fit(message, channel.capabilities)


def spoken(document: Element) -> str:
    return "".join(say.text or "" for say in document.iter("Say"))


def following(document: Element) -> dict[str, str]:
    gather, redirect = document.find("Gather"), document.find("Redirect")
    where = (
        gather.get("action", "")
        if gather is not None
        else (redirect.text or "")
        if redirect is not None
        else ""
    )
    return dict(parse_qsl(where.partition("?")[2]))


VECTOR = (
    b"MessageSid=SM00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000001"
    b"&From=%2B8613800138000&To=%2B15005550006&Body=%E8%AE%A2%E5%8D%95+1001+%E5%88%B0%E5%93%AA%E4%BA%86&NumMedia=0&FromCity="
)


def test_signature_is_the_platforms_own() -> None:
    url = "https://gw.example.com/twilio/sms?tenant=acme"
    assert (
        codec.signature("tw-auth-token-0001", url, codec.parse_form(VECTOR)) == "Fn2abhtkUNVqRn8My64Ml6c/1hc="
    )
    json_url = (
        "https://gw.example.com/twilio/json?bodySHA256="
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )
    assert codec.signature("tw-auth-token-0001", json_url, []) == "DwqJJNiE8H9NRLtwd2RBs+6Spew="


def test_call_passes_when_its_address_was_signed_with_the_port(surroundings: Surroundings) -> None:
    channel = line(surroundings)
    signed = codec.signature("tw-auth-token-0001", f"https://gw.example.com:443{channel.hook[22:]}", [])
    channel.verify(Webhook("GET", {}, {"x-twilio-signature": signed}, b"", NOW))
    http = codec.signature("tw-auth-token-0001", channel.hook.replace("https", "http"), [])
    with pytest.raises(errors.NotAuthentic):
        channel.verify(Webhook("GET", {}, {"x-twilio-signature": http}, b"", NOW))


def test_caller_is_proven_for_the_call_and_not_by_the_number(surroundings: Surroundings) -> None:
    (message,) = line(surroundings).read(call({"CallStatus": "ringing"}))
    own, number = message.sender
    assert (own.namespace, own.value, own.proven) == (f"phone_twilio:{ACCOUNT}", "CA1", True)
    assert (number.namespace, number.value, number.proven) == ("phone:main", "+8613800138000", False)


@pytest.mark.parametrize("caller", ["anonymous", "", "sip:a@b.example.com", "+", "１２３４"])
def test_caller_without_a_number_is_known_by_the_call_only(surroundings: Surroundings, caller: str) -> None:
    (message,) = line(surroundings).read(call({"CallStatus": "ringing", "From": caller}))
    assert len(message.sender) == 1


def test_reply_is_spoken_into_a_gather_that_listens(surroundings: Surroundings) -> None:
    channel = line(surroundings, opening="本次通话会被录音。", voice_zh="Polly.Zhiyu")
    reply = Reply(text="订单 **HL2026112501** 共 199.90 元", choices=MENU, citations=(
        Citation(article="a", title="退货流程", version=1, quote="七天"),
    ))  # fmt: skip
    body = channel.respond(call({"CallStatus": "ringing"}), parts(reply, channel), waiting=False).body
    document = fromstring(body)
    gather = document.find("Gather")
    assert gather is not None
    assert gather.attrib | {"action": ""} == {
        "input": "speech dtmf", "action": "", "method": "POST", "language": "zh-CN", "timeout": "6",
        "speechTimeout": "auto", "bargeIn": "true", "actionOnEmptyResult": "true", "numDigits": "1",
    }  # fmt: skip
    assert spoken(document) == (
        "本次通话会被录音。订单 H L 二零二六幺幺二五零幺 共 一百九十九元九角。以上依据：退货流程。查物流，请按1。退货，请按2。"
    )
    assert {say.get("voice") for say in document.iter("Say")} == {"Polly.Zhiyu"}
    assert following(document) == {"step": "turn", "lang": "zh", "turn": "1", "keys": "2"}


def test_language_of_the_reply_is_the_language_of_the_call(surroundings: Surroundings) -> None:
    channel = line(surroundings)
    heard = call({"SpeechResult": "hello"}, step="turn", lang="zh", turn="1")
    document = fromstring(
        channel.respond(heard, parts(Reply(text="Hello", language="en"), channel), waiting=False).body
    )
    gather = document.find("Gather")
    assert gather is not None
    assert gather.get("language") == "en-US"
    again = fromstring(channel.acknowledge(call({}, **following(document))).body)
    assert "still there" in spoken(again)


def test_line_is_kept_by_a_filler_and_then_in_silence(surroundings: Surroundings) -> None:
    channel, where, heard = line(surroundings, poll_limit=6), {"step": "turn", "lang": "zh", "turn": "3"}, []
    for _ in range(7):
        document = fromstring(channel.respond(call({}, **where), [], waiting=True).body)
        where = following(document)
        heard.append(spoken(document))
        if where["step"] == "poll":
            listener = channel.listens(call({}, **where))
            assert listener is not None
            assert (listener.thread, listener.event) == ("CA1", "")
    assert heard[0].startswith("请稍等")
    assert [bool(said) for said in heard] == [True, False, False, True, False, False, True]
    assert where["step"] == "turn"
    assert where["turn"] == "4"


def test_silence_is_asked_about_twice_and_then_the_call_ends(surroundings: Surroundings) -> None:
    channel, where, heard = line(surroundings), {"step": "turn", "lang": "zh", "turn": "1"}, []
    for _ in range(3):
        silent = call({}, **where)
        assert channel.read(silent) == []
        listener = channel.listens(silent)
        assert listener is not None
        assert listener.event == "idle"
        document = fromstring(channel.respond(silent, [], waiting=False).body)
        heard.append(spoken(document))
        where = following(document) or where
    assert "还在吗" in heard[0]
    assert "按键" in heard[1]
    assert document.find("Hangup") is not None


def test_unclear_speech_is_asked_again_then_by_keys_then_a_person_is_asked_for(
    surroundings: Surroundings,
) -> None:
    channel, where, heard = line(surroundings), {"step": "turn", "lang": "en", "turn": "1"}, []
    unclear = {"SpeechResult": "mumble", "Confidence": "0.2"}
    for _ in range(2):
        assert channel.read(call(unclear, **where)) == []
        document = fromstring(channel.respond(call(unclear, **where), [], waiting=False).body)
        heard.append(spoken(document))
        where = following(document)
    assert "say it again" in heard[0]
    assert "keys" in heard[1]
    (message,) = channel.read(call(unclear, **where))
    assert message.text == "I want to talk to a person"
    (clear,) = channel.read(call({"SpeechResult": "my order", "Confidence": "0.9"}, **where))
    assert clear.text == "my order"


@pytest.mark.parametrize(
    ("target", "tag", "text"),
    [
        ("+862100000000", "Number", "+862100000000"),
        ("sip:a@b.example.com", "Sip", "sip:a@b.example.com"),
        ("queue:support", "Enqueue", "support"),
    ],
)
def test_call_is_put_through_to_a_person(
    surroundings: Surroundings, target: str, tag: str, text: str
) -> None:
    channel = line(surroundings, transfer_to=target)
    assert channel.transfers
    asked = call({"SpeechResult": "人工"}, step="turn", lang="zh", turn="2")
    document = fromstring(channel.transfer(asked, parts(Reply(text="好的"), channel)).body)
    (found,) = document.iter(tag)
    assert found.text == text
    assert spoken(document).startswith("好的。正在为您转接")


def test_caller_is_back_when_nobody_takes_the_call(surroundings: Surroundings) -> None:
    channel = line(surroundings, transfer_to="+862100000000")
    back = call({"DialCallStatus": "no-answer"}, step="dialled", lang="zh", turn="3")
    assert channel.read(back) == []
    document = fromstring(channel.acknowledge(back).body)
    assert "没有客服" in spoken(document)
    where = following(document)
    assert where["tried"] == "1"
    said = call({"SpeechResult": "请回电"}, **where)
    assert "记下" in spoken(fromstring(channel.transfer(said, []).body))
    assert "还在吗" in spoken(fromstring(channel.transfer(call({}, **where), []).body))


def test_call_is_over_when_the_person_has_hung_up(surroundings: Surroundings) -> None:
    done = call({"DialCallStatus": "completed"}, step="dialled", lang="zh", turn="3")
    document = fromstring(line(surroundings).acknowledge(done).body)
    assert document.find("Hangup") is not None


def test_last_words_are_heard_when_the_caller_hangs_up_after_them(surroundings: Surroundings) -> None:
    channel = line(surroundings)
    last = call({"SpeechResult": "取消订单", "CallStatus": "completed"}, step="turn", lang="zh", turn="5")
    assert [(message.text, message.event) for message in channel.read(last)] == [
        ("取消订单", ""),
        ("", "end"),
    ]
    hung_up = channel.read(call({"CallStatus": "completed"}))
    assert hung_up[0].message_id == channel.read(last)[1].message_id
    assert len(fromstring(channel.acknowledge(last).body)) == 0


def test_long_reply_is_said_in_pieces_that_the_platform_takes(surroundings: Surroundings) -> None:
    channel = line(surroundings)
    reply = Reply(text="".join(f"第{number}条，订单号{10**9 + number}已经发出。" for number in range(60)))
    document = fromstring(channel.respond(call({}, step="poll"), parts(reply, channel), waiting=False).body)
    texts = [say.text or "" for say in document.iter("Say")]
    assert len(texts) > 1
    assert max(len(urlencode({"": text})) for text in texts) <= 4500


def test_call_of_another_account_is_refused(surroundings: Surroundings) -> None:
    with pytest.raises(errors.UnreadablePayload):
        line(surroundings).read(call({"AccountSid": "AC2"}))


async def test_text_cannot_be_sent_after_the_call(surroundings: Surroundings) -> None:
    channel = line(surroundings)
    with pytest.raises(errors.UnsupportedContent):
        await channel.send(parts(Reply(text="x"), channel)[0], idempotency_key="k")


def test_half_an_account_is_refused() -> None:
    with pytest.raises(ValidationError, match="auth_token"):
        PhoneTwilioSettings(account_sid=ACCOUNT)


async def test_credentials_are_tested_with_one_harmless_call(
    surroundings: Surroundings, vault: Vault
) -> None:
    platform = TwilioVoice(PhoneTwilioSettings(), Options(vault), surroundings.clock, lambda shown: None)
    transport = httpx.ASGITransport(platform.application())
    right = PhoneTwilioSettings().or_demo(vault)
    channel = PhoneTwilioChannel(right, surroundings, transport=transport)
    assert isinstance(channel, promises.Testing)
    assert "active" in await channel.test()
    wrong = right.model_copy(update={"auth_token": SecretStr("wrong")})
    with pytest.raises(errors.UpstreamRefused):
        await PhoneTwilioChannel(wrong, surroundings, transport=transport).test()


def test_demo_opens_without_settings(surroundings: Surroundings) -> None:
    channel = SPEC.build(SPEC.settings(), surroundings)
    assert channel.name == "phone_twilio"
    assert channel.capabilities.synchronous_deadline_seconds == 4.0


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["step", "turn", "lang", "missed"]), st.text(max_size=9)),
)
def test_any_body_is_read_or_refused_by_name(
    surroundings: Surroundings, body: bytes, query: dict[str, str]
) -> None:
    channel = line(surroundings)
    for content in (body, b"CallSid=CA1&" + body):
        webhook = Webhook("POST", query, {"x-twilio-signature": "é"}, content, NOW)
        with pytest.raises(errors.NotAuthentic):
            channel.verify(webhook)
        try:
            channel.read(webhook)
        except errors.UnreadablePayload:
            continue
        fromstring(channel.acknowledge(webhook).body)


@given(st.text(max_size=200))
def test_any_reply_becomes_xml(text: str) -> None:
    heard = telephone.Heard("CA1", "", telephone.Line())
    settings = PhoneTwilioSettings()
    script = telephone.Script("listen", telephone.Line("turn", "zh"), (speech.speakable(text, "zh"),))
    fromstring(codec.render(script, heard, settings, "https://a/b"))


def test_confidence_of_zero_is_one_that_the_model_does_not_tell(surroundings: Surroundings) -> None:
    heard = call({"SpeechResult": "订单到哪了", "Confidence": "0.0"}, step="turn", lang="zh", turn="1")
    assert [message.text for message in line(surroundings).read(heard)] == ["订单到哪了"]
