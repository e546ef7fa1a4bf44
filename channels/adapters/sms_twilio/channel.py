"""Twilio SMS as a channel of the house: its gate, codec and connection behind the contract.

Twilio's call is answered at once with nothing to say; the reply goes out through the Messages API, so that it may take
longer than Twilio waits. STOP, START and HELP are answered by Twilio; here they become events, which get no reply.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from channels.adapters.sms_twilio import codec
from channels.adapters.sms_twilio.connection import Connection, is_opt_out
from channels.adapters.sms_twilio.gate import Gate, parse_form
from channels.adapters.sms_twilio.settings import NAME, SmsTwilioSettings
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
from channels.platforms.posting import Posting
from channels.platforms.signatures import secrets_of
from channels.promises import Media, Reach
from foundation import errors
from foundation.messages import Attachment, InboundMessage

TEXT_LIMIT = 1600
NUMBER_ROOM = 10
"""For "(12/34) " before a part."""


class SmsTwilioChannel(Posting[Connection]):
    """`settings` are complete: see `SmsTwilioSettings.or_demo`."""

    name = NAME

    def __init__(
        self, settings: SmsTwilioSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._connection = connection
        self._address = settings.public_url or surroundings.hook(NAME)
        self._gate = Gate(self._address, secrets_of(settings.auth_token, settings.previous_auth_token))
        asked = settings.platform_keywords
        self._keywords = keywords(platform_blocks=asked, helps=asked)
        self._opt_outs = OptOuts(NAME, surroundings)
        self.capabilities = Capabilities(
            text_limit=TEXT_LIMIT - NUMBER_ROOM,
            text_unit="utf16",
            media=frozenset({"image"}) if settings.mms else frozenset(),
            repeats="ask",
            acknowledge_unreadable=True,
        )

    def verify(self, webhook: Webhook) -> None:
        self._gate.admit(webhook)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        fields = _fields(webhook)
        if codec.is_report(fields):
            return []
        message = codec.parse_message(
            fields, tenant=self._surroundings.tenant, account=self._surroundings.account,
            account_sid=self._settings.account_sid, keywords=self._keywords, received_at=webhook.received_at,
        )  # fmt: skip
        return [message]

    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        await self._opt_outs.remember(messages)

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        fields = _fields(webhook)
        receipt = codec.parse_receipt(fields) if codec.is_report(fields) else None
        return [] if receipt is None else [receipt]

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(codec.ACKNOWLEDGED, media_type="text/xml; charset=utf-8")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Twilio knows no idempotency key. Raises also `UpstreamRefused` for somebody who opted out, here or there."""
        message = part.message
        media = [one.url for one in message.reply.attachments if one.url] if self._settings.mms else []
        if not part.text.strip() and not media:
            raise errors.UnsupportedContent("Twilio does not take an empty text.", code=f"{NAME}_empty")
        await self._opt_outs.check(message.recipient)
        text = numbered(part.text, part.index, part.count) if self._settings.number_parts else part.text
        form = codec.render_send(
            message.recipient, text, sender=message.reply_context.get("from") or self._settings.from_number,
            service=self._settings.messaging_service_sid, media=media, callback=self._callback(),
        )  # fmt: skip
        try:
            return await self._connection.send(form)
        except errors.UpstreamRefused as error:
            if is_opt_out(error):
                await self._opt_outs.add(message.recipient)
            raise

    async def fetch(self, attachment: Attachment) -> Media:
        return await self._connection.media(attachment.url)

    async def test(self) -> str:
        return f"Twilio knows the account {await self._connection.account_name()}."

    def reach(self, phone: str) -> Reach:
        """From the account's own number; the customer's answer comes into the same conversation."""
        ours = self._settings.from_number
        return Reach(f"{ours}|{phone}", phone, {"from": ours} if ours else {})

    def _callback(self) -> str:
        """Twilio takes public addresses only."""
        wanted = self._settings.status_callbacks and self._address.startswith("https://")
        return self._address if wanted else ""


def _fields(webhook: Webhook) -> dict[str, str]:
    """The first value of each name."""
    body = webhook.body if webhook.method == "POST" else webhook.query_string.encode()
    return dict(reversed(parse_form(body)))


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SmsTwilioSettings)
    complete = settings.or_demo(surroundings.vault)
    return SmsTwilioChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=NAME, settings=SmsTwilioSettings, build=build, title={"zh": "短信（Twilio）", "en": "SMS (Twilio)"}
)
