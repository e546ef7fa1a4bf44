"""What only Aliyun does: ACS3 over the query, batches with broken items, a template's variable, its codes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.sms_aliyun import SPEC, codec, signing
from channels.adapters.sms_aliyun.channel import SmsAliyunChannel
from channels.adapters.sms_aliyun.settings import SmsAliyunSettings
from channels.contract import Part, Receipt, Surroundings
from channels.families.sms import keywords
from foundation import errors
from foundation.live import Hub
from foundation.messages import ConversationId, InboundMessage, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.sms_network import as_webhook
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.sms_aliyun import PHONE, SmsAliyunSpecimen

QUERY = (
    "PhoneNumbers=13800000000&SignName=%E6%BC%94%E7%A4%BA&TemplateCode=SMS_100"
    "&TemplateParam=%7B%22code%22%3A%2242%22%7D"
)
ITEM = {
    "phone_number": "13800000000",
    "content": "1 confirm",
    "send_time": "2026-01-01 08:00:00",
    "dest_code": "1234",
    "sequence_id": "1234567890",
}


@pytest.fixture
def specimen(database: Database, vault: Vault, clock: StandingClock) -> SmsAliyunSpecimen:
    hub = Hub()
    return SmsAliyunSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, hub, clock)
    )


@pytest.fixture
def channel(specimen: SmsAliyunSpecimen) -> SmsAliyunChannel:
    return specimen.channel_with()


def outbound(text: str, language: str = "zh") -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="sms_aliyun", account="main", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient=CUSTOMER, role="bot", reply=Reply(text=text, language=language),
    )  # fmt: skip


def part(text: str) -> Part:
    return Part(outbound(text), text, 0, 1)


async def send_all(channel: SmsAliyunChannel, text: str) -> list[str]:
    parts = degrade.fit(outbound(text), channel.capabilities)
    return [await channel.send(one, idempotency_key=f"k{one.index}") for one in parts]


def read(items: list[codec.Item], at: datetime = NOW, offset: int = 8) -> list[InboundMessage]:
    return codec.parse_messages(
        items, tenant=TenantId("demo"), account="main", scope="演示", keywords=keywords(), utc_offset_hours=offset,
        received_at=at,
    )  # fmt: skip


def test_published_request_has_its_signature() -> None:
    parameters = {
        "PhoneNumbers": "13800000000",
        "SignName": "演示",
        "TemplateCode": "SMS_100",
        "TemplateParam": '{"code":"42"}',
    }
    assert signing.canonical_query(parameters) == QUERY
    headers = signing.headers(
        "LTAIdemo", "lsdemo", host="dysmsapi.aliyuncs.com", action="SendSms", query=QUERY,
        at=datetime(2026, 1, 1, tzinfo=UTC), nonce="nonce-1",
    )  # fmt: skip
    assert headers["authorization"].endswith(
        "Signature=630c6416d1faff5c291517e0dfd5981362826cdc453708fe11f5e36fc4fc7796"
    )


def test_query_is_encoded_by_rfc_3986() -> None:
    assert signing.canonical_query({"b": "a b~*+", "a": "/"}) == "a=%2F&b=a%20b~%2A%2B"


def test_message_is_read_with_its_time_in_china() -> None:
    (message,) = read([ITEM])
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert [(one.namespace, one.value) for one in message.sender] == [
        ("sms_aliyun:演示", "13800000000"),
        ("phone", "+8613800000000"),
    ]


@pytest.mark.parametrize("time", ["", "yesterday", "9999-99-99 00:00:00", "0001-01-01 00:00:00"])
def test_arrival_counts_when_the_time_cannot_be_read(time: str) -> None:
    assert read([{**ITEM, "send_time": time}])[0].sent_at == NOW


def test_number_and_string_are_one_sequence() -> None:
    (text,), (number,) = read([ITEM]), read([{**ITEM, "sequence_id": 1234567890}])
    (other,) = read([{**ITEM, "sequence_id": "1234567891"}])
    assert text.message_id == number.message_id != other.message_id


def test_messages_without_a_sequence_are_told_apart_by_what_they_say() -> None:
    lean = {name: value for name, value in ITEM.items() if name != "sequence_id"}
    ids = {read([{**lean, "content": text}])[0].message_id for text in ("a", "b", "a")}
    assert len(ids) == 2


def test_batch_is_read_though_items_are_malformed() -> None:
    body = json.dumps(
        [None, 4, [], {"phone_number": "not one"}, {"content": "x"}, ITEM, {**ITEM, "content": 5}]
    )
    first, second = read(codec.parse_items(body.encode()))
    assert (first.kind, second.kind) == ("text", "unknown")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'[{"phone_number":"abc"}]', b"17", b'"text"', b"null"])
def test_body_that_names_nobody_is_unreadable(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.parse_items(body)


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
NAMES = st.sampled_from([*ITEM, "success", "err_code", "biz_id", "sign_name"])


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=9), max_size=4), st.booleans())
def test_any_json_is_read_or_refused_by_name(content: list[dict[str, Any]], known: bool) -> None:
    listed = [{**item, "phone_number": "13800000000"} for item in content] if known else content
    try:
        items = codec.parse_items(json.dumps(listed).encode())
        codec.parse_receipts(items)
        read(items)
    except errors.UnreadablePayload:
        return


def test_reports_become_receipts_and_no_messages() -> None:
    report = {"phone_number": "13800000000", "report_time": "2026-01-01 08:00:09", "biz_id": "9^0"}
    items: list[codec.Item] = [
        {**report, "success": True, "err_code": "DELIVERED"},
        {**report, "success": False, "err_code": "MB:0001"},
        {**report, "success": "false"},
        {**report, "biz_id": ""},
    ]
    assert read(items) == []
    assert codec.parse_receipts(items) == [
        Receipt("9^0", "delivered"),
        Receipt("9^0", "failed", "sms_aliyun_mb_0001"),
        Receipt("9^0", "failed", "sms_aliyun_undelivered"),
    ]


def test_secret_passes_as_a_parameter_where_the_path_names_an_account(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel
) -> None:
    call = replace(specimen.text_call("hi", 1), account="shop2")
    channel.verify(replace(call, query={"key": specimen.settings.path_secret.get_secret_value()}))
    with pytest.raises(errors.NotAuthentic):
        channel.verify(call)


def test_call_is_acknowledged_by_a_numeric_code(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel
) -> None:
    assert json.loads(channel.acknowledge(specimen.text_call("hi", 1)).body) == {"code": 0, "msg": "ok"}


async def test_reply_stands_in_the_variable_of_the_template(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel
) -> None:
    identity = await channel.send(part("可以退\n七天内"), idempotency_key="k")
    assert identity.endswith("^0")
    sent = dict(parse_qsl(specimen.network.calls[-1].url.query.decode()))
    assert json.loads(sent["TemplateParam"]) == {"content": "可以退 七天内"}
    assert (sent["PhoneNumbers"], sent["SignName"], sent["TemplateCode"]) == (CUSTOMER, "演示", "SMS_100")
    assert "SmsUpExtendCode" not in sent


async def test_long_reply_is_cut_to_the_variable_aloud(specimen: SmsAliyunSpecimen) -> None:
    channel = specimen.channel_with(variable_limit=35, max_messages=1)
    ids = await send_all(channel, "退货请在签收后七天内提出申请。" * 10)
    assert len(specimen.shown) == 1
    assert specimen.shown[0].text.endswith("…（余下未能发出）")
    assert len(specimen.shown[0].text) <= 35
    assert ids[0]
    assert set(ids[1:]) == {""}


async def test_reply_takes_as_many_messages_as_are_allowed(specimen: SmsAliyunSpecimen) -> None:
    channel = specimen.channel_with(variable_limit=35, max_messages=3)
    await send_all(channel, "退货请在签收后七天内提出申请。" * 10)
    texts = [shown.text for shown in specimen.shown]
    assert len(texts) == 3
    assert ["…" in text for text in texts] == [False, False, True]


async def test_short_reply_is_whole(specimen: SmsAliyunSpecimen) -> None:
    await send_all(specimen.channel_with(variable_limit=35, max_messages=1), "可以退。")
    assert [shown.text for shown in specimen.shown] == ["可以退。"]


@pytest.mark.parametrize(
    ("status", "body", "code", "temporary"),
    [
        (200, {"Code": "isv.BUSINESS_LIMIT_CONTROL"}, "sms_aliyun_isv_business_limit_control", True),
        (200, {"Code": "isv.MOBILE_NUMBER_ILLEGAL"}, "sms_aliyun_bad_number", False),
        (200, {"Code": "isv.MADE_UP_TOMORROW"}, "sms_aliyun_isv_made_up_tomorrow", False),
        (200, {"Code": "isp.SYSTEM_ERROR"}, "sms_aliyun_busy", True),
        (404, {"Code": "InvalidAccessKeyId.NotFound"}, "sms_aliyun_credentials", False),
        (400, {"Code": "InvalidTimeStamp.Expired"}, "sms_aliyun_clock", False),
        (400, {"Code": "Throttling.User"}, "sms_aliyun_throttling", True),
        (200, {"RequestId": "x"}, "sms_aliyun_refused", False),
        (200, [1], "sms_aliyun_unreadable", True),
        (503, {}, "sms_aliyun_http_503", True),
    ],
)
async def test_refusal_has_aliyuns_meaning(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel, status: int, body: object, code: str, temporary: bool
) -> None:  # fmt: skip
    specimen.network.fail_next(httpx.Response(status, json=body))
    with pytest.raises(errors.ServiceError) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert (refused.value.code, errors.is_temporary(refused.value)) == (code, temporary)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"access_key_secret": SecretStr("wrong")}, "sms_aliyun_credentials"),
        ({"access_key_id": "LTAIother"}, "sms_aliyun_credentials"),
        ({"sign_name": "别人"}, "sms_aliyun_bad_sign_name"),
        ({"template_code": "SMS_0"}, "sms_aliyun_bad_template"),
        ({"variable": "other"}, "sms_aliyun_bad_template"),
    ],
)
async def test_wrong_setting_is_named(
    specimen: SmsAliyunSpecimen, changed: dict[str, object], code: str
) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await specimen.channel_with(**changed).send(part("hi"), idempotency_key="k")
    assert refused.value.code == code


async def test_wrong_clock_is_named(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel, clock: StandingClock
) -> None:
    specimen.platform._clock = lambda: NOW
    clock.move(hours=1)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert refused.value.code == "sms_aliyun_clock"


async def test_nothing_is_sent_to_somebody_who_stopped_until_they_start(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel, clock: StandingClock
) -> None:
    reply = Part(outbound("hi").model_copy(update={"recipient": PHONE}), "hi", 0, 1)
    await channel.remember(channel.read(specimen.text_call("TD", 1)))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.send(reply, idempotency_key="k")
    assert refused.value.code == "sms_aliyun_opted_out"
    clock.move(seconds=5)
    await channel.remember(channel.read(specimen.text_call("订阅", 2)))
    await channel.send(reply, idempotency_key="k")


async def test_template_is_looked_up_when_the_account_is_tested(
    specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel
) -> None:
    assert isinstance(channel, promises.Testing)
    assert await channel.test() == "Aliyun takes the key; the template is approved."
    with pytest.raises(errors.UpstreamRefused):
        await specimen.channel_with(template_code="SMS_0").test()
    assert specimen.shown == []


def test_report_is_verified_like_a_message(specimen: SmsAliyunSpecimen, channel: SmsAliyunChannel) -> None:
    call = as_webhook(
        specimen.platform.batch([{"phone_number": PHONE, "biz_id": "1^0", "success": True}]), "sms_aliyun"
    )
    channel.verify(call)
    assert channel.read(call) == []
    assert channel.receipts(call) == [Receipt("1^0", "delivered")]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path_secret": ""}, "missing: path_secret"),
        ({"template_code": "", "sign_name": ""}, "missing: sign_name, template_code"),
        ({"path_secret": "short"}, "path_secret has 16"),
        ({"previous_path_secret": "with/a/slash/in/it"}, "previous_path_secret has 16"),
    ],
)
def test_wrong_account_is_refused_by_name(changed: dict[str, str], words: str) -> None:
    whole = {
        "access_key_id": "LTAI", "access_key_secret": "s", "path_secret": "0123456789abcdef", "sign_name": "a",
        "template_code": "SMS_1",
    }  # fmt: skip
    with pytest.raises(ValidationError, match=words):
        SmsAliyunSettings.model_validate({**whole, **changed})


def test_every_setting_is_described_and_has_a_default() -> None:
    fields = SPEC.settings.model_fields.values()
    assert all(field.description and not field.is_required() for field in fields)
