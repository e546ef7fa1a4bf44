"""WhatsApp as a channel of the house: Meta's gate, codec, render and connection behind the contract.

`registry.py` lists `SPEC`; intake and delivery call the channel. Meta wants its calls answered within a second and repeats
them for seven days, so every one is acknowledged at once and the reply goes out through the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from pydantic import BaseModel

from channels.adapters.whatsapp import codec, render
from channels.adapters.whatsapp.connection import Connection
from channels.adapters.whatsapp.settings import WhatsappSettings
from channels.contract import (
    Acknowledgement,
    Channel,
    ChannelSpec,
    Part,
    Receipt,
    Surroundings,
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

WINDOW_CLOSED = "whatsapp_window_closed"


class WhatsappChannel(Posting[Connection]):
    """`settings` are complete: see `WhatsappSettings.or_demo`. Keeps also `Reporting`, `Reopening`, `Fetching` and
    `Testing`."""

    name = codec.NAME

    def __init__(
        self, settings: WhatsappSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._gate = MetaGate(
            secrets_of(settings.app_secret, settings.previous_app_secret), secrets_of(settings.verify_token)
        )
        self._connection = connection
        self.capabilities = render.CAPABILITIES

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return self._gate.greet(webhook)

    def verify(self, webhook: Webhook) -> None:
        self._gate.admit(webhook)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(
            webhook.body,
            tenant=self._surroundings.tenant,
            account=self._surroundings.account,
            phone_number_id=self._settings.phone_number_id,
            received_at=webhook.received_at,
        )

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        return codec.read_receipts(webhook.body, phone_number_id=self._settings.phone_number_id)

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """WhatsApp knows no idempotency key; ours comes back in its receipts, for whoever looks for a message. Where its clock
        says that the 24 hours are over, and ours did not, the reply goes out in the template as well."""
        reply_to = part.message.reply_context.get("to") or part.message.recipient
        bodies = render.messages(part, reply_to=reply_to, correlation=idempotency_key)
        if not bodies:
            raise errors.UnsupportedContent("WhatsApp does not take an empty text.", code="whatsapp_empty")
        try:
            return await self._send(bodies)
        except errors.UpstreamRefused as error:
            if error.code != WINDOW_CLOSED or not self.reopens:
                raise
        return await self.reopen(part, idempotency_key=idempotency_key)

    @property
    def reopens(self) -> bool:
        return bool(self._settings.template)

    async def reopen(self, part: Part, *, idempotency_key: str) -> str:
        reply_to = part.message.reply_context.get("to") or part.message.recipient
        return await self._send(
            render.template_messages(
                part, reply_to=reply_to, correlation=idempotency_key, name=self._settings.template,
                language=self._settings.template_language,
            )
        )  # fmt: skip

    async def _send(self, bodies: Sequence[dict[str, Any]]) -> str:
        provider_id = ""
        for body in bodies:
            provider_id = await self._connection.send(body)
        return provider_id

    async def show_typing(self, conversation: Conversation) -> None:
        message_id = conversation.reply_context.get("message_id", "")
        if not message_id:
            return
        try:
            await self._connection.send(render.read_and_typing(message_id))
        except errors.ServiceError as error:
            log.debug("whatsapp could not show typing", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        return await self._connection.fetch(attachment.media_id)

    async def test(self) -> str:
        number = await self._connection.describe()
        name = number.get("verified_name") or number.get("display_phone_number", "")
        return f"WhatsApp answers for {name} (quality {number.get('quality_rating', 'not yet rated')})."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, WhatsappSettings)
    complete = settings.or_demo(surroundings.vault)
    return WhatsappChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=WhatsappSettings,
    build=build,
    title={"zh": "WhatsApp", "en": "WhatsApp"},
)
