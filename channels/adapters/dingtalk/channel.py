"""A DingTalk robot as a channel of the house: signature, codec and connection behind the contract.

The callback is acknowledged at once. A reply goes to the address that came with the customer's last message, as long as it
lives (about 90 minutes), and through the OpenAPI afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from channels import degrade
from channels.adapters.dingtalk import codec
from channels.adapters.dingtalk.connection import SESSION_OVER, Connection
from channels.adapters.dingtalk.settings import NAME, DingtalkSettings
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
from channels.platforms.posting import Posting
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=7000,
    text_unit="bytes",
    buttons=5,
    markdown=True,
    citations="text",
    acknowledge_unreadable=True,
)
"""The parameters of a message may have 15,000 bytes of JSON, in which a character can take two. More than five buttons do
not fit a phone's screen. The platform says nothing about repetitions, so an unreadable call is kept and acknowledged."""
MARGIN_MILLISECONDS = 30_000
"""An address that ends sooner is not used any more."""


class DingtalkChannel(Posting[Connection]):
    """`settings` are complete: see `DingtalkSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(
        self, settings: DingtalkSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._tenant = surroundings.tenant
        self._account = surroundings.account
        self._clock: Clock = surroundings.clock
        self._secrets = signatures.secrets_of(settings.client_secret, settings.previous_client_secret)
        self._connection = connection

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """DingTalk does not check the address."""
        return None

    def verify(self, webhook: Webhook) -> None:
        """The signature covers the time and not the body; a repeated message is found by its id."""
        timestamp = webhook.headers.get("timestamp", "")
        wanted = [codec.sign(timestamp, secret) for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.headers.get("sign", ""), wanted))
        plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16
        seconds = int(timestamp) / 1000 if plain else float("nan")
        tolerance = self._settings.timestamp_tolerance_seconds
        signatures.require_fresh(seconds, webhook.received_at, tolerance_seconds=tolerance)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        place = codec.Place(self._tenant, self._account, self._settings, webhook.received_at)
        return codec.parse_call(webhook.body, place)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"{}", media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """The session's address names no id for what it has taken, and DingTalk knows no key against repetition."""
        if not part.text.strip():
            raise errors.UnsupportedContent("DingTalk does not take an empty text.", code="dingtalk_empty")
        context = part.message.reply_context
        if self._session_lives(context):
            try:
                return await self._to_session(part, context)
            except errors.UpstreamRefused as error:
                if error.code != SESSION_OVER:
                    raise
        return await self._by_token(part, context)

    async def fetch(self, attachment: Attachment) -> Media:
        """`media_id` is the download code of the message."""
        if not attachment.media_id:
            raise errors.UpstreamRefused(
                "This attachment is none of DingTalk's.", code="dingtalk_unknown_media"
            )
        return await self._connection.file(attachment.media_id)

    async def test(self) -> str:
        await self._connection.try_credentials()
        return "DingTalk gives this app an access token."

    def _session_lives(self, context: Mapping[str, str]) -> bool:
        url, until = context.get("session", ""), context.get("session_until", "")
        ends = int(until) if until.isascii() and until.isdigit() and len(until) <= 16 else 0
        alive = to_milliseconds(self._clock()) + MARGIN_MILLISECONDS < ends
        return bool(url) and alive and codec.may_reply_to(url, self._settings)

    async def _to_session(self, part: Part, context: Mapping[str, str]) -> str:
        mention = context.get("staff", "") if context.get("group") else ""
        body: dict[str, Any] = codec.render_session(part.text, part.message.reply.choices, mention=mention)
        await self._connection.to_session(context["session"], body)
        return ""

    async def _by_token(self, part: Part, context: Mapping[str, str]) -> str:
        """Without cards: buttons become numbers."""
        if context.get("outsider") and not context.get("group"):
            raise errors.WindowClosed(
                "DingTalk lets the robot write to people outside the company only while their session lives.",
                code="dingtalk_window_closed",
            )
        sent = ""
        for plain in degrade.fit(part.message, replace(CAPABILITIES, buttons=0)):
            body = codec.render_template(plain.text)
            if group := context.get("group"):
                sent = await self._connection.to_group(group, body)
            else:
                sent = await self._connection.to_person(part.message.recipient, body)
        return sent


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, DingtalkSettings)
    complete = settings.or_demo(surroundings.vault)
    return DingtalkChannel(complete, surroundings, Connection(complete, Shelf(NAME, surroundings)))


SPEC = ChannelSpec(
    name=NAME,
    settings=DingtalkSettings,
    build=build,
    title={"zh": "钉钉机器人", "en": "DingTalk robot"},
    fetches_token=True,
)
