"""A mini program's customer messages: both forms, plain and encrypted, and the short window after entering."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters import wechat_mini
from channels.adapters.wechat_mini import codec
from channels.adapters.wechat_mini.channel import WechatMiniChannel
from channels.adapters.wechat_mini.connection import Connection
from channels.adapters.wechat_mini.settings import WechatMiniSettings
from channels.contract import Surroundings, Webhook
from channels.families.wechat.codec import parse_either, render_xml
from channels.families.wechat.crypto import Cipher, sign
from channels.promises import Fetching
from foundation import conversations, errors
from foundation.clock import utc_now
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
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat.wechat_mini import WechatMiniPlatform
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.fakes.faulty import FaultyTransport

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SETTINGS = WechatMiniSettings(
    app_id="wx0123456789abcdef",
    app_secret=SecretStr("invented-secret"),
    token=SecretStr("csgw-token-2026"),
    encoding_aes_key=SecretStr(KEY),
    original_id="gh_mp01",
    mode="compatible",
)
TEXT = {
    "ToUserName": "gh_mp01", "FromUserName": "oMp-77", "CreateTime": 1767225600, "MsgType": "text",
    "Content": "refund?", "MsgId": 24600000000000001,
}  # fmt: skip
ENTER = {
    "ToUserName": "gh_mp01", "FromUserName": "oMp-77", "CreateTime": 1767225590, "MsgType": "event",
    "Event": "user_enter_tempsession", "SessionFrom": "order:1001",
}  # fmt: skip


class Mini:
    def __init__(self, surroundings: Surroundings) -> None:
        self.seen: list[Shown] = []
        self.surroundings = surroundings
        self.platform = WechatMiniPlatform(
            SETTINGS, Options(surroundings.vault), surroundings.clock, self.seen.append
        )
        self.transport = FaultyTransport(self.platform.application())
        self.channel = self.with_settings()

    def with_settings(self, **changed: Any) -> WechatMiniChannel:
        settings = SETTINGS.model_copy(update=changed)
        connection = Connection(settings, self.surroundings, transport=self.transport)
        return WechatMiniChannel(settings, self.surroundings, connection)

    def webhook(self, call: Call) -> Webhook:
        return Webhook(call.method, call.query, call.headers, call.body, self.surroundings.clock())

    async def send(self, reply: Reply | str, *, to: str = "oMp-77") -> None:
        message = OutboundMessage(
            tenant=TenantId("demo"), channel="wechat_mini", account="main", conversation_id=ConversationId("c1"),
            message_id=MessageId("m1"), recipient=to, role="bot",
            reply=Reply(text=reply) if isinstance(reply, str) else reply,
        )  # fmt: skip
        for part in degrade.fit(message, self.channel.capabilities):
            await self.channel.send(part, idempotency_key=str(part.index))


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def mini(surroundings: Surroundings) -> Mini:
    return Mini(surroundings)


def read(body: bytes) -> InboundMessage:
    return codec.parse_message(
        body, tenant=TenantId("demo"), account="main", app_id="wx01", received_at=utc_now(), original_id="gh_mp01"
    )  # fmt: skip


def as_json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def as_xml(fields: dict[str, Any]) -> bytes:
    return render_xml({name: str(value) for name, value in fields.items()})


def test_vector_of_the_platform_opens_in_a_json_envelope() -> None:
    encrypted = (
        "Q3stYC6hdFzMh9T8HCvyDG2Tw8XyxKdpQF1aTgJRoyC8R/YhDhU2p7QgeW3RuAyT324p7gyIvc0mzHvFjo9/l9Yi61Abjm2pCGQKcbnjrFJO5b"
        "rVD76D+6LhrBfl04I+"
    )
    envelope = parse_either(as_json({"ToUserName": "gh_mp01", "Encrypt": encrypted}))
    signature = sign("csgw-token-2026", "1767225600", "n0nce77", envelope["Encrypt"])
    assert signature == "ce3f21cb1b17ea681f265c211805be1c27ada0b7"
    assert Cipher(KEY, "wx0123456789abcdef").decrypt(envelope["Encrypt"]) == b"<xml><MsgId>42</MsgId></xml>"


@pytest.mark.parametrize("fields", [TEXT, ENTER])
def test_message_is_the_same_in_both_forms(fields: dict[str, Any]) -> None:
    assert read(as_json(fields)) == read(as_xml(fields)) == read(b" \n" + as_json(fields))


def test_text_keeps_who_when_and_what_and_every_digit_of_its_id() -> None:
    message = read(as_json(TEXT))
    assert (message.account, message.thread, message.text) == ("main", "oMp-77", "refund?")
    assert message.sender == (Identifier(namespace="wechat_mini:wx01", value="oMp-77", proven=True),)
    following = read(as_json({**TEXT, "MsgId": 24600000000000002}))
    assert following.message_id != message.message_id
    assert "oMp-77" not in message.message_id


def test_entering_brings_what_the_button_carried() -> None:
    message = read(as_json(ENTER))
    assert (message.kind, message.event, message.event_data) == (
        "event",
        "enter",
        {"SessionFrom": "order:1001"},
    )
    assert read(as_json({**ENTER, "CreateTime": 1767225700})).message_id != message.message_id


def test_page_of_a_mini_program_is_a_link_that_its_owner_understands() -> None:
    fields = {**TEXT, "MsgType": "miniprogrampage", "Title": "雨伞", "PagePath": "pages/goods?id=7"}
    (page,) = read(as_json(fields)).attachments
    assert (page.kind, page.name, page.media_id) == ("link", "雨伞", "pages/goods?id=7")


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("mode", ["plain", "secure"])
def test_call_passes_when_the_platform_signed_it(
    mini: Mini, form: Literal["json", "xml"], mode: Literal["plain", "secure"]
) -> None:
    mini.platform.form = form
    body = mini.platform.render({name: str(value) for name, value in TEXT.items()})
    call = mini.webhook(mini.platform.post(body, mode=mode))
    mini.channel.verify(call)
    assert [message.text for message in mini.channel.read(call)] == ["refund?"]
    assert mini.channel.acknowledge(call).body == b"success"
    with pytest.raises(errors.NotAuthentic):
        mini.channel.verify(replace(call, query={**call.query, "nonce": "another"}))
    if mode == "plain":
        with pytest.raises(errors.NotAuthentic):
            mini.with_settings(mode="secure").verify(call)


def test_message_is_refused_when_it_is_for_another_account() -> None:
    with pytest.raises(errors.UnreadablePayload) as refused:
        read(as_json({**TEXT, "ToUserName": "gh_other"}))
    assert refused.value.code == "other_account"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside, max_size=3),
    max_leaves=8,
)


@given(changed=st.dictionaries(st.sampled_from([*TEXT, "Event", "PicUrl", "Location_X", "Format"]), _json))
def test_codec_raises_nothing_else_whatever_the_fields_hold(changed: dict[str, Any]) -> None:
    body = json.dumps({**TEXT, **changed}).encode()
    assert codec.identify(body) == codec.identify(body)
    try:
        message = read(body)
    except errors.UnreadablePayload:
        return
    assert InboundMessage.model_validate_json(message.model_dump_json()) == message


@given(
    body=st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: b"{" + text.encode("utf-8", "replace"))
)
def test_codec_raises_nothing_else_whatever_the_body_holds(body: bytes) -> None:
    assert codec.identify(body)
    with pytest.raises(errors.UnreadablePayload):
        read(body)


def test_lone_surrogates_and_forbidden_characters_are_dropped() -> None:
    assert (
        read(
            b'{"ToUserName":"gh_mp01","FromUserName":"o1","MsgType":"text","Content":"a\\ud800b\\u0000c"}'
        ).text
        == "abc"
    )


async def test_two_messages_within_a_minute_are_all_that_entering_allows(
    mini: Mini, clock: StandingClock
) -> None:
    mini.platform.api.note_action("oMp-77", "enter")
    await mini.send("welcome")
    await mini.send("what can I do?")
    with pytest.raises(errors.UpstreamRefused) as refused:
        await mini.send("third")
    assert refused.value.code == "wechat_mini_quota_used_up"
    mini.platform.api.note_action("oMp-77", "enter")
    clock.move(seconds=60)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await mini.send("late")
    assert refused.value.code == "wechat_mini_window_closed"
    mini.platform.api.note_action("oMp-77")
    for _ in range(5):
        await mini.send("hello")


async def test_choices_are_numbered_lines(mini: Mini) -> None:
    mini.platform.api.note_action("oMp-77")
    await mini.send(
        Reply(text="请选择", choices=(Choice(label="查物流", value="a"), Choice(label="退货", value="b")))
    )
    assert "2. 退货" in mini.seen[0].text


async def test_typing_never_raises_and_goes_where_the_settings_say(
    mini: Mini, database: Database, clock: StandingClock
) -> None:
    await database.write(
        lambda c: conversations.ensure(
            c, ConversationId("c1"), tenant=TenantId("demo"), channel="wechat_mini", account="main",
            recipient="oMp-77", now=clock(),
        )
    )  # fmt: skip
    conversation = await database.read(lambda c: conversations.get(c, TenantId("demo"), ConversationId("c1")))
    mini.platform.api.note_action("oMp-77")
    await mini.channel.show_typing(conversation)
    assert [shown.kind for shown in mini.seen] == ["typing"]
    mini.transport.next_call("/typing", faults.errcode(48001))
    await mini.channel.show_typing(conversation)
    path = "/cgi-bin/message/custom/business/typing"
    await mini.with_settings(typing_path=path).show_typing(conversation)
    assert mini.transport.calls[-1] == path


async def test_files_are_fetched_and_credentials_are_tried(mini: Mini) -> None:
    assert isinstance(mini.channel, Fetching)
    assert isinstance(mini.channel, promises.Testing)
    mini.platform.api.media["m1"] = (b"\x89PNG", "image/png")
    assert (await mini.channel.fetch(Attachment(kind="image", media_id="m1"))).content == b"\x89PNG"
    with pytest.raises(errors.UpstreamRefused) as refused:
        await mini.channel.fetch(Attachment(kind="image", media_id="m2"))
    assert refused.value.code == "wechat_mini_media_gone"
    assert "wx0123456789abcdef" in await mini.channel.test()


async def test_demo_opens_without_any_setting(surroundings: Surroundings, vault: Vault) -> None:
    channel = wechat_mini.SPEC.build(WechatMiniSettings(), surroundings)
    await channel.open()
    await channel.close()
    chosen = WechatMiniSettings(mode="secure").or_demo(vault)
    assert (chosen.mode, chosen.is_demo) == ("secure", False)


def test_settings_say_what_is_missing_when_they_are_incomplete() -> None:
    with pytest.raises(ValidationError) as refused:
        WechatMiniSettings.model_validate({"app_id": "wx1"})
    assert "app_secret, token" in str(refused.value)
