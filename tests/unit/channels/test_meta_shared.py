"""What WhatsApp and Messenger share: Meta's handshake and signature, its refusals, and reading JSON without believing it."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Webhook
from channels.families.meta.graph import GraphApi, hosts_of, permanent
from channels.families.meta.signature import HEADER, MetaGate
from channels.platforms import payloads
from foundation import errors

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
SECRET = "meta-app-secret-0001"
VECTORS = [
    (
        b'{"object":"whatsapp_business_account","entry":[{"id":"WABA1","changes":[{"field":"messages","value":'
        b'{"messaging_product":"whatsapp"}}]}]}',
        "sha256=6f55ed49cb62c07e8f9fc23dac351f4360e261fcede3a4c77dbf8dee2e31c6a0",
    ),
    (
        rb'{"object":"page","t":"\u00e9\/\u0040"}',
        "sha256=bf370c50527e28b5e466f582e510b3b32c7a91d479defa574b60677303094b20",
    ),
]


def call(body: bytes = b"", header: str | None = None, query: dict[str, str] | None = None) -> Webhook:
    headers = {} if header is None else {HEADER: header}
    return Webhook("GET" if query else "POST", query or {}, headers, body, NOW)


@pytest.fixture
def gate() -> MetaGate:
    return MetaGate([SECRET], ["word"])


@pytest.mark.parametrize(("body", "header"), VECTORS)
def test_signature_is_taken_when_it_covers_the_raw_body(gate: MetaGate, body: bytes, header: str) -> None:
    gate.admit(call(body, header))
    for wrong in (None, "", header[:-1], header.upper(), "é" + header, "sha256=\udc80"):
        with pytest.raises(errors.NotAuthentic):
            gate.admit(call(body, wrong))
    with pytest.raises(errors.NotAuthentic):
        gate.admit(call(body + b"\n", header))


def test_everything_is_refused_when_no_secret_is_known() -> None:
    closed = MetaGate([], [])
    with pytest.raises(errors.NotAuthentic):
        closed.admit(call(*VECTORS[0]))
    with pytest.raises(errors.NotAuthentic):
        closed.greet(call(query={"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}))


def test_challenge_comes_back_unchanged_when_the_token_is_right(gate: MetaGate) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "word", "hub.challenge": "<b>0123</b>"}
    answer = gate.greet(call(query=query))
    assert answer is not None
    assert (answer.body, answer.status) == (b"<b>0123</b>", 200)
    assert answer.media_type.startswith("text/plain")


@pytest.mark.parametrize(
    "changed",
    [
        {"hub.verify_token": "Word"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "字"},
        {"hub.mode": "unsubscribe"},
    ],
)
def test_address_is_not_confirmed_when_the_check_is_not_ours(gate: MetaGate, changed: dict[str, str]) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "word", "hub.challenge": "1", **changed}
    with pytest.raises(errors.NotAuthentic):
        gate.greet(call(query=query))


def api(answer: httpx.Response) -> GraphApi:
    return GraphApi(
        "whatsapp", "WhatsApp", "https://graph.example.com", "token", meanings={(10, 7): permanent("special", "{title}!")},
        transport=httpx.MockTransport(lambda _request: answer),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (401, {"code": 190}, errors.UpstreamRefused, "whatsapp_credentials"),
        (403, {"code": 10}, errors.UpstreamRefused, "whatsapp_no_permission"),
        (403, {"code": 10, "error_subcode": 7}, errors.UpstreamRefused, "whatsapp_special"),
        (403, {"code": 251}, errors.UpstreamRefused, "whatsapp_no_permission"),
        (400, {"code": 4}, errors.Exhausted, "whatsapp_too_frequent"),
        (500, {"code": 2}, errors.UpstreamUnavailable, "whatsapp_busy"),
        (400, {"code": 77, "is_transient": True}, errors.UpstreamUnavailable, "whatsapp_busy"),
        (400, {"code": 77}, errors.UpstreamRefused, "whatsapp_http_400"),
        (400, {"code": True}, errors.UpstreamRefused, "whatsapp_http_400"),
        (400, "no object", errors.UpstreamRefused, "whatsapp_http_400"),
        (503, None, errors.UpstreamUnavailable, "whatsapp_http_503"),
        (429, None, errors.Exhausted, "whatsapp_http_429"),
    ],
)
async def test_number_in_the_body_says_what_a_refusal_means(
    status: int, error: object, kind: type[errors.ServiceError], code: str
) -> None:
    answer = httpx.Response(status, json={"error": error}, headers={"retry-after": "17"})
    with pytest.raises(kind) as raised:
        await api(answer).graph("POST", "/v26.0/1/messages", json={})
    assert raised.value.code == code
    if kind is not errors.UpstreamRefused:
        assert raised.value.retry_after_seconds == 17


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/f", "http://lookaside.fbsbx.com/f", "https://fbsbx.com.evil.example/f",
        "https://xfbsbx.com/f", "https://lookaside.fbsbx.com:8443/f", "https://user@evil.example/fbsbx.com", "file:///etc/x",
        "", "https://[", "https://evil.example\\.fbsbx.com/f", "https://fbsbx.com\\@evil.example/f", "https://a.fbsbx.com:99999/",
        "https://graph.example.com.evil/f", "http://graph.example.com/f", "//evil.example/f",
    ],
)  # fmt: skip
async def test_token_is_not_carried_to_a_strange_address(url: str) -> None:
    with pytest.raises(errors.UpstreamRefused) as raised:
        await api(httpx.Response(200)).download(url, hosts_of("fbsbx.com, .whatsapp.net"), with_token=True)
    assert raised.value.code == "whatsapp_strange_address"


@pytest.mark.parametrize("token", [True, False])
async def test_file_is_fetched_from_the_platforms_own_hosts(token: bool) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"file", headers={"content-type": "image/png; x=1"})

    graph = GraphApi(
        "whatsapp", "WhatsApp", "https://g.example", "t", meanings={}, transport=httpx.MockTransport(answer)
    )
    media = await graph.download("https://lookaside.fbsbx.com/f?x=1", ["fbsbx.com"], with_token=token)
    assert (media.content, media.media_type) == (b"file", "image/png")
    assert ("authorization" in seen[0].headers) == token


async def test_redirect_is_not_taken_for_the_file() -> None:
    away = api(httpx.Response(302, headers={"location": "https://evil.example"}))
    with pytest.raises(errors.UpstreamRefused):
        await away.download("https://a.fbsbx.com/f", ["fbsbx.com"], with_token=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)  # fmt: skip


@given(JSON)
def test_reading_helpers_take_whatever_stands_there(value: object) -> None:
    assert isinstance(payloads.text(value), str)
    assert all(isinstance(row, dict) for row in payloads.items(value))
    assert isinstance(payloads.child(value), dict)
    assert payloads.moment(value, NOW).tzinfo is not None
    found = payloads.number(value, 90)
    assert found is None or -90 <= found <= 90
    assert isinstance(payloads.plain(value), dict)
    assert payloads.fingerprint(value) == payloads.fingerprint(value)


def test_half_an_emoji_is_replaced_when_a_client_cut_it() -> None:
    assert payloads.text(payloads.parse(rb'{"a":"x\ud83d"}', "X")["a"]) == "x\ufffd"


@pytest.mark.parametrize("value", [0, -1, "x", "", None, True, 10**30, "9" * 5000, "１"])
def test_time_of_arrival_stands_in_for_an_impossible_one(value: object) -> None:
    assert payloads.moment(value, NOW) == NOW


def test_milliseconds_are_read_when_the_platform_counts_so() -> None:
    assert payloads.moment("1790000000123", NOW, per_second=1000).microsecond == 123_000
