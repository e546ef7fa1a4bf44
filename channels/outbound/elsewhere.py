"""Another way to the same person: a reply that its channel cannot take, or a link that a voice cannot say, written elsewhere.

Two ways lead elsewhere. A conversation on another channel, whose platform vouches for a sender who has proven to be the
same customer; and, for the links of a call, the number that calls. `delivery` and `exchange` ask; what is written goes through
that conversation's own lane, so it is in order there, delivered by its rules, and seen at the desk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from channels import degrade
from channels.contract import MAIN, Channel
from channels.places import Channels, find_channel
from channels.promises import Answering, Companion, Companioned, Reach, Reaching
from foundation import conversations
from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock
from foundation.conversations import Conversation, Draft
from foundation.events import ReplyRedirected
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

log = structlog.get_logger(__name__)

MARK = "elsewhere-"
"""Begins the ids of what was written elsewhere; such a message is never sent on a second time."""

FindOthers = Callable[[sa.Connection, TenantId, ConversationId], Sequence[ConversationId]]
"""Conversations of the same person, proven; `customers.directory.Directory.find_others` keeps it."""


class Elsewhere:
    def __init__(
        self, channels: Channels, bus: Bus, database: Database, *, vault: Vault, clock: Clock,
        find_others: FindOthers, titles: Mapping[str, Mapping[str, str]],
    ) -> None:  # fmt: skip
        """`titles`: the channels' names for people, by channel and language."""
        self._channels = channels
        self._bus = bus
        self._database = database
        self._vault = vault
        self._clock = clock
        self._find_others = find_others
        self._titles = titles

    async def redirect(self, message: OutboundMessage) -> str:
        """Writes the reply to the customer's other channel; its name, or "" where there is none. Repeatable."""
        if message.message_id.startswith(MARK):
            return ""
        other = await self._other(message.tenant, message.conversation_id)
        if other is None:
            return ""
        reply = message.reply
        preface = degrade.words_for(reply.language)["elsewhere"].format(
            channel=self._title(message.channel, reply.language)
        )
        text = f"{preface}\n\n{reply.text}"
        await self._write(other, message, reply.model_copy(update={"text": text}))
        log.info("reply redirected", channel=message.channel, to=other.channel)
        return other.channel

    async def write_links(self, message: OutboundMessage, links: Sequence[str], channel: Channel) -> str:
        """Of a reply that is said; the other channel's name in the reply's language, or "" where there is none. Repeatable."""
        conversation = await self._database.read(
            lambda connection: conversations.find(connection, message.tenant, message.conversation_id)
        )
        if conversation is None or not isinstance(channel, Companioned):
            return ""
        companion = channel.companion(conversation)
        other = await self._reach(message.tenant, companion) if companion else None
        other = other or await self._other(message.tenant, message.conversation_id)
        if other is None:
            return ""
        language = message.reply.language
        preface = degrade.words_for(language)["links"].format(channel=self._title(message.channel, language))
        text = "\n".join([preface, *links])
        await self._write(other, message, Reply(text=text, language=language))
        return self._title(other.channel, language)

    async def _other(self, tenant: TenantId, conversation_id: ConversationId) -> Conversation | None:
        """The one that was used last, of those that take a message now."""

        def look(connection: sa.Connection) -> list[Conversation]:
            ids = self._find_others(connection, tenant, conversation_id)
            return [conversations.get(connection, tenant, one) for one in ids]

        found = await self._database.read(look)
        now = self._clock()
        takers = [one for one in found if one.id != conversation_id and self._takes(one, now)]
        return max(takers, key=lambda one: one.updated_at, default=None)

    def _takes(self, conversation: Conversation, now: datetime) -> bool:
        channel = find_channel(
            self._channels, conversation.tenant, conversation.channel, conversation.account
        )
        if channel is None or isinstance(channel, Answering):
            return False
        if conversation.holder == "human" and conversation.held_by == conversations.PLATFORM:
            return False
        seconds = channel.capabilities.reply_window_seconds
        last = conversation.last_customer_at
        return seconds is None or (last is not None and now - last < timedelta(seconds=seconds))

    async def _reach(self, tenant: TenantId, companion: Companion) -> Conversation | None:
        """The conversation with a number; begun here when it is new."""
        name, _, account = companion.place.partition(":")
        channel = self._channels.get((tenant, companion.place))
        if not isinstance(channel, Reaching):
            return None
        reach, at = channel.reach(companion.phone), (name, account or MAIN)
        return await self._database.write(
            lambda c: begin_with(c, self._vault, tenant, at, reach=reach, now=self._clock())
        )

    async def _write(self, other: Conversation, message: OutboundMessage, reply: Reply) -> None:
        origin = hashlib.sha256(f"{message.conversation_id}\0{message.message_id}".encode()).hexdigest()[:24]
        message_id = MessageId(f"{MARK}{origin}")
        outbound = OutboundMessage(
            tenant=message.tenant, channel=other.channel, account=other.account, conversation_id=other.id,
            message_id=message_id, recipient=other.recipient, role=message.role, reply=reply,
            reply_context=other.reply_context,
        )  # fmt: skip
        draft = Draft(
            id=message_id, role=message.role, text=reply.text, sent_at=self._clock(), language=reply.language,
            state="sending", choices=reply.choices, citations=reply.citations, attachments=reply.attachments,
        )  # fmt: skip
        event = ReplyRedirected(tenant=message.tenant, conversation_id=other.id, outbound=outbound)
        await self._bus.accept(
            Entry(message.tenant, "elsewhere", f"{other.id}:{message_id}", other.id, event),
            lambda connection, _seq: conversations.append(connection, message.tenant, other.id, draft),
        )

    def _title(self, channel: str, language: str) -> str:
        titles = self._titles.get(channel, {})
        return titles.get("zh" if degrade.is_chinese(language) else "en", channel)


def begin_with(
    connection: sa.Connection, vault: Vault, tenant: TenantId, at: tuple[str, str], *, reach: Reach, now: datetime
) -> Conversation:  # fmt: skip
    """The conversation with a number on a channel's account, begun here when it is new."""
    name, account = at
    conversation_id = ConversationId(vault.lookup_key("conversation", tenant, name, account, reach.thread))
    found = conversations.find(connection, tenant, conversation_id)
    if found is None:
        conversations.ensure(
            connection, conversation_id, tenant=tenant, channel=name, account=account,
            recipient=reach.recipient, now=now,
        )  # fmt: skip
        conversations.change(
            connection, tenant, conversation_id, now, reply_context=dict(reach.reply_context)
        )
    return conversations.get(connection, tenant, conversation_id)
