"""Alexa: the published vector, what only Alexa does, and everything hostile."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr, ValidationError

from channels.adapters.alexa import codec
from channels.adapters.alexa.channel import AlexaChannel, build
from channels.adapters.alexa.settings import AlexaSettings
from channels.contract import Part, Surroundings, Webhook
from channels.families.speakers import certificates, spoken
from foundation import errors
from foundation.live import Hub
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.speakers.authority import Signer
from tests.conftest import StandingClock
from tests.fakes.specimens.alexa import AlexaSpecimen
from tests.fakes.specimens.contract import NOW, admit
from tests.fakes.specimens.speakers import USER, handing, webhook

SETTINGS = AlexaSettings(skill_id="amzn1.ask.skill.k-1")
VECTOR_MODULUS = (
    "ot1KObgGjymB6G0WVpE0coP1CRdzffiAuyc1itAMw5yfxc_uT7fpjasKbm9ZWqgZZFPnXfDsIhrWVkMO1IffjO5WYXAMN-dEhaim8pwDGDtCp8kyQ9XQ"
    "cpunRFUHAyRRA4Km9KTSVzlvdV567-dvcgWPz9w8eq3Vf3omKswLsWU1vIgJfSlB5EaSME3bqkzhoZ-wgOioRcmwi1A1oGQjBoZsQ_AGbV5E0X3TDTG9"
    "HLiI8W3xxl2d39qEWcbZ6_jmh7Z2TmaATn7V-ZQr0IXciZ8ldCW7PpgbAAB5U2etGLormyk4JKDfLBLICIYNX3b9ZOLDQ2XiJBEACUSA_IqOoQ"
)
VECTOR_BODY = (
    b'{"version":"1.0","request":{"type":"LaunchRequest","requestId":"r-1",'
    b'"timestamp":"2026-09-21T13:33:20Z","locale":"en-GB"}}'
)
VECTOR_SIGNATURE = (
    "KI/0i9neR07PNKZ0Gkn0AGURWZDNVnhMI/5E8dgPs1bpMSMZIlgqL6tYCcom5ounVwkVb17SnEyn1XT1TsURnNUSP1Dhql0RsikrIewrKPW4Aybsw15d"
    "tgw4lbES/N2g/CjjVosYF9VQIeZgeTOs0WNO8ZNxQu8A7lzXdiFl3ZhuyujgvIm/Rh3l8giPJ6ItTWANqrywfUkjkjlpPcOvkrmKJ/wgE3b4uHu08kng"
    "QKJf6mpw82PVDxpaMRE9SVVj4MyVrj7JQeOONZO5JAgQN7KIVx4vijPmOoFYMxV4clK1ZN9+J5DJNrTg+3pNd7xdXWNprnEadWmK65bY76GxHg=="
)


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    keys = {"k1": SecretStr("a secret of the shop, long enough for it")}
    return Surroundings(
        TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock, identity_keys=keys
    )


@pytest.fixture
def alexa(surroundings: Surroundings) -> AlexaSpecimen:
    return AlexaSpecimen(surroundings)


def parts(text: str) -> list[Part]:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="alexa", account="", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient="r", role="bot", reply=Reply(text=text, language="en"),
    )  # fmt: skip
    return [Part(message, text, 0, 1)]


def answer_of(alexa: AlexaSpecimen, call: Webhook, *said: str, waiting: bool = False) -> dict[str, Any]:
    """The answer, after the simulated platform has taken it in."""
    assert isinstance(alexa.channel, AlexaChannel)
    found = [part for text in said for part in parts(text)]
    body = alexa.channel.respond(call, found, waiting=waiting).body
    alexa.heard(body)
    content: dict[str, Any] = json.loads(body)
    return content


def test_published_vector_passes_and_one_more_space_does_not() -> None:
    number = int.from_bytes(base64.urlsafe_b64decode(VECTOR_MODULUS + "=="))
    key = rsa.RSAPublicNumbers(65537, number).public_key()
    issuer, root = certificates.demo_authority("c3" * 32)
    leaf = (
        x509.CertificateBuilder(root.subject, root.subject, key, 5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(issuer, hashes.SHA256())
    )
    assert len(VECTOR_BODY) == 122
    certificates.require_signature(leaf, VECTOR_SIGNATURE, VECTOR_BODY, hashes.SHA256())
    with pytest.raises(errors.NotAuthentic):
        certificates.require_signature(leaf, VECTOR_SIGNATURE, VECTOR_BODY + b" ", hashes.SHA256())


def test_refusal_has_the_status_that_certification_asks_for(alexa: AlexaSpecimen) -> None:
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(alexa.channel, replace(alexa.text_call("x", 1), headers={}))
    assert refused.value.status == 400


@pytest.mark.parametrize(("seconds", "passes"), [(150, True), (-150, True), (151, False), (-151, False)])
def test_time_counts_both_ways(alexa: AlexaSpecimen, seconds: int, passes: bool) -> None:
    call = replace(alexa.text_call("x", 1), received_at=NOW + timedelta(seconds=seconds))
    if passes:
        admit(alexa.channel, call)
        return
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(alexa.channel, call)
    assert refused.value.code == "stale_timestamp"


def test_skill_event_may_come_an_hour_late(alexa: AlexaSpecimen) -> None:
    call = webhook(alexa.platform.request(USER, {"type": "AlexaSkillEvent.SkillDisabled"}))
    admit(alexa.channel, replace(call, received_at=NOW + timedelta(minutes=59)))
    with pytest.raises(errors.NotAuthentic):
        admit(alexa.channel, replace(call, received_at=NOW + timedelta(minutes=61)))


def test_call_for_another_skill_is_refused(alexa: AlexaSpecimen) -> None:
    content = json.loads(alexa.text_call("x", 1).body)
    for place in (content["session"], content["context"]["System"]):
        changed = json.loads(json.dumps(content))
        target = changed["session"] if place is content["session"] else changed["context"]["System"]
        target["application"]["applicationId"] = "amzn1.ask.skill.other"
        with pytest.raises(errors.NotAuthentic) as refused:
            admit(alexa.channel, webhook(alexa.platform.signed(json.dumps(changed).encode())))
        assert refused.value.code == "other_skill"


def test_chain_of_a_stranger_is_refused_wherever_it_lies(
    alexa: AlexaSpecimen, surroundings: Surroundings
) -> None:
    stranger = Signer("d4" * 32, "echo-api.amazon.com", NOW)
    forged = AlexaChannel(alexa.settings, surroundings, [alexa.platform.signer.root], handing(stranger.pem))
    body = alexa.text_call("x", 1).body
    headers = {
        "signature-256": stranger.sign(body, hashes.SHA256()),
        "signaturecertchainurl": alexa.platform.chain_url,
    }
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(forged, Webhook("POST", {}, headers, body, NOW))
    assert refused.value.code == "certificate_untrusted"


def test_leaf_without_its_chain_is_enough_when_the_root_signed_it(
    alexa: AlexaSpecimen, surroundings: Surroundings
) -> None:
    leaf = alexa.platform.signer.leaf.public_bytes(Encoding.PEM)
    channel = AlexaChannel(alexa.settings, surroundings, [alexa.platform.signer.root], handing(leaf))
    admit(channel, alexa.text_call("x", 1))


def test_late_reply_comes_with_go_on(alexa: AlexaSpecimen) -> None:
    channel = alexa.channel
    assert isinstance(channel, AlexaChannel)
    first = webhook(alexa.platform.say("where is order 1001", user=USER))
    held = answer_of(alexa, first, waiting=True)
    assert held["response"]["shouldEndSession"] is False
    assert held["sessionAttributes"] == {"waiting": "1"}
    following = webhook(alexa.platform.say("Go on.", user=USER))
    assert channel.read(following) == []
    listener = channel.listens(following)
    assert listener is not None
    assert listener.thread == channel.read(first)[0].thread
    assert "sessionAttributes" not in answer_of(alexa, following, "It ships today.")
    later = webhook(alexa.platform.say("go on", user=USER))
    assert channel.read(later)[0].text == "go on"


def test_rest_of_a_long_reply_comes_with_go_on_and_asks_nobody(alexa: AlexaSpecimen) -> None:
    channel = alexa.channel
    assert isinstance(channel, AlexaChannel)
    long = " ".join(f"Sentence number {number} says something." for number in range(30))
    answer = answer_of(alexa, webhook(alexa.platform.say("how", user=USER)), long)
    assert answer["response"]["outputSpeech"]["text"].endswith(spoken.word("more", "en"))
    following = webhook(alexa.platform.intent(USER, "AMAZON.MoreIntent"))
    assert channel.read(following) == []
    assert channel.listens(following) is None
    assert "number 29" in alexa.heard(channel.acknowledge(following).body)


def test_answer_keeps_asking_for_free_text_unless_told_otherwise(alexa: AlexaSpecimen) -> None:
    call = alexa.text_call("x", 1)
    (directive,) = answer_of(alexa, call, "yes")["response"]["directives"]
    assert (directive["slotToElicit"], directive["updatedIntent"]["name"]) == ("query", "AskIntent")
    heard = codec.parse(call.body, SETTINGS, NOW, lambda *_: ())
    plain = codec.render(heard, spoken.Speech("x"), SETTINGS.model_copy(update={"elicits": False}))
    assert "directives" not in plain["response"]


@pytest.mark.parametrize("kind", ["SessionEndedRequest", "AudioPlayer.PlaybackStarted"])
def test_answer_is_empty_where_alexa_takes_no_speech(alexa: AlexaSpecimen, kind: str) -> None:
    call = webhook(alexa.platform.request(USER, {"type": kind}))
    assert answer_of(alexa, call, "not heard") == {"version": "1.0", "response": {}}


def test_stop_ends_the_session_silently(alexa: AlexaSpecimen) -> None:
    answer = answer_of(alexa, webhook(alexa.platform.intent(USER, "AMAZON.StopIntent")))
    assert answer["response"] == {"shouldEndSession": True}


def test_what_was_not_understood_is_asked_again_and_keeps_what_was_kept(alexa: AlexaSpecimen) -> None:
    answer_of(alexa, webhook(alexa.platform.say("x", user=USER)), waiting=True)
    call = webhook(alexa.platform.intent(USER, "AMAZON.FallbackIntent"))
    assert alexa.channel.read(call) == []
    answer = json.loads(alexa.channel.acknowledge(call).body)
    assert answer["response"]["outputSpeech"]["text"] == spoken.word("unheard", "en")
    assert answer["sessionAttributes"] == {"waiting": "1"}


def test_unreadable_call_is_answered_with_a_sentence(alexa: AlexaSpecimen) -> None:
    assert alexa.channel.capabilities.acknowledge_unreadable
    answer = json.loads(alexa.channel.acknowledge(Webhook("POST", {}, {}, b"{", NOW)).body)
    assert answer["response"]["outputSpeech"]["text"]


def test_person_is_named_beside_the_household(alexa: AlexaSpecimen) -> None:
    content = json.loads(alexa.text_call("x", 1).body)
    content["context"]["System"]["person"] = {"personId": "amzn1.ask.person.P"}
    heard = codec.parse(json.dumps(content).encode(), SETTINGS, NOW, lambda *_: ())
    assert [one.value for one in heard.sender][1:] == ["amzn1.ask.person.P"]
    assert heard.sender[0].namespace.startswith("alexa:")


@pytest.mark.parametrize(
    ("linking", "claims", "accounts"),
    [
        ("none", {}, []),
        ("user_token", {}, ["c-77"]),
        ("user_token", {"aud": "other"}, []),
        ("user_token", {"exp": 1}, []),
        ("user_token", {"exp": None}, []),
        ("user_token", {"sub": ""}, []),
    ],
)
def test_linked_account_is_proven_only_by_a_token_of_the_shop(
    alexa: AlexaSpecimen,
    surroundings: Surroundings,
    linking: str,
    claims: dict[str, Any],
    accounts: list[str],
) -> None:
    key = OctKey.import_key(surroundings.identity_keys["k1"].get_secret_value().encode())
    good = {"aud": "huiliu", "sub": "c-77", "exp": int(NOW.timestamp()) + 3600}
    token = jwt.encode({"alg": "HS256", "kid": "k1"}, {**good, **claims}, key)
    settings = alexa.settings.model_copy(update={"account_linking": linking})
    channel = AlexaChannel(settings, surroundings, [])
    for given_token, expected in ((token, accounts), ("opaque", []), (token[:-4], []), ("签.名.x", [])):
        content = json.loads(alexa.text_call("x", 1).body)
        content["context"]["System"]["user"]["accessToken"] = given_token
        (message,) = channel.read(Webhook("POST", {}, {}, json.dumps(content).encode(), NOW))
        assert [one.value for one in message.sender if one.namespace == "account"] == expected


def test_demo_opens_with_its_own_authority_and_a_real_skill_with_the_public_roots(
    surroundings: Surroundings, vault: Vault
) -> None:
    demo = AlexaSettings().or_demo(vault)
    assert demo.is_played
    assert demo.skill_id.startswith("amzn1.ask.skill.")
    assert build(AlexaSettings(), surroundings).name == "alexa"
    real = build(SETTINGS, surroundings)
    assert isinstance(real, AlexaChannel)
    assert len(real._roots) > 20
    with pytest.raises(ValidationError, match="skill_id"):
        AlexaSettings(skill_id="k-1")


async def test_skill_cannot_be_asked_to_call(alexa: AlexaSpecimen) -> None:
    with pytest.raises(errors.UpstreamRefused):
        await alexa.channel.send(parts("x")[0], idempotency_key="k")


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


@given(
    st.sampled_from(["LaunchRequest", "IntentRequest", "SessionEndedRequest", "Other"]),
    ANYTHING, ANYTHING, ANYTHING, ANYTHING,
)  # fmt: skip
def test_codec_reads_whatever_stands_beside_the_names(
    kind: str, intent: object, timestamp: object, attributes: object, locale: object
) -> None:
    content = {
        "session": {"user": {"userId": "u"}, "attributes": attributes},
        "request": {
            "type": kind,
            "requestId": "r",
            "intent": intent,
            "timestamp": timestamp,
            "locale": locale,
        },
    }
    heard = codec.parse(
        json.dumps(content).encode(), SETTINGS, datetime(2026, 1, 1, tzinfo=UTC), lambda *_: ()
    )
    assert json.dumps(codec.render(heard, spoken.Speech("x"), SETTINGS))
