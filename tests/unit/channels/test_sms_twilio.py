"""What only Twilio does: its signature over address and parameters, keywords, receipts, pictures behind its doors."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from channels import promises
from channels.adapters.sms_twilio import SPEC, codec
from channels.adapters.sms_twilio.channel import SmsTwilioChannel
from channels.adapters.sms_twilio.gate import Gate, forms, parse_form, sign
from channels.adapters.sms_twilio.settings import SmsTwilioSettings
from channels.contract import Part, Receipt, Surroundings, Webhook
from channels.families.sms import keywords
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.sms_network import as_webhook
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.sms_twilio import SmsTwilioSpecimen

TOKEN = "tw-auth-token-0001"
ADDRESS = "https://gw.example.com/twilio/sms"
BODY = (
    b"MessageSid=SM00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000001"
    b"&From=%2B8613800138000&To=%2B15005550006&Body=%E8%AE%A2%E5%8D%95+1001+%E5%88%B0%E5%93%AA%E4%BA%86"
    b"&NumMedia=0&FromCity="
)
SIGNATURE = "Fn2abhtkUNVqRn8My64Ml6c/1hc="


def vector(**changed: object) -> Webhook:
    call = {
        "method": "POST", "query": {"tenant": "acme"}, "headers": {"x-twilio-signature": SIGNATURE}, "body": BODY,
        "received_at": NOW, "query_string": "tenant=acme",
    }  # fmt: skip
    return Webhook(**{**call, **changed})  # type: ignore[arg-type]  # by name


@pytest.fixture
def specimen(database: Database, vault: Vault, clock: StandingClock) -> SmsTwilioSpecimen:
    hub = Hub()
    return SmsTwilioSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, hub, clock)
    )


@pytest.fixture
def channel(specimen: SmsTwilioSpecimen) -> SmsTwilioChannel:
    return specimen.channel_with()


def part(text: str, *, attachments: tuple[Attachment, ...] = (), count: int = 1, sender: str = "") -> Part:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="sms_twilio", account="main", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient=CUSTOMER, role="bot", reply=Reply(text=text, attachments=attachments),
        reply_context={"from": sender} if sender else {},
    )  # fmt: skip
    return Part(message, text, 0, count)


def test_published_call_passes_when_the_address_is_as_it_was_typed() -> None:
    Gate(ADDRESS, [TOKEN]).admit(vector())
    assert sign(TOKEN, f"{ADDRESS}?tenant=acme", parse_form(BODY)) == SIGNATURE


@pytest.mark.parametrize(
    "address",
    [
        "https://gw.example.com:443/twilio/sms",
        f"{ADDRESS}#rc=2&rp=ct",
    ],
)
def test_call_passes_when_only_the_port_or_the_options_differ(address: str) -> None:
    Gate(address, [TOKEN]).admit(vector())


@pytest.mark.parametrize(
    "address", ["http://gw.example.com/twilio/sms", "https://gw.example.com/twilio/sms/", "https://evil.example"]
)  # fmt: skip
def test_call_is_refused_when_the_address_is_another(address: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        Gate(address, [TOKEN]).admit(vector())


def test_call_is_refused_when_an_empty_parameter_was_dropped() -> None:
    with pytest.raises(errors.NotAuthentic):
        Gate(ADDRESS, [TOKEN]).admit(vector(body=BODY.replace(b"&FromCity=", b"")))


def test_json_is_signed_by_its_digest_in_the_address() -> None:
    body = b'{"a":1}'
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert query.endswith("015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862")
    call = vector(
        body=body, query={"bodySHA256": query.partition("=")[2]}, query_string=query,
        headers={"x-twilio-signature": "DwqJJNiE8H9NRLtwd2RBs+6Spew="},
    )  # fmt: skip
    gate = Gate("https://gw.example.com/twilio/json", [TOKEN])
    gate.admit(call)
    with pytest.raises(errors.NotAuthentic):
        gate.admit(Webhook(call.method, call.query, call.headers, b'{"a":2}', NOW, query_string=query))


def test_repeated_parameter_counts_once_for_each_value() -> None:
    assert sign(TOKEN, ADDRESS, [("A", "2"), ("A", "1"), ("A", "2")]) == sign(
        TOKEN, ADDRESS, [("A", "1"), ("A", "2")]
    )


def test_port_forms_of_a_broken_address_are_only_itself() -> None:
    assert list(forms("https://host:port/x")) == ["https://host:port/x"]


def test_call_by_get_is_read_from_its_query(channel: SmsTwilioChannel) -> None:
    query = "From=%2B8613800138000&To=%2B1500&Body=hello&MessageSid=SM1"
    url = f"https://care.example.com/v1/hooks/demo/sms_twilio?{query}"
    headers = {"x-twilio-signature": sign(TOKEN, url)}
    call = Webhook("GET", {}, headers, b"", NOW, query_string=query)
    channel.verify(call)
    (message,) = channel.read(call)
    assert (message.text, message.thread) == ("hello", "+1500|+8613800138000")


def test_number_is_a_second_name_of_the_sender(channel: SmsTwilioChannel) -> None:
    (message,) = channel.read(vector())
    assert [(one.namespace, one.value) for one in message.sender] == [
        ("sms_twilio:AC00000000000000000000000000000001", "+8613800138000"),
        ("phone", "+8613800138000"),
    ]
    assert message.reply_context == {"from": "+15005550006"}
    assert message.account == "main"


@given(st.binary(max_size=400))
def test_any_form_is_read_or_refused_by_name(body: bytes) -> None:
    try:
        fields = dict(parse_form(body))
        codec.parse_message(
            fields, tenant=TenantId("demo"), account="main", account_sid="AC1", keywords=keywords(), received_at=NOW
        )  # fmt: skip
    except errors.UnreadablePayload:
        return


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "From", "To", "Body", "MessageSid", "OptOutType", "MediaUrl0", "MediaContentType0", "MessageStatus",
                "ErrorCode",
            ]
        ),
        st.text(max_size=30),
    )
)  # fmt: skip
def test_any_fields_make_at_most_one_message(fields: dict[str, str]) -> None:
    body = urlencode(fields, errors="replace").encode()
    read = dict(parse_form(body))
    codec.parse_receipt(read)
    if read.get("From"):
        codec.parse_message(
            read, tenant=TenantId("demo"), account="main", account_sid="AC1", keywords=keywords(),
            received_at=datetime.now(UTC),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code", "receipt"),
    [
        ("delivered", "", [Receipt("SMout", "delivered")]),
        ("read", "", [Receipt("SMout", "read")]),
        ("undelivered", "30003", [Receipt("SMout", "failed", "sms_twilio_30003")]),
        ("failed", "", [Receipt("SMout", "failed", "sms_twilio_undelivered")]),
        ("queued", "", []),
        ("made_up", "", []),
    ],
)
def test_report_becomes_a_receipt_and_no_message(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel, state: str, code: str, receipt: list[Receipt]
) -> None:
    call = as_webhook(specimen.platform.status("SMout", state, code), "sms_twilio")
    channel.verify(call)
    assert channel.read(call) == []
    assert list(channel.receipts(call)) == receipt


def test_message_itself_is_no_receipt(specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel) -> None:
    assert channel.receipts(specimen.text_call("hi", 1)) == []


async def test_reply_goes_out_from_the_number_that_was_written_to(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel
) -> None:
    assert (await channel.send(part("hi", sender="+1777"), idempotency_key="k")).startswith("SM")
    form = dict(parse_form(specimen.network.calls[-1].content))
    assert form == {
        "To": CUSTOMER, "From": "+1777", "Body": "hi",
        "StatusCallback": "https://care.example.com/v1/hooks/demo/sms_twilio",
    }  # fmt: skip


async def test_part_of_several_says_its_place(specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel) -> None:
    await channel.send(part("hi", count=3), idempotency_key="k")
    assert specimen.shown[-1].text == "(1/3) hi"


async def test_picture_goes_out_when_mms_is_on(specimen: SmsTwilioSpecimen) -> None:
    picture = Attachment(kind="image", url="https://shop.example/a.png")
    await specimen.channel_with(mms=True).send(part("", attachments=(picture,)), idempotency_key="k")
    assert specimen.shown[-1].url == "https://shop.example/a.png"


async def test_service_sends_where_there_is_one(specimen: SmsTwilioSpecimen) -> None:
    channel = specimen.channel_with(messaging_service_sid="MG1", status_callbacks=False)
    await channel.send(part("hi"), idempotency_key="k")
    form = dict(parse_form(specimen.network.calls[-1].content))
    assert form == {"To": CUSTOMER, "MessagingServiceSid": "MG1", "Body": "hi"}


async def test_nothing_is_sent_to_somebody_who_stopped_until_they_start(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel, clock: StandingClock
) -> None:
    await channel.remember(channel.read(specimen.text_call("STOP", 1)))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert refused.value.code == "sms_twilio_opted_out"
    assert specimen.network.calls == []
    await channel.remember(channel.read(specimen.text_call("START", 2)))
    await channel.send(part("hi"), idempotency_key="k")


async def test_opt_out_at_twilio_is_remembered(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel
) -> None:
    specimen.network.fail_next(httpx.Response(400, json={"code": 21610, "message": "x", "status": 400}))
    for _ in range(2):
        with pytest.raises(errors.UpstreamRefused) as refused:
            await channel.send(part("hi"), idempotency_key="k")
        assert refused.value.code == "sms_twilio_opted_out"
    assert specimen.network.calls == []


@pytest.mark.parametrize(
    ("status", "body", "code", "temporary"),
    [
        (400, {"code": 21211}, "sms_twilio_bad_number", False),
        (400, {"code": 99999}, "sms_twilio_99999", False),
        (401, {"code": 20003}, "sms_twilio_credentials", False),
        (429, {"code": 20429}, "sms_twilio_http_429", True),
        (503, {"code": 20503}, "sms_twilio_http_503", True),
        (200, ["no object"], "sms_twilio_unreadable", True),
    ],
)
async def test_refusal_has_twilios_meaning(
    specimen: SmsTwilioSpecimen,
    channel: SmsTwilioChannel,
    status: int,
    body: object,
    code: str,
    temporary: bool,
) -> None:
    specimen.network.fail_next(httpx.Response(status, json=body))
    with pytest.raises(errors.ServiceError) as refused:
        await channel.send(part("hi"), idempotency_key="k")
    assert (refused.value.code, errors.is_temporary(refused.value)) == (code, temporary)


async def test_picture_is_fetched_from_twilio_with_the_credentials(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel
) -> None:
    url = "https://api.twilio.com/media/ME1"
    media = await channel.fetch(Attachment(kind="image", url=url))
    assert media.media_type == "image/png"
    assert media.content.startswith(b"\x89PNG")


async def test_credentials_do_not_follow_a_redirect(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel
) -> None:
    moved = httpx.Response(307, headers={"location": "https://media.twiliocdn.com/media/ME1"})
    specimen.network.fail_next(moved)
    with pytest.raises(errors.UpstreamRefused):
        await channel.fetch(Attachment(kind="image", url="https://api.twilio.com/media/ME1"))
    assert "authorization" not in specimen.network.calls[-1].headers


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a",
        "http://api.twilio.com/a",
        "https://eviltwilio.com/a",
        "http://127.0.0.1/a",
        "file:///etc/passwd",
        "",
    ],
)
async def test_nothing_is_fetched_from_elsewhere(
    specimen: SmsTwilioSpecimen, channel: SmsTwilioChannel, url: str
) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.fetch(Attachment(kind="image", url=url))
    assert refused.value.code == "sms_twilio_foreign_media"
    assert specimen.network.calls == []


async def test_account_is_named_when_the_credentials_work(channel: SmsTwilioChannel) -> None:
    assert await channel.test() == "Twilio knows the account Demo."


def test_optional_promises_are_kept(channel: SmsTwilioChannel) -> None:
    kept = (promises.Reporting, promises.Remembering, promises.Fetching, promises.Testing)
    assert all(isinstance(channel, promise) for promise in kept)


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"account_sid": "AC1"}, "auth_token"), ({"auth_token": "t"}, "account_sid"), ({"api_key_sid": "SK1"}, "api_key_secret")],
)  # fmt: skip
def test_half_filled_account_is_refused_by_name(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ValidationError, match=f"missing: {missing}"):
        SmsTwilioSettings.model_validate(given)


def test_every_setting_is_described_and_has_a_default() -> None:
    fields = SPEC.settings.model_fields.values()
    assert all(field.description and not field.is_required() for field in fields)
