"""Weibo: its vectors, its dates and numbers, replays that its signature does not see, and its window."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.adapters.weibo import codec
from channels.contract import Webhook
from channels.platforms.replays import Replays
from channels.promises import Fetching
from foundation import errors
from foundation.messages import Attachment, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.faulty import says
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.weibo import WeiboSpecimen
from tests.unit.channels.json_calls import bodies_like, part, surroundings_of

PLACE = codec.Place(TenantId("demo"), "main", "", NOW)
SAMPLE: dict[str, Any] = {
    "type": "text", "receiver_id": 1902000001, "sender_id": 2489000002, "created_at": "Thu Jan 01 08:00:00 +0800 2026",
    "text": "is it in stock?", "data": {},
}  # fmt: skip
EVENT = {**SAMPLE, "type": "event", "data": {"subtype": "scan", "key": 5, "ticket": "t"}}


@pytest.fixture
def weibo(database: Database, vault: Vault, clock: StandingClock) -> WeiboSpecimen:
    return WeiboSpecimen(surroundings_of(database, vault, clock))


def read(body: dict[str, Any], place: codec.Place = PLACE) -> Any:
    return codec.parse_call(json.dumps(body).encode(), place)


@pytest.mark.parametrize(
    ("secret", "timestamp", "nonce", "signature"),
    [
        ("weibo-app-secret-demo", "1767225600123", "778899", "358e221b843db478593f97f8b5e051e46bcfebcd"),
        ("xyz123xyz", "1397022061823", "57155157", "90e4c22c90a58f26526c2dd5b6c56c8822edeaa1"),
    ],
)
def test_signature_is_the_one_that_the_platform_computes(
    secret: str, timestamp: str, nonce: str, signature: str
) -> None:
    assert codec.sign(timestamp, nonce, secret) == signature


def test_address_is_confirmed_by_its_echo(weibo: WeiboSpecimen) -> None:
    check = weibo.webhook(weibo.platform.check("6655"))
    answer = weibo.channel.handshake(check)
    assert answer is not None
    assert answer.body == b"6655"
    with pytest.raises(errors.NotAuthentic):
        weibo.channel.handshake(replace(check, query={**check.query, "nonce": "1"}))
    assert weibo.channel.handshake(weibo.text_call("hi", 1)) is None


def test_number_of_64_bits_is_kept_as_text() -> None:
    (message,) = read({**SAMPLE, "sender_id": 9_223_372_036_854_775_807})
    assert message.sender[0].value == message.thread == "9223372036854775807"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Thu Jan 01 08:00:00 +0800 2026", datetime(2026, 1, 1, tzinfo=UTC)),
        ("Wed Dec 31 19:00:00 -0500 2025", datetime(2026, 1, 1, tzinfo=UTC)),
        ("Thu Feb 31 08:00:00 +0800 2026", NOW),
        ("Thu Foo 01 08:00:00 +0800 2026", NOW),
        ("Thu Jan 01 00:00:00 +0800 0001", NOW),
        ("", NOW),
    ],
)
def test_date_is_read_and_a_wrong_one_replaced(text: str, moment: datetime) -> None:
    assert codec.moment(text, NOW) == moment


@given(text=st.text() | st.from_regex(codec._DATE, fullmatch=True))
def test_no_date_raises(text: str) -> None:
    codec.moment(text, NOW)


def test_follow_is_a_beginning_and_the_subscription_beside_it_is_none() -> None:
    assert read({**EVENT, "data": {"subtype": "follow"}})[0].event == "enter"
    assert read({**EVENT, "data": {"subtype": "subscribe"}})[0].event == "subscription"


def test_own_words_are_not_read_and_others_accounts_refused() -> None:
    ours = replace(PLACE, uid="1902000001")
    assert read({**SAMPLE, "sender_id": 1902000001, "receiver_id": 5}, ours) == []
    assert len(read(SAMPLE, ours)) == 1
    with pytest.raises(errors.UnreadablePayload):
        read({**SAMPLE, "receiver_id": 7}, ours)


def test_another_text_under_a_used_signature_is_refused(weibo: WeiboSpecimen) -> None:
    call = weibo.text_call("mine", 1)
    other = replace(call, body=weibo.text_call("forged", 2).body)
    weibo.channel.verify(call)
    with pytest.raises(errors.NotAuthentic) as refused:
        weibo.channel.verify(other)
    assert refused.value.code == "replayed"
    weibo.channel.verify(call)


def test_memory_of_signatures_has_an_end() -> None:
    replays = Replays(limit=2)
    for number in range(5):
        replays.check((str(number),), "a", now=0, until=10)
    assert len(replays._seen) == 2
    replays.check(("late",), "a", now=11, until=20)
    assert len(replays._seen) == 1


@given(body=bodies_like(SAMPLE) | bodies_like(EVENT))
def test_reader_raises_nothing_but_unreadable(body: bytes) -> None:
    codec.identify(body)
    try:
        codec.parse_call(body, PLACE)
    except errors.UnreadablePayload:
        return


async def test_reply_is_encoded_once(weibo: WeiboSpecimen) -> None:
    said = "50% & a=b + “引号” \U0001f4e6"
    await weibo.channel.send(part("weibo", said, to=CUSTOMER), idempotency_key="k")
    assert weibo.seen() == [said]
    assert b"%2525" not in weibo.transport.bodies[-1]


async def test_window_ends_48_hours_after_the_last_message(
    weibo: WeiboSpecimen, clock: StandingClock
) -> None:
    clock.move(hours=49)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await weibo.channel.send(part("weibo", "hi", to=CUSTOMER), idempotency_key="k")
    assert refused.value.code == "weibo_window_closed"


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ({"error": "expired_token", "error_code": 21327}, errors.UpstreamRefused, "weibo_credentials"),
        ({"error": "out of rate", "error_code": 10023}, errors.Exhausted, "weibo_too_frequent"),
        ({"error": "new", "error_code": 99}, errors.UpstreamRefused, "weibo_refused"),
        ({"result": False}, errors.UpstreamRefused, "weibo_refused"),
    ],
)
async def test_refusal_has_a_name_whatever_the_status(
    weibo: WeiboSpecimen, answer: dict[str, Any], kind: type[errors.ServiceError], code: str
) -> None:
    for status in (200, 403):
        weibo.transport.next_call("/reply.json", says(answer, status))
        with pytest.raises(kind) as refused:
            await weibo.channel.send(part("weibo", "hi", to=CUSTOMER), idempotency_key="k")
        assert refused.value.code == code


async def test_file_is_fetched_by_its_handle(weibo: WeiboSpecimen) -> None:
    assert isinstance(weibo.channel, Fetching)
    media = await weibo.channel.fetch(Attachment(kind="image", media_id="702"))
    assert media.content.startswith(b"\x89PNG")
    with pytest.raises(errors.UpstreamRefused):
        await weibo.channel.fetch(Attachment(kind="image"))


def test_call_without_a_signature_is_refused(weibo: WeiboSpecimen) -> None:
    with pytest.raises(errors.NotAuthentic):
        weibo.channel.verify(Webhook("POST", {}, {}, b"{}", NOW))
