"""How fast an account may send: a burst, then one at a time, each part's moment its own, on both engines."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Capabilities, Rate
from channels.outbound import rates
from channels.outbound.delivery import Delivery
from foundation import errors
from foundation.bus.contract import Outgoing
from foundation.live import Hub
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.unit.channels.test_delivery import CONVERSATION, LONG, TENANT, Pigeons, opened, outgoing

__all__ = ["opened"]


def message(number: int, *, account: str = "loft", tenant: str = "demo") -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId(tenant), channel="pigeons", account=account, conversation_id=ConversationId(f"c-{number}"),
        message_id=MessageId("m-1"), recipient="anna", role="bot", reply=Reply(text="hi"),
    )  # fmt: skip


class Gate:
    def __init__(self, database: Database, clock: StandingClock, rate: Rate) -> None:
        self.database, self.clock, self.rate = database, clock, rate

    async def wait(self, number: int, **place: str) -> float:
        now, limits = self.clock(), [(rates.ALL, self.rate)]
        return await self.database.write(
            lambda connection: rates.reserve(connection, message(number, **place), 0, limits, now)
        )


async def test_burst_goes_at_once_and_the_rest_waits_its_turn(
    either_database: Database, clock: StandingClock
) -> None:
    gate = Gate(either_database, clock, Rate(2, 1.0))
    assert [await gate.wait(number) for number in range(5)] == [0, 0, 0.5, 1.0, 1.5]
    assert await gate.wait(3) == 1.0  # asked again: the moment stays
    assert await gate.wait(9, account="tower") == 0
    assert await gate.wait(9, tenant="other") == 0
    clock.move(seconds=1)
    assert [await gate.wait(number) for number in (2, 3, 4)] == [0, 0, 0.5]


@given(st.integers(1, 9), st.floats(0.5, 60), st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_no_stretch_of_time_sees_more_than_burst_and_rate_allow(
    count: int, seconds: float, pauses: list[float]
) -> None:
    engine = sa.create_engine("sqlite://")
    clock, rate, sent = StandingClock(), Rate(count, seconds), []
    start = clock()
    with engine.begin() as connection:
        rates.rate_table.create(connection)
        rates.slot_table.create(connection)
        for number, pause in enumerate(pauses):
            clock.move(seconds=pause)
            wait = rates.reserve(connection, message(number), 0, [(rates.ALL, rate)], clock())
            sent.append((clock() - start).total_seconds() + wait)
    engine.dispose()
    assert sent == sorted(sent)
    for first, moment in enumerate(sent):
        for last in range(first, len(sent)):
            allowed = count + (sent[last] - moment) * count / seconds
            assert last - first + 1 <= allowed * 1.01 + 0.1  # moments are whole milliseconds


async def test_part_beyond_the_rate_goes_back_with_its_moment_and_goes_on_there(
    opened: Database, clock: StandingClock
) -> None:
    pigeons = Pigeons(Capabilities(text_limit=4, rate=Rate(2, 2.0)))
    delivery = Delivery(
        {(TENANT, "pigeons:loft"): pigeons}, opened, hub=Hub(), clock=clock, metrics=Metrics()
    )
    for carried, wait in ((2, 1.0), (3, 1.0)):
        with pytest.raises(errors.Overloaded) as later:
            await delivery.deliver(outgoing())
        assert (len(pigeons.carried), later.value.retry_after_seconds) == (carried, wait)
        clock.move(seconds=wait)
    await delivery.deliver(outgoing())
    assert "".join(pigeons.carried) == LONG


async def test_each_customer_has_a_rate_of_their_own(opened: Database, clock: StandingClock) -> None:
    pigeons = Pigeons(Capabilities(text_limit=100, rate_per_customer=Rate(1, 5.0)))
    delivery = Delivery(
        {(TENANT, "pigeons:loft"): pigeons}, opened, hub=Hub(), clock=clock, metrics=Metrics()
    )
    await delivery.deliver(outgoing())
    with pytest.raises(errors.Overloaded):
        await delivery.deliver(outgoing("好", "m-2"))


async def test_platforms_own_not_before_holds_back_the_account(
    opened: Database, clock: StandingClock
) -> None:
    refusal = errors.Exhausted("slower", code="pigeons_http_429", retry_after_seconds=30)
    pigeons = Pigeons(Capabilities(text_limit=100), fail_at=0, error=refusal)
    delivery = Delivery(
        {(TENANT, "pigeons:loft"): pigeons}, opened, hub=Hub(), clock=clock, metrics=Metrics()
    )
    with pytest.raises(errors.Exhausted):
        await delivery.deliver(outgoing())
    pigeons.error = None
    clock.move(seconds=10)
    with pytest.raises(errors.Overloaded) as held:
        await delivery.deliver(outgoing("好", "m-2"))
    assert held.value.retry_after_seconds == 20
    assert pigeons.carried == []
    clock.move(seconds=20)
    await delivery.deliver(outgoing("好", "m-2"))
    assert pigeons.carried == ["好"]


async def test_unknown_outcome_is_repeated_or_asked_about_as_the_channel_says(
    opened: Database, clock: StandingClock
) -> None:
    lost = errors.OutcomeUnknown("no answer", code="pigeons_timeout")
    doves = Pigeons(Capabilities(text_limit=100, repeats="again"), fail_at=0, error=lost)
    crows = Pigeons(Capabilities(text_limit=100, repeats="ask"), fail_at=0, error=lost)
    again = Delivery({(TENANT, "pigeons:loft"): doves}, opened, hub=Hub(), clock=clock, metrics=Metrics())
    with pytest.raises(errors.UpstreamUnavailable):
        await again.deliver(outgoing())
    doves.error = None
    await again.deliver(outgoing())
    assert doves.carried == [LONG]
    ask = Delivery({(TENANT, "pigeons:loft"): crows}, opened, hub=Hub(), clock=clock, metrics=Metrics())
    with pytest.raises(errors.UpstreamRefused) as refused:
        await ask.deliver(outgoing("好", "m-2"))
    assert refused.value.code == "outcome_unknown"
    crows.error = None  # somebody at the desk decides to send it again
    await ask.deliver(Outgoing(2, CONVERSATION, outgoing("好", "m-2").message, "c-1/2/0", 1))
    assert crows.carried == ["好"]
