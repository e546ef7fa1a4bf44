"""LINE as a channel of the house: signed webhooks in, replies by token or push out.

`registry.py` lists `SPEC`; intake and delivery call the channel. LINE waits 2 s, so every call is answered at once. A reply
token costs nothing and lives about a minute; what comes later, or after the first part, is pushed under a retry key, which
makes a repetition harmless.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.line import codec
from channels.adapters.line.connection import Connection
from channels.adapters.line.settings import LineSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Surroundings,
    Webhook,
)
from channels.platforms import signatures
from channels.platforms.download import fetch_public
from channels.platforms.payloads import words
from channels.platforms.posting import Posting
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)

LOADING_SECONDS = 20
CAPABILITIES = Capabilities(
    text_limit=codec.TEXT_LIMIT, text_unit="utf16", buttons=13, typing=True, media=frozenset({"image"}),
    citations="text", acknowledge_unreadable=True,
)  # fmt: skip
"""The platform's numbers. What we cannot read is acknowledged: LINE may stop calling a hook that keeps failing."""


class LineChannel(Posting[Connection]):
    """`settings` are complete: see `LineSettings.or_demo`. Keeps `Fetching` and `Testing` as well."""

    name = codec.NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: LineSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._secrets = signatures.secrets_of(settings.channel_secret, settings.previous_channel_secret)
        self._connection = connection
        self._reader = codec.Reader(
            surroundings.tenant, surroundings.account, settings.bot_user_id, settings.answer_in_groups
        )

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """The console's check is an ordinary signed call without events."""
        return None

    def verify(self, webhook: Webhook) -> None:
        wanted = [
            base64.b64encode(hmac.digest(secret.encode(), webhook.body, "sha256")) for secret in self._secrets
        ]
        signatures.require(signatures.one_of(webhook.headers.get("x-line-signature", ""), wanted))

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(webhook.body, self._reader, webhook.received_at)

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """The id of the last message. More than five objects go out in several calls."""
        reply, context = part.message.reply, part.message.reply_context
        messages = codec.render_messages(part.text, reply.choices, reply.attachments)
        if not messages:
            raise errors.UnsupportedContent("LINE does not take an empty text.", code="line_empty")
        to = context.get("to", "") or part.message.recipient
        sent = ""
        for start in range(0, len(messages), codec.PER_CALL):
            some = messages[start : start + codec.PER_CALL]
            token = self._fresh_token(context) if part.index == 0 and start == 0 else ""
            answered = await self._connection.reply(token, some) if token else None
            sent = (
                await self._connection.push(to, some, key=f"{idempotency_key}/{start}")
                if answered is None
                else answered
            )
        return sent

    async def show_typing(self, conversation: Conversation) -> None:
        user = conversation.reply_context.get("to", "") or conversation.recipient
        if not user.startswith("U"):
            return  # the platform has the sign in private chats only
        try:
            await self._connection.show_loading(user, LOADING_SECONDS)
        except errors.ServiceError as error:
            log.debug("line could not show the loading sign", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        if not attachment.media_id:
            return await fetch_public(attachment.url)
        return await self._connection.fetch(attachment.media_id)

    async def test(self) -> str:
        answer = await self._connection.bot_info()
        return f"LINE answers: {words(answer, 'displayName')} ({words(answer, 'basicId')})."

    def _fresh_token(self, context: dict[str, str]) -> str:
        """ "" where there is none or its time is over."""
        at = context.get("token_at", "")
        issued = int(at) / 1000 if at.isascii() and at.isdigit() and len(at) <= codec.TIME_DIGITS else 0.0
        fresh = self._clock().timestamp() - issued < self._settings.reply_token_seconds
        return context.get("reply_token", "") if fresh else ""


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, LineSettings)
    complete = settings.or_demo(surroundings.vault)
    return LineChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(name=codec.NAME, settings=LineSettings, build=build, title={"zh": "LINE", "en": "LINE"})
