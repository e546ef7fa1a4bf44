"""The reply that stands in the answer to a webhook: waits for it, within the time the platform gives.

For channels that are `Answering` (voice). The turn is worked wherever a worker is; what it writes into the transcript is
found here, however many processes there are. Where a person has to take over and the channel can put the customer
through, it does so instead of waiting. What is handed over is marked as sent, so the next call brings what
became ready meanwhile, and nothing twice. A repeated call gets again what the first one got.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import sqlalchemy as sa

from channels import degrade
from channels import text as texts
from channels.contract import (
    Acknowledgement,
    Channel,
    Part,
    Webhook,
)
from channels.outbound.elsewhere import Elsewhere
from channels.promises import Answering, Companioned, Transferring
from foundation import conversations
from foundation.conversations import Message
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.storage.database import Database

POLL_SECONDS = 0.25
"""Where the worker is another process its signals do not come here."""
REACH = 20
"""Messages; what was not heard before that many others is no longer worth saying."""
OURS = ("bot", "agent")


class Exchange:
    def __init__(self, database: Database, hub: Hub, elsewhere: Elsewhere | None = None) -> None:
        """Without `elsewhere`, links that a voice cannot say are named and written nowhere."""
        self._database = database
        self._hub = hub
        self._elsewhere = elsewhere

    async def respond(
        self, channel: Channel, webhook: Webhook, *, tenant: TenantId, conversation_id: ConversationId,
        repeat_of: int = 0, answers: int = 0, waits: bool = True,
    ) -> Acknowledgement:  # fmt: skip
        """`repeat_of`: the place of the message that this call brought before; `answers`: of the one that it brings now, whose
        reply is waited for even where an earlier one, that came too late, is ready to be said with it; `waits`: a reply is
        expected."""
        assert isinstance(channel, Answering)
        deadline = time.monotonic() + (channel.capabilities.synchronous_deadline_seconds or 0.0)
        with self._hub.listen(conversation_id) as signals:
            lines, through = await self._ready(channel, tenant, conversation_id, repeat_of)
            while (
                not _is_enough(lines, answers)
                and not through
                and waits
                and (left := deadline - time.monotonic()) > 0
            ):
                await _signal(signals, min(left, POLL_SECONDS))
                lines, through = await self._ready(channel, tenant, conversation_id, repeat_of)
        parts: list[Part] = []
        for line in lines:
            parts += await self._fit(_outbound(line, channel, tenant, conversation_id), channel)
        answer = _answer(channel, webhook, parts, through=through, waiting=waits and not lines)
        await self._mark(tenant, conversation_id, lines)
        return answer

    async def _ready(
        self, channel: Channel, tenant: TenantId, conversation_id: ConversationId, repeat_of: int
    ) -> tuple[list[Message], bool]:
        """What there is to say, and whether the customer is to be put through to a person."""
        can_transfer = isinstance(channel, Transferring) and channel.transfers

        def look(connection: sa.Connection) -> tuple[list[Message], bool]:
            found = conversations.find(connection, tenant, conversation_id)
            if found is None:
                return [], False
            newest = conversations.read(
                connection, tenant, conversation_id, before_seq=found.last_seq + 1, limit=REACH
            )
            through = can_transfer and found.holder != "bot"
            if repeat_of:
                return _after(newest, repeat_of), through
            unheard = ("accepted", "sending")
            return [line for line in newest if line.role in OURS and line.state in unheard], through

        return await self._database.read(look)

    async def _fit(self, message: OutboundMessage, channel: Channel) -> list[Part]:
        parts = degrade.fit(message, channel.capabilities)
        links = texts.find_links(message.reply.text)
        if not links or self._elsewhere is None or not isinstance(channel, Companioned):
            return parts
        went = await self._elsewhere.write_links(message, links, channel)
        return [replace(part, links_went=went) for part in parts]

    async def _mark(self, tenant: TenantId, conversation_id: ConversationId, lines: list[Message]) -> None:
        if not lines:
            return

        def mark(connection: sa.Connection) -> None:
            for line in lines:
                conversations.mark_state(
                    connection, tenant, conversation_id, MessageId(line.id), state="sent"
                )

        await self._database.write(mark)
        self._hub.tell(Signal("receipt", conversation_id))


def _is_enough(lines: list[Message], answers: int) -> bool:
    return bool(lines) and lines[-1].seq > answers


def _answer(
    channel: Channel, webhook: Webhook, parts: list[Part], *, through: bool, waiting: bool
) -> Acknowledgement:
    if through and isinstance(channel, Transferring):
        return channel.transfer(webhook, parts)
    assert isinstance(channel, Answering)
    return channel.respond(webhook, parts, waiting=waiting)


def _after(newest: list[Message], seq: int) -> list[Message]:
    """Ours behind the customer's message, up to what the customer said next."""
    found: list[Message] = []
    for line in newest:
        if line.seq > seq and line.role == "customer":
            break
        if line.seq > seq and line.role in OURS:
            found.append(line)
    return found


async def _signal(signals: asyncio.Queue[Signal], seconds: float) -> None:
    try:
        await asyncio.wait_for(signals.get(), seconds)
    except TimeoutError:
        return


def _outbound(
    line: Message, channel: Channel, tenant: TenantId, conversation_id: ConversationId
) -> OutboundMessage:
    reply = Reply(
        text=line.text, language=line.language or "zh", choices=line.choices, attachments=line.attachments,
        citations=line.citations,
    )  # fmt: skip
    return OutboundMessage(
        tenant=tenant, channel=channel.name, account="", conversation_id=conversation_id,
        message_id=MessageId(line.id), recipient=conversation_id, role=line.role, reply=reply,
    )  # fmt: skip
