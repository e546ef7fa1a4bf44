"""A Telegram bot as a channel of the house: its secret token, codec, render and connection behind the contract.

`registry.py` lists `SPEC`; intake and delivery call the channel. Telegram holds back a chat's next updates until one is
acknowledged, so each is at once; a tapped button is told to stop waiting in that same answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.telegram import codec, render
from channels.adapters.telegram.connection import Connection
from channels.adapters.telegram.settings import TelegramSettings
from channels.contract import (
    Acknowledgement,
    Channel,
    ChannelSpec,
    Part,
    Surroundings,
    Webhook,
)
from channels.platforms import payloads, signatures
from channels.platforms.posting import Posting
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)

HEADER = "x-telegram-bot-api-secret-token"


class TelegramChannel(Posting[Connection]):
    """`settings` are complete: see `TelegramSettings.or_demo`. Keeps also `Fetching` and `Testing`."""

    name = codec.NAME
    capabilities = render.CAPABILITIES

    def __init__(
        self, settings: TelegramSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._secrets = signatures.secrets_of(settings.secret_token, settings.previous_secret_token)
        self._connection = connection

    def verify(self, webhook: Webhook) -> None:
        """Telegram signs nothing; it echoes the secret that setWebhook was given."""
        given = webhook.headers.get(HEADER, "")
        signatures.require(
            signatures.one_of(given, self._secrets), "The secret token is wrong.", code="bad_token"
        )

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(
            webhook.body,
            tenant=self._surroundings.tenant,
            account=self._surroundings.account,
            bot_id=self._settings.bot_id,
            received_at=webhook.received_at,
        )

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        query_id = codec.query_of(webhook.body)
        if not query_id:
            return Acknowledgement()
        return Acknowledgement(render.answer_query(query_id), media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Telegram knows no idempotency key."""
        calls = render.calls(part)
        if not calls:
            raise errors.UnsupportedContent("Telegram does not take an empty text.", code="telegram_empty")
        provider_id = ""
        for method, body in calls:
            provider_id = await self._connection.send(method, body)
        return provider_id

    async def show_typing(self, conversation: Conversation) -> None:
        try:
            await self._connection.send(*render.typing(conversation.reply_context, conversation.recipient))
        except errors.ServiceError as error:
            log.debug("telegram could not show typing", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        media = await self._connection.fetch(attachment.media_id)
        return Media(media.content, attachment.media_type or media.media_type)

    async def test(self) -> str:
        """Names the bot, and says where its webhook points when that is not here, and Telegram's last trouble with it."""
        bot = payloads.child(await self._connection.call("getMe", {}))
        hook = payloads.child(await self._connection.call("getWebhookInfo", {}))
        sentence = f"Telegram answers for @{payloads.text(bot.get('username'))}."
        if payloads.text(hook.get("url")) != self._surroundings.hook(self.name):
            return f"{sentence} Its webhook does not point here: call setWebhook with this address."
        trouble = payloads.text(hook.get("last_error_message"))
        return f"{sentence} Its last delivery to us failed: {trouble}." if trouble else sentence


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, TelegramSettings)
    complete = settings.or_demo(surroundings.vault)
    return TelegramChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=TelegramSettings,
    build=build,
    title={"zh": "Telegram", "en": "Telegram"},
)
