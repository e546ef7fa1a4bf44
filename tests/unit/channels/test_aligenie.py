"""AliGenie: both protocols, the address that is a secret, the verification file, and everything hostile."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from channels.adapters.aligenie import codec
from channels.adapters.aligenie.channel import AligenieChannel, build
from channels.adapters.aligenie.settings import AligenieSettings
from channels.contract import Surroundings
from channels.families.speakers import spoken
from foundation import errors
from foundation.live import Hub
from foundation.messages import Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens.aligenie import AligenieSpecimen
from tests.fakes.specimens.contract import NOW
from tests.fakes.specimens.speakers import USER, webhook

SECRET = "invented-path-secret-0123456789"
SETTINGS = AligenieSettings(path_secret=SecretStr(SECRET))


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def aligenie(surroundings: Surroundings) -> AligenieSpecimen:
    return AligenieSpecimen(surroundings)


def opened(aligenie: AligenieSpecimen) -> AligenieChannel:
    assert isinstance(aligenie.channel, AligenieChannel)
    return aligenie.channel


def answer(aligenie: AligenieSpecimen, speech: spoken.Speech, **fields: Any) -> dict[str, Any]:
    body = aligenie.platform.first(USER, "退货", **fields).body
    heard = codec.parse(body, aligenie.settings, NOW, lambda *_: ())
    rendered = codec.render(heard, speech, aligenie.settings)
    assert "response" not in rendered
    value: dict[str, Any] = rendered["returnValue"]
    return value


def test_first_protocol_keeps_listening_by_asking_for_the_parameter_of_the_intent(
    aligenie: AligenieSpecimen,
) -> None:
    value = answer(aligenie, spoken.Speech("请问哪一单？"))
    assert (value["resultType"], value["askedInfos"]) == (
        "ASK_INF",
        [{"parameterName": "any", "intentId": 4}],
    )
    assert answer(aligenie, spoken.Speech("x"), slotEntities=[])["askedInfos"][0]["parameterName"] == "any"
    assert answer(aligenie, spoken.Speech("再见", keeps_open=False))["resultType"] == "RESULT"
    assert answer(aligenie, spoken.Speech("x"), intentId=None)["resultType"] == "RESULT"


def test_second_protocol_keeps_listening_and_remembers(aligenie: AligenieSpecimen) -> None:
    channel = opened(aligenie)
    first = webhook(aligenie.platform.say("我的快递到哪了", user=USER))
    held = json.loads(channel.respond(first, [], waiting=True).body)
    assert "returnValue" not in held
    assert held["sessionAttributes"] == {"waiting": "1"}
    assert (held["response"]["shouldEndSession"], held["response"]["expectSpeech"]) == (False, True)
    aligenie.heard(json.dumps(held).encode())
    following = webhook(aligenie.platform.say("接着说", user=USER))
    assert channel.read(following) == []
    assert channel.listens(following) is not None


def test_go_on_fetches_in_the_first_protocol_though_nothing_is_remembered(aligenie: AligenieSpecimen) -> None:
    call = webhook(aligenie.platform.first(USER, "接着说"))
    assert opened(aligenie).read(call) == []
    assert opened(aligenie).listens(call) is not None


def test_slot_is_asked_for_in_the_second_protocol_where_one_is_set(aligenie: AligenieSpecimen) -> None:
    heard = codec.parse(aligenie.text_call("x", 1).body, SETTINGS, NOW, lambda *_: ())
    plain = codec.render(heard, spoken.Speech("x"), SETTINGS)
    asking = codec.render(heard, spoken.Speech("x"), SETTINGS.model_copy(update={"slot": "order"}))
    assert plain["response"]["directives"] == []
    assert asking["response"]["directives"] == [{"type": "Dialog.ElicitSlot", "slotToElicit": "order"}]


def test_unreadable_call_is_answered_for_both_protocols(aligenie: AligenieSpecimen) -> None:
    content = json.loads(opened(aligenie).acknowledge(aligenie.signed_body_call(b"[]")).body)
    assert content["returnValue"]["reply"] == content["response"]["outputSpeechs"][0]["text"] != ""


def test_union_ids_are_names_of_the_customer_too(aligenie: AligenieSpecimen) -> None:
    content = json.loads(aligenie.text_call("x", 1).body)
    unions = [{"organizationId": "77", "unionId": "un"}, {"unionId": ""}, "x"]
    content["context"]["system"]["user"]["userUnionIds"] = unions
    heard = codec.parse(json.dumps(content).encode(), SETTINGS, NOW, lambda *_: ())
    assert heard.sender[1:] == (Identifier(namespace="aligenie_union:77", value="un", proven=True),)


def test_new_session_without_a_word_is_greeted(aligenie: AligenieSpecimen) -> None:
    (message,) = opened(aligenie).read(webhook(aligenie.platform.first(USER, "")))
    assert (message.kind, message.event) == ("event", "enter")


def test_call_for_another_skill_is_refused(aligenie: AligenieSpecimen) -> None:
    channel = AligenieChannel(aligenie.settings.model_copy(update={"skill_id": "9"}), aligenie.surroundings)
    for call in (aligenie.text_call("x", 1), webhook(aligenie.platform.first(USER, "x"))):
        with pytest.raises(errors.UnreadablePayload):
            channel.read(call)


def test_added_account_carries_its_secret_beside_its_name(surroundings: Surroundings) -> None:
    channel = AligenieChannel(SETTINGS, replace(surroundings, account="shop2"))
    call = AligenieSpecimen(surroundings).text_call("x", 1)
    channel.verify(replace(call, account="shop2", query={"secret": SECRET}))
    for account, query in (("shop2", {}), (SECRET, {}), ("shop2", {"secret": "x"})):
        with pytest.raises(errors.NotAuthentic):
            channel.verify(replace(call, account=account, query=query))


def test_verification_file_is_shown_only_where_one_is_set(aligenie: AligenieSpecimen) -> None:
    fields = {"auth_file_name": "0a1b2c.txt", "auth_file_content": "proof-of-the-host"}
    channel = AligenieChannel(aligenie.settings.model_copy(update=fields), aligenie.surroundings)
    client = TestClient(Starlette(routes=list(channel.routes(None))))  # type: ignore[arg-type]  # not used
    assert client.get("/aligenie/0a1b2c.txt").text == "proof-of-the-host"
    assert client.get("/aligenie/other.txt").status_code == 404
    assert opened(aligenie).routes(None) == ()  # type: ignore[arg-type]  # not used


@pytest.mark.parametrize(
    "fields",
    [
        {"path_secret": "too-short"},
        {"path_secret": "with/a/slash/in/the/middle"},
        {"header_name": "X-Key"},
        {"header_value": "v"},
        {"auth_file_name": "a.txt"},
        {"auth_file_name": "../a.txt", "auth_file_content": "x"},
    ],
)
def test_half_or_weak_settings_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        AligenieSettings.model_validate(fields)


def test_demo_address_is_the_installations_own(surroundings: Surroundings, vault: Vault) -> None:
    assert build(AligenieSettings(), surroundings).name == "aligenie"
    demo, other = (
        AligenieSettings().or_demo(one) for one in (vault, Vault(b"another master key of 32 bytes..!"))
    )
    assert len(demo.path_secret.get_secret_value()) == 40
    assert demo.path_secret != other.path_secret


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["version", "session", "context", "request", "skillSession", "requestData", "utterance", "sessionId", "skillId",
     "slotEntities", "intentName", "requestId"]
)  # fmt: skip


@given(st.dictionaries(NAMES, ANYTHING), st.binary())
def test_codec_reads_or_refuses_any_json(content: dict[str, Any], raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        try:
            heard = codec.parse(body, SETTINGS, NOW, lambda *_: ())
        except errors.UnreadablePayload:
            continue
        assert json.dumps(codec.render(heard, spoken.Speech("x"), SETTINGS))


@given(st.sampled_from(["LaunchRequest", "IntentRequest", "Other"]), ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_codec_reads_whatever_stands_beside_the_names(
    kind: str, intent: object, timestamp: object, attributes: object, said: object
) -> None:
    content = {
        "session": {"sessionId": "s", "attributes": attributes},
        "context": {"system": {"user": {"userOpenId": "u", "userUnionIds": said}}},
        "request": {"type": kind, "intent": intent, "timestamp": timestamp, "input": said},
    }
    assert codec.parse(json.dumps(content).encode(), SETTINGS, NOW, lambda *_: ()).thread == "u"
