"""Douyin: its vector, contents of two spellings, greetings once a day, tokens that are kept fresh, and its window."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from channels.adapters.douyin import codec
from channels.promises import Fetching
from foundation import errors
from foundation.messages import Attachment, InboundMessage, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.contract import Call
from tests.conftest import StandingClock
from tests.fakes.faulty import says
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.douyin import DouyinSpecimen
from tests.unit.channels.json_calls import bodies_like, part, surroundings_of

PLACE = codec.Place(TenantId("demo"), "main", "awdemo", "open-biz-1", NOW)
CONTENT: dict[str, Any] = {
    "conversation_short_id": "@conv", "server_message_id": "@msg", "conversation_type": 1, "message_type": "text",
    "text": "price?", "source": "", "create_time": 1767225600000,
    "user_infos": [{"open_id": "open-user-1", "nick_name": "A"}],
}  # fmt: skip
SAMPLE: dict[str, Any] = {
    "event": "im_receive_msg", "client_key": "awdemo", "from_user_id": "open-user-1", "to_user_id": "open-biz-1",
    "log_id": "2026010100", "content": CONTENT,
}  # fmt: skip


@pytest.fixture
def douyin(database: Database, vault: Vault, clock: StandingClock) -> DouyinSpecimen:
    return DouyinSpecimen(surroundings_of(database, vault, clock))


def read(body: dict[str, Any], place: codec.Place = PLACE) -> list[InboundMessage]:
    return codec.parse_call(json.dumps(body).encode(), place)


async def answer(specimen: DouyinSpecimen, call: Call, text: str, *, times: int = 1) -> None:
    (message,) = specimen.channel.read(specimen.webhook(call))
    for _ in range(times):
        one = part("douyin", text, to=message.sender[0].value, context=message.reply_context)
        await specimen.channel.send(one, idempotency_key="k")


def test_signature_is_the_one_that_the_platform_computes() -> None:
    body = b'{"event":"verify_webhook","client_key":"awdemo","content":{"challenge":24680}}'
    assert codec.sign("dy-client-secret", body) == "d88e42d5880a84db47ddac62980f72142fa5a36a"
    assert codec.challenge_of(body) == 24680


def test_challenge_comes_back_as_the_number_it_was(douyin: DouyinSpecimen) -> None:
    call = douyin.webhook(douyin.platform.check(24680))
    reply = douyin.channel.handshake(call)
    assert reply is not None
    assert json.loads(reply.body) == {"challenge": 24680}
    with pytest.raises(errors.NotAuthentic):
        douyin.channel.handshake(replace(call, headers={}))


def test_content_is_read_as_an_object_and_as_a_text() -> None:
    (plain,), (spelled,) = read(SAMPLE), read({**SAMPLE, "content": json.dumps(CONTENT)})
    assert plain == spelled
    assert (plain.text, plain.thread, plain.sent_at) == ("price?", "@conv", datetime(2026, 1, 1, tzinfo=UTC))
    assert plain.event_data == {"sender_name": "A"}


def test_message_without_an_id_is_named_by_its_push() -> None:
    lean = {**SAMPLE, "content": {"message_type": "text", "text": "hi"}}
    first, again = read(lean, replace(PLACE, push_id="p1")), read(lean, replace(PLACE, push_id="p1"))
    other = read(lean, replace(PLACE, push_id="p2"))
    assert first[0].message_id == again[0].message_id != other[0].message_id


def test_own_words_are_not_read_and_others_accounts_refused() -> None:
    assert read({**SAMPLE, "event": "im_send_msg"}) == []
    assert read({**SAMPLE, "from_user_id": "open-biz-1", "to_user_id": "open-user-1"}) == []
    with pytest.raises(errors.UnreadablePayload):
        read({**SAMPLE, "to_user_id": "open-biz-2"})


def test_chat_that_is_opened_twice_a_day_begins_once(douyin: DouyinSpecimen, clock: StandingClock) -> None:
    ids = []
    for _ in range(3):
        (message,) = douyin.channel.read(douyin.webhook(douyin.platform.enter(CUSTOMER)))
        assert message.event == "enter"
        ids.append(message.message_id)
        clock.move(hours=5)
    assert ids[0] == ids[1] != ids[2]


@given(body=bodies_like(SAMPLE) | bodies_like({**SAMPLE, "event": "im_enter_direct_msg"}))
def test_reader_raises_nothing_but_unreadable(body: bytes) -> None:
    codec.challenge_of(body)
    try:
        codec.parse_call(body, PLACE)
    except errors.UnreadablePayload:
        return


@given(value=st.text())
def test_foreign_media_id_has_no_parts(value: str) -> None:
    assert codec.media_parts(value) == ("", "")


async def test_answer_to_an_opened_chat_names_its_scene(douyin: DouyinSpecimen) -> None:
    await answer(douyin, douyin.platform.enter(CUSTOMER), "您好")
    assert json.loads(douyin.transport.bodies[-1])["scene"] == "im_enter_direct_msg"
    assert douyin.seen() == ["您好"]


async def test_window_and_quota_have_their_names(douyin: DouyinSpecimen, clock: StandingClock) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await answer(douyin, douyin.platform.write("hi", CUSTOMER), "一", times=7)
    assert refused.value.code == "douyin_quota_used_up"
    late = douyin.platform.write("hi", CUSTOMER)
    clock.move(hours=25)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await answer(douyin, late, "二")
    assert refused.value.code == "douyin_window_closed"
    with pytest.raises(errors.UpstreamRefused) as refused:
        await douyin.channel.send(part("douyin", "三", to=CUSTOMER), idempotency_key="k")
    assert refused.value.code == "douyin_window_closed"


async def test_token_is_refreshed_once_when_the_platform_forgets_it(douyin: DouyinSpecimen) -> None:
    await answer(douyin, douyin.platform.write("hi", CUSTOMER), "一")
    douyin.platform.revoke_token()
    await answer(douyin, douyin.platform.write("hi", CUSTOMER), "二")
    assert douyin.seen() == ["一", "二"]
    assert douyin.platform.tokens_issued == 2


async def test_authorisation_is_extended_before_it_ends(douyin: DouyinSpecimen, clock: StandingClock) -> None:
    for _ in range(12):
        await answer(douyin, douyin.platform.write("hi", CUSTOMER), "在")
        clock.move(days=12)
    assert len(douyin.seen()) == 12
    assert 3 <= douyin.platform.extensions <= 5


async def test_authorisation_that_ended_is_said_and_a_new_one_begins_afresh(
    douyin: DouyinSpecimen, clock: StandingClock
) -> None:
    await answer(douyin, douyin.platform.write("hi", CUSTOMER), "一")
    clock.move(days=31)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await answer(douyin, douyin.platform.write("hi", CUSTOMER), "二")
    assert refused.value.code == "douyin_authorisation_over"
    fresh = SecretStr("scanned-again")
    douyin.platform._refresh, douyin.platform._refresh_until = (
        fresh.get_secret_value(),
        clock().replace(year=2027),
    )
    douyin.channel = douyin.built(douyin.settings.model_copy(update={"refresh_token": fresh}))
    await answer(douyin, douyin.platform.write("hi", CUSTOMER), "三")
    assert douyin.seen() == ["一", "三"]


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        (28003018, errors.Exhausted, "douyin_too_frequent"),
        (28001038, errors.UpstreamRefused, "douyin_content_rejected"),
        (28003101, errors.UpstreamRefused, "douyin_unreachable"),
        (77, errors.UpstreamRefused, "douyin_refused"),
    ],
)
async def test_code_of_the_platform_has_a_name(
    douyin: DouyinSpecimen, code: int, kind: type[errors.ServiceError], name: str
) -> None:
    douyin.transport.next_call("/im/send/msg/", says({"data": {}, "extra": {"error_code": code}}))
    with pytest.raises(kind) as refused:
        await answer(douyin, douyin.platform.write("hi", CUSTOMER), "一")
    assert refused.value.code == name


async def test_picture_is_fetched_by_its_message(douyin: DouyinSpecimen) -> None:
    call = douyin.platform.message({"message_type": "user_local_image"}, CUSTOMER)
    (message,) = douyin.channel.read(douyin.webhook(call))
    assert isinstance(douyin.channel, Fetching)
    media = await douyin.channel.fetch(message.attachments[0])
    assert media.content.startswith(b"\x89PNG")
    for foreign in ("x", codec.media_id("@conv", "@gone")):
        with pytest.raises(errors.UpstreamRefused):
            await douyin.channel.fetch(Attachment(kind="image", media_id=foreign))
