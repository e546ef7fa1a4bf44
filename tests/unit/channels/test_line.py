"""What only LINE does: tokens that answer once, pushes under a retry key, groups, stickers, media at another host."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.line import codec
from channels.adapters.line.settings import SIMULATOR, LineSettings
from channels.contract import Surroundings, Webhook
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    Choice,
    ConversationId,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.chat.line import PICTURE
from tests.conftest import StandingClock
from tests.fakes import faulty
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.line import LineSpecimen

READER = codec.Reader(TenantId("demo"), "main")
CHECK = b'{"destination":"U00000000000000000000000000000001","events":[]}'


@pytest.fixture
def line(database: Database, vault: Vault, clock: StandingClock) -> LineSpecimen:
    return LineSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)
    )


def read(*events: Any, reader: codec.Reader = READER) -> list[InboundMessage]:
    return codec.read(json.dumps({"destination": "U1", "events": events}).encode(), reader, NOW)


def event(**content: Any) -> dict[str, Any]:
    message = {"id": "1", "type": "text", "text": "hi"}
    return {"type": "message", "source": {"type": "user", "userId": "U2"}, "message": message, **content}


def message(**content: Any) -> dict[str, Any]:
    return event(message={"id": "1", **content})


async def send(
    specimen: LineSpecimen,
    reply: Reply,
    *,
    key: str = "k",
    index: int = 0,
    context: dict[str, str] | None = None,
) -> str:
    outbound = OutboundMessage(
        tenant=TenantId("demo"), channel="line", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role="bot", reply=reply, reply_context=context or {},
    )  # fmt: skip
    (part,) = degrade.fit(outbound, specimen.channel.capabilities)
    return await specimen.channel.send(replace(part, index=index), idempotency_key=key)


def context_of(specimen: LineSpecimen) -> dict[str, str]:
    """Of a message that the customer has just written."""
    call = specimen.platform.say("hello", user=CUSTOMER)
    return specimen.channel.read(Webhook("POST", {}, call.headers, call.body, NOW))[0].reply_context


@pytest.fixture
def asking(line: LineSpecimen) -> dict[str, str]:
    context = context_of(line)
    line.platform.know(CUSTOMER, context["to"])
    return context


def test_signature_of_the_platform_is_taken(line: LineSpecimen) -> None:
    headers = {"x-line-signature": "0e68ue4CYmvKVdLeyQYQ8hIjYMXDAtfEhKvz+/lY7+Y="}
    call = Webhook("POST", {}, headers, CHECK, NOW)
    line.channel.verify(call)
    assert line.channel.handshake(call) is None
    assert line.channel.read(call) == []
    assert line.channel.acknowledge(call).status == 200


def test_redelivery_is_the_same_message() -> None:
    first = event(webhookEventId="01K5", deliveryContext={"isRedelivery": False})
    (once,), (twice,) = (
        read(first),
        read({**first, "deliveryContext": {"isRedelivery": True}, "replyToken": "other"}),
    )
    assert once.message_id == twice.message_id


def test_ids_cover_who_where_and_which() -> None:
    events = [
        event(webhookEventId="1"), event(webhookEventId="2"), event(webhookEventId="1", source={"userId": "U3"}),
        event(), event(message={"id": "2", "type": "text"}), event(message={}),
    ]  # fmt: skip
    assert len({found.message_id for found in read(*events)}) == 6


def test_one_bad_event_spoils_none_of_the_others() -> None:
    assert [
        one.text for one in read(None, 7, {}, {"type": "message"}, event(), {"type": 3, "source": []})
    ] == ["hi"]


@pytest.mark.parametrize(
    ("events", "found"),
    [
        (event(mode="standby"), []),
        (event(source={"type": "group", "groupId": "C1", "userId": "U2"}), []),
        (event(source={"type": "room", "roomId": "R1"}), []),
    ],
)
def test_what_is_not_said_to_us_is_not_read(events: dict[str, Any], found: list[Any]) -> None:
    assert read(events) == found


def test_group_is_read_altogether_when_the_account_says_so() -> None:
    (found,) = read(event(source={"type": "group", "groupId": "C1"}), reader=replace(READER, groups="all"))
    assert (found.thread, found.reply_context["to"]) == ("C1", "C1")
    assert (found.sender[0].value, found.sender[0].proven) == ("C1", False)


def test_mentions_are_cut_out_by_utf16_places() -> None:
    text = "📦 @Bot 到哪了 @Bot @Li"
    spots = [(3, 4, True), (12, 4, True), (17, 3, False)]
    mentionees = [{"index": at, "length": length, "isSelf": own} for at, length, own in spots]
    (found,) = read(message(type="text", text=text, mention={"mentionees": mentionees}))
    assert found.text == "📦  到哪了  @Li"


def test_media_outside_of_line_have_an_address_and_no_handle() -> None:
    provider = {"type": "external", "originalContentUrl": "https://shop.example/a.png"}
    (found,) = read(message(type="image", contentProvider=provider))
    assert (found.attachments[0].url, found.attachments[0].media_id) == ("https://shop.example/a.png", "")


@pytest.mark.parametrize(
    ("degrees", "kept"), [(30.5, 30.5), (91, None), ("30", None), (None, None), (True, None)]
)
def test_location_keeps_only_places_on_earth(degrees: Any, kept: float | None) -> None:
    (found,) = read(message(type="location", latitude=degrees, longitude=1, address="here"))
    assert (found.kind, found.attachments[0].latitude, found.attachments[0].description) == (
        "location",
        kept,
        "here",
    )


def test_sticker_with_words_is_a_text() -> None:
    (found,) = read(message(type="sticker", stickerId="1", packageId="2", text="谢谢"))
    assert (found.kind, found.text, found.event_data["sticker"]) == ("text", "谢谢", "1")


def test_other_account_is_refused() -> None:
    with pytest.raises(errors.UnreadablePayload):
        read(event(), reader=replace(READER, bot_user_id="U9"))


async def test_first_reply_uses_the_token_and_the_rest_is_pushed(
    line: LineSpecimen, asking: dict[str, str]
) -> None:
    await send(line, Reply(text="1"), context=asking)
    await send(line, Reply(text="2"), index=1, key="k/1", context=asking)
    assert line.platform.ways == ["reply", "push"]
    assert line.seen() == ["1", "2"]


async def test_spent_token_falls_back_to_push(line: LineSpecimen, asking: dict[str, str]) -> None:
    await send(line, Reply(text="1"), key="a", context=asking)
    await send(line, Reply(text="2"), key="b", context=asking)
    assert line.platform.ways == ["reply", "push"]
    assert line.seen() == ["1", "2"]


async def test_old_token_is_not_tried(
    line: LineSpecimen, asking: dict[str, str], clock: StandingClock
) -> None:
    clock.move(seconds=50)
    await send(line, Reply(text="late"), context=asking)
    assert line.platform.ways == ["push"]
    assert [request.url.path for request in line.transport.requests] == ["/v2/bot/message/push"]


async def test_repeated_push_is_one_message(line: LineSpecimen) -> None:
    first = await send(line, Reply(text="once"), key="c1/1/0")
    again = await send(line, Reply(text="once"), key="c1/1/0")
    other = await send(line, Reply(text="other"), key="c1/2/0")
    assert first == again != other
    assert line.seen() == ["once", "other"]


async def test_failed_reply_is_no_reason_to_push(line: LineSpecimen, asking: dict[str, str]) -> None:
    line.transport.next_call(
        "/reply", faulty.status(400, json={"message": "The request body has 1 error(s)"})
    )
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(line, Reply(text="hi"), context=asking)
    assert refused.value.code == "line_rejected"
    assert line.platform.ways == []


@pytest.mark.parametrize(
    ("status", "sentence", "kind", "code"),
    [
        (429, "You have reached your monthly limit.", errors.UpstreamRefused, "line_monthly_limit"),
        (429, "The API rate limit has been exceeded.", errors.Exhausted, "line_http_429"),
        (401, "Authentication failed", errors.UpstreamRefused, "line_credentials"),
        (403, "Access to this API is not available", errors.UpstreamRefused, "line_no_permission"),
        (400, "Failed to send messages", errors.UpstreamRefused, "line_rejected"),
    ],
)
async def test_refusal_becomes_its_error(
    line: LineSpecimen, status: int, sentence: str, kind: type[errors.ServiceError], code: str
) -> None:
    line.transport.next_call("/push", faulty.status(status, json={"message": sentence}))
    with pytest.raises(kind) as refused:
        await send(line, Reply(text="hi"))
    assert refused.value.code == code


async def test_quick_reply_comes_back_as_its_value(line: LineSpecimen) -> None:
    long = "一个非常非常非常非常非常非常长的选项名称"
    choices = (Choice(label="退货", value="return"), Choice(label=long * 2, value="v" * 301))
    await send(line, Reply(text="请选择", choices=choices))
    call = line.platform.say("退货", user=CUSTOMER)
    assert line.channel.read(Webhook("POST", {}, call.headers, call.body, NOW))[0].text == "return"
    second = line.platform.sent[-1]["quickReply"]["items"][1]["action"]
    assert (second["type"], len(second["label"]), second["text"]) == ("message", 20, long * 2)


async def test_choices_without_a_text_are_shown() -> None:
    (shown,) = codec.render_messages("", (Choice(label="退货", value="return"),))
    assert shown["text"] == "退货"
    assert shown["quickReply"]["items"]


async def test_pictures_go_out_in_order_and_five_at_a_time(line: LineSpecimen) -> None:
    pictures = tuple(Attachment(kind="image", url=f"https://shop.example/{n}.png") for n in range(6))
    bare = Attachment(kind="image", name="a picture without an address")
    await send(line, Reply(text="看", attachments=(*pictures, bare)))
    assert line.platform.ways == ["push", "push"]
    assert [one.url or one.text for one in line.shown] == ["看", *(one.url for one in pictures), bare.name]


async def test_media_are_fetched_with_the_token(line: LineSpecimen) -> None:
    assert isinstance(line.channel, promises.Fetching)
    found = await line.channel.fetch(Attachment(kind="image", media_id="5800000001"))
    assert (found.content, found.media_type) == (PICTURE, "image/png")
    line.transport.next_call("/content", faulty.status(202))
    with pytest.raises(errors.UpstreamUnavailable):
        await line.channel.fetch(Attachment(kind="video", media_id="1"))
    with pytest.raises(errors.UpstreamRefused):
        await line.channel.fetch(Attachment(kind="image", url="http://127.0.0.1/x"))


async def test_test_names_the_account(line: LineSpecimen) -> None:
    assert isinstance(line.channel, promises.Testing)
    assert "Huiliu" in await line.channel.test()


def test_half_an_account_is_refused_and_none_is_the_demo(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="channel_access_token"):
        LineSettings(channel_secret=SecretStr("s"))
    demo = LineSettings().or_demo(vault)
    assert (demo.api_base, demo.content_base, demo.is_demo) == (SIMULATOR, SIMULATOR, False)
    real = LineSettings(channel_secret=SecretStr("s"), channel_access_token=SecretStr("t"))
    assert real.or_demo(vault) == real


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "type", "text", "userId", "groupId", "mentionees", "index", "length", "isSelf", "data"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["message", "postback", "follow", "unsend", "text", "sticker", "image", "location", ""]
)
MESSAGE = st.dictionaries(
    st.sampled_from(["type", "text", "mention", "keywords", "latitude", "contentProvider", "id"]),
    JSON | KINDS,
)


@given(
    KINDS,
    st.dictionaries(st.sampled_from(["source", "timestamp", "postback", "message", "replyToken"]), JSON),
    MESSAGE,
)
def test_reading_raises_nothing_for_any_event(kind: str, odd: dict[str, Any], said: dict[str, Any]) -> None:
    read(
        {**odd, "type": kind},
        event(type=kind, message=said),
        event(type=kind, timestamp=odd.get("timestamp")),
    )


@given(st.text(), st.lists(st.tuples(st.integers(), st.integers())))
def test_any_places_of_mentions_are_survived(text: str, spots: list[tuple[int, int]]) -> None:
    mentionees = [{"index": at, "length": length, "isSelf": True} for at, length in spots]
    assert len(read(message(type="text", text=text, mention={"mentionees": mentionees}))) == 1


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        codec.read(body, READER, NOW)
    except errors.UnreadablePayload:
        return
