"""Telegram: what its updates say, what it is told, and the rules it enforces, with the simulator in its place."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.telegram import codec, render
from channels.adapters.telegram.channel import SPEC
from channels.adapters.telegram.settings import TelegramSettings, demo_settings
from channels.contract import Surroundings, Webhook
from channels.promises import Fetching
from foundation import errors
from foundation.conversations import Conversation
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
from tests.conftest import StandingClock
from tests.fakes import faulty
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.telegram import TelegramSpecimen, webhook_of

LI = {"id": 55501, "is_bot": False, "first_name": "Li", "last_name": "Hua"}
CHAT = {"id": 55501, "type": "private"}
GROUP = {"id": -1001, "type": "supergroup"}


@pytest.fixture
def telegram(database: Database, vault: Vault, clock: StandingClock) -> TelegramSpecimen:
    return TelegramSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)
    )


def read(kind: str, content: object, *, update_id: object = 1, account: str = "main") -> list[InboundMessage]:
    body = json.dumps({"update_id": update_id, kind: content}).encode()
    return codec.read(body, tenant=TenantId("demo"), account=account, bot_id="7", received_at=NOW)


def said(chat: dict[str, Any] = CHAT, **content: Any) -> dict[str, Any]:
    return {"message_id": 5, "date": 1790000000, "from": LI, "chat": chat, **content}


def one(**content: Any) -> InboundMessage:
    (message,) = read("message", said(**content))
    return message


def outbound(reply: Reply, **context: str) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="telegram", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role="bot", reply=reply, reply_context=context,
    )  # fmt: skip


def calls(reply: Reply, **context: str) -> list[render.Method]:
    (part,) = degrade.fit(outbound(reply, **context), render.CAPABILITIES)
    return render.calls(part)


async def send(telegram: TelegramSpecimen, reply: Reply, **context: str) -> str:
    (part,) = degrade.fit(outbound(reply, **context), render.CAPABILITIES)
    return await telegram.channel.send(part, idempotency_key="c1/1/0")


@pytest.mark.parametrize("token", ["tg secret", "x" * 257, "tg_secret-0001 ", "密"])
def test_secret_token_that_telegram_would_not_take_is_refused_at_once(token: str) -> None:
    with pytest.raises(ValidationError):
        TelegramSettings(bot_token=SecretStr("1:AAAAAAAAAAAA"), secret_token=SecretStr(token))


@pytest.mark.parametrize("given_token", ["tg_secret-0001 ", "TG_SECRET-0001", "", "tg_secret-000"])
def test_only_the_very_secret_token_is_taken(telegram: TelegramSpecimen, given_token: str) -> None:
    name = "x-telegram-bot-api-secret-token"
    telegram.channel.verify(Webhook("POST", {}, {name: "tg_secret-0001"}, b"{}", NOW))
    with pytest.raises(errors.NotAuthentic):
        telegram.channel.verify(Webhook("POST", {}, {name: given_token}, b"{}", NOW))


def test_settings_name_what_is_missing_and_the_demo_needs_none(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="missing: secret_token"):
        TelegramSettings(bot_token=SecretStr("1:AAAAAAAAAAAA"))
    with pytest.raises(ValidationError, match="BotFather"):
        TelegramSettings(bot_token=SecretStr("../x"), secret_token=SecretStr("s"))
    demo = TelegramSettings(api_base="http://127.0.0.1:9").or_demo(vault)
    assert demo == demo_settings(vault).model_copy(update={"api_base": "http://127.0.0.1:9"})
    assert TelegramSettings.model_validate(demo.model_dump()) == demo
    assert demo.or_demo(vault) is demo
    assert all(field.description for field in SPEC.settings.model_fields.values())


@pytest.mark.parametrize(
    ("chat", "text", "event", "found"),
    [
        (CHAT, "/start", "enter", ""),
        (CHAT, "/start@DemoBot", "enter", ""),
        (CHAT, "/start shop-7", "enter", ""),
        (CHAT, "/start 订单 1001", "", "订单 1001"),
        (CHAT, "/starts", "", "/starts"),
        (CHAT, "@demo_bot hello", "", "@demo_bot hello"),
        (GROUP, "@demo_bot， hello @demo_bot", "", "hello @demo_bot"),
        (GROUP, "@friend hello", "", "@friend hello"),
        (GROUP, "/help@DemoBot me", "", "/help me"),
    ],
)
def test_text_is_what_the_customer_meant_to_say(
    chat: dict[str, Any], text: str, event: str, found: str
) -> None:
    message = one(chat=chat, text=text)
    assert (message.event, message.text) == (event, found)


def test_conversation_is_the_chat_and_in_a_forum_its_topic() -> None:
    assert one(text="a").thread == "55501"
    forum = {"chat": GROUP, "is_topic_message": True, "message_thread_id": 9, "text": "a"}
    message = one(**forum)
    assert message.thread == "-1001:9"
    assert message.reply_context == {"chat_id": "-1001", "topic": "9", "reply_to": "5"}
    assert one(chat=GROUP, message_thread_id=9, text="a").thread == "-1001"


def test_message_is_one_even_under_another_update_id_and_an_edit_is_another() -> None:
    (first,) = read("message", said(text="a"), update_id=1)
    (again,) = read("message", said(text="a"), update_id=2)
    (edit,) = read("edited_message", said(text="b", edit_date=1790000001), update_id=3)
    (edit_again,) = read("edited_message", said(text="b", edit_date=1790000001), update_id=4)
    (elsewhere,) = read("message", said(text="a"), account="second")
    assert first.message_id == again.message_id
    assert edit.message_id == edit_again.message_id
    assert len({first.message_id, edit.message_id, elsewhere.message_id}) == 3
    assert (edit.kind, edit.event, edit.event_data["text"]) == ("event", "edit", "b")


@pytest.mark.parametrize(
    ("content", "kind", "media_id"),
    [
        ({"sticker": {"file_id": "s"}}, "image", "s"),
        ({"video_note": {"file_id": "v"}}, "video", "v"),
        ({"audio": {"file_id": "a"}}, "voice", "a"),
        ({"document": {"file_id": "d"}, "animation": {"file_id": "g"}}, "video", "g"),
        ({"photo": [{"file_id": "s"}, {"file_id": "l"}]}, "image", "l"),
    ],
)
def test_file_is_named_by_the_handle_that_fetches_it(
    content: dict[str, Any], kind: str, media_id: str
) -> None:
    message = one(caption="look", **content)
    assert (message.kind, message.text, message.attachments[0].media_id) == (kind, "look", media_id)


@pytest.mark.parametrize(
    "content", [{"photo": []}, {"photo": "x"}, {"voice": {}}, {"contact": {"phone_number": "1"}}]
)
def test_message_without_anything_to_read_is_unknown(content: dict[str, Any]) -> None:
    assert one(**content).kind == "unknown"


def test_venue_is_a_place_with_a_name() -> None:
    venue = {"location": {"latitude": 30.0, "longitude": 500}, "title": "Shop", "address": "1 Road"}
    (place,) = one(location=venue["location"], venue=venue).attachments
    assert (place.latitude, place.longitude, place.name, place.description) == (30.0, None, "Shop", "1 Road")


@pytest.mark.parametrize(
    ("status", "event"), [("kicked", "blocked"), ("member", "unblocked"), ("odd", "my_chat_member")]
)
def test_membership_says_whether_we_may_write(status: str, event: str) -> None:
    content = {"chat": CHAT, "from": LI, "date": 1790000000, "new_chat_member": {"status": status}}
    assert read("my_chat_member", content)[0].event == event


def test_bots_channels_and_updates_without_a_person_say_nothing() -> None:
    assert read("message", said(text="beep", **{"from": {"id": 9, "is_bot": True}})) == []
    assert read("channel_post", {"chat": GROUP, "text": "news"}) == []
    assert read("poll", {"id": "1"}) == []


@pytest.mark.parametrize(
    "body", [b"{}", b'{"update_id":1}', b'{"message":{}}', b'{"update_id":1,"message":7}']
)
def test_what_is_no_update_is_unreadable(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.read(body, tenant=TenantId("demo"), account="a", bot_id="7", received_at=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["/start", "private"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text() | st.sampled_from(["from", "id", "chat", "text", "photo", "file_id", "location", "latitude", "message",
                                     "data", "reply_markup", "inline_keyboard", "date", "new_chat_member", "venue"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(
    kind=st.sampled_from(["message", "edited_message", "callback_query", "my_chat_member", "x"]), content=JSON
)
def test_reading_raises_nothing_else_whatever_telegram_sends(kind: str, content: object) -> None:
    more = content if isinstance(content, dict) else {"text": content, "message": content, "photo": content}
    for whole in (content, {"from": LI, **more}, {"chat": CHAT, "message_id": 1, **more, "from": LI}):
        with contextlib.suppress(errors.UnreadablePayload):
            read(kind, whole)
        codec.query_of(json.dumps({"update_id": 1, kind: whole}).encode())


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_reading_raises_nothing_else_whatever_the_bytes_are(body: bytes) -> None:
    assert codec.query_of(body) == ""
    with pytest.raises(errors.UnreadablePayload):
        codec.read(body, tenant=TenantId("demo"), account="a", bot_id="7", received_at=NOW)


def test_choices_are_a_keyboard_with_short_labels_side_by_side() -> None:
    options = tuple(
        Choice(label=label, value=f"v{label}") for label in ("a", "b", "a much longer label", "c")
    )
    ((method, body),) = calls(Reply(text="?", choices=options))
    keyboard = body["reply_markup"]["inline_keyboard"]
    assert method == "sendMessage"
    assert [[button["text"] for button in line] for line in keyboard] == [
        ["a", "b"],
        ["a much longer label"],
        ["c"],
    ]
    assert keyboard[0][0]["callback_data"] == "va"


def test_choices_become_numbered_lines_when_a_value_is_too_long_for_a_button() -> None:
    options = (Choice(label="a", value="值" * 22), Choice(label="b", value="b"))
    ((_, body),) = calls(Reply(text="a*b*c", choices=options))
    assert "reply_markup" not in body
    assert body["text"].startswith("a*b*c")
    assert "2. b" in body["text"]


def test_reply_in_a_group_names_the_message_and_stays_in_its_topic() -> None:
    ((_, body),) = calls(Reply(text="x"), chat_id="-1001", topic="9", reply_to="5")
    assert (body["chat_id"], body["message_thread_id"]) == ("-1001", 9)
    assert body["reply_parameters"] == {"message_id": 5, "allow_sending_without_reply": True}
    assert calls(Reply(text="x"))[0][1] == {"chat_id": CUSTOMER, "text": "x"}


def test_picture_carries_the_text_and_a_place_stands_for_itself() -> None:
    picture = Attachment(kind="image", url="https://shop/p.png")
    ((method, body),) = calls(
        Reply(text="看", attachments=(picture,), choices=(Choice(label="a", value="a"),))
    )
    assert (method, body["photo"], body["caption"]) == ("sendPhoto", "https://shop/p.png", "看")
    assert body["reply_markup"]
    place = Attachment(kind="location", latitude=30.0, longitude=120.0, name="Shop", description="1 Road")
    assert [name for name, _ in calls(Reply(text="来", attachments=(place,)))] == ["sendMessage", "sendVenue"]
    long = calls(Reply(text="长" * 1025, attachments=(picture,)))
    assert [name for name, _ in long] == ["sendMessage", "sendPhoto"]


async def test_tapped_choice_comes_back_as_its_value_and_stops_waiting(telegram: TelegramSpecimen) -> None:
    options = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
    await send(telegram, Reply(text="?", choices=options))
    call = webhook_of(telegram.platform.say("退货", user="tests"))
    (message,) = telegram.channel.read(call)
    assert (message.text, message.event_data["label"]) == ("return", "退货")
    answer = telegram.channel.acknowledge(call)
    assert json.loads(answer.body)["method"] == "answerCallbackQuery"
    assert answer.media_type == "application/json"
    assert telegram.channel.acknowledge(telegram.text_call("x", 1)).body == b""


@pytest.mark.parametrize(
    ("status", "content", "kind", "code"),
    [
        (403, {"description": "Forbidden: bot was blocked by the user"}, errors.UpstreamRefused, "telegram_unreachable"),
        (400, {"description": "Bad Request: chat not found"}, errors.UpstreamRefused, "telegram_unreachable"),
        (400, {"description": "Bad Request: message is too long"}, errors.UnsupportedContent, "telegram_too_long"),
        (400, {"description": "Bad Request: something new"}, errors.UpstreamRefused, "telegram_http_400"),
        (400, {"description": 7, "parameters": 7}, errors.UpstreamRefused, "telegram_http_400"),
        (404, {"description": "Not Found"}, errors.UpstreamRefused, "telegram_credentials"),
        (409, {}, errors.UpstreamRefused, "telegram_polled_elsewhere"),
        (502, {}, errors.UpstreamUnavailable, "telegram_http_502"),
        (200, {"ok": False}, errors.UpstreamUnavailable, "telegram_unreadable"),
    ],
)  # fmt: skip
async def test_refusal_says_what_to_do(
    telegram: TelegramSpecimen, status: int, content: object, kind: type[errors.ServiceError], code: str
) -> None:
    telegram.transport.next_call("/sendMessage", faulty.status(status, content))
    with pytest.raises(kind) as raised:
        await send(telegram, Reply(text="x"))
    assert raised.value.code == code


async def test_wait_that_stands_in_the_body_is_told(telegram: TelegramSpecimen) -> None:
    limited = faulty.status(429, {"ok": False, "parameters": {"retry_after": 37}})
    telegram.transport.next_call("/sendMessage", limited)
    with pytest.raises(errors.Exhausted) as raised:
        await send(telegram, Reply(text="x"))
    assert raised.value.retry_after_seconds == 37


async def test_blocked_bot_is_told_and_works_again_when_unblocked(telegram: TelegramSpecimen) -> None:
    telegram.platform.blocked.add(CUSTOMER)
    with pytest.raises(errors.UpstreamRefused):
        await send(telegram, Reply(text="x"))
    telegram.platform.blocked.clear()
    assert (await send(telegram, Reply(text="x"))).isdecimal()


async def test_reply_follows_a_group_that_has_moved(telegram: TelegramSpecimen) -> None:
    telegram.platform.people.wrote("group", NOW, "-100900")
    telegram.platform.moved["-55"] = "-100900"
    await send(telegram, Reply(text="x"), chat_id="-55", reply_to="5")
    assert telegram.platform.sent == [("sendMessage", {"chat_id": "-100900", "text": "x"})]


async def test_file_is_fetched_in_two_steps(telegram: TelegramSpecimen) -> None:
    telegram.platform.files["large"] = b"picture"
    channel = telegram.channel
    assert isinstance(channel, Fetching)
    media = await channel.fetch(Attachment(kind="image", media_id="large", media_type="image/jpeg"))
    assert (media.content, media.media_type) == (b"picture", "image/jpeg")
    with pytest.raises(errors.UpstreamRefused):
        await channel.fetch(Attachment(kind="image", media_id="unknown"))


@pytest.mark.parametrize("path", ["", "../../etc", "/etc", 7])
async def test_path_of_a_file_leads_nowhere_else(telegram: TelegramSpecimen, path: object) -> None:
    answer = {"ok": True, "result": {"file_path": path}}
    telegram.transport.next_call("/getFile", faulty.status(200, answer))
    assert isinstance(telegram.channel, Fetching)
    with pytest.raises((errors.UpstreamRefused, errors.UpstreamUnavailable)):
        await telegram.channel.fetch(Attachment(kind="image", media_id="large"))


async def test_large_file_is_named_so(telegram: TelegramSpecimen) -> None:
    refused = faulty.status(400, {"ok": False, "description": "Bad Request: file is too big"})
    telegram.transport.next_call("/getFile", refused)
    assert isinstance(telegram.channel, Fetching)
    with pytest.raises(errors.InvalidInput) as raised:
        await telegram.channel.fetch(Attachment(kind="video", media_id="v"))
    assert raised.value.code == "too_large"


async def test_credentials_are_tested_and_the_webhook_looked_at(telegram: TelegramSpecimen) -> None:
    channel = telegram.channel
    assert isinstance(channel, promises.Testing)
    assert "does not point here" in await channel.test()
    telegram.platform.webhook = {"url": "https://care.example.com/v1/hooks/demo/telegram"}
    assert await channel.test() == "Telegram answers for @demo_shop_bot."
    telegram.platform.webhook["last_error_message"] = "Connection refused"
    assert "Connection refused" in await channel.test()


def conversation(**context: str) -> Conversation:
    return Conversation(
        ConversationId("c1"), TenantId("demo"), "telegram", "main", CUSTOMER, None, "bot", None, "open", "zh", None, None,
        {}, context, 1, 0, 0, NOW, None, NOW, NOW,
    )  # fmt: skip


async def test_typing_is_shown_and_never_in_the_way(telegram: TelegramSpecimen) -> None:
    await telegram.channel.show_typing(conversation(reply_to="5"))
    assert telegram.platform.sent == [("sendChatAction", {"chat_id": CUSTOMER, "action": "typing"})]
    telegram.transport.next_call("/sendChatAction", faulty.timeout)
    await telegram.channel.show_typing(conversation())


async def test_token_is_in_no_log_of_the_http_client(
    telegram: TelegramSpecimen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    token = telegram.settings.bot_token.get_secret_value()
    with structlog.testing.capture_logs() as lines:
        await send(telegram, Reply(text="x"))
        telegram.transport.next_call("/sendMessage", _unreachable)
        with pytest.raises(errors.UpstreamUnavailable) as raised:
            await send(telegram, Reply(text="x"))
    assert token not in caplog.text + repr(lines) + repr(raised.value) + repr(raised.value.__cause__)


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)
