"""Kuaishou: its vector, its acknowledgement, and that nothing is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from channels.adapters import kuaishou as adapter
from channels.adapters.kuaishou import codec
from channels.adapters.kuaishou.settings import KuaishouSettings
from foundation import errors
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.kuaishou import KuaishouSpecimen
from tests.unit.channels.json_calls import bodies_like, part, surroundings_of

SETTINGS = KuaishouSettings.model_validate({"app_id": "ks001", "app_secret": "s", "user_field": "who"})
PLACE = codec.Place(TenantId("demo"), "main", SETTINGS, NOW)
SAMPLE: dict[str, Any] = {
    "app_id": "ks001", "event": "MESSAGE", "message_id": "m-1", "timestamp": 1767225600000,
    "data": {"who": "u1", "text": "hi"},
}  # fmt: skip


@pytest.fixture
def kuaishou(database: Database, vault: Vault, clock: StandingClock) -> KuaishouSpecimen:
    return KuaishouSpecimen(surroundings_of(database, vault, clock))


def test_signature_is_the_one_that_the_platform_computes() -> None:
    body = b'{"app_id":"ks001","event":"TEST","message_id":"m-1","timestamp":1767225600000}'
    assert codec.sign(body, "ks-app-secret") == "e48228abf1b4a0d791e20cb3f8f79d26"


def test_acknowledgement_names_the_call(kuaishou: KuaishouSpecimen) -> None:
    answer = kuaishou.channel.acknowledge(kuaishou.text_call("hi", 5))
    assert json.loads(answer.body) == {"result": 1, "message_id": "m-5"}
    unreadable = kuaishou.channel.acknowledge(kuaishou.signed_body_call(b"\xff"))
    assert json.loads(unreadable.body) == {"result": 1, "message_id": ""}


def test_names_of_fields_are_the_settings() -> None:
    (message,) = codec.parse_call(json.dumps(SAMPLE).encode(), PLACE)
    assert (message.text, message.sender[0].value) == ("hi", "u1")
    nobody = {**SAMPLE, "data": {"open_id": "u1"}}
    assert codec.parse_call(json.dumps(nobody).encode(), PLACE) == []


def test_event_of_another_app_is_refused() -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.parse_call(json.dumps({**SAMPLE, "app_id": "ks002"}).encode(), PLACE)


@given(body=bodies_like(SAMPLE))
def test_reader_raises_nothing_but_unreadable(body: bytes) -> None:
    codec.repeated_id(body)
    try:
        codec.parse_call(body, PLACE)
    except errors.UnreadablePayload:
        return


async def test_nothing_is_sent_and_the_reason_is_said(kuaishou: KuaishouSpecimen) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await kuaishou.channel.send(part("kuaishou", "hi", to=CUSTOMER), idempotency_key="k")
    assert refused.value.code == "kuaishou_not_available"
    assert refused.value.public_text == adapter.SPEC.closed
