"""The door: what is stored with a message, what a repeat does, and what happens to what cannot be accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from channels import endpoints, records, refusals
from channels.contract import Acknowledgement, Capabilities, Channel, Door, Part, Watermark, Webhook
from channels.intake import Intake
from foundation import conversations, errors
from foundation.bus.contract import Bus, Outcome
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.conversations import Conversation, Draft, raw_payload_table
from foundation.events import MessageReceived
from foundation.live import Hub
from foundation.messages import (
    Choice,
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock

TENANT = TenantId("demo")
SENT = datetime(2026, 11, 25, 8, 59, tzinfo=UTC)


class Postcards:
    """A channel in ten lines: the body is the text, `greet` is a handshake, `forged` is forged, `torn` is unreadable."""

    name = "postcards"

    def __init__(self, *, forever: bool = False) -> None:
        self.capabilities = Capabilities(text_limit=100, acknowledge_unreadable=forever)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return Acknowledgement(webhook.query["greet"].encode()) if "greet" in webhook.query else None

    def verify(self, webhook: Webhook) -> None:
        if webhook.body == b"forged":
            raise errors.NotAuthentic("forged", code="bad_stamp")

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        if webhook.body == b"torn":
            raise errors.UnreadablePayload("torn")
        return [message(line, f"p-{line}") for line in webhook.body.decode().split("|")]

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"thanks")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        return ""

    async def show_typing(self, conversation: Conversation) -> None: ...

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return []


def message(text: str = "你好", message_id: str = "p-1", **more: Any) -> InboundMessage:
    fields: dict[str, Any] = {
        "tenant": TENANT, "channel": "postcards", "account": "box", "thread": "anna", "message_id": MessageId(message_id),
        "sender": (Identifier(namespace="account", value="a-1"), Identifier(namespace="postcards:box", value="anna", proven=True)),
        "text": text, "sent_at": SENT,
    }  # fmt: skip
    return InboundMessage(**{**fields, **more})


@pytest.fixture
def database(either_database: Database) -> Database:
    """The door keeps its promise on both engines."""
    return either_database


@pytest.fixture
async def bus(database: Database, clock: StandingClock) -> AsyncIterator[Bus]:
    machine = EmbeddedBus if database.dialect == "sqlite" else PostgresBus
    opened = machine(database, clock)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def intake(
    bus: Bus, database: Database, vault: Vault, clock: StandingClock, metrics: Metrics, hub: Hub
) -> Intake:
    return Intake(bus, database, vault=vault, clock=clock, metrics=metrics, hub=hub)


async def transcript(database: Database, conversation_id: ConversationId) -> list[conversations.Message]:
    return await database.read(lambda c: conversations.read(c, TENANT, conversation_id))


async def raw_payloads(database: Database) -> list[tuple[str, str, str]]:
    return await database.read(
        lambda c: [
            (row.source, row.key, row.body)
            for row in c.execute(sa.select(raw_payload_table).order_by(raw_payload_table.c.received_at))
        ]
    )


async def events(bus: Bus) -> list[MessageReceived]:
    heard = []
    while turns := await bus.take(10):
        for turn in turns:
            assert isinstance(turn.entry.event, MessageReceived)
            heard.append(turn.entry.event)
            await bus.finish(turn, Outcome())
    return heard


async def test_everything_about_a_message_is_stored_at_once(
    intake: Intake, database: Database, bus: Bus, hub: Hub
) -> None:
    said = message(reply_context={"token": "t"})
    conversation_id = intake.conversation_id(said)
    with hub.listen(conversation_id, "desk:demo") as signals:
        accepted = await intake.accept(said, b"raw \xff")
    assert (accepted.conversation_id, accepted.seq, accepted.new) == (conversation_id, 1, True)
    assert signals.qsize() == 2
    found = await database.read(lambda c: conversations.get(c, TENANT, conversation_id))
    assert (found.recipient, found.channel, found.account) == ("anna", "postcards", "box")
    assert (found.reply_context, found.last_customer_at) == ({"token": "t"}, SENT)
    (line,) = await transcript(database, conversation_id)
    assert (line.role, line.text, line.id, line.state) == ("customer", "你好", "p-1", "accepted")
    assert await raw_payloads(database) == [("postcards:box", "p-1", "raw \\xff")]
    (event,) = await events(bus)
    assert (event.seq, event.message) == (1, said)


async def test_fifty_repeats_at_once_are_one_message(
    intake: Intake, database: Database, bus: Bus, metrics: Metrics
) -> None:
    accepted = await asyncio.gather(*(intake.accept(message(), b"x") for _ in range(50)))
    assert sorted(one.new for one in accepted) == [False] * 49 + [True]
    assert {one.seq for one in accepted} == {1}
    assert len(await transcript(database, accepted[0].conversation_id)) == 1
    assert len(await events(bus)) == 1
    counted = metrics.registry.get_sample_value
    assert counted("huiliu_messages_accepted_total", {"channel": "postcards", "result": "repeat"}) == 49


async def test_each_event_names_its_own_place_when_many_arrive_at_once(
    intake: Intake, database: Database, bus: Bus
) -> None:
    accepted = await asyncio.gather(*(intake.accept(message(f"{n}", f"p-{n}"), b"x") for n in range(12)))
    assert sorted(one.seq for one in accepted) == list(range(1, 13))
    lines = {line.id: line.seq for line in await transcript(database, accepted[0].conversation_id)}
    heard = await events(bus)
    assert {event.message.message_id: event.seq for event in heard} == lines
    assert [event.seq for event in heard] == list(range(1, 13))


async def test_message_is_known_when_only_the_transcript_remembers_it(
    intake: Intake, database: Database, bus: Bus, clock: StandingClock
) -> None:
    first = await intake.accept(message(), b"x")
    await events(bus)
    clock.move(days=40)
    await bus.purge(entries_before=clock(), replies_before=clock())
    again = await intake.accept(message(), b"x")
    assert (again.seq, again.new) == (first.seq, False)
    assert len(await transcript(database, first.conversation_id)) == 1
    assert await events(bus) == []


@pytest.mark.parametrize(
    ("more", "stored"),
    [
        ({"text": ""}, ("text", "")),
        ({"text": "", "kind": "image"}, ("image", "")),
        ({"text": "", "kind": "event", "event": "subscribe"}, ("event", "subscribe")),
        ({"text": "", "kind": "unknown"}, ("unknown", "")),
        ({"text": "a\x00b\ud800"}, ("text", "ab\ufffd")),
    ],
)
async def test_everything_is_accepted_as_what_it_is(
    intake: Intake, database: Database, more: dict[str, Any], stored: tuple[str, str]
) -> None:
    said = message().model_copy(update=more)
    accepted = await intake.accept(said, b"x")
    (line,) = await transcript(database, accepted.conversation_id)
    assert (line.kind, line.text) == stored


async def test_long_text_is_cut_and_flagged(intake: Intake, bus: Bus) -> None:
    await intake.accept(message("字" * 10_001), b"x")
    (event,) = await events(bus)
    assert (len(event.message.text), event.message.event_data) == (10_000, {"truncated": "10001"})


async def test_number_becomes_the_value_of_the_choice_we_offered(
    intake: Intake, database: Database, bus: Bus, clock: StandingClock
) -> None:
    first = await intake.accept(message("我要退货"), b"x")
    choices = (Choice(label="质量问题", value="faulty"), Choice(label="不喜欢", value="unwanted"))
    draft = Draft(id="b-1", role="bot", text="原因？", sent_at=clock(), choices=choices)
    await database.write(lambda c: conversations.append(c, TENANT, first.conversation_id, draft))
    await intake.accept(message("第二个", "p-2"), b"x")
    await intake.accept(message("不知道", "p-3"), b"x")
    heard = await events(bus)
    assert [event.message.text for event in heard] == ["我要退货", "unwanted", "不知道"]
    assert heard[1].message.event_data == {"chosen_from": "第二个"}
    assert [line.text for line in await transcript(database, first.conversation_id)][2] == "第二个"


async def test_number_is_only_a_number_when_the_offer_is_over(
    intake: Intake, database: Database, bus: Bus, clock: StandingClock
) -> None:
    first = await intake.accept(message("退货"), b"x")
    for number, choices in enumerate(((Choice(label="是", value="yes"),), ())):
        draft = Draft(id=f"b-{number}", role="bot", text="…", sent_at=clock(), choices=choices)
        await database.write(lambda c, d=draft: conversations.append(c, TENANT, first.conversation_id, d))  # type: ignore[misc]
    await intake.accept(message("1", "p-2"), b"x")
    assert (await events(bus))[-1].message.text == "1"


# ---- over HTTP -------------------------------------------------------------------------------------------------------


def browser(intake: Intake, channel: Channel, clock: StandingClock, metrics: Metrics) -> httpx.AsyncClient:
    routes = endpoints.routes(intake, {(TENANT, "postcards"): channel}, clock=clock, metrics=metrics)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=list(routes))), base_url="http://care"
    )


async def test_batch_is_accepted_in_order_and_acknowledged(
    intake: Intake, bus: Bus, clock: StandingClock, metrics: Metrics
) -> None:
    async with browser(intake, Postcards(), clock, metrics) as client:
        answer = await client.post("/v1/hooks/demo/postcards/box", content="一|二|三".encode())
    assert (answer.status_code, answer.content) == (200, b"thanks")
    assert [event.message.text for event in await events(bus)] == ["一", "二", "三"]


async def test_handshake_is_answered_and_nothing_is_stored(
    intake: Intake, database: Database, clock: StandingClock, metrics: Metrics
) -> None:
    async with browser(intake, Postcards(), clock, metrics) as client:
        answer = await client.get("/v1/hooks/demo/postcards?greet=echo")
    assert answer.text == "echo"
    assert await raw_payloads(database) == []


async def test_forgery_is_refused_and_counted(
    intake: Intake, database: Database, clock: StandingClock, metrics: Metrics
) -> None:
    async with browser(intake, Postcards(), clock, metrics) as client:
        answer = await client.post("/v1/hooks/demo/postcards", content=b"forged")
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": "bad_stamp", "message": "forged"}}
    counted = metrics.registry.get_sample_value
    assert counted("huiliu_webhooks_refused_total", {"channel": "postcards", "code": "bad_stamp"}) == 1
    assert await raw_payloads(database) == []


@pytest.mark.parametrize(("forever", "status"), [(False, 400), (True, 200)])
async def test_unreadable_payload_is_kept(
    intake: Intake, database: Database, clock: StandingClock, metrics: Metrics, forever: bool, status: int
) -> None:  # fmt: skip
    async with browser(intake, Postcards(forever=forever), clock, metrics) as client:
        answers = [await client.post("/v1/hooks/demo/postcards", content=b"torn") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status] * 2
    assert [(source, body) for source, _, body in await raw_payloads(database)] == [
        ("postcards:unreadable", "torn")
    ]


async def test_watermark_finds_its_conversation_by_account_and_thread(
    intake: Intake, database: Database, hub: Hub
) -> None:
    talk = (await intake.accept(message(), b"")).conversation_id

    def reply(connection: sa.Connection) -> None:
        draft = Draft(id="m-1", role="bot", text="!", sent_at=SENT, state="sent")
        conversations.append(connection, TENANT, talk, draft)
        records.remember_sent(connection, TENANT, talk, "m-1", part=0, provider_id="p", now=SENT)

    await database.write(reply)
    with hub.listen(talk) as signals:
        for account, thread in (("other", "anna"), ("box", "berta"), ("box", "anna"), ("box", "anna")):
            await intake.report(TENANT, "postcards", Watermark(account, thread, SENT, "read"))
        assert (await transcript(database, talk))[-1].state == "read"
        assert signals.qsize() == 1


async def test_what_the_check_needs_is_awaited_before_it_and_refused_calls_are_counted(
    intake: Intake, database: Database, clock: StandingClock, metrics: Metrics
) -> None:
    class Sealed(Postcards):
        """Knows a stamp only after it has been fetched."""

        known = False

        async def prepare(self, webhook: Webhook) -> None:
            if webhook.body == b"no such stamp":
                raise errors.NotAuthentic("no such stamp", code="unknown_stamp")
            self.known = True

        def verify(self, webhook: Webhook) -> None:
            if not self.known:
                raise errors.NotAuthentic("no stamp", code="bad_stamp")

    channel: Channel = Sealed()
    app = Starlette(
        routes=list(endpoints.routes(intake, {(TENANT, "postcards"): channel}, clock=clock, metrics=metrics))
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as client:
        hook = f"/v1/hooks/{TENANT}/postcards"
        assert (await client.post(hook, content=b"no such stamp")).status_code == 401
        assert (await client.post(f"{hook}/word", content=b"no such stamp")).status_code == 401
        assert (await client.post(hook, content=b"hello")).status_code == 200
    await intake.refusals.close()
    counted = await database.read(lambda c: refusals.count(c, TENANT, clock()))
    assert counted == {("postcards", "main"): {"unknown_stamp": 2}}
