"""What only the generic gateway does: the scheme in both directions, lean and strange JSON, one id for every attempt."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import promises
from channels.adapters.sms_generic import SPEC, codec
from channels.adapters.sms_generic.channel import SmsGenericChannel
from channels.adapters.sms_generic.settings import SmsGenericSettings
from channels.contract import Part, Receipt, Surroundings, Webhook
from channels.families.sms import keywords
from channels.platforms import standard_webhooks as signing
from foundation import errors
from foundation.live import Hub
from foundation.messages import ConversationId, InboundMessage, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.sms_network import as_webhook
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.sms_generic import SmsGenericSpecimen

SECRET = "whsec_Z2VuZXJpYy1zbXMtZ2F0ZXdheS1zZWNyZXQtMDAwMSE="
NEW = "whsec_YnJhbmQgbmV3IHNlY3JldCBvZiB0aGUgZ2F0ZXdheQ=="
BODY = b'{"from":"+8613800138000","text":"hi"}'
SIGNATURE = "v1,2Ttd48YrLwunu4pPxoX0IsNJtaMbBas/NM07Hw1RIAE="
MOMENT = datetime.fromtimestamp(1790000000, UTC)


def vector(signature: str = SIGNATURE, **changed: Any) -> Webhook:
    headers = {"webhook-id": "msg_01", "webhook-timestamp": "1790000000", "webhook-signature": signature}
    return replace(Webhook("POST", {}, headers, BODY, MOMENT), **changed)


@pytest.fixture
def specimen(database: Database, vault: Vault, clock: StandingClock) -> SmsGenericSpecimen:
    hub = Hub()
    return SmsGenericSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, hub, clock)
    )


@pytest.fixture
def channel(specimen: SmsGenericSpecimen) -> SmsGenericChannel:
    return specimen.channel_with()


def part(text: str, *, count: int = 1, sender: str = "") -> Part:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="sms_generic", account="main", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient=CUSTOMER, role="bot", reply=Reply(text=text),
        reply_context={"from": sender} if sender else {},
    )  # fmt: skip
    return Part(message, text, 0, count)


def read(items: list[codec.Item], at: datetime = NOW) -> list[InboundMessage]:
    return codec.parse_messages(
        items, tenant=TenantId("demo"), account="main", gateway="g", country="86", webhook_id="w", keywords=keywords(),
        received_at=at,
    )  # fmt: skip


def test_published_call_passes() -> None:
    signing.admit(vector(), [SECRET], tolerance_seconds=300)
    assert signing.sign(SECRET, "msg_01", "1790000000", BODY) == SIGNATURE
    assert signing.headers([SECRET], "msg_01", MOMENT, BODY)["webhook-signature"] == SIGNATURE


def test_one_known_signature_among_several_is_enough() -> None:
    signing.admit(vector(f"v1a,xyz v1,AAAA {SIGNATURE}"), [NEW, SECRET], tolerance_seconds=300)


@pytest.mark.parametrize(
    "call",
    [
        vector(body=b'{"from":"+8613800138000","text":"ho"}'),
        vector(received_at=MOMENT + timedelta(seconds=301)),
        vector(received_at=MOMENT - timedelta(seconds=301)),
        vector(" ".join(["v1,AAAA"] * 20 + [SIGNATURE])),
        vector(SIGNATURE.removeprefix("v1,")),
        vector(SIGNATURE.replace("v1,", "v2,")),
    ],
)
def test_call_is_refused_when_anything_is_off(call: Webhook) -> None:
    with pytest.raises(errors.NotAuthentic):
        signing.admit(call, [SECRET], tolerance_seconds=300)


def test_call_without_an_id_is_refused_though_it_is_signed() -> None:
    headers = signing.headers([SECRET], "", MOMENT, BODY)
    with pytest.raises(errors.NotAuthentic):
        signing.admit(vector(headers=headers), [SECRET], tolerance_seconds=300)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", "plain words", "whsec_YWJj", "密钥"])
def test_what_is_no_secret_has_no_key(secret: str) -> None:
    assert signing.key_of(secret) == b""


def test_message_is_known_by_its_own_id_or_else_by_the_calls() -> None:
    first, second = read([{"from": "1", "text": "a", "id": "m"}, {"from": "1", "text": "a"}])
    again = read([{"from": "1", "text": "a", "id": "m"}])[0]
    assert first.message_id == again.message_id != second.message_id


def test_list_is_read_though_one_item_is_malformed() -> None:
    items = codec.parse_items(
        b'[3,{},{"text":"x"},{"from":["1"],"text":"y"},{"from":13800138000,"text":"z"}]'
    )
    (message,) = read(items)
    assert (message.text, message.sender[1].value) == ("z", "+8613800138000")


def test_object_that_says_nothing_of_its_writer_is_unreadable() -> None:
    with pytest.raises(errors.UnreadablePayload):
        read(codec.parse_items(b'{"text":"x"}'))


def test_lone_half_of_an_emoji_is_no_error() -> None:
    (message,) = read(codec.parse_items(b'{"from":"\\ud83d1","text":"\\ud83d"}'))
    assert message.sender[0].value == "?1"


@pytest.mark.parametrize(
    ("ts", "moment"),
    [
        ("2026-09-21T13:33:20Z", datetime(2026, 9, 21, 13, 33, 20, tzinfo=UTC)),
        ("2026-09-21T21:33:20+08:00", datetime(2026, 9, 21, 13, 33, 20, tzinfo=UTC)),
        (1790000000, MOMENT),
        ("yesterday", NOW),
        (1e300, NOW),
        (True, NOW),
        (None, NOW),
        ("0001-01-01T00:00:00+23:59", NOW),
    ],
)
def test_time_is_the_gateways_where_it_can_be_read(ts: object, moment: datetime) -> None:
    assert read([{"from": "1", "text": "a", "ts": ts}])[0].sent_at == moment


def test_media_are_addresses_only() -> None:
    media = [
        "https://a/1.png",
        {"url": "https://a/2.mp3", "type": "audio/mpeg"},
        {"url": "file:///etc/passwd"},
        4,
    ]
    (message,) = read([{"from": "1", "text": "look", "media": media}])
    assert [(one.kind, one.url) for one in message.attachments] == [
        ("file", "https://a/1.png"),
        ("voice", "https://a/2.mp3"),
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_by_name(body: bytes) -> None:
    try:
        items = codec.parse_items(body)
        codec.parse_receipts(items)
        read(items)
    except errors.UnreadablePayload:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["id", "from", "to", "text", "ts", "media", "status", "error", "type"])


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=9), max_size=4))
def test_any_json_is_read_or_refused_by_name(content: list[dict[str, Any]]) -> None:
    try:
        items = codec.parse_items(json.dumps(content).encode())
        codec.parse_receipts(items)
        read(items)
    except errors.UnreadablePayload:
        return


def test_reports_become_receipts_and_no_messages() -> None:
    items: list[codec.Item] = [
        {"id": "1", "status": "delivered"}, {"id": 2, "status": "FAILED", "error": "No Route!"}, {"id": "3", "status": "queued"},
        {"id": "4", "status": "expired"}, {"status": "read"},
    ]  # fmt: skip
    assert read(items) == []
    assert codec.parse_receipts(items) == [
        Receipt("1", "delivered"),
        Receipt("2", "failed", "sms_generic_no_route"),
        Receipt("4", "failed", "sms_generic_undelivered"),
    ]


async def test_our_call_is_signed_and_says_what_it_costs(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel
) -> None:
    assert await channel.send(part("你好", sender="+1777"), idempotency_key="k") == "out-1"
    request = specimen.network.calls[-1]
    call = Webhook("POST", {}, dict(request.headers), request.content, NOW)
    signing.admit(call, [SECRET], tolerance_seconds=1)
    content = json.loads(request.content)
    assert content == {
        "id": request.headers["webhook-id"], "to": CUSTOMER, "from": "+1777", "text": "你好", "encoding": "ucs2", "parts": 1,
    }  # fmt: skip


async def test_second_attempt_shows_the_customer_nothing_twice(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel
) -> None:
    ids = [await channel.send(part("hi"), idempotency_key=key) for key in ("k", "k", "other")]
    assert ids == ["out-1", "out-1", "out-2"]
    assert len(specimen.shown) == 2


async def test_our_calls_carry_both_signatures_during_a_change(specimen: SmsGenericSpecimen) -> None:
    during = specimen.channel_with(secret=SecretStr(NEW), previous_secret=SecretStr(SECRET))
    await during.send(part("hi"), idempotency_key="k")
    request = specimen.network.calls[-1]
    call = Webhook("POST", {}, dict(request.headers), request.content, NOW)
    for secret in (NEW, SECRET):
        signing.admit(call, [secret], tolerance_seconds=1)


async def test_direction_has_a_secret_of_its_own_where_it_is_set(specimen: SmsGenericSpecimen) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await specimen.channel_with(outbound_secret=SecretStr(NEW)).send(part("hi"), idempotency_key="k")
    assert refused.value.code == "sms_generic_credentials"


async def test_our_own_id_counts_where_the_gateway_names_none(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel
) -> None:
    specimen.network.fail_next(httpx.Response(204))
    assert (await channel.send(part("hi"), idempotency_key="k")).startswith("msg_")


@pytest.mark.parametrize(
    ("status", "body", "code", "temporary"),
    [
        (422, {"error": {"code": "Bad Number"}}, "sms_generic_bad_number", False),
        (400, {"error": "no_balance"}, "sms_generic_no_balance", False),
        (400, "nonsense", "sms_generic_http_400", False),
        (403, {}, "sms_generic_credentials", False),
        (302, {}, "sms_generic_moved", False),
        (429, {}, "sms_generic_http_429", True),
        (502, {}, "sms_generic_http_502", True),
    ],
)
async def test_refusal_has_its_meaning(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel, status: int, body: object, code: str, temporary: bool
) -> None:  # fmt: skip
    specimen.network.fail_next(httpx.Response(status, json=body))
    with pytest.raises(errors.ServiceError) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert (refused.value.code, errors.is_temporary(refused.value)) == (code, temporary)


async def test_nothing_is_sent_to_somebody_who_stopped_until_they_start(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel, clock: StandingClock
) -> None:
    await channel.remember(channel.read(specimen.text_call("退订", 1)))
    with pytest.raises(errors.UpstreamRefused, match="no more messages"):
        await channel.send(part("hi"), idempotency_key="k")
    clock.move(seconds=5)
    await channel.remember(channel.read(specimen.text_call("订阅", 2)))
    await channel.send(part("hi"), idempotency_key="k")


async def test_gateways_word_of_an_opt_out_is_remembered(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel
) -> None:
    specimen.network.fail_next(httpx.Response(422, json={"error": "opted_out"}))
    for _ in range(2):
        with pytest.raises(errors.UpstreamRefused) as refused:
            await channel.send(part("hi"), idempotency_key="k")
        assert refused.value.code == "sms_generic_opted_out"
    assert specimen.network.calls == []


def test_reports_are_a_promise_of_the_channel(
    specimen: SmsGenericSpecimen, channel: SmsGenericChannel
) -> None:
    call = as_webhook(specimen.platform.signed(b'{"id":"out-1","status":"delivered"}'), "sms_generic")
    channel.verify(call)
    assert isinstance(channel, promises.Reporting)
    assert channel.read(call) == []
    assert channel.receipts(call) == [Receipt("out-1", "delivered")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"secret": SECRET}, "missing: api_base"),
        ({"api_base": "https://sms.example.com"}, "missing: secret"),
        ({"secret": "whsec_abc", "api_base": "https://sms.example.com"}, "secret is whsec_"),
    ],
)
def test_half_filled_gateway_is_refused_by_name(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SmsGenericSettings.model_validate(given)


def test_demo_is_the_same_on_both_sides(vault: Vault) -> None:
    demo = SmsGenericSettings().or_demo(vault)
    assert demo == SmsGenericSettings().or_demo(vault)
    assert len(base64.b64decode(demo.secret.get_secret_value().removeprefix("whsec_"))) == 32
    assert SmsGenericSettings(api_base="http://127.0.0.1:9/m").or_demo(vault).api_base.endswith(":9/m")


def test_every_setting_is_described_and_has_a_default() -> None:
    fields = SPEC.settings.model_fields.values()
    assert all(field.description and not field.is_required() for field in fields)
