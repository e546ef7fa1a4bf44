"""Slack as a channel of the house: signed calls in, chat.postMessage out.

`registry.py` lists `SPEC`; intake and delivery call the channel. Slack waits 3 s and then repeats up to three times, so
every call is answered empty at once; a repetition is recognised by its content, never by its retry header, because the
first attempt may have been lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.slack import codec
from channels.adapters.slack.connection import Connection
from channels.adapters.slack.settings import SlackSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Part,
    Rate,
    Surroundings,
    Webhook,
)
from channels.platforms import signatures
from channels.platforms.payloads import words
from channels.platforms.posting import Posting
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)

CAPABILITIES = Capabilities(
    text_limit=3000, buttons=25, citations="text", rate_per_customer=Rate(10, 10), acknowledge_unreadable=True
)
"""A section holds 3,000 characters and stands beside buttons; a bare text could hold 4,000. 25 elements in an actions
block. What we cannot read is acknowledged: Slack switches a subscription off when too few calls succeed."""


class SlackChannel(Posting[Connection]):
    """`settings` are complete: see `SlackSettings.or_demo`. Keeps `Fetching` and `Testing` as well."""

    name = codec.NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: SlackSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._secrets = signatures.secrets_of(settings.signing_secret, settings.previous_signing_secret)
        self._connection = connection
        self._reader = codec.Reader(
            tenant=surroundings.tenant, account=surroundings.account, app_id=settings.app_id,
            team_id=settings.team_id, bot_user_id=settings.bot_user_id, channels=settings.answer_in_channels,
        )  # fmt: skip

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """The check of the address is signed as any other call; the older check of the certificate is not."""
        if (
            webhook.query.get("ssl_check") == "1"
            or codec.parse_form(webhook.body[:4096]).get("ssl_check") == "1"
        ):
            return Acknowledgement()
        if b"url_verification" not in webhook.body[:4096]:
            return None
        self.verify(webhook)
        try:
            payload = codec.parse_payload(webhook.body)
        except errors.UnreadablePayload:
            return None
        if words(payload, "type") != "url_verification":
            return None
        return Acknowledgement(words(payload, "challenge").encode("utf-8", "replace"))

    def verify(self, webhook: Webhook) -> None:
        stamp = webhook.headers.get("x-slack-request-timestamp", "")
        signed = b":".join((b"v0", stamp.encode("utf-8", "surrogatepass"), webhook.body))
        wanted = [f"v0={signatures.hmac_hex(secret, signed)}" for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.headers.get("x-slack-signature", ""), wanted))
        tolerance = self._settings.timestamp_tolerance_seconds
        signatures.require_fresh(stamp, webhook.received_at, tolerance_seconds=tolerance)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(webhook.body, self._reader, webhook.received_at)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        if b'"app_rate_limited"' in webhook.body[:4096]:
            log.warning("slack holds back calls, more than 30,000 came within an hour")
        return Acknowledgement()

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """The `ts`. Without a conversation to answer in, the person gets a direct message. Slack knows no key against
        a repetition."""
        context, reply = part.message.reply_context, part.message.reply
        if not part.text.strip() and not reply.choices:
            raise errors.UnsupportedContent("Slack does not take an empty text.", code="slack_no_text")
        body = codec.render_post(
            channel=context.get("channel", "") or part.message.recipient,
            thread_ts=context.get("thread_ts", ""),
            text=part.text,
            choices=reply.choices,
        )
        return await self._connection.post(body)

    async def fetch(self, attachment: Attachment) -> Media:
        return await self._connection.fetch(attachment)

    async def test(self) -> str:
        answer = await self._connection.who_am_i()
        return f"Slack answers: {words(answer, 'user')} in the workspace {words(answer, 'team')}."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SlackSettings)
    complete = settings.or_demo(surroundings.vault)
    return SlackChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(name=codec.NAME, settings=SlackSettings, build=build, title={"zh": "Slack", "en": "Slack"})
