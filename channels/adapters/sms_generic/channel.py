"""Any SMS gateway as a channel of the house: signature, codec and connection behind the contract.

The gateway's call is acknowledged at once; the reply goes out as a signed call of the same scheme, under an id
that is the same for each attempt, so that a gateway which looks at it sends nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from channels.adapters.sms_generic import codec
from channels.adapters.sms_generic.connection import Connection, is_opt_out
from channels.adapters.sms_generic.settings import NAME, SmsGenericSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Receipt,
    Surroundings,
    Webhook,
)
from channels.families.sms import OptOuts, keywords, numbered
from channels.platforms import standard_webhooks
from channels.platforms.download import fetch_public
from channels.platforms.posting import Posting
from channels.platforms.signatures import secrets_of
from channels.promises import Media, Reach
from foundation import errors
from foundation.messages import Attachment, InboundMessage

NUMBER_ROOM = 10
"""For "(12/34) " before a part."""


class SmsGenericChannel(Posting[Connection]):
    """`settings` are complete: see `SmsGenericSettings.or_demo`."""

    name = NAME

    def __init__(
        self, settings: SmsGenericSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._connection = connection
        self._opt_outs = OptOuts(NAME, surroundings)
        self._accepted = secrets_of(settings.secret, settings.previous_secret)
        own = secrets_of(settings.outbound_secret, settings.previous_outbound_secret)
        self._outbound = own or self._accepted
        self.capabilities = Capabilities(
            text_limit=settings.text_limit - NUMBER_ROOM,
            text_unit="utf16",
            repeats="ask",
            acknowledge_unreadable=True,
        )

    def verify(self, webhook: Webhook) -> None:
        standard_webhooks.admit(
            webhook, self._accepted, tolerance_seconds=self._settings.timestamp_tolerance_seconds
        )

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.parse_messages(
            codec.parse_items(webhook.body), tenant=self._surroundings.tenant, account=self._surroundings.account,
            gateway=self._settings.gateway, country=self._settings.country,
            webhook_id=webhook.headers.get("webhook-id", ""), keywords=keywords(), received_at=webhook.received_at,
        )  # fmt: skip

    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        await self._opt_outs.remember(messages)

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        return codec.parse_receipts(codec.parse_items(webhook.body))

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"{}", media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """The gateway's id of the message, or ours where it names none. Raises also `UpstreamRefused` for somebody who
        opted out, here or there."""
        message = part.message
        if not part.text.strip():
            raise errors.UnsupportedContent("An SMS cannot be empty.", code=f"{NAME}_empty")
        await self._opt_outs.check(message.recipient)
        text = numbered(part.text, part.index, part.count) if self._settings.number_parts else part.text
        identity = f"msg_{codec.identify(self._surroundings.account, idempotency_key)}"
        sender = message.reply_context.get("from") or self._settings.from_number
        body = codec.render_send(identity, message.recipient, text, sender=sender)
        headers = standard_webhooks.headers(self._outbound, identity, self._surroundings.clock(), body)
        try:
            return await self._connection.send(body, headers) or identity
        except errors.UpstreamRefused as error:
            if is_opt_out(error):
                await self._opt_outs.add(message.recipient)
            raise

    def reach(self, phone: str) -> Reach:
        """From the account's own number; the customer's answer comes into the same conversation."""
        ours = self._settings.from_number
        return Reach(f"{ours}|{phone}", phone, {"from": ours} if ours else {})

    async def fetch(self, attachment: Attachment) -> Media:
        """From where the gateway says that it lies."""
        return await fetch_public(attachment.url)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SmsGenericSettings)
    complete = settings.or_demo(surroundings.vault)
    return SmsGenericChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=NAME,
    settings=SmsGenericSettings,
    build=build,
    title={"zh": "短信（通用网关）", "en": "SMS (any gateway)"},
)
