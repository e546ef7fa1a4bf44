"""Webhooks against a receiver that behaves as receivers do: signed, in order, again and again, until enough is enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
import structlog
from standardwebhooks.webhooks import WebhookVerificationError

from foundation import conversations, errors
from foundation.conversations import Draft
from foundation.messages import ConversationId, TenantId
from foundation.outward import outbox
from foundation.storage.database import Database
from operations import audit
from operations.staff import Member
from operations.webhooks import records
from operations.webhooks.desk import WebhookDesk, Wish
from operations.webhooks.records import Delivery, Webhook
from service.sync.caller import HttpCaller
from service.sync.sender import Sender, hold_seconds
from tests.conftest import StandingClock
from tests.fakes.receiver import Receiver, receiving

DEMO = TenantId("demo")
ADMIN = Member(DEMO, "s1", "admin", "Admin", "admin")
WORDS = "my address is 5 Hidden Lane"


@dataclass
class World:
    database: Database
    clock: StandingClock
    receiver: Receiver
    desk: WebhookDesk
    sender: Sender
    other: Sender
    """Another process."""

    async def say(self, *lines: str, conversation: str = "c1") -> None:
        name = ConversationId(conversation)

        def write(connection: sa.Connection) -> None:
            conversations.ensure(
                connection,
                name,
                tenant=DEMO,
                channel="web_chat",
                account="site",
                recipient="r",
                now=self.clock(),
            )
            for line in lines:
                draft = Draft(id=line, role="customer", text=WORDS, sent_at=self.clock())
                conversations.append(connection, DEMO, name, draft)

        await self.database.write(write)

    async def add(self, **wish: object) -> tuple[Webhook, str]:
        return await self.desk.add(ADMIN, Wish(self.receiver.url, **wish))  # type: ignore[arg-type]

    async def settle(self, sender: Sender | None = None) -> None:
        """Until nothing can be done at this moment."""
        while await (sender or self.sender).round(DEMO):
            pass

    async def wait(self, **span: float) -> None:
        self.clock.move(**span)
        await self.settle()

    async def log(self, webhook: Webhook) -> list[Delivery]:
        return await self.desk.deliveries(DEMO, webhook.id)

    async def state(self) -> str:
        return (await self.desk.overview(DEMO))[0].webhook.state


@pytest.fixture
async def world(database: Database, clock: StandingClock) -> AsyncIterator[World]:
    async with opened(database, clock) as found:
        yield found


@pytest.fixture
async def either_world(either_database: Database, clock: StandingClock) -> AsyncIterator[World]:
    """For what the engines do differently: claiming, upserting, locking."""
    async with opened(either_database, clock) as found:
        yield found


@asynccontextmanager
async def opened(database: Database, clock: StandingClock) -> AsyncIterator[World]:
    texts = frozenset({DEMO})
    async with receiving() as receiver:
        callers = [HttpCaller(database, clock, trusted=[receiver.origin]) for _ in range(2)]
        senders = [Sender(database, one, clock, texts=texts) for one in callers]
        desk = WebhookDesk(database, callers[0], clock, may_text=texts.__contains__)
        yield World(database, clock, receiver, desk, *senders)
        for caller in callers:
            await caller.close()


async def test_receiver_hears_in_order_and_can_prove_who_called(world: World) -> None:
    webhook, secret = await world.add()
    await world.say("m1", "m2")
    await world.settle()
    assert world.receiver.types == ["conversation.started", "message.received", "message.received"]
    for call in world.receiver.calls:
        call.headers["webhook-timestamp"] = str(int(world.clock().timestamp()))
        assert call.headers["webhook-id"] == call.event["id"]
    first, second = world.receiver.calls[1:]
    assert (first.data["message_id"], second.data["message_id"]) == ("m1", "m2")
    assert (first.event["version"], first.event["tenant"], first.event["lane"]) == (1, "demo", "c1")
    assert [one.status for one in await world.log(webhook)] == [204, 204, 204]
    assert secret.startswith("whsec_")
    assert b"Hidden Lane" not in b"".join(call.body for call in world.receiver.calls)


async def test_signature_is_what_the_receivers_own_library_wants(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, secret = await world.add()
    renewed = await world.desk.renew_secret(ADMIN, webhook.id)
    await world.desk.test(ADMIN, webhook.id)
    world.clock.move(hours=25)
    await world.desk.test(ADMIN, webhook.id)
    during, after = world.receiver.calls
    for call in (during, after):  # the library knows no clock but the machine's
        monkeypatch.setattr("standardwebhooks.webhooks.Webhook._Webhook__verify_timestamp", _stamp)
        call.verify(renewed)
    during.verify(secret)
    with pytest.raises(WebhookVerificationError):
        after.verify(secret)
    during.body += b" "
    with pytest.raises(WebhookVerificationError):
        during.verify(renewed)


def _stamp(_self: object, header: str) -> object:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(float(header), tz=UTC)


async def test_rest_of_a_lane_waits_and_other_lanes_go_on_when_one_call_fails(either_world: World) -> None:
    world = either_world
    webhook, _ = await world.add(types=("message.received",))
    await world.say("m1", "m2", conversation="c1")
    await world.say("m3", conversation="c2")
    world.receiver.answers.append("500 No")
    await world.settle()
    assert [call.data["message_id"] for call in world.receiver.calls] in (["m1", "m3"], ["m3", "m1"])
    failed = world.receiver.calls[0].data["message_id"]
    await world.wait(seconds=7)
    heard = [call.data["message_id"] for call in world.receiver.calls]
    assert sorted(set(heard)) == ["m1", "m2", "m3"]
    assert heard.index("m1") < heard.index("m2")
    assert heard.count(failed) == 2
    again = [call.headers["webhook-id"] for call in world.receiver.calls if call.data["message_id"] == failed]
    assert again[0] == again[1]
    assert {one.state for one in await world.log(webhook)} == {"delivered"}


async def test_call_is_given_up_after_more_than_a_day_when_only_this_event_is_refused(world: World) -> None:
    webhook, _ = await world.add()
    world.receiver.refuses = "conversation.started"
    await world.say("m1")
    await world.settle()
    started = world.clock()
    while (await world.log(webhook))[-1].state == "waiting":
        await world.wait(hours=4)
    log = await world.log(webhook)
    assert (log[-1].state, log[-1].status, log[-1].attempts) == ("failed", 500, 12)
    assert (world.clock() - started).total_seconds() > 24 * 3600
    await world.wait(hours=1)
    assert world.receiver.calls[-1].data["message_id"] == "m1"


async def test_receiver_that_is_away_is_asked_by_one_call_and_gets_everything_when_it_is_back(
    world: World,
) -> None:
    await world.add(types=("message.received",))
    for number in range(12):
        await world.say(f"m{number}", conversation=f"c{number}")
    world.receiver.answers.extend(["503 Away"] * 9)
    await world.settle()
    assert len(world.receiver.calls) == 8
    await world.wait(minutes=3)
    assert len(world.receiver.calls) == 9  # one look, and it is still away
    await world.wait(minutes=20)
    heard = {call.data["message_id"] for call in world.receiver.calls[9:]}
    assert heard == {f"m{number}" for number in range(12)}
    assert (await world.desk.overview(DEMO))[0].webhook.failures == 0


async def test_receiver_is_left_alone_for_as_long_as_it_asks(world: World) -> None:
    await world.add(types=("message.received",))
    world.receiver.answers.append("429 Slowly\r\nretry-after: 3600")
    await world.say("m1")
    await world.settle()
    await world.wait(minutes=50)
    assert len(world.receiver.calls) == 1
    await world.wait(minutes=11)
    assert len(world.receiver.calls) == 2


async def test_webhook_is_switched_off_when_its_receiver_is_gone(world: World) -> None:
    webhook, _ = await world.add()
    world.receiver.answers.append("410 Gone")
    await world.say("m1")
    await world.settle()
    assert (await world.state(), len(world.receiver.calls)) == ("gone", 1)
    await world.desk.switch(ADMIN, webhook.id, active=True)
    await world.settle()
    assert world.receiver.types[-1] == "message.received"


async def test_webhook_is_switched_off_when_nothing_arrives_for_five_days(world: World) -> None:
    webhook, _ = await world.add(types=("message.received",))
    world.receiver.refuses = "message.received"
    for day in range(7):
        await world.say(f"m{day}", conversation=f"c{day}")
        for _ in range(4):
            await world.wait(hours=6)
    called = len(world.receiver.calls)
    assert await world.state() == "failing"
    await world.wait(days=1)
    assert len(world.receiver.calls) == called
    world.receiver.refuses = ""
    await world.desk.switch(ADMIN, webhook.id, active=True)
    await world.wait(days=1)
    assert world.receiver.calls[-1].data["message_id"] == "m6"


async def test_two_processes_call_once_when_both_look_at_the_same_moment(either_world: World) -> None:
    world = either_world
    await world.add(types=("message.received",))
    for number in range(20):
        await world.say(f"m{number}", conversation=f"c{number}")
    await asyncio.gather(*(world.settle(sender) for sender in (world.sender, world.other)))
    await world.settle()
    ids = [call.headers["webhook-id"] for call in world.receiver.calls]
    assert (len(ids), len(set(ids))) == (20, 20)


async def test_everything_since_a_moment_is_sent_again_when_staff_ask_for_it(either_world: World) -> None:
    world = either_world
    webhook, _ = await world.add(types=("message.received",))
    await world.say("m1")
    world.clock.move(hours=1)
    since = world.clock()
    await world.say("m2")
    await world.settle()
    assert await world.desk.replay(ADMIN, webhook.id, since) == 1
    await world.settle()
    assert [call.data["message_id"] for call in world.receiver.calls] == ["m1", "m2", "m2"]
    assert world.receiver.calls[1].body == world.receiver.calls[2].body
    oldest = (await world.log(webhook))[-1]
    await world.desk.replay_one(ADMIN, webhook.id, oldest.id)
    await world.settle()
    assert world.receiver.calls[-1].data["message_id"] == "m1"
    with pytest.raises(errors.InvalidInput):
        await world.desk.replay(ADMIN, webhook.id, world.clock() - outbox.KEPT * 2)


async def test_text_goes_out_when_it_is_asked_for_and_allowed_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add(types=("message.received",), with_text=True)
    await world.say("m1")
    await world.settle()
    assert world.receiver.calls[0].data["text"] == WORDS
    monkeypatch.setattr(world.sender, "_texts", frozenset())  # the operator took it back
    monkeypatch.setattr(world.desk, "may_text", lambda _tenant: False)
    await world.say("m2")
    await world.settle()
    assert "text" not in world.receiver.calls[1].data
    with pytest.raises(errors.InvalidInput, match="OUTWARD_TEXTS"):
        await world.add(with_text=True)


async def test_erased_event_is_told_to_nobody(world: World) -> None:
    webhook, _ = await world.add(types=("message.received",))
    world.receiver.answers.append("500 No")
    await world.say("m1")
    await world.settle()
    await world.database.write(lambda c: outbox.forget(c, DEMO, ["c1"]))
    await world.wait(minutes=1)
    [only] = await world.log(webhook)
    assert (len(world.receiver.calls), only.state, only.error) == (1, "failed", "no_longer_kept")


BAD_ADDRESSES = {
    "http://example.com/hook": "not_https", "https://user:pass@example.com/": "bad_address",
    "https://exa mple.com/": "bad_address", "ftp://example.com/": "bad_address", "https://example.com:99999/": "bad_address",
    "nonsense": "bad_address", "https://127.0.0.1/": "private_address", "https://169.254.169.254/latest": "private_address",
    "https://[::1]/": "private_address", "https://" + "a" * 3000: "too_long",
}  # fmt: skip


async def test_address_that_may_not_be_called_is_refused_by_name(world: World) -> None:
    for url, code in BAD_ADDRESSES.items():
        with pytest.raises(errors.InvalidInput) as refused:
            await world.desk.add(ADMIN, Wish(url))
        assert (url, refused.value.code) == (url, code)


async def test_name_that_turns_private_after_it_was_checked_is_not_called(
    database: Database, clock: StandingClock
) -> None:
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def rebinding(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    caller = HttpCaller(database, clock, resolver=rebinding)
    desk = WebhookDesk(database, caller, clock, may_text=lambda _tenant: False)
    webhook, _ = await desk.add(ADMIN, Wish("https://rebinding.example.com/"))
    assert (await desk.test(ADMIN, webhook.id)).error == "private_address"
    await caller.close()


async def test_neither_addresses_nor_secrets_nor_texts_stand_in_logs_and_tables(world: World) -> None:
    world.receiver.answers.extend(["410 Gone"])
    with structlog.testing.capture_logs() as lines:
        webhook, secret = await world.add(with_text=True, description="of Mrs Smith")
        await world.say("m1")
        await world.settle()
    entries = await world.database.read(lambda c: audit.read(c, DEMO))
    stored = await world.database.read(
        lambda c: [str(row) for table in (records.webhook_table, records.delivery_table, outbox.event_table)
                   for row in c.execute(sa.select(*(sa.type_coerce(one, sa.LargeBinary) if "Sealed" in repr(one.type) else one for one in table.columns)))]
    )  # fmt: skip
    shown = str(lines) + str(entries) + str(stored)
    for hidden in (secret, "token=hidden", "Mrs Smith", "Hidden Lane"):
        assert hidden not in shown
    assert ("a webhook is switched off", webhook.id) in [(one["event"], one["webhook"]) for one in lines]
    assert [entry.action for entry in entries] == ["webhooks.added"]


async def test_agents_may_change_nothing(world: World) -> None:
    webhook, _ = await world.add()
    agent = Member(DEMO, "s2", "ann", "Ann", "agent")
    for act in (
        world.desk.add(agent, Wish(world.receiver.url)), world.desk.remove(agent, webhook.id),
        world.desk.renew_secret(agent, webhook.id), world.desk.test(agent, webhook.id),
        world.desk.replay(agent, webhook.id, world.clock()), world.desk.switch(agent, webhook.id, active=False),
    ):  # fmt: skip
        with pytest.raises(errors.NotPermitted):
            await act


async def test_log_and_outbox_end_after_two_weeks(world: World) -> None:
    webhook, _ = await world.add()
    await world.say("m1")
    await world.settle()
    world.clock.move(days=15)
    await world.sender.purge(DEMO)
    assert await world.log(webhook) == []
    assert await world.database.read(lambda c: outbox.read_after(c, DEMO, 0)) == []


def test_pause_of_a_receiver_grows_and_stays_within_a_quarter_of_an_hour() -> None:
    pauses = [hold_seconds(failures) for failures in range(200)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[2], pauses[3], pauses[-1]) == (0, 0, 5, 900)
