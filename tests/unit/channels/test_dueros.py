"""DuerOS: the published vector, what only DuerOS does, and everything hostile."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from channels.adapters.dueros import codec
from channels.adapters.dueros.channel import DuerosChannel, build
from channels.adapters.dueros.settings import DuerosSettings
from channels.contract import Surroundings, Webhook
from channels.families.speakers import certificates, spoken
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.speakers.authority import Signer
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW, admit
from tests.fakes.specimens.dueros import DuerosSpecimen
from tests.fakes.specimens.speakers import USER, handing, webhook

VECTOR_BODY = (
    b'{"version":"v2.0","request":{"type":"LaunchRequest","requestId":"r-1","timestamp":"1767225600"}}'
)
VECTOR_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVT3bvd+tUofsjvy+9Cpc/Q5zBhkFpMUZLUnF4PnxzdDlRZ4HEH7oS1G+jiAKFmtvz7KQEqVyED/oe"
    "RElypsmZfYVXjYtSHsw2ffVEAvYrCL/h+rdCUNpGV5kORReiVpxVB05gKVw9deFCMwsUWNtlZkH7D7pBc5bh0su0skIOvQIDAQAB"
)
VECTOR_SIGNATURE = (
    "XQeRKd8GKbD6GnqlQ/dmtMj59phW57hifCnuOAWVGMILsOBKA8FPH9fe661rPZXWyo6zI3mtf1EqvvWgzLBft1b2DCcdMWAwbiAzXbOA+C1CFAwc58e6"
    "oE9c0EUrzLutiIVFU0NKrrQKywqwXCrKUyAJGA2D/UXrfscfYD/Cmew="
)


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def dueros(surroundings: Surroundings) -> DuerosSpecimen:
    return DuerosSpecimen(surroundings)


def opened(dueros: DuerosSpecimen) -> DuerosChannel:
    assert isinstance(dueros.channel, DuerosChannel)
    return dueros.channel


def test_published_vector_passes_and_one_changed_byte_does_not() -> None:
    key = load_der_public_key(base64.b64decode(VECTOR_KEY))
    assert isinstance(key, rsa.RSAPublicKey)
    issuer, root = certificates.demo_authority("c3" * 32)
    leaf = (
        x509.CertificateBuilder(root.subject, root.subject, key, 5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(issuer, hashes.SHA256())
    )
    certificates.require_signature(leaf, VECTOR_SIGNATURE, VECTOR_BODY, hashes.SHA1())
    with pytest.raises(errors.NotAuthentic):
        certificates.require_signature(leaf, VECTOR_SIGNATURE, VECTOR_BODY[:-1] + b" ", hashes.SHA1())


def test_probe_of_the_platform_is_answered_without_a_signature(dueros: DuerosSpecimen) -> None:
    answer = dueros.channel.handshake(Webhook("HEAD", {}, {}, b"", NOW))
    assert answer is not None
    assert (answer.status, answer.body) == (204, b"")
    assert dueros.channel.handshake(dueros.text_call("x", 1)) is None
    with pytest.raises(errors.NotAuthentic):
        admit(dueros.channel, Webhook("GET", {}, dueros.text_call("x", 1).headers, b"", NOW))


@pytest.mark.parametrize(("seconds", "passes"), [(180, True), (-180, True), (181, False), (-181, False)])
def test_time_counts_both_ways(dueros: DuerosSpecimen, seconds: int, passes: bool) -> None:
    call = replace(dueros.text_call("x", 1), received_at=NOW + timedelta(seconds=seconds))
    if passes:
        admit(dueros.channel, call)
        return
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(dueros.channel, call)
    assert refused.value.code == "stale_timestamp"


def test_certificate_must_be_valid_now(dueros: DuerosSpecimen) -> None:
    call = replace(dueros.text_call("x", 1), received_at=NOW + timedelta(days=2))
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(dueros.channel, call)
    assert refused.value.code == "certificate_untrusted"


@pytest.mark.parametrize(
    ("name", "passes"),
    [("dueros-api.baidu.com", True), ("*", True), ("other.baidu.com", False), ("baidu.com", False)],
)
def test_certificate_must_name_the_host_of_the_settings(
    dueros: DuerosSpecimen, name: str, passes: bool
) -> None:
    channel = dueros.opened(dueros.settings.model_copy(update={"certificate_name": name}))
    if passes:
        admit(channel, dueros.text_call("x", 1))
        return
    with pytest.raises(errors.NotAuthentic):
        admit(channel, dueros.text_call("x", 1))


def test_wildcard_of_the_domain_names_the_host() -> None:
    leaf = Signer("c3" * 32, "*.baidu.com", NOW).leaf
    assert certificates.covers(leaf, "dueros-api.baidu.com")
    assert not certificates.covers(leaf, "dueros.api.baidu.com")


def test_certificate_of_a_stranger_is_refused_in_the_demo(
    dueros: DuerosSpecimen, surroundings: Surroundings
) -> None:
    stranger = Signer("d4" * 32, "dueros-api.baidu.com", NOW)
    channel = DuerosChannel(dueros.settings, surroundings, dueros.platform.signer.root, handing(stranger.pem))
    body = dueros.text_call("x", 1).body
    headers = {
        "signature": stranger.sign(body, hashes.SHA1()),
        "signaturecerturl": dueros.platform.certificate_url,
    }
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(channel, Webhook("POST", {}, headers, body, NOW))
    assert refused.value.code == "certificate_untrusted"


def test_call_for_another_skill_is_refused(dueros: DuerosSpecimen) -> None:
    channel = dueros.opened(dueros.settings.model_copy(update={"bot_id": "other"}))
    with pytest.raises(errors.NotAuthentic) as refused:
        admit(channel, dueros.text_call("x", 1))
    assert refused.value.code == "other_skill"


def test_late_reply_comes_when_the_customer_says_go_on_or_nothing(dueros: DuerosSpecimen) -> None:
    channel = opened(dueros)
    first = webhook(dueros.platform.say("我的快递到哪了", user=USER))
    assert "接着说" in dueros.heard(channel.respond(first, [], waiting=True).body)
    for text in ("接着说", "…"):
        following = webhook(dueros.platform.say(text, user=USER))
        assert channel.read(following) == []
        listener = channel.listens(following)
        assert listener is not None
        assert listener.thread == channel.read(first)[0].thread


def test_silence_is_asked_once_and_ends_the_session_then(dueros: DuerosSpecimen) -> None:
    channel = opened(dueros)
    for keeps_open in (True, False):
        call = webhook(dueros.platform.say("…", user=USER))
        assert channel.read(call) == []
        assert channel.listens(call) is None
        body = channel.acknowledge(call).body
        assert json.loads(body)["response"]["shouldEndSession"] is not keeps_open
        dueros.heard(body)


def test_event_of_a_player_is_answered_without_speech(dueros: DuerosSpecimen) -> None:
    call = webhook(dueros.platform.request(USER, {"type": "AudioPlayer.PlaybackStarted"}))
    response = json.loads(opened(dueros).respond(call, [], waiting=True).body)["response"]
    assert "outputSpeech" not in response
    assert response["expectSpeech"] is False


@pytest.mark.parametrize("empty", [[], {}, None])
def test_empty_objects_may_come_as_lists(empty: object) -> None:
    content = {
        "session": {"new": True, "attributes": empty},
        "context": {
            "System": {"user": {"userId": "u", "userInfo": empty}, "device": empty, "application": empty}
        },
        "request": {
            "type": "IntentRequest",
            "requestId": "r",
            "query": {"original": "你好"},
            "intents": empty,
        },
    }
    heard = codec.parse(json.dumps(content).encode(), NOW, lambda *_: ())
    assert (heard.text, heard.memory, heard.sent_at) == ("你好", {}, NOW)


def test_demo_opens_with_its_own_authority_and_a_real_skill_without(
    surroundings: Surroundings, vault: Vault
) -> None:
    assert DuerosSettings().or_demo(vault).is_played
    demo, real = build(DuerosSettings(), surroundings), build(DuerosSettings(bot_id="b"), surroundings)
    assert isinstance(demo, DuerosChannel)
    assert isinstance(real, DuerosChannel)
    assert (demo._issuer is None, real._issuer is None) == (False, True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["version", "session", "context", "request"]), ANYTHING), st.binary())
def test_codec_raises_nothing_else_for_any_json(content: dict[str, Any], raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        with pytest.raises(errors.UnreadablePayload):
            codec.parse(body, NOW, lambda *_: ())


@given(
    st.sampled_from(["LaunchRequest", "IntentRequest", "SessionEndedRequest", "Other"]),
    ANYTHING, ANYTHING, ANYTHING, ANYTHING,
)  # fmt: skip
def test_codec_reads_whatever_stands_beside_the_names(
    kind: str, intents: object, timestamp: object, attributes: object, query: object
) -> None:
    content = {
        "session": {"attributes": attributes},
        "context": {"System": {"user": {"userId": "u"}}},
        "request": {
            "type": kind,
            "requestId": "r",
            "intents": intents,
            "timestamp": timestamp,
            "query": query,
        },
    }
    heard = codec.parse(json.dumps(content).encode(), NOW, lambda *_: ())
    assert json.dumps(codec.render(heard, spoken.Speech("x")))
