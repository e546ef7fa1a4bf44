"""What every channel promises, whichever platform it speaks to: one suite over the registry.

Each channel brings recordings, a quality.toml and a README in its folder and a specimen in
`tests/fakes/specimens/`. What only one platform does is tested beside its adapter.
"""

from __future__ import annotations

import contextlib
import logging
import tomllib
from collections.abc import Sequence
from dataclasses import replace

import pytest
import structlog

from channels import degrade
from channels import text as texts
from channels.contract import (
    BODY_LIMIT,
    Part,
    Surroundings,
    Webhook,
)
from channels.promises import Answering, Fetching
from channels.registry import CHANNELS
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    FILES,
    Attachment,
    Choice,
    Citation,
    ConversationId,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.specimens import CALLS, CLOSED, INBOUND, REPLY_CONTEXTS, SPECIMENS, WEBHOOKS
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    CallSpecimen,
    Fault,
    InboundSpecimen,
    Specimen,
    WebhookSpecimen,
    admit,
)

LEVELS = {
    "answers": {"authentic", "text_in", "text_out", "deduplicated", "three_recordings"},
    "dependable": {
        "receipts",
        "retry_after",
        "expired_credential_is_one_state",
        "attachments_in",
        "limits_documented",
        "logs_once_when_down_and_once_when_back",
    },
    "native": {
        "buttons_and_cards",
        "typing_sign",
        "edits_and_withdrawals",
        "templates_for_outbound",
        "media_out",
        "diagnostics",
        "weekly_live_check",
    },
}
SAID = "我的订单 HL20261125001 到哪了？ wáng@example.com \U0001f4e6"


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture(params=[spec.name for spec in CHANNELS])
def specimen(request: pytest.FixtureRequest, surroundings: Surroundings) -> Specimen:
    return SPECIMENS[request.param](surroundings)


@pytest.fixture(params=sorted(INBOUND))
def caller(request: pytest.FixtureRequest, surroundings: Surroundings) -> InboundSpecimen:
    return INBOUND[request.param](surroundings)


@pytest.fixture(params=sorted(CALLS))
def line(request: pytest.FixtureRequest, surroundings: Surroundings) -> CallSpecimen:
    return CALLS[request.param](surroundings)


@pytest.fixture(params=sorted(WEBHOOKS))
def platform(request: pytest.FixtureRequest, surroundings: Surroundings) -> WebhookSpecimen:
    return WEBHOOKS[request.param](surroundings)


def outbound(channel: str, reply: Reply) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel=channel, account="a", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role="bot", reply=reply,
        reply_context=REPLY_CONTEXTS.get(channel, {}),
    )  # fmt: skip


def receive(platform: InboundSpecimen, call: Webhook) -> Sequence[InboundMessage]:
    admit(platform.channel, call)
    return platform.channel.read(call)


async def send(specimen: Specimen, reply: Reply) -> list[str]:
    parts = degrade.fit(outbound(specimen.channel.name, reply), specimen.channel.capabilities)
    if _is_never_sent(specimen):
        return [part.text for part in parts]
    for part in parts:
        await specimen.channel.send(part, idempotency_key=f"c1/1/{part.index}")
    return [part.text for part in parts]


async def show(specimen: Specimen, part: Part) -> None:
    if not _is_never_sent(specimen):
        await specimen.channel.send(part, idempotency_key="k")


def _is_never_sent(specimen: Specimen) -> bool:
    return isinstance(specimen.channel, Answering) or specimen.channel.name in CLOSED


@pytest.mark.parametrize("name", [spec.name for spec in CHANNELS])
def test_channel_brings_what_its_family_asks_for(name: str) -> None:
    folder = ADAPTERS / name
    assert (folder / "README.md").stat().st_size > 500
    quality = tomllib.loads((folder / "quality.toml").read_text(encoding="utf-8"))
    assert {level: set(rules) for level, rules in quality.items()} == LEVELS
    for level, rules in quality.items():
        for rule, state in rules.items():
            reasoned = isinstance(state, dict) and set(state) <= {"todo", "exempt"} and all(state.values())
            assert state == "done" or reasoned, f"{level}.{rule}: done, or todo or exempt with a reason"


def test_every_channel_has_a_specimen_and_both_names() -> None:
    assert set(SPECIMENS) == {spec.name for spec in CHANNELS}
    assert all(spec.title.get("zh") and spec.title.get("en") for spec in CHANNELS)


def test_every_recording_reads_as_it_says(specimen: Specimen) -> None:
    recordings = specimen.recordings()
    assert len(recordings) >= 3
    for path in recordings:
        messages, expected = specimen.read_recording(path)
        found = [message.model_dump(include=set(expected)) for message in messages]
        assert found == ([expected] if expected else []), path.name


def test_message_id_is_the_same_when_a_recording_is_read_twice(specimen: Specimen) -> None:
    ids: list[str] = []
    for path in specimen.recordings():
        once, twice = specimen.read_recording(path)[0], specimen.read_recording(path)[0]
        assert [message.message_id for message in once] == [message.message_id for message in twice]
        ids += [message.message_id for message in once]
    assert len(set(ids)) == len(ids)


def test_channel_that_brings_files_can_fetch_them(specimen: Specimen) -> None:
    """What a recording shows to come in can be brought in; where nothing comes in, the quality file says why."""
    brings = any(
        one.kind in FILES
        for path in specimen.recordings()
        for message in specimen.read_recording(path)[0]
        for one in message.attachments
    )
    quality = tomllib.loads((ADAPTERS / specimen.channel.name / "quality.toml").read_text(encoding="utf-8"))
    says_so = quality["dependable"]["attachments_in"] == "done"
    assert isinstance(specimen.channel, Fetching) == says_so
    assert says_so or not brings


async def test_text_is_sent_as_it_is(specimen: Specimen) -> None:
    assert await send(specimen, Reply(text=SAID)) == [SAID]


async def test_long_text_keeps_its_order_and_every_character(specimen: Specimen) -> None:
    limits = specimen.channel.capabilities
    text = "".join(f"第{number}句话说明退货的一条规定。" for number in range(200))
    parts = await send(specimen, Reply(text=text))
    assert "".join(parts) == text
    assert max(texts.size(part, limits.text_unit) for part in parts) <= limits.text_limit


@pytest.mark.parametrize("kind", ["image", "voice", "video", "file", "location", "link"])
async def test_attachment_is_shown_or_said_aloud(specimen: Specimen, kind: str) -> None:
    attachment = Attachment.model_validate(
        {"kind": kind, "url": f"https://shop/{kind}", "name": f"the {kind}"}
    )
    message = outbound(specimen.channel.name, Reply(text="看这里", attachments=(attachment,)))
    (part,) = degrade.fit(message, specimen.channel.capabilities)
    native = part.message.reply.attachments == (attachment,)
    assert native == (kind in specimen.channel.capabilities.media)
    assert native or f"https://shop/{kind}" in part.text
    await show(specimen, part)


@pytest.mark.parametrize("count", [1, 3, 30])
async def test_choices_are_shown_or_said_aloud(specimen: Specimen, count: int) -> None:
    choices = tuple(Choice(label=f"choice {number}", value=f"v{number}") for number in range(count))
    message = outbound(specimen.channel.name, Reply(text="请选择", choices=choices))
    parts = degrade.fit(message, specimen.channel.capabilities)
    shown = [choice.label for choice in parts[-1].message.reply.choices]
    said = "".join(part.text for part in parts)
    assert all(choice.label in shown or choice.label in said for choice in choices)
    for part in parts:
        await show(specimen, part)


async def test_sources_are_shown_or_said_aloud(specimen: Specimen) -> None:
    citation = Citation(article="returns", title="退货流程", version=3, quote="七天")
    message = outbound(specimen.channel.name, Reply(text="可以退", citations=(citation,)))
    (part,) = degrade.fit(message, specimen.channel.capabilities)
    assert part.message.reply.citations == (citation,) or citation.title in part.text
    await show(specimen, part)


def test_webhook_is_closed_when_the_channel_has_routes_of_its_own(
    surroundings: Surroundings, platform: WebhookSpecimen
) -> None:
    for name in sorted(set(SPECIMENS) - set(INBOUND)):
        with pytest.raises(errors.NotAuthentic):
            admit(SPECIMENS[name](surroundings).channel, platform.text_call("hello", 1))


def test_text_comes_in_as_it_was_written(caller: InboundSpecimen) -> None:
    call = caller.text_call(SAID, 1)
    admit(caller.channel, call)
    (message,) = caller.channel.read(call)
    assert (message.kind, message.text, message.channel) == ("text", SAID, caller.channel.name)
    assert message.sender[0].proven
    assert caller.channel.acknowledge(call).status == 200


@pytest.mark.parametrize(
    "text", ["", "\U0001f469\u200d\U0001f467", "مرحبا", "\u202eabc", "<b>]]>&", "x" * 10_000]
)
def test_strange_text_is_read(platform: WebhookSpecimen, text: str) -> None:
    call = platform.text_call(text, 2)
    admit(platform.channel, call)
    assert platform.channel.read(call)[0].text == text


def test_messages_are_told_apart_when_their_texts_are_equal(caller: InboundSpecimen) -> None:
    ids = [caller.channel.read(caller.text_call("same", number))[0].message_id for number in range(3)]
    assert len(set(ids)) == 3


def test_repetition_of_the_platform_is_verified_and_is_one_message(caller: InboundSpecimen) -> None:
    call = caller.text_call("again", 3)
    ids = set()
    for _ in range(3):
        admit(caller.channel, call)
        ids.add(caller.channel.read(call)[0].message_id)
    assert len(ids) == 1


def test_call_is_refused_when_it_is_tampered_with_or_unsigned(caller: InboundSpecimen) -> None:
    call = caller.text_call("mine", 4)
    tampered = caller.tampered(call)
    assert len(tampered) > 5
    for forged in tampered:
        with pytest.raises(errors.NotAuthentic):
            admit(caller.channel, forged)
    admit(caller.channel, call)


def test_call_is_refused_when_it_is_old(caller: InboundSpecimen) -> None:
    call = caller.stale_call()
    if call is None:
        pytest.skip("the calls of this platform carry no time; repetitions are found by their ids")
    with pytest.raises(errors.NotAuthentic):
        admit(caller.channel, call)


def test_old_secret_passes_during_its_change_only(caller: InboundSpecimen) -> None:
    change = caller.changing_secret()
    if change is None:
        pytest.skip("the keys are the platform's own")
    during, after, call = change
    admit(during, call)
    assert during.read(call)[0].text
    with pytest.raises(errors.NotAuthentic):
        admit(after, call)


def test_unknown_event_is_acknowledged(caller: InboundSpecimen) -> None:
    call = caller.unknown_event_call()
    admit(caller.channel, call)
    (message,) = caller.channel.read(call)
    assert message.kind in ("event", "unknown")
    assert caller.channel.acknowledge(call).status == 200


HOSTILE = {
    "empty": b"",
    "truncated": b"<xml><ToUserName><![CDATA[gh",
    "no text": b"\xff\xfe\x00\xd8",
    "five megabytes": b"<xml>" + b"a" * 5 * BODY_LIMIT + b"</xml>",
    "deep": b"<x>" * 200_000,
    "json": b'{"a":' * 50_000,
    "outside entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><xml><a>&e;</a></xml>',
    "laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><xml><a>&b;</a></xml>',
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_body_is_refused_by_name(caller: InboundSpecimen, name: str) -> None:
    """Also with a right signature: the reader must not trust what the gate let through."""
    call = caller.signed_body_call(HOSTILE[name])
    with pytest.raises((errors.NotAuthentic, errors.UnreadablePayload)):
        receive(caller, call)
    with pytest.raises((errors.NotAuthentic, errors.UnreadablePayload)):
        caller.channel.read(replace(call, query={}))


async def test_replies_reach_the_customer_in_order(platform: WebhookSpecimen) -> None:
    limit = platform.channel.capabilities.text_limit
    parts = await send(platform, Reply(text="第一段很长的说明。" * (limit // 9 + 20)))
    assert len(parts) > 1
    assert platform.seen() == parts


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", errors.UpstreamRefused),
        ("429", errors.Exhausted),
        ("500", errors.UpstreamUnavailable),
        ("timeout", errors.UpstreamUnavailable),
    ],
)
async def test_fault_of_the_platform_becomes_the_error_that_says_what_to_do(
    platform: WebhookSpecimen, fault: Fault, kind: type[errors.ServiceError]
) -> None:
    platform.fail_next_send(fault)
    with pytest.raises(kind) as refused:
        await send(platform, Reply(text="hello"))
    assert errors.is_temporary(refused.value) == (fault != "401")
    assert CUSTOMER not in refused.value.public_text
    await send(platform, Reply(text="hello"))
    assert platform.seen() == ["hello"]


async def test_nothing_personal_is_logged(
    platform: WebhookSpecimen, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("channels").setLevel(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        calls = (platform.text_call(SAID, 9), platform.unknown_event_call(), platform.stale_call())
        for call in calls:
            for attempt in (*([call] if call else []), *platform.tampered(platform.text_call(SAID, 10))):
                with contextlib.suppress(errors.NotAuthentic):
                    receive(platform, attempt)
        faults: tuple[Fault, ...] = ("401", "429", "500", "timeout")
        for fault in faults:
            platform.fail_next_send(fault)
            with pytest.raises(errors.ServiceError):
                await send(platform, Reply(text=SAID))
        await send(platform, Reply(text=SAID))
    written = repr(lines) + "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("channels")
    )
    assert lines
    assert [secret for secret in (SAID, "wáng@example.com", *platform.secrets()) if secret in written] == []


async def test_answer_says_the_reply_and_keeps_the_line(line: CallSpecimen) -> None:
    """Speech may be spelled otherwise (amounts, digits), so a sentence without either is looked for."""
    call = line.text_call("还有货吗", 11)
    said = "有货，今天可以发出。"
    (part,) = degrade.fit(outbound(line.channel.name, Reply(text=said)), line.channel.capabilities)
    assert isinstance(line.channel, Answering)
    answer = line.channel.respond(call, [part], waiting=False)
    assert answer.status == 200
    assert "有货" in line.heard(answer.body)
    later = line.channel.respond(call, [], waiting=True)
    assert later.status == 200
    assert "有货" not in line.heard(later.body)
    assert line.channel.capabilities.synchronous_deadline_seconds
