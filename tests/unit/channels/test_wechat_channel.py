"""The channel as intake and delivery see it: its settings, its demo, what it reads, says and sends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters import wechat_oa
from channels.adapters.wechat_oa.channel import WechatOaChannel
from channels.adapters.wechat_oa.connection import Connection
from channels.adapters.wechat_oa.settings import WechatOaSettings, demo_settings
from channels.contract import Part, Surroundings
from channels.families.wechat.account import SIMULATOR
from channels.families.wechat.codec import render_xml
from channels.promises import Fetching
from foundation import conversations, errors
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    Choice,
    Citation,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.fakes.wechat_platform import WechatPlatform
from tests.unit.channels.wechat import FIELDS, NOW, SETTINGS, changed, settings, webhook


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def platform(clock: StandingClock) -> WechatPlatform:
    platform = WechatPlatform(SETTINGS, clock)
    platform.api.note_action("oAbC-123")
    return platform


@pytest.fixture
def channel(surroundings: Surroundings, platform: WechatPlatform) -> WechatOaChannel:
    return WechatOaChannel(SETTINGS, surroundings, Connection(SETTINGS, surroundings, transport=platform))


def outbound(reply: Reply) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="wechat_oa", account="gh_9a8b7c", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient="oAbC-123", role="bot", reply=reply,
    )  # fmt: skip


async def send(channel: WechatOaChannel, reply: Reply) -> None:
    for part in degrade.fit(outbound(reply), channel.capabilities):
        assert await channel.send(part, idempotency_key=f"c1/1/{part.index}") == ""


def test_webhook_is_answered_success_when_it_was_read(channel: WechatOaChannel) -> None:
    call = webhook()
    assert channel.handshake(call) is None
    channel.verify(call)
    assert [message.text for message in channel.read(call)] == ["我要退货"]
    assert channel.acknowledge(call).body == b"success"


def test_echo_is_returned_exactly_when_the_address_is_checked(channel: WechatOaChannel) -> None:
    call = replace(changed(webhook(mode="plain"), echostr="echo-1 +/"), method="GET")
    greeting = channel.handshake(call)
    assert greeting is not None
    assert (greeting.status, greeting.body) == (200, b"echo-1 +/")


def test_message_is_refused_when_it_is_for_another_account(channel: WechatOaChannel) -> None:
    call = webhook({**FIELDS, "ToUserName": "gh_other"})
    channel.verify(call)
    with pytest.raises(errors.UnreadablePayload) as refused:
        channel.read(call)
    assert refused.value.code == "other_account"


def test_original_id_is_not_checked_when_none_is_set(surroundings: Surroundings) -> None:
    open_settings, second = settings(original_id=""), replace(surroundings, account="second")
    channel = WechatOaChannel(open_settings, second, Connection(open_settings, second))
    assert channel.read(webhook({**FIELDS, "ToUserName": "gh_other"}))[0].account == "second"


async def test_file_of_a_customer_is_fetched_while_the_platform_keeps_it(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    assert isinstance(channel, Fetching)
    platform.api.media["m1"] = (b"{a text that looks like nothing else", "text/plain")
    media = await channel.fetch(Attachment(kind="file", media_id="m1"))
    assert (media.content, media.media_type) == (b"{a text that looks like nothing else", "text/plain")
    platform.api.revoke_token()
    assert (await channel.fetch(Attachment(kind="file", media_id="m1"))).content == media.content
    for attachment, code in (
        (Attachment(kind="file", media_id="m2"), "media_gone"),
        (Attachment(kind="link"), "no_media"),
    ):
        with pytest.raises(errors.UpstreamRefused) as refused:
            await channel.fetch(attachment)
        assert refused.value.code == f"wechat_oa_{code}"


async def test_video_is_fetched_from_the_address_that_the_platform_names(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    platform.next_call("/media/get", faults.body(b'{"video_url":"https://video.example.com/7"}'))
    platform.next_call("/7", faults.body(b"moving pictures"))
    assert (await channel.fetch(Attachment(kind="video", media_id="m1"))).content == b"moving pictures"


async def test_credentials_are_tried_when_somebody_asks(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    assert isinstance(channel, promises.Testing)
    assert "wx0123456789abcdef" in await channel.test()
    platform.api.revoke_token()
    platform.next_call("/stable_token", faults.errcode(40164))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.test()
    assert "allow-list" in refused.value.public_text


async def test_long_text_arrives_in_order_and_whole(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    text = "第一段说明退货的条件。" * 200
    await send(channel, Reply(text=text))
    assert len(platform.seen) > 1
    assert "".join(shown.text for shown in platform.seen) == text
    assert max(len(shown.text.encode()) for shown in platform.seen) <= 2048


async def test_choices_are_a_menu_and_the_rest_stands_in_the_text(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    reply = Reply(
        text="请选择",
        choices=(Choice(label="查物流", value="track"), Choice(label="退货", value="return")),
        citations=(Citation(article="a", title="退货流程", version=1, quote="七天"),),
        attachments=(Attachment(kind="image", url="https://shop/1.png", name="示意图"),),
    )
    await send(channel, reply)
    (shown,) = platform.seen
    assert shown.choices == (("track", "查物流"), ("return", "退货"))
    assert "退货流程" in shown.text
    assert "https://shop/1.png" in shown.text


async def test_choices_become_numbered_lines_when_there_are_too_many(
    channel: WechatOaChannel, platform: WechatPlatform
) -> None:
    many = tuple(Choice(label=f"选项{number}", value=str(number)) for number in range(12))
    await send(channel, Reply(text="请选择", choices=many))
    (shown,) = platform.seen
    assert (shown.kind, shown.choices) == ("text", ())
    assert "12. 选项11" in shown.text


async def test_empty_text_is_named_and_never_sent(channel: WechatOaChannel, platform: WechatPlatform) -> None:
    with pytest.raises(errors.UnsupportedContent):
        await channel.send(Part(outbound(Reply(text="")), " ", 0, 1), idempotency_key="k")
    assert platform.calls == []


async def test_typing_never_raises_when_the_platform_refuses(
    channel: WechatOaChannel, platform: WechatPlatform, database: Database, clock: StandingClock
) -> None:
    await database.write(
        lambda c: conversations.ensure(
            c, ConversationId("c1"), tenant=TenantId("demo"), channel="wechat_oa", account="gh_9a8b7c",
            recipient="oAbC-123", now=clock(),
        )
    )  # fmt: skip
    conversation = await database.read(lambda c: conversations.get(c, TenantId("demo"), ConversationId("c1")))
    await channel.show_typing(conversation)
    assert [shown.kind for shown in platform.seen] == ["typing"]
    for fault in (faults.timeout, faults.status(429), faults.errcode(48001), faults.errcode(45081)):
        platform.next_call("/typing", fault)
        await channel.show_typing(conversation)


async def test_demo_opens_without_any_setting(surroundings: Surroundings, vault: Vault) -> None:
    channel = wechat_oa.SPEC.build(WechatOaSettings(), surroundings)
    await channel.open()
    account = demo_settings(vault)
    call = webhook({**FIELDS, "ToUserName": account.original_id}, signer=account)
    channel.verify(call)
    assert channel.read(call)[0].text == "我要退货"
    assert list(channel.routes(None)) == []  # type: ignore[arg-type]  # no door is needed for no routes
    await channel.close()


def test_demo_credentials_belong_to_one_installation(vault: Vault) -> None:
    mine, others = demo_settings(vault), demo_settings(Vault(b"another master key of 32 bytes!!"))
    assert mine == demo_settings(vault)
    assert mine.token != others.token
    assert mine.api_base == SIMULATOR


def test_demo_keeps_what_is_set_beside_the_credentials(vault: Vault) -> None:
    chosen = WechatOaSettings(api_base="http://127.0.0.1:9999", mode="secure").or_demo(vault)
    assert (chosen.api_base, chosen.mode) == ("http://127.0.0.1:9999", "secure")
    assert chosen.app_id == demo_settings(vault).app_id
    assert settings().or_demo(vault) == SETTINGS


def test_calls_for_the_demo_are_refused_when_they_are_signed_by_anybody_else(
    surroundings: Surroundings,
) -> None:
    channel = wechat_oa.SPEC.build(WechatOaSettings(), surroundings)
    for call in (webhook(), webhook(mode="plain"), replace(webhook(), received_at=NOW)):
        with pytest.raises(errors.NotAuthentic):
            channel.verify(call)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"app_id": "wx1"}, "app_secret, token"),
        ({"app_id": "wx1", "app_secret": "s", "token": "t"}, "encoding_aes_key"),
        ({"app_id": "wx1", "app_secret": "s", "token": "t", "encoding_aes_key": "short"}, "43"),
        (
            {"app_id": "wx1", "app_secret": "s", "token": "t", "mode": "plain", "previous_aes_key": "é" * 43},
            "43",
        ),
        ({"mode": "open"}, "mode"),
        ({"timestamp_tolerance_seconds": "5"}, "timestamp_tolerance_seconds"),
    ],
)
def test_settings_say_what_is_missing_when_they_are_incomplete(given: dict[str, str], names: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WechatOaSettings.model_validate(given)
    assert names in str(refused.value)


def test_plain_account_needs_no_key() -> None:
    given = {"app_id": "wx1", "app_secret": SecretStr("s"), "token": SecretStr("t"), "mode": "plain"}
    assert not WechatOaSettings.model_validate(given).is_demo


def test_recorded_xml_is_what_the_writer_writes() -> None:
    assert render_xml({"A": "1", "B": "x]]>y"}) == b"<xml><A>1</A><B><![CDATA[x]]]]><![CDATA[>y]]></B></xml>"
