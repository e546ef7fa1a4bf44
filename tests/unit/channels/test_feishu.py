"""Feishu: its vector, its envelope, groups and buttons, tokens that end, and codecs that fear no body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from pydantic import SecretStr, ValidationError

from channels import promises
from channels.adapters.feishu import codec
from channels.adapters.feishu.gate import Gate, decrypt, encrypt, sign
from channels.adapters.feishu.settings import FeishuSettings
from channels.contract import Receipt, Webhook
from channels.promises import Fetching, Reporting
from foundation import errors
from foundation.messages import Attachment, Choice, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.faulty import says, status
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.feishu import FeishuSpecimen
from tests.unit.channels.json_calls import bodies_like, part, surroundings_of

KEY = "feishu-encrypt-key"
SEALED = (
    "QUJDREVGR0hJSktMTU5PUI/GudqjmOB5qYs+skWX1v13AxsF01bB11k5onheZCDdFebCruipN/Ph8f+uixIKibA4mrfdHVbuPV7sX0xKwWxBbN"
    "PCQCw2koRjD+3intwl"
)
BODY = f'{{"encrypt":"{SEALED}"}}'.encode()
PLACE = codec.Place(TenantId("demo"), "main", "cli_x", datetime(2026, 1, 1, tzinfo=UTC))
MENTION = {"key": "@_user_1", "id": {"open_id": "ou_bot"}, "name": "Bot", "tenant_key": "t1"}
SAMPLE: dict[str, Any] = {
    "schema": "2.0",
    "header": {
        "event_id": "ev-1", "event_type": "im.message.receive_v1", "create_time": "1767225600000", "token": "vt-demo",
        "app_id": "cli_x", "tenant_key": "t1",
    },
    "event": {
        "sender": {
            "sender_id": {"open_id": "ou_1", "union_id": "on_1", "user_id": "u1"}, "sender_type": "user",
            "tenant_key": "t1",
        },
        "message": {
            "message_id": "om_1", "create_time": "1767225600000", "chat_id": "oc_1", "chat_type": "p2p",
            "message_type": "text", "content": '{"text":"@_user_1 opening hours?"}', "mentions": [MENTION],
        },
    },
}  # fmt: skip
CARD: dict[str, Any] = {
    "header": {"event_id": "ev-2", "event_type": "card.action.trigger", "create_time": "1767225600000000"},
    "event": {
        "operator": {"open_id": "ou_1", "tenant_key": "t1"},
        "action": {"tag": "button", "value": {"choice": "return", "chat_type": "group"}},
        "context": {"open_message_id": "om_9", "open_chat_id": "oc_1"},
    },
}


@pytest.fixture
def feishu(database: Database, vault: Vault, clock: StandingClock) -> FeishuSpecimen:
    return FeishuSpecimen(surroundings_of(database, vault, clock))


def message_of(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(SAMPLE))
    changed["event"]["message"] |= {
        "message_type": kind,
        "content": json.dumps(content),
        "mentions": [],
        **more,
    }
    return changed


def gate(**settings: Any) -> Gate:
    base = {"app_id": "cli_x", "app_secret": "s", "verification_token": "vt-demo", "encrypt_key": KEY}
    return Gate(FeishuSettings.model_validate({**base, **settings}))


def call(body: bytes, **headers: str) -> Webhook:
    return Webhook("POST", {}, headers, body, datetime(2026, 1, 1, tzinfo=UTC))


def test_signature_is_the_one_that_the_platform_computes() -> None:
    wanted = "ee15ea97d66610060a29cf8ff99282e3d0d471b785b360ada0b569ea3c58d449"
    assert sign("1767225600", "fnonce9", KEY, BODY) == wanted


def test_envelope_opens_to_what_the_platform_put_in() -> None:
    plain = b'{"challenge":"c-123","token":"vt-demo","type":"url_verification"}'
    assert decrypt(SEALED, KEY) == plain
    assert encrypt(plain, KEY, start=b"ABCDEFGHIJKLMNOP") == SEALED


def test_challenge_is_echoed_when_the_token_is_right(feishu: FeishuSpecimen) -> None:
    assert gate().challenge(call(BODY)) == "c-123"
    with pytest.raises(errors.NotAuthentic):
        gate(verification_token="another").challenge(call(BODY))
    token = feishu.settings.verification_token.get_secret_value()
    ask = feishu.platform.call({"type": "url_verification", "challenge": "c-9", "token": token})
    answer = feishu.channel.handshake(feishu.webhook(ask))
    assert answer is not None
    assert json.loads(answer.body) == {"challenge": "c-9"}


def test_token_in_the_body_decides_when_there_is_no_encrypt_key() -> None:
    open_gate = gate(encrypt_key="")
    open_gate.admit(call(json.dumps(SAMPLE).encode()))
    for body in (b"", b"{}", json.dumps({**SAMPLE, "header": {"token": "guess"}}).encode()):
        with pytest.raises(errors.NotAuthentic):
            open_gate.admit(call(body))


def test_unsigned_call_is_refused_when_there_is_an_encrypt_key() -> None:
    with pytest.raises(errors.NotAuthentic):
        gate().admit(call(json.dumps(SAMPLE).encode()))


def test_half_filled_account_names_what_is_missing() -> None:
    with pytest.raises(ValidationError, match="app_secret"):
        FeishuSettings(app_id="cli_x", verification_token=SecretStr("t"))


def test_mention_of_the_bot_is_taken_out_and_people_keep_their_names() -> None:
    (message,) = codec.parse_event(SAMPLE, PLACE)
    assert message.text == "opening hours?"
    anna = {"key": "@_user_2", "name": "Anna", "mentioned_type": "user"}
    both = message_of("text", {"text": "@_user_1 ask @_user_2"}, mentions=[MENTION, anna])
    assert codec.parse_event(both, PLACE)[0].text == "ask @Anna"


def test_group_gives_each_member_a_conversation_of_their_own() -> None:
    (message,) = codec.parse_event(message_of("text", {"text": "hi"}, chat_type="group"), PLACE)
    assert message.thread == "oc_1:ou_1"
    assert message.reply_context["message_id"] == "om_1"


def test_sender_has_every_name_that_the_platform_vouches_for() -> None:
    (message,) = codec.parse_event(SAMPLE, PLACE)
    names = [(one.namespace, one.value) for one in message.sender]
    assert names == [("feishu:cli_x", "ou_1"), ("feishu_union", "on_1"), ("feishu_user:t1", "u1")]
    assert all(one.proven for one in message.sender)


def test_same_message_under_another_event_is_one_message() -> None:
    again = {**SAMPLE, "header": {**SAMPLE["header"], "event_id": "ev-other"}}
    first, second = codec.parse_event(SAMPLE, PLACE)[0], codec.parse_event(again, PLACE)[0]
    assert first.message_id == second.message_id


def test_other_bots_are_not_read() -> None:
    bot = json.loads(json.dumps(SAMPLE))
    bot["event"]["sender"]["sender_type"] = "app"
    assert codec.parse_event(bot, PLACE) == []


def test_event_of_another_app_is_refused() -> None:
    other = {**SAMPLE, "header": {**SAMPLE["header"], "app_id": "cli_other"}}
    with pytest.raises(errors.UnreadablePayload):
        codec.parse_event(other, PLACE)


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        ("image", {"image_key": "k"}, "image"),
        ("audio", {"file_key": "k", "duration": 900}, "voice"),
        ("media", {"file_key": "k", "image_key": "i"}, "video"),
        ("location", {"name": "西湖", "latitude": "30.2", "longitude": "120.1"}, "location"),
        ("share_user", {"user_id": "ou_2"}, "unknown"),
    ],
)
def test_kind_of_message_is_kept(kind: str, content: dict[str, Any], shown: str) -> None:
    (message,) = codec.parse_event(message_of(kind, content), PLACE)
    assert message.kind == shown
    assert [one.kind for one in message.attachments] == ([] if shown == "unknown" else [shown])


def test_tapped_button_comes_back_as_its_value_where_it_was_tapped() -> None:
    (message,) = codec.parse_event(CARD, PLACE)
    assert (message.kind, message.text, message.thread) == ("text", "return", "oc_1:ou_1")
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_only_the_first_look_into_the_chat_is_a_beginning() -> None:
    event = {"chat_id": "oc_1", "operator_id": {"open_id": "ou_1"}}
    first = {"header": {"event_id": "1", "event_type": codec.ENTERED}, "event": event}
    later = {**first, "event": {**event, "last_message_id": "om_1"}}
    assert codec.parse_event(first, PLACE)[0].event == "enter"
    assert codec.parse_event(later, PLACE)[0].event == codec.ENTERED


def test_reading_is_a_receipt_and_no_message(feishu: FeishuSpecimen) -> None:
    read = feishu.webhook(feishu.platform.event(codec.READ, {"message_id_list": ["om_1", 5, "om_2"]}))
    assert feishu.channel.read(read) == []
    assert isinstance(feishu.channel, Reporting)
    assert feishu.channel.receipts(read) == [Receipt("om_1", "read"), Receipt("om_2", "read")]
    assert feishu.channel.receipts(feishu.text_call("hi", 1)) == []


def test_call_to_all_members_is_quoted_and_not_made() -> None:
    assert "<at" not in codec.render_text('<at user_id="all">all</at>')["content"]


@given(body=bodies_like(SAMPLE) | bodies_like(CARD))
def test_reader_raises_nothing_but_unreadable(body: bytes) -> None:
    opened = gate(encrypt_key="")
    try:
        event = opened.open(body)
        codec.parse_event(event, PLACE)
        codec.parse_receipts(event)
    except errors.UnreadablePayload:
        return


async def test_buttons_are_a_card_whose_tap_is_the_choice(feishu: FeishuSpecimen) -> None:
    menu = (Choice(label="退货", value="return"),)
    sent = await feishu.channel.send(
        part("feishu", "请选择", to=CUSTOMER, choices=menu), idempotency_key="k1"
    )
    assert sent.startswith("om_")
    assert [label for _, label in feishu.shown[-1].choices] == ["退货"]
    (message,) = feishu.channel.read(feishu.webhook(feishu.platform.tap(_value(feishu), CUSTOMER)))
    assert message.text == "return"


def _value(feishu: FeishuSpecimen) -> Any:
    return feishu.platform.tapped("退货", CUSTOMER)


async def test_card_becomes_a_numbered_text_when_the_platform_cannot_make_it(feishu: FeishuSpecimen) -> None:
    feishu.transport.next_call("/im/v1/messages", says({"code": 230099, "msg": "card"}, 400))
    menu = (Choice(label="退货", value="return"), Choice(label="换货", value="exchange"))
    await feishu.channel.send(part("feishu", "请选择", to=CUSTOMER, choices=menu), idempotency_key="k1")
    assert "1. 退货" in feishu.seen()[0]
    assert "2. 换货" in feishu.seen()[0]


async def test_group_is_answered_by_a_reply_and_the_group_when_the_question_is_gone(
    feishu: FeishuSpecimen,
) -> None:
    (message,) = feishu.channel.read(feishu.webhook(feishu.platform.write("hi", CUSTOMER, group=True)))
    context = message.reply_context
    await feishu.channel.send(part("feishu", "一", to=CUSTOMER, context=context), idempotency_key="k1")
    assert feishu.transport.calls[-1].endswith("/reply")
    gone = {**context, "message_id": "om_gone"}
    await feishu.channel.send(part("feishu", "二", to=CUSTOMER, context=gone), idempotency_key="k2")
    assert json.loads(feishu.transport.bodies[-1])["receive_id"] == "oc_group"
    assert feishu.seen() == ["一", "二"]


async def test_repetition_with_one_key_arrives_once(feishu: FeishuSpecimen) -> None:
    ids = {
        await feishu.channel.send(part("feishu", "一", to=CUSTOMER), idempotency_key="k") for _ in range(3)
    }
    assert len(ids) == 1
    assert feishu.seen() == ["一"]


async def test_token_is_renewed_once_when_the_platform_forgets_it(feishu: FeishuSpecimen) -> None:
    await feishu.channel.send(part("feishu", "一", to=CUSTOMER), idempotency_key="k1")
    feishu.platform.revoke_token()
    await feishu.channel.send(part("feishu", "二", to=CUSTOMER), idempotency_key="k2")
    assert feishu.seen() == ["一", "二"]
    assert feishu.platform.tokens_issued == 2


async def test_wrong_app_secret_is_refused_by_name(feishu: FeishuSpecimen) -> None:
    channel = feishu.built(feishu.settings.model_copy(update={"app_secret": SecretStr("wrong")}))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.send(part("feishu", "一", to=CUSTOMER), idempotency_key="k1")
    assert refused.value.code == "feishu_credentials"


async def test_wait_is_the_one_that_the_platform_names(feishu: FeishuSpecimen) -> None:
    limited = says({"code": 99991400}, 429, headers={"x-ogw-ratelimit-reset": "7"})
    feishu.transport.next_call("/im/v1/messages", limited)
    with pytest.raises(errors.Exhausted) as refused:
        await feishu.channel.send(part("feishu", "一", to=CUSTOMER), idempotency_key="k1")
    assert refused.value.retry_after_seconds == 7


async def test_file_is_fetched_from_the_message_that_carries_it(feishu: FeishuSpecimen) -> None:
    feishu.text_call("x", 1)
    assert isinstance(feishu.channel, Fetching)
    media = await feishu.channel.fetch(Attachment(kind="image", media_id="om_1/img_1"))
    assert (media.media_type, media.content[:4]) == ("image/png", b"\x89PNG")
    for foreign in ("img_1", "om_none/img_1"):
        with pytest.raises(errors.UpstreamRefused):
            await feishu.channel.fetch(Attachment(kind="image", media_id=foreign))


async def test_account_is_tested_by_asking_for_the_bots_name(feishu: FeishuSpecimen) -> None:
    assert isinstance(feishu.channel, promises.Testing)
    assert "Shop assistant" in await feishu.channel.test()
    feishu.transport.next_call("/bot/v3/info", status(502))
    with pytest.raises(errors.UpstreamUnavailable):
        await feishu.channel.test()
