"""Replies on their way out: order, retries that go on with the next part, windows and quotas, and the state shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import pytest
import sqlalchemy as sa
from starlette.routing import BaseRoute

from channels import records
from channels.contract import Acknowledgement, Capabilities, Door, Part, Receipt, Watermark, Webhook
from channels.outbound.delivery import Delivery
from channels.places import Channels, find_channel, find_listener, place
from foundation import conversations, errors
from foundation.bus.contract import Outgoing
from foundation.conversations import Conversation, Draft
from foundation.live import Hub
from foundation.messages import (
    ConversationId,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock

TENANT = TenantId("demo")
CONVERSATION = ConversationId("c-1")
LONG = "一句话。二句话。三句话。四句话。"


@dataclass
class Pigeons:
    """Carries what it is given, until it is told to fail."""

    capabilities: Capabilities
    name: str = "pigeons"
    carried: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    fail_at: int | None = None
    error: errors.ServiceError | None = None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def verify(self, webhook: Webhook) -> None: ...

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return []

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement()

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        if self.error is not None and part.index == self.fail_at:
            raise self.error
        self.carried.append(part.text)
        self.keys.append(idempotency_key)
        return f"p-{part.index}"

    async def show_typing(self, conversation: Conversation) -> None: ...

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return []


@pytest.fixture
async def opened(either_database: Database, clock: StandingClock) -> Database:
    def write(connection: object) -> None:
        now: datetime = clock()
        conversations.ensure(
            connection, CONVERSATION, tenant=TENANT, channel="pigeons", account="loft", recipient="anna", now=now  # type: ignore[arg-type]
        )  # fmt: skip
        for draft in (
            Draft(id="in", role="customer", text="?", sent_at=now),
            Draft(id="m-1", role="bot", text=LONG, sent_at=now, state="sending"),
            Draft(id="m-2", role="bot", text="好", sent_at=now, state="sending"),
        ):
            conversations.append(connection, TENANT, CONVERSATION, draft)  # type: ignore[arg-type]

    await either_database.write(write)
    return either_database


def make(pigeons: Pigeons, database: Database, clock: StandingClock, hub: Hub | None = None) -> Delivery:
    channels = {(TENANT, place("pigeons", "loft")): pigeons}
    return Delivery(channels, database, hub=hub or Hub(), clock=clock, metrics=Metrics())


def outgoing(text: str = LONG, message_id: str = "m-1", channel: str = "pigeons") -> Outgoing:
    message = OutboundMessage(
        tenant=TENANT, channel=channel, account="loft", conversation_id=CONVERSATION,
        message_id=MessageId(message_id), recipient="anna", role="bot", reply=Reply(text=text),
    )  # fmt: skip
    return Outgoing(id=1, lane=CONVERSATION, message=message, idempotency_key="c-1/1/0", attempt=1)


async def state(database: Database, message_id: str = "m-1") -> tuple[str, str | None]:
    found = await database.read(lambda c: conversations.find_message(c, TENANT, CONVERSATION, message_id))
    assert found is not None
    return found.state, found.error


async def test_parts_go_out_in_order_and_the_state_is_told(opened: Database, clock: StandingClock) -> None:
    pigeons, hub = Pigeons(Capabilities(text_limit=4)), Hub()
    with hub.listen(CONVERSATION) as signals:
        provider_id = await make(pigeons, opened, clock, hub).deliver(outgoing())
    assert pigeons.carried == ["一句话。", "二句话。", "三句话。", "四句话。"]
    assert pigeons.keys == [f"c-1/1/0/{index}" for index in range(4)]
    assert provider_id == "p-3"
    assert await state(opened) == ("sent", None)
    assert signals.get_nowait().kind == "receipt"


async def test_retry_goes_on_with_the_next_part(opened: Database, clock: StandingClock) -> None:
    pigeons = Pigeons(Capabilities(text_limit=4), fail_at=2, error=errors.UpstreamUnavailable("storm"))
    delivery = make(pigeons, opened, clock)
    with pytest.raises(errors.UpstreamUnavailable):
        await delivery.deliver(outgoing())
    assert await state(opened) == ("sending", None)
    pigeons.error = None
    await delivery.deliver(outgoing())
    assert pigeons.carried == ["一句话。", "二句话。", "三句话。", "四句话。"]
    assert await delivery.deliver(outgoing()) == "p-3"
    assert len(pigeons.carried) == 4


@pytest.mark.parametrize(
    "error", [errors.UpstreamRefused("no", code="blocked"), errors.UnsupportedContent("no", code="blocked")]
)
async def test_refusal_for_good_is_shown_as_failed(
    opened: Database, clock: StandingClock, error: errors.ServiceError
) -> None:
    pigeons = Pigeons(Capabilities(text_limit=100), fail_at=0, error=error)
    with pytest.raises(type(error)):
        await make(pigeons, opened, clock).deliver(outgoing())
    assert await state(opened) == ("failed", "blocked")


async def test_nothing_is_tried_when_the_window_is_closed(opened: Database, clock: StandingClock) -> None:
    pigeons = Pigeons(Capabilities(text_limit=100, reply_window_seconds=48 * 3600))
    clock.move(hours=48)
    await make(pigeons, opened, clock).deliver(outgoing())
    clock.move(seconds=1)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await make(pigeons, opened, clock).deliver(outgoing("好", "m-2"))
    assert refused.value.code == "reply_window_closed"
    assert len(pigeons.carried) == 1
    assert await state(opened, "m-2") == ("failed", "reply_window_closed")


async def test_quota_counts_parts_since_the_customer_spoke(opened: Database, clock: StandingClock) -> None:
    pigeons = Pigeons(Capabilities(text_limit=4, reply_quota=4))
    delivery = make(pigeons, opened, clock)
    clock.move(seconds=1)
    await delivery.deliver(outgoing())
    with pytest.raises(errors.UpstreamRefused) as refused:
        await delivery.deliver(outgoing("好", "m-2"))
    assert refused.value.code == "reply_quota_used"
    clock.move(seconds=1)
    draft = Draft(id="in-2", role="customer", text="?", sent_at=clock())
    await opened.write(lambda c: conversations.append(c, TENANT, CONVERSATION, draft))
    await delivery.deliver(outgoing("好", "m-2"))
    assert pigeons.carried[-1] == "好"
    assert await state(opened, "m-2") == ("sent", None)


async def test_quota_is_new_when_the_customer_writes_again_within_a_second(
    opened: Database, clock: StandingClock
) -> None:
    """Many platforms tell the customer's moment in whole seconds, so what went out before it seems to come after it."""
    pigeons = Pigeons(Capabilities(text_limit=4, reply_quota=4))
    delivery = make(pigeons, opened, clock)
    whole = clock()
    clock.move(milliseconds=300)
    await delivery.deliver(outgoing())
    lines = [("in-2", "customer"), ("m-8", "bot"), ("m-9", "bot")]
    for name, role in lines:
        draft = Draft(id=name, role=role, text="?", sent_at=whole)  # type: ignore[arg-type]  # one of the roles
        await opened.write(
            partial(conversations.append, tenant=TENANT, conversation_id=CONVERSATION, draft=draft)
        )
    clock.move(milliseconds=300)
    await delivery.deliver(outgoing("好", "m-8"))
    with pytest.raises(errors.UpstreamRefused) as refused:
        await delivery.deliver(outgoing(LONG, "m-9"))
    assert refused.value.code == "reply_quota_used"
    assert pigeons.carried[4:] == ["好"]


async def test_reply_is_refused_when_its_channel_is_not_open(opened: Database, clock: StandingClock) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await make(Pigeons(Capabilities(text_limit=9)), opened, clock).deliver(outgoing(channel="fax"))
    assert refused.value.code == "channel_closed"
    assert await state(opened) == ("failed", "channel_closed")


def receipt_of_the_first_part(state: Literal["delivered", "read", "failed"], **changes: str) -> Receipt:
    return Receipt(changes.get("provider_id", "p-1"), state, changes.get("code", ""))


async def note(
    database: Database, receipt: Receipt, *, channel: str = "pigeons", tenant: TenantId = TENANT
) -> str:
    await database.write(lambda c: records.note_receipt(c, tenant, channel, receipt))
    found = await database.read(
        lambda c: conversations.find_message(c, TENANT, CONVERSATION, MessageId("m-1"))
    )
    assert found is not None
    return found.state


async def sent_message(database: Database, clock: StandingClock) -> None:
    def prepare(connection: sa.Connection) -> None:
        conversations.ensure(
            connection,
            CONVERSATION,
            tenant=TENANT,
            channel="pigeons",
            account="main",
            recipient="r",
            now=clock(),
        )
        draft = Draft(id="m-1", role="bot", text="你好", sent_at=clock(), state="sent")
        conversations.append(connection, TENANT, CONVERSATION, draft)
        records.remember_sent(connection, TENANT, CONVERSATION, "m-1", part=0, provider_id="p-1", now=clock())

    await database.write(prepare)


async def test_receipt_moves_a_message_forward_only(database: Database, clock: StandingClock) -> None:
    await sent_message(database, clock)
    assert await note(database, receipt_of_the_first_part("delivered", provider_id="")) == "sent"
    assert await note(database, receipt_of_the_first_part("delivered", provider_id="p-2")) == "sent"
    assert await note(database, receipt_of_the_first_part("delivered"), channel="doves") == "sent"
    assert await note(database, receipt_of_the_first_part("delivered"), tenant=TenantId("other")) == "sent"
    assert await note(database, receipt_of_the_first_part("delivered")) == "delivered"
    assert await note(database, receipt_of_the_first_part("read")) == "read"
    assert await note(database, receipt_of_the_first_part("delivered")) == "read"
    assert await note(database, receipt_of_the_first_part("failed", code="pigeons_131047")) == "read"


async def test_receipt_of_a_failure_is_shown_with_its_code(database: Database, clock: StandingClock) -> None:
    await sent_message(database, clock)
    assert await note(database, receipt_of_the_first_part("failed", code="pigeons_131026")) == "failed"
    found = await database.read(
        lambda c: conversations.find_message(c, TENANT, CONVERSATION, MessageId("m-1"))
    )
    assert found is not None
    assert found.error == "pigeons_131026"


async def test_watermark_moves_all_that_was_sent_before_it_and_nothing_back(
    opened: Database, clock: StandingClock
) -> None:
    """`m-1` went out in two parts, `m-2` failed, `m-3` comes after the customer looked."""
    start = clock()

    def prepare(connection: sa.Connection) -> None:
        for part in range(2):
            at = start + timedelta(seconds=part)
            records.remember_sent(connection, TENANT, CONVERSATION, "m-1", part=part, provider_id="", now=at)
        conversations.mark_state(connection, TENANT, CONVERSATION, "m-1", state="sent")
        conversations.mark_state(connection, TENANT, CONVERSATION, "m-2", state="failed")
        late = start + timedelta(minutes=5)
        draft = Draft(id="m-3", role="bot", text="!", sent_at=late, state="sent")
        conversations.append(connection, TENANT, CONVERSATION, draft)
        records.remember_sent(connection, TENANT, CONVERSATION, "m-3", part=0, provider_id="", now=late)

    await opened.write(prepare)

    async def move(seconds: float, to: Literal["delivered", "read"], tenant: TenantId = TENANT) -> list[str]:
        mark = Watermark("loft", "t", start + timedelta(seconds=seconds), to)
        await opened.write(lambda c: records.note_watermark(c, tenant, CONVERSATION, mark))
        return [(await state(opened, name))[0] for name in ("m-1", "m-2", "m-3")]

    assert await move(-1, "read") == ["sent", "failed", "sent"]
    assert await move(30, "read", TenantId("other")) == ["sent", "failed", "sent"]
    assert await move(30, "delivered") == ["delivered", "failed", "sent"]
    assert await move(30, "read") == ["read", "failed", "sent"]
    assert await move(400, "delivered") == ["read", "failed", "delivered"]
    assert await move(400, "read") == ["read", "failed", "read"]


async def test_watermark_waits_for_a_message_that_has_not_gone_out_whole(
    opened: Database, clock: StandingClock
) -> None:
    """The second part went out long after the customer looked."""
    start = clock()

    def prepare(connection: sa.Connection) -> None:
        for part, minutes in ((0, 0), (1, 10)):
            at = start + timedelta(minutes=minutes)
            records.remember_sent(connection, TENANT, CONVERSATION, "m-1", part=part, provider_id="", now=at)
        conversations.mark_state(connection, TENANT, CONVERSATION, "m-1", state="sent")

    await opened.write(prepare)
    mark = Watermark("loft", "t", start + timedelta(minutes=1), "read")
    moved = await opened.write(lambda c: records.note_watermark(c, TENANT, CONVERSATION, mark))
    assert (moved, await state(opened)) == (None, ("sent", None))


class Sites(Pigeons):
    hosts = "site"


@pytest.mark.parametrize(
    ("account", "replies_by", "listens"),
    [
        ("main", "main", "main"),
        ("", "main", "main"),
        ("loft", "loft", "loft"),
        ("removed", "", "main"),
        ("a-secret-path", "", "main"),
    ],
)
def test_removed_account_is_not_answered_by_the_main_one_whose_address_may_go_on_with_a_secret(
    account: str, replies_by: str, listens: str
) -> None:
    main, loft = Pigeons(Capabilities(text_limit=9)), Pigeons(Capabilities(text_limit=9))
    channels: Channels = {(TENANT, "pigeons"): main, (TENANT, place("pigeons", "loft")): loft}
    by_name = {"main": main, "loft": loft, "": None}
    assert find_channel(channels, TENANT, "pigeons", account) is by_name[replies_by]
    assert find_listener(channels, TENANT, "pigeons", account) is by_name[listens]
    assert find_channel(channels, TenantId("other"), "pigeons", account) is None


def test_main_account_answers_for_the_places_that_it_hosts() -> None:
    sites = Sites(Capabilities(text_limit=9))
    assert find_channel({(TENANT, "sites"): sites}, TENANT, "sites", "https://shop.example.com") is sites


async def test_reply_of_a_removed_account_fails_aloud(opened: Database, clock: StandingClock) -> None:
    main = Pigeons(Capabilities(text_limit=100))
    delivery = Delivery({(TENANT, "pigeons"): main}, opened, hub=Hub(), clock=clock, metrics=Metrics())
    with pytest.raises(errors.UpstreamRefused) as refused:
        await delivery.deliver(outgoing())
    assert (refused.value.code, main.carried) == ("channel_closed", [])
    assert await state(opened) == ("failed", "channel_closed")
