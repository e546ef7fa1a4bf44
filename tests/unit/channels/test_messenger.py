"""Messenger: what its calls say, what it is told, and the rules it enforces, with the simulator in its place."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.messenger import codec, render
from channels.adapters.messenger.channel import SPEC
from channels.adapters.messenger.settings import MessengerSettings, demo_settings
from channels.contract import Receipt, Surroundings, Watermark
from channels.promises import Fetching, Reporting
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
from tests.fakes.specimens.messenger import MessengerSpecimen
from tests.fakes.specimens.whatsapp import webhook_of

PAGE = "200300400500600"


@pytest.fixture
def messenger(database: Database, vault: Vault, clock: StandingClock) -> MessengerSpecimen:
    return MessengerSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)
    )


def whole(*items: object, page: str = PAGE) -> bytes:
    return json.dumps({"object": "page", "entry": [{"id": page, "messaging": list(items)}]}).encode()


def read(*items: object, page: str = PAGE) -> list[InboundMessage]:
    return codec.read(
        whole(*items, page=page), tenant=TenantId("demo"), account="main", page_id=PAGE, get_started="GO", received_at=NOW
    )  # fmt: skip


def item(sender: str = "1", **content: Any) -> dict[str, Any]:
    return {"sender": {"id": sender}, "recipient": {"id": PAGE}, "timestamp": 1790000000123, **content}


def said(**message: Any) -> dict[str, Any]:
    return item(message={"mid": "m_1", **message})


def outbound(reply: Reply, role: Literal["bot", "agent"] = "bot") -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="messenger", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role=role, reply=reply,
    )  # fmt: skip


def bodies(
    reply: Reply, *, role: Literal["bot", "agent"] = "bot", human: bool = False
) -> list[dict[str, Any]]:
    (part,) = degrade.fit(outbound(reply, role), render.CAPABILITIES)
    return render.messages(part, human_agent=human)


def choices(*labels: str) -> tuple[Choice, ...]:
    return tuple(Choice(label=label, value=f"v{index}") for index, label in enumerate(labels))


async def send(messenger: MessengerSpecimen, reply: Reply, role: Literal["bot", "agent"] = "bot") -> str:
    (part,) = degrade.fit(outbound(reply, role), render.CAPABILITIES)
    return await messenger.channel.send(part, idempotency_key="c1/1/0")


def test_all_items_are_read_and_broken_ones_do_not_spoil_the_others() -> None:
    broken: list[Any] = [None, 7, {}, {"message": {"text": "who?"}}, {"sender": "x", "message": {}}]
    found = read(*broken, said(text="a"), item("2", message={"mid": "m_2", "text": "b"}))
    assert [(message.thread, message.text) for message in found] == [("1", "a"), ("2", "b")]
    assert found[0].sender[0].namespace == f"messenger:{PAGE}"
    assert found[0].sent_at.microsecond == 123_000


def test_call_is_kept_as_unreadable_when_it_is_for_another_page_or_names_nobody() -> None:
    for items, page in (([said(text="a")], "999"), ([{"message": {"text": "who?"}}], PAGE)):
        with pytest.raises(errors.UnreadablePayload) as raised:
            read(*items, page=page)
        assert raised.value.code == "other_account"


def test_own_echoes_are_no_messages() -> None:
    assert read(item(message={"mid": "m", "text": "ours", "is_echo": True})) == []
    assert read(item(PAGE, message={"mid": "m", "text": "ours"})) == []
    assert read({"sender": {"id": PAGE}, "recipient": {"id": "1"}, "delivery": {}, "read": {}}) == []


@pytest.mark.parametrize(
    ("message", "kind", "count"),
    [
        ({"attachments": [{"type": "image", "payload": {"url": "u"}}, {"type": "file", "payload": {"url": "f"}}]}, "image", 2),
        ({"text": "see", "attachments": [{"type": "fallback", "title": "t", "url": "https://x"}]}, "text", 1),
        ({"attachments": [{"type": "fallback", "title": "t", "url": "https://x"}]}, "link", 1),
        ({"attachments": [{"type": "hologram", "payload": {}}]}, "unknown", 0),
        ({"attachments": "none"}, "unknown", 0),
        ({"text": ""}, "text", 0),
    ],
)  # fmt: skip
def test_attachments_say_what_kind_of_message_it_is(message: dict[str, Any], kind: str, count: int) -> None:
    (found,) = read(said(**message))
    assert (found.kind, len(found.attachments)) == (kind, count)


def test_postback_is_its_payload_and_the_first_one_opens_the_conversation() -> None:
    (chosen,) = read(item(postback={"title": "Returns", "payload": "return"}))
    assert (chosen.text, chosen.event_data) == ("return", {"label": "Returns"})
    (started,) = read(item(postback={"payload": "GO", "referral": {"ref": "poster", "source": "ADS"}}))
    assert (started.event, started.event_data["ref"]) == ("enter", "poster")


def test_items_without_an_id_are_told_apart_by_what_they_say() -> None:
    first, again, other = (
        read(item(postback={"payload": payload}))[0].message_id for payload in ("a", "a", "b")
    )
    assert first == again != other


def test_receipts_name_messages_or_all_up_to_a_moment(messenger: MessengerSpecimen) -> None:
    mark = int(NOW.timestamp() * 1000) - 5000
    call = webhook_of(
        messenger.platform.call(
            item(delivery={"mids": ["m_1", "", 7, "m_2"], "watermark": 1}),
            item(read={"watermark": mark}),
            item(read={"mid": "m_3"}),
            item(delivery={"mids": "m_4", "watermark": mark + 60_000}),
            *(item(read={"watermark": odd}) for odd in (0, -1, "soon", 10**30, True, None)),
        )
    )
    assert isinstance(messenger.channel, Reporting)
    seen_at = NOW - timedelta(seconds=5)
    assert messenger.channel.receipts(call) == [
        Receipt("m_1", "delivered"),
        Receipt("7", "delivered"),
        Receipt("m_2", "delivered"),
        Watermark("main", "1", seen_at, "read"),
        Receipt("m_3", "read"),
        Watermark("main", "1", NOW, "delivered"),
    ]
    assert messenger.channel.read(call) == []
    assert receipts(whole(item(delivery={"mids": ["m"]}), page="999")) == []


def receipts(body: bytes) -> list[Receipt | Watermark]:
    return codec.read_receipts(body, account="main", page_id=PAGE, received_at=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["image", "location", "GO"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text() | st.sampled_from(["sender", "id", "message", "text", "mid", "attachments", "type", "payload", "url",
                                     "coordinates", "postback", "delivery", "mids", "watermark", "read", "timestamp", "quick_reply"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(content=JSON)
def test_reading_raises_nothing_else_whatever_messenger_sends(content: object) -> None:
    more = content if isinstance(content, dict) else {"message": content, "postback": content}
    for one in (content, {**item(), **more}, item(message=content), item(message={"attachments": [content]})):
        receipts(whole(one))
        with contextlib.suppress(errors.UnreadablePayload):
            read(one)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_reading_raises_nothing_else_whatever_the_bytes_are(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.read(
            body, tenant=TenantId("demo"), account="a", page_id=PAGE, get_started="GO", received_at=NOW
        )


def test_choices_are_quick_replies_on_the_last_message() -> None:
    picture = Attachment(kind="image", url="https://shop/p.png")
    first, last = bodies(Reply(text="?", choices=choices("a", "b"), attachments=(picture,)))
    assert first["message"]["attachment"]["type"] == "image"
    assert [reply["payload"] for reply in last["message"]["quick_replies"]] == ["v0", "v1"]
    assert last["messaging_type"] == "RESPONSE"


@pytest.mark.parametrize("labels", [("x" * 21, "b"), ("same", "same"), (" ", "b")])
def test_choices_become_numbered_lines_when_labels_do_not_fit(labels: tuple[str, ...]) -> None:
    (body,) = bodies(Reply(text="a*b*c", choices=choices(*labels)))
    assert "quick_replies" not in body["message"]
    assert body["message"]["text"].startswith("a*b*c")
    assert "2. " in body["message"]["text"]


def test_medium_that_meta_cannot_fetch_is_said() -> None:
    (body,) = bodies(Reply(text="文件", attachments=(Attachment(kind="file", url="/files/a.pdf"),)))
    assert "/files/a.pdf" in body["message"]["text"]


async def test_window_is_closed_a_day_after_the_customers_message(
    messenger: MessengerSpecimen, clock: StandingClock
) -> None:
    clock.move(hours=24, seconds=1)
    with pytest.raises(errors.UpstreamRefused) as raised:
        await send(messenger, Reply(text="late"))
    assert raised.value.code == "messenger_window_closed"


async def test_people_answer_for_seven_days_when_meta_has_granted_it(
    messenger: MessengerSpecimen, clock: StandingClock
) -> None:
    channel = messenger.channel_with(messenger.settings.model_copy(update={"human_agent": True}))
    messenger.channel = channel
    assert channel.capabilities.reply_window_seconds == 7 * 86_400
    clock.move(days=6)
    assert await send(messenger, Reply(text="from the desk"), "agent")
    with pytest.raises(errors.UpstreamRefused):
        await send(messenger, Reply(text="from the bot"))
    clock.move(days=2)
    with pytest.raises(errors.UpstreamRefused):
        await send(messenger, Reply(text="too late"), "agent")
    assert messenger.seen() == ["from the desk"]
    assert messenger.platform.sent[0]["tag"] == "HUMAN_AGENT"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"code": 551}, errors.UpstreamRefused, "messenger_unreachable"),
        ({"code": 10, "error_subcode": 1893063}, errors.Exhausted, "messenger_restricted"),
        ({"code": 10, "error_subcode": 1}, errors.UpstreamRefused, "messenger_no_permission"),
        ({"code": 100, "error_subcode": 2018001}, errors.UpstreamRefused, "messenger_unreachable"),
        ({"code": 100}, errors.UpstreamRefused, "messenger_malformed"),
        ({"code": 613}, errors.Exhausted, "messenger_too_frequent"),
        ({"code": 1200}, errors.UpstreamUnavailable, "messenger_busy"),
        ({"code": 190}, errors.UpstreamRefused, "messenger_credentials"),
    ],
)
async def test_number_of_a_refusal_says_what_to_do(
    messenger: MessengerSpecimen, error: object, kind: type[errors.ServiceError], code: str
) -> None:
    messenger.transport.next_call("/messages", faulty.status(400, {"error": error}))
    with pytest.raises(kind) as raised:
        await send(messenger, Reply(text="x"))
    assert raised.value.code == code


async def test_file_is_fetched_without_the_token_and_from_known_hosts_only(
    messenger: MessengerSpecimen,
) -> None:
    messenger.platform.files["x.jpg"] = b"picture"
    channel = messenger.channel
    assert isinstance(channel, Fetching)
    media = await channel.fetch(Attachment(kind="image", url=f"{messenger.settings.api_base}/files/x.jpg"))
    assert (media.content, media.media_type) == (b"picture", "image/jpeg")
    assert "authorization" not in messenger.transport.requests[-1].headers
    with pytest.raises(errors.UpstreamRefused):
        await channel.fetch(Attachment(kind="image", url="http://169.254.169.254/latest"))


async def test_page_is_named_when_the_credentials_are_tested(messenger: MessengerSpecimen) -> None:
    assert isinstance(messenger.channel, promises.Testing)
    assert "Demo shop" in await messenger.channel.test()


async def test_typing_is_a_call_of_its_own_and_never_in_the_way(messenger: MessengerSpecimen) -> None:
    conversation = Conversation(
        ConversationId("c1"), TenantId("demo"), "messenger", "main", CUSTOMER, None, "bot", None, "open", "zh", None, None,
        {}, {}, 1, 0, 0, NOW, None, NOW, NOW,
    )  # fmt: skip
    await messenger.channel.show_typing(conversation)
    assert [shown.kind for shown in messenger.shown] == ["typing"]
    messenger.transport.next_call("/messages", faulty.timeout)
    await messenger.channel.show_typing(conversation)


async def test_tapped_quick_reply_comes_back_as_its_value(messenger: MessengerSpecimen) -> None:
    options = (Choice(label="查物流", value="track"), Choice(label="退货", value="return"))
    await send(messenger, Reply(text="?", choices=options))
    (message,) = messenger.channel.read(webhook_of(messenger.platform.say("退货", user="tests")))
    assert (message.text, message.event_data["label"]) == ("return", "退货")


def test_settings_name_what_is_missing_and_the_demo_needs_none(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="missing: access_token, verify_token"):
        MessengerSettings(page_id="1", app_secret=SecretStr("s"))
    demo = MessengerSettings(api_base="http://127.0.0.1:9", human_agent=True).or_demo(vault)
    changed = {"api_base": "http://127.0.0.1:9", "human_agent": True}
    assert demo == demo_settings(vault).model_copy(update=changed)
    assert demo.or_demo(vault) is demo
    assert all(field.description for field in SPEC.settings.model_fields.values())
