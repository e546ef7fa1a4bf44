"""Sending through WeChat's API: one token for all, renewed in time, and every refusal an error of our tree."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from channels.adapters.wechat_oa.codec import render_custom_send, render_typing
from channels.adapters.wechat_oa.connection import Connection
from channels.contract import Surroundings
from channels.families.wechat import refusals as wechat_refusals
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.fakes.wechat_platform import WechatPlatform
from tests.unit.channels.wechat import SETTINGS, settings

HELLO = render_custom_send("oAbC-123", "你好")
SEND = "/custom/send"
TOKEN = "/stable_token"


@pytest.fixture
def platform(clock: StandingClock) -> WechatPlatform:
    platform = WechatPlatform(SETTINGS, clock)
    platform.api.note_action("oAbC-123")
    return platform


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def connection(platform: WechatPlatform, surroundings: Surroundings) -> Connection:
    return Connection(SETTINGS, surroundings, transport=platform)


async def test_message_reaches_the_customer(connection: Connection, platform: WechatPlatform) -> None:
    await connection.custom_send(HELLO)
    assert [(shown.openid, shown.text) for shown in platform.seen] == [("oAbC-123", "你好")]


async def test_token_is_fetched_once_when_many_send_at_once(
    connection: Connection, platform: WechatPlatform
) -> None:
    await asyncio.gather(*(connection.typing(render_typing("oAbC-123")) for _ in range(20)))
    assert platform.calls.count("/cgi-bin/stable_token") == 1


async def test_token_is_renewed_when_its_end_is_near(
    connection: Connection, platform: WechatPlatform, clock: StandingClock
) -> None:
    await connection.custom_send(HELLO)
    clock.move(seconds=7200 - 301)
    await connection.custom_send(HELLO)
    assert platform.calls.count("/cgi-bin/stable_token") == 1
    clock.move(seconds=1)
    await connection.custom_send(HELLO)
    assert platform.calls.count("/cgi-bin/stable_token") == 2


async def test_message_is_repeated_once_when_the_token_was_revoked(
    connection: Connection, platform: WechatPlatform
) -> None:
    await connection.custom_send(HELLO)
    platform.api.revoke_token()
    await connection.custom_send(HELLO)
    assert len(platform.seen) == 2
    assert platform.api.tokens_issued == 2


async def test_token_is_forced_once_when_many_are_refused_at_once(
    connection: Connection, platform: WechatPlatform
) -> None:
    await connection.custom_send(HELLO)
    platform.api.revoke_token()
    await asyncio.gather(*(connection.custom_send(HELLO) for _ in range(4)))
    assert platform.api.tokens_issued == 2
    assert len(platform.seen) == 5


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_credentials_are_named_when_a_new_token_is_refused_too(
    connection: Connection, platform: WechatPlatform, code: int
) -> None:
    for _ in range(2):
        platform.next_call(SEND, faults.errcode(code))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == "wechat_oa_credentials"
    assert platform.calls.count("/cgi-bin/message/custom/send") == 2


@pytest.mark.parametrize("changed", [{"app_id": "wxother"}, {"app_secret": "other"}])
async def test_credentials_are_named_when_no_token_is_given(
    platform: WechatPlatform, surroundings: Surroundings, changed: dict[str, str]
) -> None:
    from pydantic import SecretStr

    given = {name: SecretStr(value) if name == "app_secret" else value for name, value in changed.items()}
    connection = Connection(settings(**given), surroundings, transport=platform)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == "wechat_oa_credentials"


@pytest.mark.parametrize("code", sorted(set(wechat_refusals.WECHAT) - wechat_refusals.TOKEN_WRONG))
async def test_code_becomes_the_error_it_means(
    connection: Connection, platform: WechatPlatform, code: int
) -> None:
    platform.next_call(SEND, faults.errcode(code))
    meaning = wechat_refusals.WECHAT[code]
    with pytest.raises(meaning.kind) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == f"wechat_oa_{meaning.code}"
    assert refused.value.retry_after_seconds == meaning.retry_after_seconds
    assert platform.seen == []


async def test_unknown_code_is_permanent(connection: Connection, platform: WechatPlatform) -> None:
    platform.next_call(SEND, faults.errcode(99_999))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == "wechat_oa_refused"


@pytest.mark.parametrize("path", [SEND, TOKEN])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (faults.timeout, errors.UpstreamUnavailable, "wechat_oa_timeout"),
        (faults.unreachable, errors.UpstreamUnavailable, "wechat_oa_unreachable"),
        (faults.status(500), errors.UpstreamUnavailable, "wechat_oa_http_500"),
        (faults.status(408), errors.UpstreamUnavailable, "wechat_oa_http_408"),
        (faults.status(401), errors.UpstreamRefused, "wechat_oa_http_401"),
        (faults.status(429, retry_after="17"), errors.Exhausted, "wechat_oa_http_429"),
        (faults.body(b"<html>"), errors.UpstreamUnavailable, "wechat_oa_unreadable"),
        (faults.body(b"\xff\xfe{"), errors.UpstreamUnavailable, "wechat_oa_unreadable"),
        (faults.body(b"[]"), errors.UpstreamUnavailable, "wechat_oa_unreadable"),
    ],
)
async def test_fault_of_the_way_becomes_an_error_of_ours(
    connection: Connection, platform: WechatPlatform, path: str, fault: faults.Fault,
    kind: type[errors.ServiceError], code: str,
) -> None:  # fmt: skip
    platform.next_call(path, fault)
    with pytest.raises(kind) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == code
    if code == "wechat_oa_http_429":
        assert refused.value.retry_after_seconds == 17
    await connection.custom_send(HELLO)
    assert len(platform.seen) == 1


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"access_token":"","expires_in":7200}', b'{"access_token":"x","expires_in":"7200"}']
)
async def test_answer_without_a_token_is_temporary(
    connection: Connection, platform: WechatPlatform, answer: bytes
) -> None:
    platform.next_call(TOKEN, faults.body(answer))
    with pytest.raises(errors.UpstreamUnavailable):
        await connection.custom_send(HELLO)


async def test_code_that_is_no_number_is_temporary(connection: Connection, platform: WechatPlatform) -> None:
    platform.next_call(SEND, faults.body(b'{"errcode":"what"}'))
    with pytest.raises(errors.UpstreamUnavailable):
        await connection.custom_send(HELLO)


async def test_sixth_reply_is_refused_until_the_customer_writes_again(
    connection: Connection, platform: WechatPlatform
) -> None:
    for _ in range(5):
        await connection.custom_send(HELLO)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == "wechat_oa_quota_used_up"
    platform.api.note_action("oAbC-123")
    await connection.custom_send(HELLO)


async def test_reply_is_refused_when_the_window_is_closed(
    connection: Connection, platform: WechatPlatform, clock: StandingClock
) -> None:
    clock.move(hours=48)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await connection.custom_send(HELLO)
    assert refused.value.code == "wechat_oa_window_closed"


async def test_typing_is_shown_and_its_refusals_are_quiet(
    connection: Connection, platform: WechatPlatform, clock: StandingClock
) -> None:
    await connection.typing(render_typing("oAbC-123"))
    await connection.typing(render_typing("oAbC-123"))
    clock.move(seconds=31)
    await connection.typing(render_typing("oAbC-123"))
    assert [shown.kind for shown in platform.seen] == ["typing"]


async def test_one_line_is_logged_when_the_connection_goes_down_and_one_when_it_is_back(
    connection: Connection, platform: WechatPlatform
) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            platform.next_call(SEND, faults.timeout)
            with pytest.raises(errors.UpstreamUnavailable):
                await connection.custom_send(HELLO)
        for _ in range(3):
            await connection.custom_send(HELLO)
    assert [line["event"] for line in lines] == ["channel cannot send", "channel sends again"]


async def test_one_line_is_logged_when_the_credentials_are_refused_and_one_when_they_are_taken(
    connection: Connection, platform: WechatPlatform
) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            for _ in range(2):
                platform.next_call(SEND, faults.errcode(40001))
            with pytest.raises(errors.UpstreamRefused):
                await connection.custom_send(HELLO)
        await connection.custom_send(HELLO)
    assert [line["event"] for line in lines] == [
        "channel's credentials are refused", "channel's credentials are taken again",
    ]  # fmt: skip


async def test_token_is_shared_when_several_processes_send(
    connection: Connection, platform: WechatPlatform, surroundings: Surroundings
) -> None:
    second = Connection(SETTINGS, surroundings, transport=platform)
    await connection.custom_send(HELLO)
    await second.custom_send(HELLO)
    assert platform.calls.count("/cgi-bin/stable_token") == 1
