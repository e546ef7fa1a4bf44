"""A Douyin business account as a channel of the house: signature, codec and connection behind the contract.

Douyin drops the connection after 5 s and repeats three times, so an event is acknowledged at once. A reply names the
message that it answers, which allows it for 24 hours.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from channels.adapters.douyin import codec
from channels.adapters.douyin.connection import Connection
from channels.adapters.douyin.settings import NAME, DouyinSettings
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
from channels.platforms.payloads import dump
from channels.platforms.posting import Posting
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=1000,
    citations="text",
    reply_window_seconds=24 * 3600,
    reply_quota=6,
    acknowledge_unreadable=True,
)
"""After an opened chat Douyin takes 3 messages within 30 s only, and says so itself. What we cannot read is kept and
acknowledged: lasting failures cancel the subscription."""


class DouyinChannel(Posting[Connection]):
    """`settings` are complete: see `DouyinSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: DouyinSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._tenant = surroundings.tenant
        self._account = surroundings.account
        self._secrets = signatures.secrets_of(
            settings.webhook_secret, settings.client_secret, settings.previous_client_secret
        )
        self._connection = connection

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        challenge = codec.challenge_of(webhook.body)
        if challenge is None:
            return None
        self.verify(webhook)
        return Acknowledgement(dump({"challenge": challenge}).encode(), media_type="application/json")

    def verify(self, webhook: Webhook) -> None:
        """No time is signed; a repeated call is found by its id."""
        wanted = [codec.sign(secret, webhook.body) for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.headers.get("x-douyin-signature", ""), wanted))

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        place = codec.Place(
            self._tenant, self._account, self._settings.client_key, self._settings.open_id, webhook.received_at,
            webhook.headers.get("msg-id", ""),
        )  # fmt: skip
        return codec.parse_call(webhook.body, place)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b'{"err_no":0}', media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Douyin knows no key against repetition. A reply without a message to answer is not allowed."""
        context = part.message.reply_context
        if not part.text.strip():
            raise errors.UnsupportedContent("Douyin does not take an empty text.", code="douyin_empty")
        if not context.get("msg_id"):
            raise errors.WindowClosed(
                "Douyin lets us write only in answer to a customer's message.", code="douyin_window_closed"
            )
        return await self._connection.send(codec.render_send(part.message.recipient, part.text, context))

    async def fetch(self, attachment: Attachment) -> Media:
        """`media_id` names conversation and message."""
        conversation, message = codec.media_parts(attachment.media_id)
        if not message:
            raise errors.UpstreamRefused("This attachment is none of Douyin's.", code="douyin_unknown_media")
        return await self._connection.file(conversation, message)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, DouyinSettings)
    complete = settings.or_demo(surroundings.vault)
    connection = Connection(complete, Shelf(NAME, surroundings), surroundings.clock)
    return DouyinChannel(complete, surroundings, connection)


SPEC = ChannelSpec(
    name=NAME,
    settings=DouyinSettings,
    build=build,
    title={"zh": "抖音私信", "en": "Douyin messages"},
    fetches_token=True,
)
