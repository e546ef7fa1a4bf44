"""A reply on its way out: fitted to its channel, sent part by part, and its state told to everyone who watches.

`service.handlers` calls `deliver` for each reply that the bus hands out; the worker decides about a retry by the type
of the error. A part that went out is remembered at once, so that a retry goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from channels import degrade, records
from channels.contract import MAIN, Answering, Capabilities, Channel, Hosting, Part
from foundation import conversations, errors
from foundation.bus.contract import Outgoing
from foundation.clock import Clock
from foundation.conversations import DeliveryState
from foundation.live import Hub, Signal
from foundation.messages import OutboundMessage, TenantId
from foundation.storage.database import Database
from foundation.telemetry import Metrics

log = structlog.get_logger(__name__)

Channels = Mapping[tuple[TenantId, str], Channel]
"""By tenant and place: the channel's name for the account that the environment configures, `name:account` for others."""


def place(channel: str, account: str) -> str:
    return channel if account in ("", MAIN) else f"{channel}:{account}"


def find_channel(channels: Channels, tenant: TenantId, channel: str, account: str) -> Channel | None:
    """The account's own, and None where that was removed: its customers are not the main account's. The main one only where
    it hosts the account."""
    if (own := channels.get((tenant, place(channel, account)))) is not None:
        return own
    main = channels.get((tenant, channel))
    return main if isinstance(main, Hosting) else None


def find_listener(channels: Channels, tenant: TenantId, channel: str, word: str) -> Channel | None:
    """Behind the channel's name in an address stands an account, or a word of the main account's own: a path that is a
    secret, which only the channel can tell from a wrong one."""
    return channels.get((tenant, place(channel, word))) or channels.get((tenant, channel))


class Delivery:
    def __init__(
        self, channels: Channels, database: Database, *, hub: Hub, clock: Clock, metrics: Metrics
    ) -> None:
        self._channels = channels
        self._database = database
        self._hub = hub
        self._clock = clock
        self._metrics = metrics

    async def deliver(self, outgoing: Outgoing) -> str:
        """The provider's id of the last part. Raises `UpstreamUnavailable` (try again: the transcript still says
        sending), `UpstreamRefused` and `UnsupportedContent` (never again: it says failed, with the code)."""
        message = outgoing.message
        if isinstance(
            find_channel(self._channels, message.tenant, message.channel, message.account), Answering
        ):
            return ""  # it waits in the transcript until the customer's next call fetches it
        try:
            provider_id = await self._send(outgoing)
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

    async def _send(self, outgoing: Outgoing) -> str:
        message = outgoing.message
        channel = find_channel(self._channels, message.tenant, message.channel, message.account)
        if channel is None:
            raise errors.UpstreamRefused(f"The channel {message.channel} is not open.", code="channel_closed")
        parts = degrade.fit(message, channel.capabilities)
        done = await self._database.read(
            lambda connection: self._prepare(connection, channel, message, parts)
        )
        provider_id = done.get(len(parts) - 1, "")
        for part in parts:
            if part.index in done:
                continue
            key = f"{outgoing.idempotency_key}/{part.index}"
            provider_id = await channel.send(part, idempotency_key=key)
            await self._remember(message, part.index, provider_id)
        return provider_id

    def _prepare(
        self, connection: sa.Connection, channel: Channel, message: OutboundMessage, parts: list[Part]
    ) -> dict[int, str]:
        """What already went out; raises when the channel's window or quota leaves no room for the rest."""
        conversation = conversations.get(connection, message.tenant, message.conversation_id)
        done = records.find_sent(connection, message.tenant, message.conversation_id, message.message_id)
        _check_window(channel.capabilities, conversation.last_customer_at, self._clock())
        quota = channel.capabilities.reply_quota
        if quota is not None:
            used = records.count_sent_since(
                connection, message.tenant, message.conversation_id, conversation.last_customer_at
            )
            if used + len(parts) - len(done) > quota:
                raise errors.UpstreamRefused(
                    f"The channel takes {quota} messages after each message of the customer; they are used up.",
                    code="reply_quota_used",
                )
        return done

    async def _remember(self, message: OutboundMessage, part: int, provider_id: str) -> None:
        now = self._clock()
        await self._database.write(
            lambda connection: records.remember_sent(
                connection, message.tenant, message.conversation_id, message.message_id, part=part,
                provider_id=provider_id, now=now,
            )
        )  # fmt: skip

    async def _mark(self, message: OutboundMessage, state: DeliveryState, code: str | None = None) -> None:
        await self._database.write(
            lambda connection: conversations.mark_state(
                connection, message.tenant, message.conversation_id, message.message_id, state=state, error=code
            )
        )  # fmt: skip
        for topic in (message.conversation_id, f"desk:{message.tenant}"):
            self._hub.tell(Signal("receipt", topic, message_id=message.message_id, text=state))


def _check_window(capabilities: Capabilities, last_customer_at: datetime | None, now: datetime) -> None:
    seconds = capabilities.reply_window_seconds
    if seconds is None:
        return
    if last_customer_at is None or now - last_customer_at > timedelta(seconds=seconds):
        raise errors.UpstreamRefused(
            f"The channel takes replies for {seconds // 3600} hours after the customer's last message; that time is over.",
            code="reply_window_closed",
        )
