"""The ways to a phone number or a mailbox that somebody has named: which open channels could carry a word there.

For one-time codes, which must not go out where they are asked for. A number is reached by any channel that is `Reaching`,
in the conversation that is there or a new one; a mailbox only in a conversation that its owner has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import sqlalchemy as sa

from channels.contract import MAIN, Channel
from channels.outbound.elsewhere import begin_with
from channels.places import Channels, find_channel
from channels.promises import Mailing, Reaching
from foundation import conversations
from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault

Kind = Literal["phone", "email"]

FindConversations = Callable[[sa.Connection, TenantId, str], Sequence[ConversationId]]
"""Those that came in through this identity."""


class Contacts:
    def __init__(
        self, channels: Channels, vault: Vault, clock: Clock, *, find_conversations: FindConversations
    ) -> None:
        self._channels = channels
        self._vault = vault
        self._clock = clock
        self._find_conversations = find_conversations

    def can_reach(self, apart_from: Conversation) -> bool:
        """Is there any channel for a code, whoever it is for?"""
        return any(self._others(kind, apart_from) for kind in ("phone", "email"))

    def names_of(self, kind: Kind, value: str, *, apart_from: Conversation) -> list[Identifier]:
        """What the channels that could carry a code call the owner of this contact, each once."""
        names = [
            Identifier(namespace=f"{one.name}:{one.mailbox}", value=value, proven=True)
            if isinstance(one, Mailing)
            else Identifier(namespace=kind, value=value, proven=True)
            for _, one in self._others(kind, apart_from)
        ]
        return list(dict.fromkeys(names))

    def find_way(
        self, connection: sa.Connection, identity_id: str, kind: Kind, value: str, *, apart_from: Conversation
    ) -> Conversation | None:
        """The conversation that was used last; on a channel that is `Reaching` one is begun where there is none."""
        tenant = apart_from.tenant
        others = self._others(kind, apart_from)
        known = [
            conversations.get(connection, tenant, one)
            for one in self._find_conversations(connection, tenant, identity_id)
        ]
        open_ones = {id(channel) for _, channel in others}
        fitting = [one for one in known if id(self._channel_of(one)) in open_ones]
        if kind == "email":
            return max(fitting, key=lambda one: (one.updated_at, one.id), default=None)
        written = [
            found
            for place, one in others
            if isinstance(one, Reaching)
            and (found := conversations.find(connection, tenant, self._thread(tenant, place, one, value)))
        ]
        if written:
            return max(written, key=lambda one: (one.updated_at, one.id))
        place, channel = others[0]
        assert isinstance(channel, Reaching)
        name, _, account = place.partition(":")
        return begin_with(
            connection, self._vault, tenant, (name, account or MAIN), reach=channel.reach(value), now=self._clock()
        )  # fmt: skip

    def _others(self, kind: Kind, apart_from: Conversation) -> list[tuple[str, Channel]]:
        """Those of this kind of contact by their places. Who talks by SMS is sent no SMS, whoever carries it."""
        here = self._channel_of(apart_from)
        promise: type = Reaching if kind == "phone" else Mailing
        if here is None or isinstance(here, promise):
            return []
        return [
            (place, channel)
            for (tenant, place), channel in sorted(self._channels.items(), key=lambda one: one[0])
            if tenant == apart_from.tenant and isinstance(channel, promise)
        ]

    def _channel_of(self, conversation: Conversation) -> Channel | None:
        return find_channel(self._channels, conversation.tenant, conversation.channel, conversation.account)

    def _thread(self, tenant: TenantId, place: str, channel: Reaching, value: str) -> ConversationId:
        name, _, account = place.partition(":")
        thread = channel.reach(value).thread
        return ConversationId(self._vault.lookup_key("conversation", tenant, name, account or MAIN, thread))
