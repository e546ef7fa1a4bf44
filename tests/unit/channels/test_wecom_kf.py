"""WeChat customer service as intake and delivery see it: its gate, what it reads, says, sends and hands over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from channels import degrade, promises
from channels.adapters import wecom_kf
from channels.adapters.wecom_kf import codec
from channels.adapters.wecom_kf.channel import WecomKfChannel
from channels.adapters.wecom_kf.settings import WecomKfSettings
from channels.contract import Receipt, Surroundings
from channels.promises import Fetching
from foundation import errors
from foundation.clock import utc_now
from foundation.conversations import Conversation
from foundation.live import Hub
from foundation.messages import Attachment, ConversationId, InboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.wechat import wecom
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.unit.channels.kf import ANNA, CHOICES, KF, SETTINGS, Kf, outbound, webhook

PLACE = codec.Place(TenantId("demo"), "main", SETTINGS.corp_id)
ITEM = {
    "msgid": "m-1", "open_kfid": KF, "external_userid": ANNA, "send_time": 1767225600, "origin": 3,
    "msgtype": "text", "text": {"content": "hello"},
}  # fmt: skip


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
def kf(surroundings: Surroundings) -> Kf:
    kf = Kf(surroundings)
    kf.api.note_action(ANNA)
    return kf


async def send(
    channel: WecomKfChannel, reply: Reply | str, *, context: dict[str, str] | None = None, key: str = "k"
) -> list[str]:
    parts = degrade.fit(outbound(reply, context=context), channel.capabilities)
    return [await channel.send(part, idempotency_key=f"{key}/{part.index}") for part in parts]


def conversation() -> Conversation:
    now = utc_now()
    return Conversation(
        id=ConversationId("c-1"), tenant=TenantId("demo"), channel="wecom_kf", account="main", recipient=ANNA,
        customer_id=None, holder="queue", held_by=None, status="open", language="zh", handoff_reason="wants_human",
        handoff_summary=None, dialogue={}, reply_context={"open_kfid": KF}, last_seq=1, customer_delivered_seq=0,
        customer_read_seq=0, created_at=now, waiting_since=now, last_customer_at=now, updated_at=now,
    )  # fmt: skip


def read(item: Any) -> InboundMessage | None:
    return codec.read_item(item, PLACE, received_at=utc_now())


def test_echo_is_decrypted_when_the_address_is_checked(kf: Kf) -> None:
    call = webhook(wecom.render_greeting(SETTINGS, "8675309", at=kf.surroundings.clock()), kf.surroundings)
    greeting = kf.channel().handshake(call)
    assert greeting is not None
    assert greeting.body == b"8675309"
    forged = replace(call, query={**call.query, "msg_signature": "0" * 40})
    with pytest.raises(errors.NotAuthentic):
        kf.channel().handshake(forged)


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
@pytest.mark.parametrize("value", [None, "", "0", "签名", "\ud800"])
def test_call_is_refused_when_a_signed_part_is_changed_or_missing(
    kf: Kf, name: str, value: str | None
) -> None:
    call = webhook(kf.platform.bell(), kf.surroundings)
    query = {key: text for key, text in call.query.items() if key != name}
    with pytest.raises(errors.NotAuthentic):
        kf.channel().verify(replace(call, query=query if value is None else {**query, name: value}))


def test_call_is_refused_when_it_was_made_for_another_corporation(kf: Kf) -> None:
    other = SETTINGS.model_copy(update={"corp_id": "ww99"})
    call = wecom.render_callback(other, {"Event": "kf_msg_or_event"}, at=kf.surroundings.clock())
    with pytest.raises(errors.NotAuthentic):
        kf.channel().verify(webhook(call, kf.surroundings))


def test_other_callbacks_are_acknowledged_and_carry_nothing(kf: Kf) -> None:
    fields = {"ToUserName": SETTINGS.corp_id, "MsgType": "event", "Event": "change_external_contact"}
    call = webhook(wecom.render_callback(SETTINGS, fields, at=kf.surroundings.clock()), kf.surroundings)
    channel = kf.channel()
    channel.verify(call)
    assert list(channel.read(call)) == []
    assert channel.acknowledge(call).status == 200


def test_message_id_covers_corporation_account_customer_and_item() -> None:
    one = read(ITEM)
    assert one is not None
    others = [read({**ITEM, name: "x"}) for name in ("msgid", "open_kfid", "external_userid")]
    elsewhere = codec.read_item(ITEM, replace(PLACE, corp_id="ww2"), received_at=utc_now())
    ids = {message.message_id for message in (one, elsewhere, *others) if message}
    assert len(ids) == 5
    assert read({**ITEM, "text": {"content": "changed"}}).message_id == one.message_id  # type: ignore[union-attr]  # read above
    assert ANNA not in one.message_id


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(sorted(ITEM)), inside, max_size=4)
    ),
    max_leaves=8,
)
_kinds = st.sampled_from(
    [
        "text",
        "image",
        "voice",
        "file",
        "video",
        "location",
        "link",
        "miniprogram",
        "event",
        "channels",
        "msgmenu",
    ]
)


@given(
    kind=_kinds, inside=_json | st.dictionaries(st.sampled_from(["content", "latitude", "event_type", "url"]), _json),
    changed=st.dictionaries(st.sampled_from(["origin", "send_time", "msgid", "external_userid"]), _json),
)  # fmt: skip
def test_codec_raises_nothing_else_whatever_an_item_holds(
    kind: str, inside: Any, changed: dict[str, Any]
) -> None:
    for item in (
        inside,
        {**ITEM, "msgtype": kind, kind: inside},
        {**ITEM, "msgtype": kind, kind: inside, **changed},
    ):
        try:
            message = read(item)
        except errors.UnreadablePayload:
            continue
        codec.raw(item)
        codec.send_failure(item)
        assert message is None or InboundMessage.model_validate_json(message.model_dump_json()) == message


def test_failed_sending_is_told_with_its_reason() -> None:
    event = {"event_type": "msg_send_fail", "fail_msgid": "m-17", "fail_type": 4}
    item = {**ITEM, "msgtype": "event", "event": event, "origin": 4}
    assert codec.send_failure(item) == Receipt("m-17", "failed", "wecom_kf_fail_4")
    assert codec.send_failure(ITEM) is None


@given(body=st.binary(max_size=300))
def test_bell_raises_nothing_else_whatever_the_body_holds(body: bytes) -> None:
    try:
        codec.parse_bell(body)
    except errors.UnreadablePayload:
        return


async def test_repeated_part_reaches_the_customer_once(kf: Kf) -> None:
    channel = kf.channel()
    first = await send(channel, "hello")
    assert await send(channel, "hello") == first
    assert len(first[0]) == 32
    assert [shown.text for shown in kf.seen] == ["hello"]


async def test_choices_are_a_menu_below_their_text(kf: Kf) -> None:
    await send(kf.channel(), Reply(text="请选择", choices=CHOICES))
    (shown,) = kf.seen
    assert (shown.text, shown.choices) == ("请选择", (("track", "查物流"), ("return", "退货")))


async def test_text_goes_before_its_menu_when_it_is_too_long_for_the_head(kf: Kf) -> None:
    await send(kf.channel(), Reply(text="长" * 500, choices=CHOICES))
    assert [(len(shown.text), len(shown.choices)) for shown in kf.seen] == [(500, 0), (0, 2)]


async def test_welcome_goes_with_the_code_of_the_entering(kf: Kf, clock: StandingClock) -> None:
    channel, customer = kf.channel(), "wmNew"
    code = kf.api.enter(customer)
    (part,) = degrade.fit(
        outbound(
            Reply(text="您好", choices=CHOICES), to=customer, context={"open_kfid": KF, "welcome_code": code}
        ),
        channel.capabilities,
    )
    await channel.send(part, idempotency_key="w")
    assert [(shown.user, shown.text) for shown in kf.seen] == [(customer, "您好")]
    late = kf.api.enter(customer)
    clock.move(seconds=21)
    with pytest.raises(errors.UpstreamRefused):
        await send(channel, "too late", context={"open_kfid": KF, "welcome_code": late})


async def test_sixth_reply_is_refused_until_the_customer_writes_again(kf: Kf, clock: StandingClock) -> None:
    channel = kf.channel()
    for number in range(5):
        await send(channel, f"{number}", key=str(number))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(channel, "sixth", key="6")
    assert refused.value.code == "wecom_kf_quota_used_up"
    kf.api.write(ANNA, "more")
    await send(channel, "sixth", key="7")
    clock.move(hours=48)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(channel, "late", key="8")
    assert refused.value.code == "wecom_kf_window_closed"


@pytest.mark.parametrize(
    ("state", "code"), [(2, "in_queue"), (3, "with_servicer"), (4, "session_ended"), (1, "")]
)
async def test_reply_is_refused_by_name_when_the_session_is_not_ours(kf: Kf, state: int, code: str) -> None:
    kf.api.sessions[KF, ANNA].state = state
    channel = kf.channel()
    if not code:
        await send(channel, "hello")
        return
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(channel, "hello")
    assert refused.value.code == f"wecom_kf_{code}"
    assert kf.seen == []


async def test_customer_is_handed_to_people_as_the_settings_say(kf: Kf) -> None:
    talk = conversation()
    assert not kf.channel().hands_over
    assert kf.channel(handover="queue").hands_over
    await kf.channel(handover="queue").hand_over(talk)
    assert kf.api.sessions[KF, ANNA].state == 2
    given = {"handover": "servicer", "servicer_userid": "li.si"}
    with pytest.raises(errors.UpstreamRefused) as refused:
        await kf.channel(**given).hand_over(talk)
    assert refused.value.code == "wecom_kf_no_servicer"
    kf.api.servicers = frozenset({"li.si"})
    await kf.channel(**given).hand_over(talk)
    assert kf.api.sessions[KF, ANNA].state == 3


async def test_account_must_be_known_when_there_are_several(kf: Kf) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(kf.channel(open_kfid="wk1,wk2"), "hello", context={})
    assert refused.value.code == "wecom_kf_no_account"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.timeout, errors.UpstreamUnavailable),
        (faults.status(500), errors.UpstreamUnavailable),
        (faults.status(429, retry_after="3"), errors.Exhausted),
        (faults.status(401), errors.UpstreamRefused),
        (faults.errcode(99_999), errors.UpstreamRefused),
        (faults.errcode(45002), errors.UnsupportedContent),
    ],
)
async def test_fault_becomes_the_error_that_says_what_to_do(
    kf: Kf, fault: faults.Fault, kind: type[errors.ServiceError]
) -> None:
    kf.next_call("/kf/send_msg", fault)
    channel = kf.channel()
    with pytest.raises(kind) as refused:
        await send(channel, "hello")
    assert refused.value.code.startswith("wecom_kf_")
    await send(channel, "hello")
    assert len(kf.seen) == 1


async def test_call_is_repeated_once_when_the_token_was_revoked(kf: Kf) -> None:
    channel = kf.channel()
    await send(channel, "one", key="1")
    kf.api.corporation.revoke_token()
    await send(channel, "two", key="2")
    assert kf.api.corporation.tokens_issued == 2
    assert len(kf.seen) == 2


async def test_files_are_fetched_and_credentials_are_tried(kf: Kf) -> None:
    channel = kf.channel()
    assert isinstance(channel, Fetching)
    assert isinstance(channel, promises.Testing)
    kf.api.corporation.media["m1"] = (b"\x89PNG", "image/png")
    media = await channel.fetch(Attachment(kind="image", media_id="m1"))
    assert (media.content, media.media_type) == (b"\x89PNG", "image/png")
    with pytest.raises(errors.UpstreamRefused):
        await channel.fetch(Attachment(kind="image", media_id="m2"))
    assert "Shop 1" in await channel.test()
    with pytest.raises(errors.UpstreamRefused) as refused:
        await kf.channel(open_kfid="wkOther").test()
    assert "wkOther" in refused.value.public_text


async def test_nothing_personal_is_logged(kf: Kf) -> None:
    channel = kf.channel()
    with structlog.testing.capture_logs() as lines:
        for fault in (faults.timeout, faults.errcode(40001), faults.errcode(40001)):
            kf.next_call("/kf/send_msg", fault)
        for number in range(2):
            with pytest.raises(errors.ServiceError):
                await send(channel, "my secret", key=str(number))
    written = repr(lines)
    assert lines
    assert not [one for one in (ANNA, "my secret", SETTINGS.secret.get_secret_value()) if one in written]


async def test_demo_opens_without_any_setting(surroundings: Surroundings, vault: Vault) -> None:
    channel = wecom_kf.SPEC.build(WecomKfSettings(), surroundings)
    chosen = WecomKfSettings(api_base="http://127.0.0.1:9999").or_demo(vault)
    assert (chosen.api_base, chosen.is_demo) == ("http://127.0.0.1:9999", False)
    assert chosen.corp_id == WecomKfSettings().or_demo(vault).corp_id
    await channel.open()
    await channel.close()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"corp_id": "ww1"}, "secret, token, encoding_aes_key"),
        ({"corp_id": "ww1", "secret": "s", "token": "t", "encoding_aes_key": "short"}, "43"),
        ({"handover": "servicer"}, "servicer_userid"),
        ({"poll_seconds": 1}, "poll_seconds"),
    ],
)
def test_settings_say_what_is_missing_when_they_are_incomplete(given: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WecomKfSettings.model_validate(given)
    assert names in str(refused.value)


def test_item_is_kept_as_it_came() -> None:
    assert json.loads(codec.raw(ITEM)) == ITEM
