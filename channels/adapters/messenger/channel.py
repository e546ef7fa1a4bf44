"""Messenger as a channel of the house: Meta's gate, codec, render and connection behind the contract.

`registry.py` lists `SPEC`; intake and delivery call the channel. Meta waits 20 s and takes a page away from whoever fails to
answer for long, so every call is acknowledged at once and the reply goes out through the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog
from pydantic import BaseModel

from channels.adapters.messenger import codec, render
from channels.adapters.messenger.connection import Connection
from channels.adapters.messenger.settings import MessengerSettings
from channels.contract import (
    Acknowledgement,
    Channel,
    ChannelSpec,
    Part,
    Receipt,
    Surroundings,
    Watermark,
    Webhook,
)
from channels.families.meta.signature import MetaGate
from channels.platforms.posting import Posting
from channels.platforms.signatures import secrets_of
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)


class MessengerChannel(Posting[Connection]):
    """`settings` are complete: see `MessengerSettings.or_demo`. Keeps also `Reporting`, `Fetching` and `Testing`."""

    name = codec.NAME

    def __init__(
        self, settings: MessengerSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._gate = MetaGate(
            secrets_of(settings.app_secret, settings.previous_app_secret), secrets_of(settings.verify_token)
        )
        self._connection = connection
        self.capabilities = (
            replace(render.CAPABILITIES, reply_window_seconds=render.HUMAN_AGENT_SECONDS)
            if settings.human_agent
            else render.CAPABILITIES
        )
        """With the tag Meta itself refuses the bot after 24 hours and people after 7 days."""

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return self._gate.greet(webhook)

    def verify(self, webhook: Webhook) -> None:
        self._gate.admit(webhook)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(
            webhook.body,
            tenant=self._surroundings.tenant,
            account=self._surroundings.account,
            page_id=self._settings.page_id,
            get_started=self._settings.get_started,
            received_at=webhook.received_at,
        )

    def receipts(self, webhook: Webhook) -> Sequence[Receipt | Watermark]:
        return codec.read_receipts(
            webhook.body,
            account=self._surroundings.account,
            page_id=self._settings.page_id,
            received_at=webhook.received_at,
        )

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"EVENT_RECEIVED")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Messenger knows no idempotency key."""
        bodies = render.messages(part, human_agent=self._settings.human_agent)
        if not bodies:
            raise errors.UnsupportedContent("Messenger does not take an empty text.", code="messenger_empty")
        provider_id = ""
        for body in bodies:
            provider_id = await self._connection.send(body)
        return provider_id

    async def show_typing(self, conversation: Conversation) -> None:
        try:
            await self._connection.send(render.typing(conversation.recipient))
        except errors.ServiceError as error:
            log.debug("messenger could not show typing", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        return await self._connection.fetch(attachment.url)

    async def test(self) -> str:
        page = await self._connection.describe()
        return f"Messenger answers for the page {page.get('name', '')}."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, MessengerSettings)
    complete = settings.or_demo(surroundings.vault)
    return MessengerChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=MessengerSettings,
    build=build,
    title={"zh": "Facebook Messenger", "en": "Facebook Messenger"},
)
