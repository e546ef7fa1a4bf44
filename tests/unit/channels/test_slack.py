"""What only Slack does: its signature, its two events for one mention, its escapes, its failures inside a 200."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters.slack import codec, markup
from channels.adapters.slack.settings import SIMULATOR, SlackSettings
from channels.contract import Surroundings, Webhook
from channels.promises import Fetching
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
from service.simulate.chat.slack import PICTURE
from tests.conftest import StandingClock
from tests.fakes import faulty
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.slack import SlackSpecimen

READER = codec.Reader(tenant=TenantId("demo"), account="main", bot_user_id="UBOT")
VECTOR = (
    b'{"type":"event_callback","team_id":"T01","event_id":"Ev01","event_time":1790000000,"event":{"type":"message",'
    b'"channel":"D01","user":"U01","text":"\\u4f60\\u597d","ts":"1790000000.000100"}}'
)
SIGNATURE = "v0=c6ba0fa38663ae494aa5e28adc718c133f4e5f4bc8a1bf3660064257e8de80d9"


@pytest.fixture
def slack(database: Database, vault: Vault, clock: StandingClock) -> SlackSpecimen:
    return SlackSpecimen(
        Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)
    )


def vector(seconds: int = 0) -> Webhook:
    headers = {"x-slack-request-timestamp": "1790000000", "x-slack-signature": SIGNATURE}
    return Webhook("POST", {}, headers, VECTOR, datetime.fromtimestamp(1790000000 + seconds, UTC))


def read(event: dict[str, Any], reader: codec.Reader = READER, **outside: Any) -> list[InboundMessage]:
    body = {"type": "event_callback", "team_id": "T01", "event": event, **outside}
    return codec.read(json.dumps(body).encode(), reader, NOW)


def message(**event: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "channel": "C01",
        "channel_type": "channel",
        "user": "U01",
        "ts": "1.000100",
        **event,
    }


def outbound(reply: Reply, **context: str) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="slack", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role="bot", reply=reply, reply_context=context,
    )  # fmt: skip


async def send(slack: SlackSpecimen, reply: Reply, **context: str) -> str:
    (part,) = degrade.fit(outbound(reply, **context), slack.channel.capabilities)
    return await slack.channel.send(part, idempotency_key="k")


@pytest.mark.parametrize("seconds", [0, 300, -300])
def test_signature_of_the_platform_is_taken_when_it_is_fresh(slack: SlackSpecimen, seconds: int) -> None:
    assert len(VECTOR) == 186
    slack.channel.verify(vector(seconds))
    assert slack.channel.read(vector())[0].text == "你好"


@pytest.mark.parametrize("seconds", [301, -301])
def test_signature_is_refused_when_its_time_is_too_far(slack: SlackSpecimen, seconds: int) -> None:
    with pytest.raises(errors.NotAuthentic) as refused:
        slack.channel.verify(vector(seconds))
    assert refused.value.code == "stale_timestamp"


def test_address_is_confirmed_when_the_check_is_signed(slack: SlackSpecimen) -> None:
    call = slack.signed_body_call(b'{"token":"x","challenge":"abc-1","type":"url_verification"}')
    answer = slack.channel.handshake(call)
    assert answer is not None
    assert answer.body == b"abc-1"
    with pytest.raises(errors.NotAuthentic):
        slack.channel.handshake(replace(call, headers={}))


def test_customer_who_writes_the_word_of_the_check_is_heard(slack: SlackSpecimen) -> None:
    call = slack.text_call("what is url_verification", 1)
    assert slack.channel.handshake(call) is None
    assert slack.channel.read(call)[0].text == "what is url_verification"


@pytest.mark.parametrize("query", [{"ssl_check": "1"}, {}])
def test_check_of_the_certificate_is_answered(slack: SlackSpecimen, query: dict[str, str]) -> None:
    body = b"" if query else b"ssl_check=1&token=x"
    answer = slack.channel.handshake(Webhook("POST", query, {}, body, NOW))
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"")


def test_mention_is_one_message_when_both_events_come() -> None:
    text = "<@UBOT> 有人吗"
    (heard,) = read(message(text=text), event_id="Ev1")
    (mentioned,) = read({**message(text=text), "type": "app_mention"}, event_id="Ev2")
    assert heard.message_id == mentioned.message_id
    assert heard.thread == mentioned.thread == "C01:1.000100"


def test_message_is_one_when_it_comes_with_other_event_ids() -> None:
    ids = {read(message(text="<@UBOT> hi"), event_id=f"Ev{n}")[0].message_id for n in range(11)}
    assert len(ids) == 1


def test_message_id_covers_who_and_where() -> None:
    said = [
        read(message(text="<@UBOT> x", **other), team_id=team)[0].message_id
        for other in ({}, {"channel": "C02"}, {"user": "U02"}, {"ts": "1.000101"})
        for team in ("T01", "T02")
    ]
    assert len(set(said)) == 8


@pytest.mark.parametrize(
    "event",
    [
        message(text="<@UBOT> hi", bot_id="B9"),
        message(text="<@UBOT> hi", user="UBOT"),
        message(text="<@UBOT> hi", user="USLACKBOT"),
        message(text="<@UBOT> hi", subtype="channel_join"),
        message(subtype="message_deleted", user=None),
        message(text="between colleagues"),
        message(text="<@UOTHER> hi"),
    ],
)
def test_nothing_is_read_when_it_is_not_said_to_us(event: dict[str, Any]) -> None:
    assert read(event) == []


def test_everything_in_a_channel_is_read_when_the_account_says_so() -> None:
    assert read(message(text="hello"), replace(READER, channels="all"))[0].text == "hello"


def test_bot_is_known_by_the_call_when_the_account_does_not_name_it() -> None:
    reader = replace(READER, bot_user_id="")
    authorizations = [{"user_id": "U7", "is_bot": True}]
    assert read(message(text="<@U7|bot> hi"), reader, authorizations=authorizations)[0].text == "hi"


def test_direct_message_in_an_assistants_thread_stays_one_conversation() -> None:
    (found,) = read(message(channel="D01", channel_type="im", text="hi", thread_ts="0.9"))
    assert (found.thread, found.reply_context) == ("D01", {"channel": "D01", "thread_ts": "0.9"})


def test_other_account_is_refused() -> None:
    for reader in (replace(READER, team_id="T99"), replace(READER, app_id="A99")):
        with pytest.raises(errors.UnreadablePayload):
            read(message(text="hi"), reader, api_app_id="A01")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a &amp;lt; b", "a &lt; b"),
        ("<https://a.example/x>", "https://a.example/x"),
        ("<https://a.example/x|Order>", "Order (https://a.example/x)"),
        ("<http://a.example|a.example>", "a.example"),
        ("<mailto:li@example.org|li@example.org>", "li@example.org"),
        ("<tel:+8613800138000|13800138000>", "13800138000 (+8613800138000)"),
        ("<#C01|help> <@U02|lei> <@U03> <!here> <!subteam^S1|@team>", "#help @lei @U03 @here @team"),
        ("<!date^1790000000^{date}|Monday>", "Monday"),
        ("<@UBOT>", ""),
        ("  kept as it is  ", "  kept as it is  "),
        ("1 &lt; 2 &gt; 0", "1 < 2 > 0"),
    ],
)
def test_markup_is_read_as_people_see_it(written: str, shown: str) -> None:
    assert markup.read(written, "UBOT") == shown


@given(st.text())
def test_text_survives_escaping(text: str) -> None:
    assert markup.read(markup.escape(text), "") == text


async def test_reply_stands_in_the_thread_and_calls_nobody(slack: SlackSpecimen) -> None:
    sent = await send(slack, Reply(text="<!channel> 2*3 _look_"), channel="D" + CUSTOMER, thread_ts="1.0")
    assert sent
    body = slack.platform.calls[-1]
    assert (body["thread_ts"], body["mrkdwn"]) == ("1.0", False)
    assert body["text"] == "&lt;!channel&gt; 2*3 _look_"


async def test_button_comes_back_as_the_value_of_its_choice(slack: SlackSpecimen) -> None:
    choices = (Choice(label="退货", value="return"), Choice(label="很" * 90, value="v" * 2001))
    await send(slack, Reply(text="请选择", choices=choices))
    call = slack.platform.say("退货", user=CUSTOMER)
    webhook = Webhook("POST", {}, call.headers, call.body, NOW)
    slack.channel.verify(webhook)
    (found,) = slack.channel.read(webhook)
    assert (found.text, found.kind) == ("return", "text")
    second = slack.platform.calls[-1]["blocks"][1]["elements"][1]
    assert (len(second["text"]["text"]), len(second["value"])) == (75, 90)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ratelimited", errors.Exhausted),
        ("internal_error", errors.UpstreamUnavailable),
        ("token_revoked", errors.UpstreamRefused),
        ("is_archived", errors.UpstreamRefused),
        ("msg_too_long", errors.UnsupportedContent),
        ("Nobody <knows>", errors.UpstreamRefused),
    ],
)
async def test_failure_inside_a_200_becomes_its_error(
    slack: SlackSpecimen, code: str, kind: type[errors.ServiceError]
) -> None:
    answer = faulty.status(200, headers={"retry-after": "7"}, json={"ok": False, "error": code})
    slack.transport.next_call("chat.postMessage", answer)
    with pytest.raises(kind) as refused:
        await send(slack, Reply(text="hi"))
    assert refused.value.code.startswith("slack_")
    assert "<" not in refused.value.code
    assert refused.value.retry_after_seconds == (7 if kind is errors.Exhausted else None)


async def test_file_is_fetched_with_the_token_from_slack_only(slack: SlackSpecimen) -> None:
    assert isinstance(slack.channel, Fetching)
    for url in (
        "https://evil.example/F1",
        "http://files.slack.com/F1",
        "https://files.slack.com.evil.example/F1",
        "https://[",
    ):
        with pytest.raises(errors.UpstreamRefused):
            await slack.channel.fetch(Attachment(kind="image", url=url))
    assert slack.transport.requests == []
    found = await slack.channel.fetch(Attachment(kind="image", url=f"{slack.platform.address}/files/F1"))
    assert (found.content, found.media_type) == (PICTURE, "image/png")
    assert (await slack.channel.fetch(Attachment(kind="image", media_id="F1"))).content == PICTURE


async def test_sign_in_page_is_no_file(slack: SlackSpecimen) -> None:
    assert isinstance(slack.channel, Fetching)
    slack.transport.next_call("/files/", faulty.status(200, headers={"content-type": "text/html"}))
    with pytest.raises(errors.UpstreamRefused):
        await slack.channel.fetch(Attachment(kind="image", url=f"{slack.platform.address}/files/F1"))


async def test_test_names_the_workspace(slack: SlackSpecimen) -> None:
    assert isinstance(slack.channel, promises.Testing)
    assert "Simulated" in await slack.channel.test()


def test_half_an_account_is_refused_and_none_is_the_demo(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="signing_secret"):
        SlackSettings(bot_token=SecretStr("xoxb-1"))
    demo = SlackSettings(answer_in_channels="all").or_demo(vault)
    assert demo == SlackSettings(answer_in_channels="all").or_demo(vault)
    assert (demo.api_base, demo.answer_in_channels, demo.is_demo) == (SIMULATOR, "all", False)
    assert demo.signing_secret != SlackSettings().or_demo(Vault(b"x" * 32)).signing_secret


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["user", "channel", "text", "ts", "files", "id", "message", "value", "type"]),
            inner,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(["event_callback", "block_actions", "view_submission", "message", "app_mention", ""])


@given(
    KINDS,
    st.dictionaries(
        st.sampled_from(["event", "actions", "user", "channel", "team", "message", "authorizations"]), JSON
    ),
    st.dictionaries(
        st.sampled_from(["type", "user", "text", "ts", "files", "channel", "subtype"]), JSON | KINDS
    ),
)
def test_reading_raises_only_what_it_says(kind: str, payload: dict[str, Any], event: dict[str, Any]) -> None:
    for body in ({**payload, "type": kind}, {**payload, "type": kind, "event": event}):
        try:
            codec.read(json.dumps(body).encode(), replace(READER, channels="all"), NOW)
        except errors.UnreadablePayload:
            continue


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for content in (body, b"payload=" + body, b"command=x&user_id=U1&text=" + body):
        try:
            codec.read(content, READER, NOW)
        except errors.UnreadablePayload:
            continue
