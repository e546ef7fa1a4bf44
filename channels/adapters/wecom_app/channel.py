"""A self-built app of WeCom as a channel of the house: its gate, codec and connection behind the contract.

`registry.py` lists `SPEC`; intake and delivery call the channel. WeCom waits 5 s and then repeats, so every callback is
answered at once with nothing and the reply goes out later through message/send.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from channels.adapters.wecom_app import codec
from channels.adapters.wecom_app.connection import Connection
from channels.adapters.wecom_app.settings import NAME, WecomAppSettings
from channels.contract import (
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Rate,
    Surroundings,
    Webhook,
)
from channels.families.wechat.gated import Gated
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=2048,
    text_unit="bytes",
    citations="text",
    rate_per_customer=Rate(30, 60),
    acknowledge_unreadable=True,
)
"""Members are the corporation's own: no window and no quota for each message, only rates."""


class WecomAppChannel(Gated[Connection]):
    """Keeps also `Fetching` and `Testing`. `settings` are complete: see `or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(
        self, settings: WecomAppSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._gate = settings.gate(codec.identify)
        self._connection = connection

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        message = codec.parse_message(
            self._gate.open(webhook),
            tenant=self._surroundings.tenant,
            account=self._surroundings.account,
            corp_id=self._settings.corp_id,
            agent_id=self._settings.agent_id,
            received_at=webhook.received_at,
        )
        return [] if message is None else [message]

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        if not part.text.strip():
            raise errors.UnsupportedContent("WeCom does not take an empty text.", code=f"{NAME}_empty")
        recipient = part.message.reply_context.get("touser") or part.message.recipient
        body = codec.render_send(
            recipient, part.text, agent_id=self._settings.agent_id, confidential=self._settings.confidential
        )
        return await self._connection.send(body)

    async def fetch(self, attachment: Attachment) -> Media:
        if not attachment.media_id:
            raise errors.UpstreamRefused("This attachment has no file at WeCom.", code=f"{NAME}_no_media")
        return await self._connection.media(attachment.media_id)

    async def test(self) -> str:
        return f"WeCom took the credentials of the app {await self._connection.app_name(self._settings.agent_id)}."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, WecomAppSettings)
    complete = settings.or_demo(surroundings.vault)
    return WecomAppChannel(complete, surroundings, Connection(complete, surroundings))


SPEC = ChannelSpec(
    name=NAME,
    settings=WecomAppSettings,
    build=build,
    title={"zh": "企业微信应用", "en": "WeCom app"},
    fetches_token=True,
)
