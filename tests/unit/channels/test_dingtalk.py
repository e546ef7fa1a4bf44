"""DingTalk: its vector, addresses that must not be called, sessions that end, groups, and the limit of 20 a minute."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from channels import promises
from channels.adapters.dingtalk import codec
from channels.adapters.dingtalk.settings import DingtalkSettings
from channels.promises import Fetching
from foundation import errors
from foundation.messages import Attachment, Choice, InboundMessage, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.contract import Call
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.dingtalk import DingtalkSpecimen
from tests.unit.channels.json_calls import bodies_like, part, surroundings_of

SETTINGS = DingtalkSettings.model_validate({"client_id": "ding1", "client_secret": "s"})
PLACE = codec.Place(TenantId("demo"), "main", SETTINGS, datetime(2026, 1, 1, tzinfo=UTC))
SAMPLE: dict[str, Any] = {
    "msgtype": "text", "text": {"content": " order 42? "}, "msgId": "msgDemo1", "createAt": 1767225600000,
    "conversationType": "1", "conversationId": "cidDemo", "senderId": "$:LWCP:x", "senderStaffId": "manager01",
    "senderNick": "Zhang", "senderCorpId": "dingA", "chatbotUserId": "$:LWCP:bot", "robotCode": "dingrobot",
    "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=demo",
    "sessionWebhookExpiredTime": 1767231000000,
}  # fmt: skip
RICH = {**SAMPLE, "msgtype": "richText", "content": {"richText": [{"text": "a"}, {"downloadCode": "c"}]}}


@pytest.fixture
def dingtalk(database: Database, vault: Vault, clock: StandingClock) -> DingtalkSpecimen:
    return DingtalkSpecimen(surroundings_of(database, vault, clock))


def read(specimen: DingtalkSpecimen, call: Call) -> InboundMessage:
    (message,) = specimen.channel.read(specimen.webhook(call))
    return message


async def answer(
    specimen: DingtalkSpecimen, message: InboundMessage, text: str, *choices: Choice, key: str = "k"
) -> str:
    one = part("dingtalk", text, to=message.sender[0].value, context=message.reply_context, choices=choices)
    return await specimen.channel.send(one, idempotency_key=key)


def test_signature_is_the_one_that_the_platform_computes() -> None:
    assert codec.sign("1767225600000", "SECdemo-app-secret") == "7PmZqH0KpurbLzuujBdP8VbyPgMuD+gVBLsiZ7dBZp4="


def test_sample_of_the_documents_reads() -> None:
    (message,) = codec.parse_call(json.dumps(SAMPLE).encode(), PLACE)
    assert (message.text, message.thread) == ("order 42?", "cidDemo")
    assert message.sender[0].value == "manager01"
    assert message.event_data == {"sender_name": "Zhang"}
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/robot/sendBySession",
        "https://dingtalk.com.evil.example.com/",
        "https://evildingtalk.com/",
        "http://oapi.dingtalk.com/robot/sendBySession",
        "https://oapi.dingtalk.com:8443/",
        "https://oapi.dingtalk.com@evil.example.com/",
        "https://evil.example.com\\@oapi.dingtalk.com/",
        "https://[::1",
        "file:///etc/hostname",
        "//oapi.dingtalk.com/",
        "",
    ],
)
def test_foreign_address_is_never_kept(url: str) -> None:
    assert not codec.may_reply_to(url, SETTINGS)
    (message,) = codec.parse_call(json.dumps({**SAMPLE, "sessionWebhook": url}).encode(), PLACE)
    assert "session" not in message.reply_context


async def test_foreign_address_is_not_called_when_it_stands_in_the_context(
    dingtalk: DingtalkSpecimen,
) -> None:
    context = {"session": "https://evil.example.com/", "session_until": "9999999999999"}
    await dingtalk.channel.send(part("dingtalk", "hi", to=CUSTOMER, context=context), idempotency_key="k")
    assert {request.url.host for request in dingtalk.transport.requests} == {"api.dingtalk.com"}


def test_own_words_are_not_read() -> None:
    assert codec.parse_call(json.dumps({**SAMPLE, "senderId": "$:LWCP:bot"}).encode(), PLACE) == []


def test_call_for_another_company_is_refused() -> None:
    place = codec.Place(
        TenantId("demo"), "main", SETTINGS.model_copy(update={"corp_id": "dingB"}), PLACE.received_at
    )
    with pytest.raises(errors.UnreadablePayload):
        codec.parse_call(json.dumps({**SAMPLE, "chatbotCorpId": "dingA"}).encode(), place)


@given(body=bodies_like(SAMPLE) | bodies_like(RICH))
def test_reader_raises_nothing_but_unreadable(body: bytes) -> None:
    try:
        codec.parse_call(body, PLACE)
    except errors.UnreadablePayload:
        return


async def test_reply_goes_to_the_session_while_it_lives_and_through_the_api_afterwards(
    dingtalk: DingtalkSpecimen, clock: StandingClock
) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER))
    await answer(dingtalk, message, "一", key="k1")
    assert dingtalk.transport.calls == ["/robot/sendBySession"]
    clock.move(minutes=91)
    assert await answer(dingtalk, message, "二", key="k2")
    assert dingtalk.transport.calls[-1] == "/v1.0/robot/oToMessages/batchSend"
    assert dingtalk.seen() == ["一", "二"]


async def test_reply_goes_through_the_api_when_the_platform_has_ended_the_session(
    dingtalk: DingtalkSpecimen,
) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER))
    dingtalk.platform._sessions.clear()
    await answer(dingtalk, message, "一")
    assert dingtalk.seen() == ["一"]


async def test_outsider_cannot_be_reached_when_the_session_is_over(
    dingtalk: DingtalkSpecimen, clock: StandingClock
) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER, outsider=True))
    await answer(dingtalk, message, "一", key="k1")
    clock.move(hours=2)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await answer(dingtalk, message, "二", key="k2")
    assert refused.value.code == "dingtalk_window_closed"


async def test_group_member_is_mentioned_and_the_group_written_to_later(
    dingtalk: DingtalkSpecimen, clock: StandingClock
) -> None:
    message = read(dingtalk, dingtalk.platform.write(" hi", CUSTOMER, group="cidG"))
    assert message.thread == f"cidG:{CUSTOMER}"
    await answer(dingtalk, message, "一", key="k1")
    assert json.loads(dingtalk.transport.bodies[-1])["at"] == {"atUserIds": [CUSTOMER]}
    clock.move(hours=2)
    await answer(dingtalk, message, "二", key="k2")
    assert json.loads(dingtalk.transport.bodies[-1])["openConversationId"] == "cidG"


async def test_too_many_messages_a_minute_wait(dingtalk: DingtalkSpecimen, clock: StandingClock) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER))
    for number in range(20):
        await answer(dingtalk, message, f"{number}", key=f"k{number}")
    with pytest.raises(errors.Exhausted) as refused:
        await answer(dingtalk, message, "21", key="k21")
    assert (refused.value.code, refused.value.retry_after_seconds) == ("dingtalk_too_frequent", 60)
    clock.move(seconds=60)
    await answer(dingtalk, message, "21", key="k21")
    assert len(dingtalk.seen()) == 21


async def test_buttons_are_a_card_and_numbers_when_the_session_is_over(
    dingtalk: DingtalkSpecimen, clock: StandingClock
) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER))
    menu = (Choice(label="退货 & 换货", value="return"), Choice(label="查物流", value="track"))
    await answer(dingtalk, message, "请选择", *menu, key="k1")
    assert dingtalk.shown[-1].choices == (("退货 & 换货", "退货 & 换货"), ("查物流", "查物流"))
    clock.move(hours=2)
    await answer(dingtalk, message, "请选择", *menu, key="k2")
    assert "2. 查物流" in dingtalk.seen()[-1]


async def test_markdown_is_sent_as_such_only_when_there_is_some(dingtalk: DingtalkSpecimen) -> None:
    message = read(dingtalk, dingtalk.platform.write("hi", CUSTOMER))
    await answer(dingtalk, message, "**退货**\n七天", key="k1")
    await answer(dingtalk, message, "2 * 3 = 6", key="k2")
    sent = [json.loads(body)["msgtype"] for body in dingtalk.transport.bodies]
    assert sent == ["markdown", "text"]
    assert dingtalk.seen() == ["**退货**\n七天", "2 * 3 = 6"]


async def test_member_who_left_cannot_be_reached(dingtalk: DingtalkSpecimen) -> None:
    dingtalk.platform.left.add(CUSTOMER)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await dingtalk.channel.send(part("dingtalk", "hi", to=CUSTOMER), idempotency_key="k")
    assert refused.value.code == "dingtalk_unreachable"


async def test_token_is_renewed_once_when_the_platform_forgets_it(dingtalk: DingtalkSpecimen) -> None:
    await dingtalk.channel.send(part("dingtalk", "一", to=CUSTOMER), idempotency_key="k1")
    dingtalk.platform.revoke_token()
    await dingtalk.channel.send(part("dingtalk", "二", to=CUSTOMER), idempotency_key="k2")
    assert dingtalk.seen() == ["一", "二"]
    assert dingtalk.platform.tokens_issued == 2


async def test_file_is_fetched_by_its_download_code(dingtalk: DingtalkSpecimen) -> None:
    assert isinstance(dingtalk.channel, Fetching)
    media = await dingtalk.channel.fetch(Attachment(kind="image", media_id="code1"))
    assert media.content.startswith(b"\x89PNG")
    with pytest.raises(errors.UpstreamRefused):
        await dingtalk.channel.fetch(Attachment(kind="image", media_id="gone"))


async def test_account_is_tested_by_its_token(dingtalk: DingtalkSpecimen) -> None:
    assert isinstance(dingtalk.channel, promises.Testing)
    assert "token" in await dingtalk.channel.test()
