"""What only Tencent does: TC3 over the body, messages without an id, refusals inside a success."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.sms_tencent import SPEC, codec, signing
from channels.adapters.sms_tencent.channel import SmsTencentChannel
from channels.adapters.sms_tencent.settings import SmsTencentSettings
from channels.contract import Part, Receipt, Surroundings
from channels.families.sms import keywords
from foundation import errors
from foundation.live import Hub
from foundation.messages import ConversationId, InboundMessage, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.sms_tencent import PHONE, SmsTencentSpecimen

BODY = (
    b'{"PhoneNumberSet":["+8613800000000"],"SmsSdkAppId":"1400000001","TemplateId":"449739","SignName":"Demo",'
    b'"TemplateParamSet":["42"]}'
)
ITEM = {
    "extend": "12",
    "mobile": "13800000000",
    "nationcode": "86",
    "sign": "Demo",
    "text": "Y",
    "time": 1767225600,
}


@pytest.fixture
def specimen(database: Database, vault: Vault, clock: StandingClock) -> SmsTencentSpecimen:
    hub = Hub()
    return SmsTencentSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, hub, clock)
    )


@pytest.fixture
def channel(specimen: SmsTencentSpecimen) -> SmsTencentChannel:
    return specimen.channel_with()


def outbound(text: str, recipient: str = CUSTOMER, **context: str) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="sms_tencent", account="main", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient=recipient, role="bot", reply=Reply(text=text), reply_context=context,
    )  # fmt: skip


def part(text: str, recipient: str = CUSTOMER, **context: str) -> Part:
    return Part(outbound(text, recipient, **context), text, 0, 1)


def read(items: list[codec.Item]) -> list[InboundMessage]:
    return codec.parse_messages(
        items, tenant=TenantId("demo"), account="main", app_id="1400000001", keywords=keywords(), received_at=NOW
    )  # fmt: skip


def test_published_request_has_its_signature() -> None:
    signature = "098d302e6a7756b6c13e1445d2420f3d296cbf3f75abc118911b636ad4a91e4c"
    assert signing.sign("skdemo", "sms.tencentcloudapi.com", BODY, 1767225600) == signature
    headers = signing.headers(
        "AKID", "skdemo", host="sms.tencentcloudapi.com", action="SendSms", region="ap-guangzhou", body=BODY,
        at=datetime.fromtimestamp(1767225600, UTC),
    )  # fmt: skip
    assert headers["authorization"] == (
        "TC3-HMAC-SHA256 Credential=AKID/2026-01-01/sms/tc3_request, SignedHeaders=content-type;host, "
        f"Signature={signature}"
    )


def test_message_is_known_by_all_it_says() -> None:
    ids = [read([{**ITEM, **changed}])[0].message_id for changed in ({}, {}, {"text": "N"}, {"time": 1}, {"extend": ""})]  # fmt: skip
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_customer_is_known_by_the_international_number() -> None:
    (message,) = read([ITEM])
    assert [one.value for one in message.sender] == ["+8613800000000", "+8613800000000"]
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert message.reply_context == {"extend": "12"}


@pytest.mark.parametrize(
    ("mobile", "nation", "phone"),
    [
        ("13800000000", "86", "+8613800000000"), ("13800000000", "", "+8613800000000"), ("91234567", "852", "+85291234567"),
        ("+85291234567", "852", "+85291234567"), ("13800000000", "１", "+8613800000000"), ("x", "86", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_number_has_its_countrys_code(mobile: str, nation: str, phone: str) -> None:
    assert codec.phone_of({"mobile": mobile, "nationcode": nation}) == phone


@pytest.mark.parametrize("time", ["", "x", -1, 10**30, True, None, 1.5, "9" * 5000])
def test_arrival_counts_when_the_time_cannot_be_read(time: object) -> None:
    assert read([{**ITEM, "time": time}])[0].sent_at == NOW


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
NAMES = st.sampled_from([*ITEM, "report_status", "errmsg", "sid"])


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=9), max_size=4), st.booleans())
def test_any_json_is_read_or_refused_by_name(content: list[dict[str, Any]], known: bool) -> None:
    listed = [{**item, "mobile": "13800000000"} for item in content] if known else content
    try:
        items = codec.parse_items(json.dumps(listed).encode())
        codec.parse_receipts(items)
        read(items)
    except errors.UnreadablePayload:
        return


def test_batch_is_read_though_items_are_malformed() -> None:
    items = codec.parse_items(json.dumps([None, {"mobile": []}, {"text": "x"}, ITEM]).encode())
    assert [message.text for message in read(items)] == ["Y"]


def test_reports_become_receipts_and_no_messages() -> None:
    report = {"mobile": "13800000000", "nationcode": "86", "sid": "2019:1"}
    items: list[codec.Item] = [
        {**report, "report_status": "SUCCESS"},
        {**report, "report_status": "FAIL", "errmsg": "MK:0001"},
        {**report, "report_status": "FAIL", "sid": ""},
    ]
    assert read(items) == []
    assert codec.parse_receipts(items) == [
        Receipt("2019:1", "delivered"),
        Receipt("2019:1", "failed", "sms_tencent_mk_0001"),
    ]


def test_call_is_acknowledged_as_documented(specimen: SmsTencentSpecimen, channel: SmsTencentChannel) -> None:
    answer = channel.acknowledge(specimen.text_call("hi", 1))
    assert json.loads(answer.body) == {"result": 0, "errmsg": "OK"}


async def test_reply_goes_out_under_the_extension_that_was_written_to(
    specimen: SmsTencentSpecimen, channel: SmsTencentChannel
) -> None:
    assert await channel.send(part("可以退\n七天内", extend="12"), idempotency_key="k") == "2019:1"
    sent = json.loads(specimen.network.calls[-1].content)
    assert sent["ExtendCode"] == "12"
    assert sent["TemplateParamSet"] == ["可以退 七天内"]
    assert sent["PhoneNumberSet"] == [CUSTOMER]


async def test_long_reply_is_cut_to_the_variable_aloud(specimen: SmsTencentSpecimen) -> None:
    channel = specimen.channel_with(variable_limit=12, max_messages=1)
    parts = degrade.fit(outbound("退货请在签收后七天内提出申请。" * 3), channel.capabilities)
    ids = [await channel.send(one, idempotency_key=f"k{one.index}") for one in parts]
    assert len(specimen.shown) == 1
    assert specimen.shown[0].text.endswith("…")
    assert len(specimen.shown[0].text) <= 12
    assert set(ids[1:]) == {""}


def refused_number(code: str) -> dict[str, object]:
    return {"Response": {"SendStatusSet": [{"Code": code}]}}


def refused_call(code: str) -> dict[str, object]:
    return {"Response": {"Error": {"Code": code, "Message": "x"}}}


@pytest.mark.parametrize(
    ("status", "body", "code", "temporary"),
    [
        (200, refused_number("FailedOperation.ContainSensitiveWord"), "sms_tencent_blocked_words", False),
        (200, refused_number("LimitExceeded.PhoneNumberThirtySecondLimit"), "sms_tencent_limitexceeded_phonenumberthirtysecondlimit", True),
        (200, refused_number("FailedOperation.MadeUp"), "sms_tencent_failedoperation_madeup", False),
        (200, refused_call("AuthFailure.SignatureFailure"), "sms_tencent_credentials", False),
        (200, refused_call("AuthFailure.SignatureExpire"), "sms_tencent_clock", False),
        (200, refused_call("RequestLimitExceeded"), "sms_tencent_requestlimitexceeded", True),
        (200, refused_call("InternalError.Timeout"), "sms_tencent_busy", True),
        (200, {"Response": {"SendStatusSet": []}}, "sms_tencent_refused", False),
        (200, {"Response": 5}, "sms_tencent_refused", False),
        (200, [1], "sms_tencent_unreadable", True),
        (502, {}, "sms_tencent_http_502", True),
    ],
)  # fmt: skip
async def test_refusal_has_tencents_meaning(
    specimen: SmsTencentSpecimen, channel: SmsTencentChannel, status: int, body: object, code: str, temporary: bool
) -> None:  # fmt: skip
    specimen.network.fail_next(httpx.Response(status, json=body))
    with pytest.raises(errors.ServiceError) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert (refused.value.code, errors.is_temporary(refused.value)) == (code, temporary)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"secret_key": SecretStr("wrong")}, "sms_tencent_credentials"),
        ({"secret_id": "AKIDother"}, "sms_tencent_credentials"),
        ({"app_id": "1400000002"}, "sms_tencent_credentials"),
        ({"sign_name": "别人"}, "sms_tencent_bad_sign_name"),
        ({"template_id": "1"}, "sms_tencent_bad_template"),
    ],
)
async def test_wrong_setting_is_named(
    specimen: SmsTencentSpecimen, changed: dict[str, object], code: str
) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await specimen.channel_with(**changed).send(part("hi"), idempotency_key="k")
    assert refused.value.code == code


async def test_blacklist_of_tencent_is_remembered(
    specimen: SmsTencentSpecimen, channel: SmsTencentChannel
) -> None:
    body = refused_number("FailedOperation.PhoneNumberInBlacklist")
    specimen.network.fail_next(httpx.Response(200, json=body))
    for _ in range(2):
        with pytest.raises(errors.UpstreamRefused) as refused:
            await channel.send(part("hi"), idempotency_key="k")
        assert refused.value.code == "sms_tencent_opted_out"
    assert specimen.network.calls == []


async def test_nothing_is_sent_to_somebody_who_stopped_until_they_start(
    specimen: SmsTencentSpecimen, channel: SmsTencentChannel
) -> None:
    reply = part("hi", recipient=f"+86{PHONE}")
    await channel.remember(channel.read(specimen.text_call("退订", 1)))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.send(reply, idempotency_key="k")
    assert refused.value.code == "sms_tencent_opted_out"
    await channel.remember(channel.read(specimen.text_call("START", 2)))
    await channel.send(reply, idempotency_key="k")


async def test_template_is_looked_up_when_the_account_is_tested(
    specimen: SmsTencentSpecimen, channel: SmsTencentChannel
) -> None:
    assert isinstance(channel, promises.Testing)
    assert await channel.test() == "Tencent takes the key; the template is approved."
    unknown = specimen.channel_with(template_id="1")
    assert await unknown.test() == "Tencent takes the key; the template is not known there."
    assert specimen.shown == []


def test_half_filled_account_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="missing: secret_key, path_secret"):
        SmsTencentSettings.model_validate(
            {"secret_id": "AKID", "app_id": "1", "template_id": "1", "sign_name": "a"}
        )


def test_every_setting_is_described_and_has_a_default() -> None:
    fields = SPEC.settings.model_fields.values()
    assert all(field.description and not field.is_required() for field in fields)
