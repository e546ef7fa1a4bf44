"""A self-built app of WeCom: vectors of the platform, who passes, who the member is, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters import wecom_app
from channels.adapters.wecom_app import codec
from channels.adapters.wecom_app.channel import WecomAppChannel
from channels.adapters.wecom_app.connection import Connection
from channels.adapters.wecom_app.settings import WecomAppSettings
from channels.contract import Surroundings, Webhook
from channels.families.wechat.codec import render_xml
from channels.families.wechat.crypto import sign
from channels.promises import Fetching
from foundation import errors
from foundation.clock import utc_now
from foundation.live import Hub
from foundation.messages import (
    Attachment,
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
from service.simulate.contract import Options, Shown
from service.simulate.wechat.wecom_app import WecomAppPlatform
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.fakes.faulty import FaultyTransport

SETTINGS = WecomAppSettings(
    corp_id="ww00112233445566aa",
    agent_id="1000002",
    secret=SecretStr("invented-secret"),
    token=SecretStr("csgw-token-2026"),
    encoding_aes_key=SecretStr("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
)
ECHO = "Q3stYC6hdFzMh9T8HCvyDDHoKRBMQoTCv+K43ozODX3fpFB0s3LhAIEpAYqXpojfhXQMmBg1WJ7B6OrNwNk9dA=="
ECHO_SIGNATURE = "c44efd1197947661f1360c17cf2cc3c0cbb3dca4"
FIELDS = {
    "ToUserName": "ww00112233445566aa", "FromUserName": "zhang.San", "CreateTime": "1767225600", "MsgType": "text",
    "Content": "reset my VPN", "MsgId": "7300000000000000001", "AgentID": "1000002",
}  # fmt: skip


class App:
    def __init__(self, surroundings: Surroundings) -> None:
        self.seen: list[Shown] = []
        self.platform = WecomAppPlatform(
            SETTINGS, Options(surroundings.vault), surroundings.clock, self.seen.append
        )
        self.platform.members["zhang.san"] = "zhang"
        self.transport = FaultyTransport(self.platform.application())
        self.channel = WecomAppChannel(
            SETTINGS, surroundings, Connection(SETTINGS, surroundings, transport=self.transport)
        )

    async def send(self, text: str, *, to: str = "zhang.san", context: dict[str, str] | None = None) -> str:
        message = OutboundMessage(
            tenant=TenantId("demo"), channel="wecom_app", account="main", conversation_id=ConversationId("c1"),
            message_id=MessageId("m1"), recipient=to, role="bot", reply=Reply(text=text), reply_context=context or {},
        )  # fmt: skip
        (part,) = degrade.fit(message, self.channel.capabilities)
        return await self.channel.send(part, idempotency_key="k")


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def app(surroundings: Surroundings) -> App:
    return App(surroundings)


def read(body: bytes | None = None, **changed: str) -> InboundMessage | None:
    content = render_xml({k: v for k, v in {**FIELDS, **changed}.items() if v}) if body is None else body
    return codec.parse_message(
        content, tenant=TenantId("demo"), account="main", corp_id=SETTINGS.corp_id, agent_id="1000002",
        received_at=utc_now(),
    )  # fmt: skip


def test_check_of_the_address_equals_the_vector(app: App, clock: StandingClock) -> None:
    assert sign("csgw-token-2026", "1767225600", "n0nce77", ECHO) == ECHO_SIGNATURE
    clock.now = clock.now.fromtimestamp(1767225600, clock.now.tzinfo)
    query = {
        "msg_signature": ECHO_SIGNATURE,
        "timestamp": "1767225600",
        "nonce": "n0nce77",
        "echostr": ECHO,
    }
    call = Webhook("GET", query, {}, b"", clock())
    greeting = app.channel.handshake(call)
    assert greeting is not None
    assert (greeting.status, greeting.body) == (200, b"8675309")
    for changed in ({"echostr": ECHO.replace("+", " ")}, {"echostr": ""}, {"msg_signature": "签名"}):
        with pytest.raises(errors.NotAuthentic):
            app.channel.handshake(replace(call, query={**query, **changed}))
    with pytest.raises(errors.NotAuthentic):
        app.channel.handshake(replace(call, query={}))


def test_member_is_the_same_whichever_case_the_platform_writes() -> None:
    one, other = read(), read(FromUserName="ZHANG.SAN")
    assert one is not None
    assert other is not None
    assert one.sender == (
        Identifier(namespace="wecom_app:ww00112233445566aa", value="zhang.san", proven=True),
    )
    assert one.message_id == other.message_id
    assert one.thread == other.thread == "zhang.san"
    assert (one.account, one.reply_context) == ("main", {"touser": "zhang.San"})
    assert "zhang" not in one.message_id


def test_message_is_refused_when_it_is_for_another_app() -> None:
    with pytest.raises(errors.UnreadablePayload) as refused:
        read(AgentID="1000003")
    assert refused.value.code == "other_account"


def test_callbacks_about_nobody_carry_no_message() -> None:
    assert read(FromUserName="", MsgType="event", Event="kf_msg_or_event") is None
    assert read(AgentID="", MsgId="") is not None


@given(
    fields=st.dictionaries(
        st.sampled_from(sorted({*FIELDS, "Event", "Location_X", "Format"})), st.text(max_size=20)
    )
)
def test_codec_raises_nothing_else_whatever_the_fields_hold(fields: dict[str, Any]) -> None:
    try:
        message = read(**fields)
    except errors.UnreadablePayload:
        return
    codec.identify(render_xml({**FIELDS, **fields}))
    assert message is None or InboundMessage.model_validate_json(message.model_dump_json()) == message


@given(body=st.binary(max_size=200))
def test_codec_raises_nothing_else_whatever_the_body_holds(body: bytes) -> None:
    assert codec.identify(body)
    with pytest.raises(errors.UnreadablePayload):
        read(body)


async def test_reply_goes_to_the_member_as_the_platform_writes_the_name(app: App) -> None:
    assert await app.send("done", context={"touser": "Zhang.San"})
    assert [(shown.user, shown.text) for shown in app.seen] == [("zhang", "done")]
    assert b'"touser": "Zhang.San"' in app.transport.bodies[-1]


@pytest.mark.parametrize(
    "fault", [faults.body(b'{"errcode":0,"invaliduser":"zhang.san"}'), faults.errcode(81013)]
)
async def test_member_out_of_reach_is_named_although_the_platform_says_ok(
    app: App, fault: faults.Fault
) -> None:
    app.transport.next_call("/message/send", fault)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await app.send("hello")
    assert refused.value.code == "wecom_app_unknown_recipient"


async def test_same_text_arrives_twice_when_it_is_said_twice(app: App) -> None:
    await app.send("好的")
    await app.send("好的")
    assert len(app.seen) == 2


async def test_call_is_repeated_once_when_the_token_was_revoked(app: App) -> None:
    await app.send("one")
    app.platform.corporation.revoke_token()
    await app.send("two")
    assert app.platform.corporation.tokens_issued == 2
    for _ in range(2):
        app.transport.next_call("/message/send", faults.errcode(42001))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await app.send("three")
    assert refused.value.code == "wecom_app_credentials"


async def test_files_are_fetched_and_credentials_are_tried(app: App) -> None:
    assert isinstance(app.channel, Fetching)
    assert isinstance(app.channel, promises.Testing)
    app.platform.corporation.media["m1"] = (b"\x89PNG", "image/png")
    assert (await app.channel.fetch(Attachment(kind="image", media_id="m1"))).content == b"\x89PNG"
    for attachment in (Attachment(kind="image", media_id="m2"), Attachment(kind="link")):
        with pytest.raises(errors.UpstreamRefused):
            await app.channel.fetch(attachment)
    assert "服务台" in await app.channel.test()


async def test_demo_opens_without_any_setting(surroundings: Surroundings) -> None:
    channel = wecom_app.SPEC.build(WecomAppSettings(), surroundings)
    await channel.open()
    await channel.close()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"corp_id": "ww1", "secret": "s", "token": "t", "encoding_aes_key": "A" * 43}, "agent_id"),
        ({"agent_id": "app"}, "agent_id"),
    ],
)
def test_settings_say_what_is_missing_when_they_are_incomplete(given: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WecomAppSettings.model_validate(given)
    assert names in str(refused.value)
