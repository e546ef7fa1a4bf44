"""A reply on its way out: fitted to its channel, sent part by part, and its state told to everyone who watches.

`service.handlers` calls `deliver` for each reply that the bus hands out; the worker decides about a retry by the type
of the error. A part that went out is remembered at once, so that a retry goes on with the next one. What a closed window keeps
back goes out as a template where the channel has one, else to another channel of the customer, else to the desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from channels import degrade, records
from channels.contract import Capabilities, Channel, Part
from channels.outbound import rates
from channels.outbound.elsewhere import Elsewhere
from channels.places import Channels, find_channel
from channels.promises import Answering, HandingOver, Reopening
from foundation import conversations, errors
from foundation.bus.contract import Outgoing
from foundation.clock import Clock
from foundation.conversations import DeliveryState
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, OutboundMessage, TenantId
from foundation.storage.database import Database
from foundation.telemetry import Metrics

log = structlog.get_logger(__name__)

OUTCOME_UNKNOWN = "outcome_unknown"
HOLD_LIMIT_SECONDS = 3600.0
"""The longest pause of a whole account that a platform's answer can ask for."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """`done`: part → the provider's id; `by_template`: the window is closed and the channel has a template."""

    done: dict[int, str]
    by_template: bool


class Delivery:
    def __init__(
        self, channels: Channels, database: Database, *, hub: Hub, clock: Clock, metrics: Metrics,
        elsewhere: Elsewhere | None = None,
    ) -> None:  # fmt: skip
        """Without `elsewhere`, what a closed window keeps back goes to the desk at once."""
        self._channels = channels
        self._database = database
        self._elsewhere = elsewhere
        self._hub = hub
        self._clock = clock
        self._metrics = metrics

    async def deliver(self, outgoing: Outgoing) -> str:
        """The provider's id of the last part. Raises `UpstreamUnavailable` and `Exhausted` (try again: the transcript still
        says sending), `UpstreamRefused` and `UnsupportedContent` (never again: it says failed, with the code)."""
        message = outgoing.message
        channel = find_channel(self._channels, message.tenant, message.channel, message.account)
        if isinstance(channel, Answering):
            return ""  # it waits in the transcript until the customer's next call fetches it
        try:
            provider_id = await self._send(outgoing, channel)
        except errors.WindowClosed as error:
            return await self._redirect(message, error)
        except (errors.UpstreamRefused, errors.InvalidInput) as error:
            await self.give_up(message, error.code)
            raise
        except errors.ServiceError:
            self._metrics.replies.labels(message.channel, "retry").inc()
            raise
        await self._mark(message, "sent")
        self._metrics.replies.labels(message.channel, "sent").inc()
        return provider_id

    async def give_up(self, message: OutboundMessage, code: str) -> None:
        """For the worker as well, when its attempts are used up."""
        await self._mark(message, "failed", code)
        self._metrics.replies.labels(message.channel, "failed").inc()
        log.warning("reply failed", channel=message.channel, conversation=message.conversation_id, code=code)

    async def hand_over(self, tenant: TenantId, conversation_id: ConversationId) -> bool:
        """Gives a conversation that needs a person to the people of its platform, where the account names some; False
        where it stays with ours. Raises `UpstreamUnavailable`."""
        conversation = await self._database.read(
            lambda connection: conversations.get(connection, tenant, conversation_id)
        )
        channel = find_channel(self._channels, tenant, conversation.channel, conversation.account)
        if not isinstance(channel, HandingOver) or not channel.hands_over:
            return False
        try:
            await channel.hand_over(conversation)
        except errors.UpstreamRefused as error:
            log.warning("not handed over", channel=conversation.channel, code=error.code)
            return False
        return True

    async def _redirect(self, message: OutboundMessage, closed: errors.WindowClosed) -> str:
        """Nothing of the reply may go out here any more, and what went out is said again elsewhere, whole."""
        other = await self._elsewhere.redirect(message) if self._elsewhere else ""
        if not other:
            await self.give_up(message, closed.code)
            raise closed
        await self._mark(message, "redirected", other)
        self._metrics.replies.labels(message.channel, "redirected").inc()
        return ""

    async def _send(self, outgoing: Outgoing, channel: Channel | None) -> str:
        message = outgoing.message
        if channel is None:
            raise errors.UpstreamRefused(f"The channel {message.channel} is not open.", code="channel_closed")
        parts = degrade.fit(message, channel.capabilities)
        plan = await self._database.read(lambda connection: self._plan(connection, channel, message, parts))
        provider_id = plan.done.get(len(parts) - 1, "")
        for part in parts:
            if part.index in plan.done:
                continue
            await self._wait_for_turn(message, part, channel.capabilities)
            key = f"{outgoing.idempotency_key}/{part.index}"
            provider_id = await self._send_part(channel, part, key, by_template=plan.by_template)
            await self._database.write(partial(self._remember, message=message, part=part, sent=provider_id))
        return provider_id

    def _plan(
        self, connection: sa.Connection, channel: Channel, message: OutboundMessage, parts: Sequence[Part]
    ) -> _Plan:
        """What already went out, and how the rest goes; raises when window or quota leave no room for it."""
        now = self._clock()
        if wait := rates.held_seconds(connection, message, now):
            raise _not_yet(wait)
        conversation = conversations.get(connection, message.tenant, message.conversation_id)
        done = records.find_sent(connection, message.tenant, message.conversation_id, message.message_id)
        by_template = False
        if not _is_open(channel.capabilities, conversation.last_customer_at, now):
            by_template = isinstance(channel, Reopening) and channel.reopens
            if not by_template:
                hours = (channel.capabilities.reply_window_seconds or 0) // 3600
                raise errors.WindowClosed(
                    f"The channel takes replies for {hours} hours after the customer's last message; that time is over."
                )
        quota = channel.capabilities.reply_quota
        if quota is not None and not by_template:
            used = records.count_sent_since(
                connection, message.tenant, message.conversation_id, conversation.last_customer_at
            )
            if used + len(parts) - len(done) > quota:
                raise errors.WindowClosed(
                    f"The channel takes {quota} messages after each message of the customer; they are used up.",
                    code="reply_quota_used",
                )
        return _Plan(done, by_template)

    async def _wait_for_turn(self, message: OutboundMessage, part: Part, capabilities: Capabilities) -> None:
        """The account's rate. Raises `Overloaded` with the seconds until this part's own moment."""
        found = ((rates.ALL, capabilities.rate), (message.conversation_id, capabilities.rate_per_customer))
        limits = [(scope, rate) for scope, rate in found if rate is not None]
        if not limits:
            return
        now = self._clock()
        wait = await self._database.write(
            lambda connection: rates.reserve(connection, message, part.index, limits, now)
        )
        if wait:
            raise _not_yet(wait)

    async def _send_part(self, channel: Channel, part: Part, key: str, *, by_template: bool) -> str:
        message = part.message
        try:
            if by_template and isinstance(channel, Reopening):
                return await channel.reopen(part, idempotency_key=key)
            return await channel.send(part, idempotency_key=key)
        except errors.OutcomeUnknown as error:
            now = self._clock()
            await self._database.write(
                lambda connection: records.remember_unknown(connection, message, part.index, now)
            )
            log.warning("outcome of a send is unknown", channel=message.channel, code=error.code)
            if channel.capabilities.repeats == "again":
                raise
            raise errors.UpstreamRefused(
                "It is not known whether the message arrived; sending it again may double it.", code=OUTCOME_UNKNOWN
            ) from error  # fmt: skip
        except errors.Exhausted as error:
            await self._hold(message, error)
            raise

    async def _hold(self, message: OutboundMessage, error: errors.Exhausted) -> None:
        """The platform names when it takes messages again: until then the account is left alone."""
        seconds = min(error.retry_after_seconds or 0.0, HOLD_LIMIT_SECONDS)
        if seconds > 0:
            now = self._clock()
            await self._database.write(lambda connection: rates.hold(connection, message, seconds, now))

    def _remember(self, connection: sa.Connection, message: OutboundMessage, part: Part, sent: str) -> None:
        records.remember_sent(
            connection, message.tenant, message.conversation_id, message.message_id, part=part.index,
            provider_id=sent, now=self._clock(),
        )  # fmt: skip
        rates.release(connection, message, part.index)

    async def _mark(self, message: OutboundMessage, state: DeliveryState, code: str | None = None) -> None:
        await self._database.write(
            lambda connection: conversations.mark_state(
                connection, message.tenant, message.conversation_id, message.message_id, state=state, error=code
            )
        )  # fmt: skip
        for topic in (message.conversation_id, f"desk:{message.tenant}"):
            self._hub.tell(Signal("receipt", topic, message_id=message.message_id, text=state))


def _is_open(capabilities: Capabilities, last_customer_at: datetime | None, now: datetime) -> bool:
    seconds = capabilities.reply_window_seconds
    if seconds is None:
        return True
    return last_customer_at is not None and now - last_customer_at <= timedelta(seconds=seconds)


def _not_yet(seconds: float) -> errors.Overloaded:
    return errors.Overloaded(
        "The account has sent as much as it may; this one's turn comes.", code="account_rate",
        retry_after_seconds=seconds,
    )  # fmt: skip
