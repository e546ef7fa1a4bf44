"""A Feishu app as a channel of the house: gate, codec and connection behind the contract.

Feishu waits 3 s and repeats for hours, so every event is acknowledged at once and answered by a message of its own: in a
chat with the bot as a new message, in a group as a reply to what was asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel

from channels import degrade
from channels.adapters.feishu import codec
from channels.adapters.feishu.connection import CARD_FAILED, RECALLED, Connection
from channels.adapters.feishu.gate import Gate
from channels.adapters.feishu.settings import NAME, FeishuSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Rate,
    Receipt,
    Surroundings,
    Webhook,
)
from channels.platforms.payloads import dump
from channels.platforms.posting import Posting
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=20_000,
    text_unit="bytes",
    buttons=10,
    citations="text",
    rate=Rate(50, 1),
    rate_per_customer=Rate(5, 1),
    acknowledge_unreadable=True,
)
"""A text's request may have 150 KB, a card's 30 KB, in JSON within JSON: 20 KB of text fit both. What we cannot read is
kept and acknowledged, because Feishu would repeat it for seven hours."""


class FeishuChannel(Posting[Connection]):
    """`settings` are complete: see `FeishuSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: FeishuSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._gate = Gate(settings)
        self._connection = connection

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        challenge = self._gate.challenge(webhook)
        return None if challenge is None else _json(dump({"challenge": challenge}))

    def verify(self, webhook: Webhook) -> None:
        self._gate.admit(webhook)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        place = codec.Place(
            self._surroundings.tenant, self._surroundings.account, self._settings.app_id, webhook.received_at
        )
        return codec.parse_event(self._gate.open(webhook.body), place)

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        """That a customer has read; Feishu does not tell of deliveries."""
        try:
            return codec.parse_receipts(self._gate.open(webhook.body))
        except errors.UnreadablePayload:
            return []

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return _json("{}")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """A card that Feishu cannot make goes out as a text with numbers."""
        if not part.text.strip():
            raise errors.UnsupportedContent("Feishu does not take an empty text.", code="feishu_empty")
        context, choices = part.message.reply_context, part.message.reply.choices
        if not choices:
            return await self._deliver(codec.render_text(part.text), part, idempotency_key)
        try:
            card = codec.render_card(part.text, choices, chat_type=context.get("chat_type", "p2p"))
            return await self._deliver(card, part, idempotency_key)
        except errors.UnsupportedContent as error:
            if error.code != CARD_FAILED:
                raise
        sent = ""
        for plain in degrade.fit(part.message, replace(CAPABILITIES, buttons=0)):
            body = codec.render_text(plain.text)
            sent = await self._deliver(body, part, f"{idempotency_key}/text/{plain.index}")
        return sent

    async def fetch(self, attachment: Attachment) -> Media:
        """`media_id` is the message's id and the file's key."""
        message_id, _, key = attachment.media_id.partition("/")
        if not message_id or not key:
            raise errors.UpstreamRefused("This attachment is none of Feishu's.", code="feishu_unknown_media")
        kind = "image" if attachment.kind == "image" else "file"
        return await self._connection.resource(message_id, key, kind=kind)

    async def test(self) -> str:
        name = await self._connection.bot_name()
        return f"Feishu answers as the bot {name}." if name else "Feishu answers."

    async def _deliver(self, body: Mapping[str, str], part: Part, idempotency_key: str) -> str:
        """In a group as a reply; where the question was withdrawn meanwhile, to the group itself."""
        context = part.message.reply_context
        key = hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]
        asked, chat = context.get("message_id", ""), context.get("chat_id", "")
        if context.get("chat_type", "p2p") == "p2p":
            return await self._connection.write(body, to=part.message.recipient, kind="open_id", key=key)
        if asked:
            try:
                in_thread = bool(context.get("thread_id"))
                return await self._connection.reply(body, message_id=asked, in_thread=in_thread, key=key)
            except errors.UpstreamRefused as error:
                if error.code != RECALLED or not chat:
                    raise
        return await self._connection.write(body, to=chat, kind="chat_id", key=key)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, FeishuSettings)
    complete = settings.or_demo(surroundings.vault)
    return FeishuChannel(complete, surroundings, Connection(complete, Shelf(NAME, surroundings)))


def _json(body: str) -> Acknowledgement:
    return Acknowledgement(body.encode(), media_type="application/json")


SPEC = ChannelSpec(
    name=NAME,
    settings=FeishuSettings,
    build=build,
    title={"zh": "飞书", "en": "Feishu / Lark"},
    fetches_token=True,
)
