"""A mini program as a channel of the house: its gate, codec and connection behind the contract.

`registry.py` lists `SPEC`; intake and delivery call the channel. WeChat waits 5 s and then repeats, so every webhook is
answered `success` at once and the reply goes out later through custom/send.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.wechat_mini import codec
from channels.adapters.wechat_mini.connection import Connection
from channels.adapters.wechat_mini.settings import NAME, WechatMiniSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Surroundings,
    Webhook,
)
from channels.families.wechat.codec import parse_either
from channels.families.wechat.gate import Gate
from channels.families.wechat.gated import Gated
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)

CAPABILITIES = Capabilities(
    text_limit=2048,
    text_unit="bytes",
    typing=True,
    citations="text",
    reply_window_seconds=48 * 3600,
    reply_quota=5,
    acknowledge_unreadable=True,
)
"""Window and quota are those of a customer's message; after a mere entering of the session there are two messages within
one minute. What we cannot read is kept and acknowledged all the same, because the platform would only repeat it."""


class WechatMiniChannel(Gated[Connection]):
    """Keeps also `Fetching` and `Testing`. `settings` are complete: see `WechatMiniSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(
        self, settings: WechatMiniSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._gate = Gate(settings.keys(), codec.identify, parse_either)
        self._connection = connection

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return [
            codec.parse_message(
                self._gate.open(webhook),
                tenant=self._surroundings.tenant,
                account=self._surroundings.account,
                app_id=self._settings.app_id,
                received_at=webhook.received_at,
                original_id=self._settings.original_id,
            )
        ]

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"success")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """WeChat names no id for what it has taken, and knows no idempotency key."""
        if not part.text.strip():
            raise errors.UnsupportedContent("WeChat does not take an empty text.", code="wechat_mini_empty")
        body = codec.render_send(part.message.recipient, part.text)
        await self._connection.custom_send(body)
        return ""

    async def show_typing(self, conversation: Conversation) -> None:
        try:
            await self._connection.typing(codec.render_typing(conversation.recipient))
        except (errors.UpstreamError, errors.Exhausted) as error:
            log.debug("wechat_mini could not show typing", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        if not attachment.media_id:
            raise errors.UpstreamRefused(
                "This attachment has no file at WeChat.", code="wechat_mini_no_media"
            )
        return await self._connection.media(attachment.media_id)

    async def test(self) -> str:
        count = await self._connection.count_addresses()
        return (
            f"WeChat took the credentials of {self._settings.app_id} and names {count} addresses of its API."
        )


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, WechatMiniSettings)
    complete = settings.or_demo(surroundings.vault)
    return WechatMiniChannel(complete, surroundings, Connection(complete, surroundings))


SPEC = ChannelSpec(
    name=NAME,
    settings=WechatMiniSettings,
    build=build,
    title={"zh": "微信小程序", "en": "WeChat mini program"},
    fetches_token=True,
)
