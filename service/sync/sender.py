"""Takes the outbox to the webhooks: numbers what is new, makes rows for each receiver, calls, and settles what came of it.

`side.py` runs `round` again and again in each process that does turns; several of them share the work by rows that one
claims at a time. Within one lane (a conversation, a customer) the next event waits until the one before was taken or given up.

A receiver that fails is called less and less: each event by its own schedule over more than a day, the receiver as a whole
by a pause that grows with its failures in a row. The first success lets everything go at once. What would surprise you: a
claim whose process dies ends by itself, and the event is sent again; receivers see it twice, under one id.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
import structlog

from foundation import conversations
from foundation.clock import Clock
from foundation.messages import ConversationId, TenantId
from foundation.outward import outbox
from foundation.outward.outbox import Told
from foundation.storage.database import Database
from operations.webhooks import records
from operations.webhooks.desk import Attempt
from operations.webhooks.records import Delivery, Webhook
from service.sync.caller import TIMEOUT_SECONDS, HttpCaller

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Calls of one webhook."""
LEASE_SECONDS = TIMEOUT_SECONDS * 2
PAUSES_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 28_800, 28_800)
"""Before the second attempt, the third, …: together more than a day."""
PATIENT = 3
"""Failures in a row before the receiver as a whole is left alone for a while."""
LONGEST_HOLD_SECONDS = 900.0
SWITCHED_OFF_AFTER = timedelta(days=5)
GONE = 410


@dataclass(frozen=True, slots=True)
class _Sendable:
    delivery: Delivery
    told: Told | None
    text: str | None


class Sender:
    """`may_text`: whether the tenant lets texts of messages out."""

    def __init__(
        self, database: Database, caller: HttpCaller, clock: Clock, *, texts: frozenset[TenantId]
    ) -> None:
        self._database = database
        self._caller = caller
        self._clock = clock
        self._texts = texts

    async def round(self, tenant: TenantId) -> int:
        """One look; how much there was to do."""
        numbered = await self._number(tenant)
        webhooks = await self._database.read(lambda c: records.read_all(c, tenant, self._clock()))
        done = await asyncio.gather(*(self._serve(one) for one in webhooks if one.state == "on"))
        return numbered + sum(done)

    async def purge(self, tenant: TenantId) -> None:
        before = self._clock() - outbox.KEPT
        while await self._database.write(lambda c: outbox.purge(c, tenant, before=before)):
            pass
        await self._database.write(lambda c: records.purge(c, tenant, before=before))

    async def _number(self, tenant: TenantId) -> int:
        """A look first: writing costs a durable commit, and mostly there is nothing."""
        if not await self._database.read(lambda c: outbox.has_news(c, tenant)):
            return 0
        return await self._database.write(lambda c: outbox.number(c, tenant))

    async def _serve(self, webhook: Webhook) -> int:
        now = self._clock()
        newest = await self._database.read(lambda c: outbox.position_of(c, webhook.tenant, outbox.NUMBERED))
        looked = 0
        if webhook.position < newest:
            looked = await self._database.write(lambda c: records.fan_out(c, webhook, now))
        if webhook.held_until > now:
            return looked
        # One call is enough to see whether somebody who failed is back.
        limit = AT_ONCE if webhook.failures < PATIENT else 1
        if not await self._database.read(lambda c: records.has_due(c, webhook, now)):
            return looked
        claimed = await self._database.write(
            lambda c: records.claim(c, webhook, now, limit=limit, lease_seconds=LEASE_SECONDS)
        )
        await asyncio.gather(*(self._send(webhook, one) for one in await self._load(webhook, claimed)))
        return looked + len(claimed)

    async def _load(self, webhook: Webhook, claimed: list[Delivery]) -> list[_Sendable]:
        with_text = webhook.with_text and webhook.tenant in self._texts

        def read(connection: sa.Connection) -> list[_Sendable]:
            positions = [one.position for one in claimed if one.position is not None]
            found = outbox.find(connection, webhook.tenant, positions)
            return [
                _Sendable(
                    one, told := found.get(one.position or 0), find_text(connection, told) if with_text and told else None
                )
                for one in claimed
            ]  # fmt: skip

        return await self._database.read(read) if claimed else []

    async def _send(self, webhook: Webhook, one: _Sendable) -> None:
        if one.told is None:  # erased, or too old to be kept: there is nothing to say any more
            attempt = Attempt(None, "no_longer_kept")
        else:
            attempt = await self._caller.call(webhook, one.told, one.text)
        await self._database.write(lambda c: self._settle(c, webhook, one, attempt))

    def _settle(self, connection: sa.Connection, webhook: Webhook, one: _Sendable, attempt: Attempt) -> None:
        now, tries = self._clock(), one.delivery.attempts + 1
        state = records.OPEN
        pause = PAUSES_SECONDS[min(tries, len(PAUSES_SECONDS)) - 1]
        if attempt.fine:
            state = records.DELIVERED
        elif one.told is None or attempt.status == GONE or tries > len(PAUSES_SECONDS):
            state = records.FAILED
        wait = max(pause * random.uniform(0.8, 1.2), attempt.retry_after_seconds or 0.0)  # noqa: S311  # no secret
        records.settle(
            connection, webhook.tenant, one.delivery.id, state=state, status=attempt.status, error=attempt.error,
            milliseconds=attempt.milliseconds, next_at=now + timedelta(seconds=wait),
        )  # fmt: skip
        if one.told is not None:
            self._note_health(connection, webhook, attempt)

    def _note_health(self, connection: sa.Connection, webhook: Webhook, attempt: Attempt) -> None:
        now = self._clock()
        current = records.find(connection, webhook.tenant, webhook.id, now)
        if current is None:
            return
        if attempt.fine:
            if current.failures:
                records.change(
                    connection, webhook.tenant, webhook.id, failures=0, failing_since=None, held_until=0
                )
            if current.failures >= PATIENT:  # less is an event that it does not like, not its being away
                records.hurry(connection, webhook.tenant, webhook.id, now)
            return
        failures, since = current.failures + 1, current.failing_since or now
        state = current.state
        if attempt.status == GONE:
            state = "gone"
        elif now - since > SWITCHED_OFF_AFTER:
            state = "failing"
        hold = max(hold_seconds(failures), attempt.retry_after_seconds or 0.0)
        records.change(
            connection, webhook.tenant, webhook.id, failures=failures, failing_since=since, state=state,
            held_until=now + timedelta(seconds=hold),
        )  # fmt: skip
        if state != "on":
            log.warning("a webhook is switched off", webhook=webhook.id, state=state, tenant=webhook.tenant)


def hold_seconds(failures: int) -> float:
    """How long a receiver is left alone after so many failures in a row."""
    if failures < PATIENT:
        return 0.0
    return min(5.0 * 2.0 ** min(failures - PATIENT, 20), LONGEST_HOLD_SECONDS)


def find_text(connection: sa.Connection, told: Told) -> str | None:
    """What was said in a message, as it stands in the transcript now; None for everything else."""
    if told.type not in ("message.received", "message.sent"):
        return None
    found = conversations.find_message(
        connection, told.tenant, ConversationId(told.data["conversation_id"]), str(told.data["message_id"])
    )
    return None if found is None else found.words
