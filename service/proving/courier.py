"""Brings a one-time code to a contact: the text from its file, a line with dots in the transcript, the digits to the channel.

Keeps `customers.verification.sending.Couriers`. The message passes no queue, because what lies in a queue is kept; a temporary
failure is the worker's to try again, with another code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from channels import records as sent_parts
from channels.outbound.contacts import Contacts
from channels.outbound.elsewhere import MARK
from customers.verification.codes import DIGITS, Contact
from customers.verification.records import Challenge
from foundation import conversations
from foundation.bus.contract import Outgoing
from foundation.clock import Clock
from foundation.conversations import Conversation, Draft
from foundation.messages import Identifier, MessageId, OutboundMessage, Reply
from foundation.storage.database import Database
from prompts.library import Library

Deliver = Callable[[Outgoing], Awaitable[str]]

DOTS = "•" * DIGITS
ARRIVED = ("sent", "delivered", "read")


@dataclass(frozen=True, slots=True)
class Courier:
    """`titles`: the channels' names for people, by channel and language."""

    contacts: Contacts
    database: Database
    library: Library
    clock: Clock
    deliver: Deliver
    titles: Mapping[str, Mapping[str, str]]

    def names_of(self, contact: Contact, *, apart_from: Conversation) -> Sequence[Identifier]:
        return self.contacts.names_of(contact.kind, contact.value, apart_from=apart_from)

    def find_way(
        self, connection: sa.Connection, identity_id: str, contact: Contact, *, apart_from: Conversation
    ) -> Conversation | None:
        return self.contacts.find_way(
            connection, identity_id, contact.kind, contact.value, apart_from=apart_from
        )

    def was_sent(self, connection: sa.Connection, way: Conversation, challenge_id: str) -> bool:
        message_id = _message_id(challenge_id)
        line = conversations.find_message(connection, way.tenant, way.id, message_id)
        if line is None:
            return False
        return line.state in ARRIVED or bool(
            sent_parts.find_sent(connection, way.tenant, way.id, MessageId(message_id))
        )

    async def send(self, way: Conversation, asking: Conversation, challenge: Challenge, code: str) -> None:
        language: Literal["zh", "en"] = (
            "en" if (way.language if way.last_seq else challenge.language) == "en" else "zh"
        )
        title = self.titles.get(asking.channel, {}).get(language, asking.channel)
        said, shown = [
            (
                await self.library.render(
                    way.tenant, "replies/code_message", language, code=digits, channel=title
                )
            ).text.strip()
            for digits in (code, DOTS)
        ]
        message_id = MessageId(_message_id(challenge.id))
        draft = Draft(
            id=message_id, role="bot", text=shown, sent_at=self.clock(), language=language, state="sending"
        )

        def write(connection: sa.Connection) -> None:
            if conversations.find_message(connection, way.tenant, way.id, message_id) is None:
                conversations.append(connection, way.tenant, way.id, draft)

        await self.database.write(write)
        outbound = OutboundMessage(
            tenant=way.tenant, channel=way.channel, account=way.account, conversation_id=way.id,
            message_id=message_id, recipient=way.recipient, role="bot", reply=Reply(text=said, language=language),
            reply_context=way.reply_context,
        )  # fmt: skip
        await self.deliver(Outgoing(0, way.id, outbound, f"{way.id}/{message_id}", 1))


def _message_id(challenge_id: str) -> str:
    """Marked as written elsewhere: where it cannot go out it is never sent on to another channel."""
    return f"{MARK}code-{challenge_id}"
