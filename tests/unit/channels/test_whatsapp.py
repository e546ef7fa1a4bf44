"""WhatsApp: what its calls say, what it is told, and the rules it enforces, with the simulator in its place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.whatsapp import codec, render
from channels.adapters.whatsapp.channel import SPEC
from channels.adapters.whatsapp.settings import WhatsappSettings, demo_settings
from channels.contract import Receipt, Surroundings
from channels.promises import Fetching, Reporting
from foundation import errors
from foundation.conversations import Conversation
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    Choice,
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes import faulty
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.whatsapp import WhatsappSpecimen, webhook_of

NUMBER = "100200300400500"


@pytest.fixture
def whatsapp(database: Database, vault: Vault, clock: StandingClock) -> WhatsappSpecimen:
    return WhatsappSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)
    )


def read(whole: object) -> Sequence[InboundMessage]:
    body = json.dumps(whole).encode()
    return codec.read(body, tenant=TenantId("demo"), account="main", phone_number_id=NUMBER, received_at=NOW)


def whole(*values: dict[str, Any], number: str = NUMBER) -> dict[str, Any]:
    changes = [
        {"field": "messages", "value": {"metadata": {"phone_number_id": number}, **value}} for value in values
    ]
    return {"object": "whatsapp_business_account", "entry": [{"changes": changes}]}


def text(body: str, **more: Any) -> dict[str, Any]:
    return {"from": "861", "id": f"wamid.{body}", "type": "text", "text": {"body": body}, **more}


def outbound(reply: Reply, recipient: str = CUSTOMER, **context: str) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="whatsapp", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=recipient, role="bot", reply=reply, reply_context=context,
    )  # fmt: skip


def bodies(reply: Reply, reply_to: str = "861") -> list[dict[str, Any]]:
    (part,) = degrade.fit(outbound(reply), render.CAPABILITIES)
    return render.messages(part, reply_to=reply_to, correlation="c1/1/0")


def choices(*labels: str) -> tuple[Choice, ...]:
    return tuple(Choice(label=label, value=f"v{index}") for index, label in enumerate(labels))


def test_all_messages_are_read_when_a_call_brings_several() -> None:
    found = read(
        whole(
            {"messages": [text("a"), text("b")]},
            {"statuses": [{"id": "wamid.x", "status": "read"}]},
            {"messages": [text("c", **{"from": "862"})]},
        )
    )
    assert [message.text for message in found] == ["a", "b", "c"]
    assert [message.thread for message in found] == ["861", "861", "862"]
    assert len({message.message_id for message in found}) == 3


def test_others_are_read_when_one_message_is_broken() -> None:
    broken: list[Any] = [None, 7, {}, {"type": "text"}, {"from": 3.5, "type": "text", "text": "no object"}]
    found = read(whole({"messages": [*broken, text("fine")], "contacts": "none"}))
    assert [message.text for message in found] == ["fine"]


def test_call_is_kept_as_unreadable_when_no_message_names_its_sender() -> None:
    with pytest.raises(errors.UnreadablePayload):
        read(whole({"messages": [{"type": "text", "text": {"body": "who?"}}]}))


def test_messages_for_another_number_are_not_ours() -> None:
    with pytest.raises(errors.UnreadablePayload) as raised:
        read(whole({"messages": [text("a")]}, number="999"))
    assert raised.value.code == "other_account"
    assert codec.read_receipts(
        json.dumps(whole({"statuses": [{"id": "w", "status": "read"}]}, number="999")).encode(), phone_number_id=NUMBER
    ) == []  # fmt: skip


def test_sender_is_known_by_every_id_that_the_platform_vouches_for() -> None:
    contact = {"wa_id": "861", "user_id": "CN.77", "profile": {"name": "Li"}}
    stranger = {"wa_id": "862", "user_id": "CN.88", "profile": {"name": "Wang"}}
    (message,) = read(whole({"messages": [text("a")], "contacts": [stranger, contact]}))
    assert message.sender == (
        Identifier(namespace=f"whatsapp:{NUMBER}", value="CN.77", proven=True),
        Identifier(namespace=f"whatsapp:{NUMBER}", value="861", proven=True),
        Identifier(namespace="phone", value="+861", proven=True),
    )
    assert message.event_data["sender_name"] == "Li"
    assert message.thread == "CN.77"


def test_message_id_tells_nothing_and_is_another_for_another_account() -> None:
    body = json.dumps(whole({"messages": [text("a")]})).encode()
    ids = {
        codec.read(
            body, tenant=TenantId("demo"), account=account, phone_number_id=NUMBER, received_at=NOW
        )[0].message_id
        for account in ("main", "second")
    }  # fmt: skip
    assert len(ids) == 2
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in ids)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["text", "861", "image"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text() | st.sampled_from(["from", "id", "type", "text", "body", "interactive", "button_reply", "location",
                                     "latitude", "timestamp", "image", "wa_id", "profile", "name", "status", "errors"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(messages=JSON, contacts=JSON, statuses=JSON)
def test_reading_raises_nothing_else_whatever_the_platform_sends(
    messages: object, contacts: object, statuses: object
) -> None:
    value = {"messages": messages, "contacts": contacts, "statuses": statuses}
    for content in (
        value,
        {"messages": [messages, text("x")], "contacts": [contacts], "statuses": [statuses]},
    ):
        body = json.dumps(whole(content)).encode()
        codec.read_receipts(body, phone_number_id=NUMBER)
        with contextlib.suppress(errors.UnreadablePayload):
            read(whole(content))


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_reading_raises_nothing_else_whatever_the_bytes_are(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.read(body, tenant=TenantId("demo"), account="a", phone_number_id=NUMBER, received_at=NOW)


def test_receipts_say_delivered_read_and_failed_with_its_number(whatsapp: WhatsappSpecimen) -> None:
    platform = whatsapp.platform
    call = platform.call(
        platform.status("wamid.1", "sent"),
        platform.status("wamid.1", "delivered"),
        platform.status("wamid.1", "read"),
        platform.status("wamid.2", "failed", errors=[{"code": 131026}]),
        platform.status("wamid.3", "failed"),
        platform.status("", "read"),
        platform.status("wamid.4", "made_up"),
    )
    webhook = webhook_of(call)
    assert isinstance(whatsapp.channel, Reporting)
    assert whatsapp.channel.receipts(webhook) == [
        Receipt("wamid.1", "delivered"),
        Receipt("wamid.1", "read"),
        Receipt("wamid.2", "failed", "whatsapp_131026"),
        Receipt("wamid.3", "failed", "whatsapp_failed"),
    ]
    assert whatsapp.channel.read(webhook) == []


def test_three_short_choices_are_buttons_and_more_are_a_list() -> None:
    (few,) = bodies(Reply(text="?", choices=choices("a", "b", "c")))
    assert [button["reply"]["id"] for button in few["interactive"]["action"]["buttons"]] == ["v0", "v1", "v2"]
    (many,) = bodies(Reply(text="?", choices=choices(*"abcdefghij"), language="en"))
    assert many["interactive"]["action"]["button"] == "Choose"
    assert len(many["interactive"]["action"]["sections"][0]["rows"]) == 10
    (numbered,) = bodies(Reply(text="?", choices=choices(*"abcdefghijk")))
    assert "11. k" in numbered["text"]["body"]


def test_long_label_stands_whole_below_its_row() -> None:
    label = "退货并且换成另一种颜色和另一个尺码的同款商品谢谢"
    (body,) = bodies(Reply(text="?", choices=choices("短", label + "啊啊")))
    row = body["interactive"]["action"]["sections"][0]["rows"][1]
    assert (len(row["title"]), row["description"]) == (24, label + "啊啊")


@pytest.mark.parametrize(
    "labels", [("x" * 30 + "1", "x" * 30 + "2"), ("y" * 73, "b"), ("same", "same"), (" ", "b")]
)
def test_choices_become_numbered_lines_when_no_list_can_tell_them_apart(labels: tuple[str, ...]) -> None:
    (body,) = bodies(Reply(text="a*b*c", choices=choices(*labels)))
    assert body["type"] == "text"
    assert all(f"{number}. {label}" in body["text"]["body"] for number, label in enumerate(labels, 1))


def test_long_text_with_few_choices_is_a_list_because_buttons_take_less() -> None:
    (body,) = bodies(Reply(text="长" * 2000, choices=choices("a", "b")))
    assert body["interactive"]["type"] == "list"


def test_picture_carries_the_text_and_what_whatsapp_cannot_fetch_is_said() -> None:
    picture = Attachment(kind="image", url="https://shop/p.png")
    (body,) = bodies(Reply(text="看", attachments=(picture,)))
    assert body["image"] == {"link": "https://shop/p.png", "caption": "看"}
    sound = Attachment(kind="voice", url="https://shop/v.ogg")
    assert [one["type"] for one in bodies(Reply(text="听", attachments=(sound,)))] == ["text", "audio"]
    local = Attachment(kind="file", url="/files/a.pdf", name="a.pdf")
    (said,) = bodies(Reply(text="文件", attachments=(local, picture)))
    assert "/files/a.pdf" in said["text"]["body"]
    assert "https://shop/p.png" in said["text"]["body"]


def test_reply_goes_to_the_phone_number_else_to_the_id() -> None:
    assert bodies(Reply(text="x"), "8613800138000")[0]["to"] == "8613800138000"
    body = bodies(Reply(text="x"), "CN.1502576394655843")[0]
    assert body["recipient"] == "CN.1502576394655843"
    assert "to" not in body


async def send(whatsapp: WhatsappSpecimen, message: OutboundMessage) -> str:
    (part,) = degrade.fit(message, render.CAPABILITIES)
    return await whatsapp.channel.send(part, idempotency_key="c1/1/0")


async def test_id_that_sending_returns_is_the_platforms(whatsapp: WhatsappSpecimen) -> None:
    assert (await send(whatsapp, outbound(Reply(text="hello")))).startswith("wamid.")
    assert whatsapp.platform.sent[0]["biz_opaque_callback_data"] == "c1/1/0"


async def test_window_is_closed_a_day_after_the_customers_message(
    whatsapp: WhatsappSpecimen, clock: StandingClock
) -> None:
    clock.move(hours=24, seconds=1)
    with pytest.raises(errors.UpstreamRefused) as raised:
        await send(whatsapp, outbound(Reply(text="late")))
    assert raised.value.code == "whatsapp_window_closed"


async def test_late_reply_goes_out_in_the_template_where_one_is_set(
    whatsapp: WhatsappSpecimen, clock: StandingClock
) -> None:
    settings = whatsapp.settings.model_copy(update={"template": "news", "template_language": "zh_CN"})
    whatsapp.channel = whatsapp.channel_with(settings)
    whatsapp.platform.settings = settings
    assert whatsapp.channel.reopens
    await send(whatsapp, outbound(Reply(text="in time")))
    clock.move(hours=25)
    await send(whatsapp, outbound(Reply(text="第一行\n\n第二行", choices=choices("a", "b"))))
    assert [body["type"] for body in whatsapp.platform.sent] == ["text", "template"]
    assert whatsapp.platform.sent[1]["template"]["language"] == {"code": "zh_CN"}
    assert whatsapp.seen()[1].startswith("第一行 第二行")
    assert whatsapp.seen()[1].endswith("1. a 2. b")
    await send(whatsapp, outbound(Reply(text="长" * 2000)))
    assert [len(text) for text in whatsapp.seen()[2:]] == [900, 900, 200]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (131056, errors.Exhausted, "whatsapp_too_frequent"),
        (130429, errors.Exhausted, "whatsapp_too_frequent"),
        (131016, errors.UpstreamUnavailable, "whatsapp_busy"),
        (131026, errors.UpstreamRefused, "whatsapp_unreachable"),
        (131031, errors.UpstreamRefused, "whatsapp_locked"),
        (131053, errors.UnsupportedContent, "whatsapp_media"),
        (132001, errors.UpstreamRefused, "whatsapp_template"),
        (190, errors.UpstreamRefused, "whatsapp_credentials"),
        (368, errors.UpstreamRefused, "whatsapp_policy"),
    ],
)
async def test_number_of_a_refusal_says_what_to_do(
    whatsapp: WhatsappSpecimen, number: int, kind: type[errors.ServiceError], code: str
) -> None:
    whatsapp.transport.next_call("/messages", faulty.status(400, {"error": {"code": number}}))
    with pytest.raises(kind) as raised:
        await send(whatsapp, outbound(Reply(text="x")))
    assert raised.value.code == code


async def test_refused_token_is_one_line_in_the_log_and_one_when_it_works_again(
    whatsapp: WhatsappSpecimen,
) -> None:
    refused = faulty.status(401, {"error": {"code": 190}})
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            whatsapp.transport.next_call("/messages", refused)
            with pytest.raises(errors.UpstreamRefused):
                await send(whatsapp, outbound(Reply(text="x")))
        await send(whatsapp, outbound(Reply(text="x")))
    assert [line["event"] for line in lines] == ["channel cannot send", "channel sends again"]


async def test_file_is_fetched_in_two_steps_with_the_token(whatsapp: WhatsappSpecimen) -> None:
    whatsapp.platform.files["9001"] = (b"picture", "image/jpeg")
    channel, origin = whatsapp.channel, whatsapp.settings.api_base
    assert isinstance(channel, Fetching)
    media = await channel.fetch(Attachment(kind="image", media_id="9001"))
    assert (media.content, media.media_type) == (b"picture", "image/jpeg")
    assert whatsapp.transport.calls == ["/v26.0/9001", "/files/9001"]
    assert all(str(request.url).startswith(origin) for request in whatsapp.transport.requests)
    for missing in ("404", "../me", "", "9001/x", "９００１"):
        with pytest.raises(errors.UpstreamRefused):
            await channel.fetch(Attachment(kind="image", media_id=missing))


async def test_number_is_named_when_the_credentials_are_tested(whatsapp: WhatsappSpecimen) -> None:
    assert isinstance(whatsapp.channel, promises.Testing)
    assert "Demo shop" in await whatsapp.channel.test()


def conversation(**context: str) -> Conversation:
    return Conversation(
        ConversationId("c1"), TenantId("demo"), "whatsapp", "main", CUSTOMER, None, "bot", None, "open", "zh", None, None,
        {}, context, 1, 0, 0, NOW, None, NOW, NOW,
    )  # fmt: skip


async def test_typing_marks_the_customers_message_as_read(whatsapp: WhatsappSpecimen) -> None:
    await whatsapp.channel.show_typing(conversation(message_id="wamid.A1"))
    assert whatsapp.platform.read == ["wamid.A1"]
    assert [shown.kind for shown in whatsapp.shown] == ["typing"]
    await whatsapp.channel.show_typing(conversation())
    whatsapp.transport.next_call("/messages", faulty.timeout)
    await whatsapp.channel.show_typing(conversation(message_id="wamid.A1"))


async def test_tapped_choice_comes_back_as_its_value(whatsapp: WhatsappSpecimen) -> None:
    options = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
    await send(whatsapp, outbound(Reply(text="?", choices=options)))
    (message,) = whatsapp.channel.read(webhook_of(whatsapp.platform.say("退货", user="tests")))
    assert (message.text, message.event_data["label"]) == ("return", "退货")


def test_settings_name_what_is_missing_and_the_demo_needs_none(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="missing: access_token, verify_token"):
        WhatsappSettings(phone_number_id="1", app_secret=SecretStr("s"))
    with pytest.raises(ValidationError):
        WhatsappSettings(phone_number_id="../me")
    demo = WhatsappSettings(api_base="http://127.0.0.1:9").or_demo(vault)
    assert demo == demo_settings(vault).model_copy(update={"api_base": "http://127.0.0.1:9"})
    assert demo.or_demo(vault) is demo
    assert all(field.description for field in SPEC.settings.model_fields.values())
