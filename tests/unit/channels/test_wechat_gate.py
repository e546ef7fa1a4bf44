"""Who passes the gate: signed, in time, once; the platform's own repetitions pass, everybody else's do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from channels.adapters.wechat_oa import codec
from channels.contract import Webhook
from channels.families.wechat.codec import parse_fields, render_xml
from channels.families.wechat.gate import Gate
from foundation import errors
from tests.unit.channels.wechat import (
    FIELDS,
    NOW,
    OTHER_KEY,
    SETTINGS,
    changed,
    gate,
    later,
    settings,
    webhook,
)

Mode = Literal["plain", "secure"]
MODES = pytest.mark.parametrize("mode", ["plain", "secure"])


def refusal(call: Webhook, **setting: Any) -> str:
    with pytest.raises(errors.NotAuthentic) as refused:
        gate(**setting).admit(call)
    return refused.value.code


@MODES
def test_call_passes_when_the_platform_signed_it(mode: Mode) -> None:
    door, call = gate(), webhook(mode=mode)
    door.admit(call)
    assert parse_fields(door.open(call)) == FIELDS


def test_address_is_confirmed_when_the_greeting_is_signed() -> None:
    call = replace(changed(webhook(mode="plain"), echostr="5838479218127813673"), method="GET")
    assert gate(mode="secure").greet(call) == "5838479218127813673"
    with pytest.raises(errors.NotAuthentic):
        gate().greet(changed(call, signature="0" * 40))
    with pytest.raises(errors.NotAuthentic):
        gate().greet(later(call, hours=1))


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("plain", "signature"),
        ("plain", "timestamp"),
        ("plain", "nonce"),
        ("secure", "msg_signature"),
        ("secure", "timestamp"),
        ("secure", "nonce"),
    ],
)
@pytest.mark.parametrize("value", ["", "0" * 40, "签名", "1764061200", "\ud800"])
def test_call_is_refused_when_a_signed_part_is_changed(mode: Mode, name: str, value: str) -> None:
    assert refusal(changed(webhook(mode=mode), **{name: value})) == "bad_signature"


@MODES
def test_call_is_refused_when_nothing_is_signed(mode: Mode) -> None:
    call = replace(webhook(mode=mode), query={})
    assert refusal(call, mode="plain") == "bad_signature"
    assert refusal(call, mode="secure") in {"bad_signature", "not_encrypted"}


def test_call_is_refused_when_one_byte_of_the_encrypted_body_is_changed() -> None:
    call = webhook()
    middle = call.body.index(b"<Encrypt>") + 60
    body = bytearray(call.body)
    body[middle] = ord("A") if body[middle] != ord("A") else ord("B")
    assert refusal(replace(call, body=bytes(body))) == "bad_signature"


@MODES
@pytest.mark.parametrize("seconds", [-301, 301, 3600, -86_400])
def test_call_is_refused_when_its_time_is_far_from_ours(mode: Mode, seconds: int) -> None:
    assert refusal(webhook(mode=mode, at=NOW + timedelta(seconds=seconds))) == "stale"


@MODES
@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_call_passes_when_its_time_is_near_ours(mode: Mode, seconds: int) -> None:
    gate().admit(webhook(mode=mode, at=NOW + timedelta(seconds=seconds)))


@MODES
def test_repetition_passes_when_the_platform_sends_the_same_message_again(mode: Mode) -> None:
    door, call = gate(), webhook(mode=mode, nonce="n1")
    for _ in range(3):
        door.admit(call)
    door.admit(webhook(mode=mode, nonce="n1"))
    door.admit(webhook(mode=mode, nonce="n2"))


@MODES
def test_call_is_refused_when_a_used_nonce_carries_another_message(mode: Mode) -> None:
    door = gate()
    door.admit(webhook(mode=mode, nonce="n1"))
    with pytest.raises(errors.NotAuthentic) as refused:
        door.admit(webhook({**FIELDS, "MsgId": "2"}, mode=mode, nonce="n1"))
    assert refused.value.code == "replayed"


def test_captured_signature_is_refused_when_it_is_put_under_another_body() -> None:
    """What a plain signature alone would allow: it does not cover the body."""
    door, call = gate(), webhook(mode="plain")
    door.admit(call)
    for body in (render_xml({**FIELDS, "FromUserName": "oVictim"}), b"", b"<xml>", b"\xff"):
        with pytest.raises(errors.NotAuthentic) as refused:
            door.admit(replace(call, body=body))
        assert refused.value.code == "replayed"


def test_plain_body_is_refused_when_the_query_is_taken_from_an_encrypted_call() -> None:
    door, call = gate(), webhook()
    door.admit(call)
    names = ("timestamp", "nonce", "signature")
    taken = replace(
        call,
        query={name: call.query[name] for name in names},
        body=render_xml({**FIELDS, "MsgId": "3", "Content": "cancel my order"}),
    )
    with pytest.raises(errors.NotAuthentic):
        door.admit(taken)


def test_unreadable_repetition_passes_when_it_is_the_same_bytes() -> None:
    door, call = gate(), replace(webhook(mode="plain"), body=b"<xml><broken")
    door.admit(call)
    door.admit(call)


def test_oldest_pair_is_forgotten_when_more_come_than_the_memory_holds() -> None:
    door = Gate(SETTINGS.keys(), codec.identify, parse_fields, remembered_limit=3)
    for number in range(4):
        door.admit(webhook(nonce=f"n{number}"))
    door.admit(webhook({**FIELDS, "MsgId": "2"}, nonce="n0"))
    with pytest.raises(errors.NotAuthentic):
        door.admit(webhook({**FIELDS, "MsgId": "2"}, nonce="n3"))


def test_repetition_passes_when_time_has_moved_on_in_between() -> None:
    door, call = gate(), webhook(nonce="n1")
    door.admit(call)
    door.admit(later(webhook(nonce="n2", at=NOW + timedelta(seconds=700)), seconds=700))
    with pytest.raises(errors.NotAuthentic) as refused:
        door.admit(later(call, seconds=700))
    assert refused.value.code == "stale"


@MODES
def test_plain_call_is_refused_when_the_account_is_secure(mode: Mode) -> None:
    call = webhook(mode=mode)
    if mode == "secure":
        gate(mode="secure").admit(call)
    else:
        assert refusal(call, mode="secure") == "not_encrypted"


def test_clear_fields_are_not_trusted_when_an_encrypted_part_is_there() -> None:
    call = webhook()
    clear = render_xml({**FIELDS, "Content": "forged"}).removesuffix(b"</xml>")
    both = clear + call.body.removeprefix(b"<xml>").replace(
        b"<ToUserName><![CDATA[gh_9a8b7c]]></ToUserName>", b""
    )
    door = gate()
    door.admit(replace(call, body=both))
    assert parse_fields(door.open(replace(call, body=both)))["Content"] == FIELDS["Content"]


def test_encrypted_call_is_refused_when_its_body_is_no_xml() -> None:
    assert refusal(replace(webhook(), body=b"\x00\xff")) == "not_decryptable"


def test_call_is_refused_when_it_was_encrypted_for_another_account() -> None:
    assert refusal(webhook(signer=settings(app_id="wxffffffffffffffff"))) == "not_decryptable"


@MODES
def test_both_tokens_pass_while_one_replaces_the_other(mode: Mode) -> None:
    changing = {"token": SecretStr("newtoken"), "previous_token": SETTINGS.token}
    gate(**changing).admit(webhook(mode=mode))
    gate(**changing).admit(webhook(mode=mode, signer=settings(token=SecretStr("newtoken"))))
    assert refusal(webhook(mode=mode), token=SecretStr("newtoken")) == "bad_signature"


def test_both_keys_pass_while_one_replaces_the_other() -> None:
    changing = {"encoding_aes_key": SecretStr(OTHER_KEY), "previous_aes_key": SETTINGS.encoding_aes_key}
    gate(**changing).admit(webhook())
    gate(**changing).admit(webhook(signer=settings(encoding_aes_key=SecretStr(OTHER_KEY))))
    assert refusal(webhook(), encoding_aes_key=SecretStr(OTHER_KEY)) == "not_decryptable"
