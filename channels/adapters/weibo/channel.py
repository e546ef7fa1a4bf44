"""A Weibo account as a channel of the house: signature, codec and connection behind the contract.

Weibo waits 5 s and repeats three times, so a call is acknowledged at once with nothing in it, and answered through the
reply interface. The signature covers time and nonce only; a pair of them is bound to the message it first came with.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from channels.adapters.weibo import codec
from channels.adapters.weibo.connection import Connection
from channels.adapters.weibo.settings import NAME, WeiboSettings
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
from channels.platforms.replays import Replays
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=300, citations="text", reply_window_seconds=48 * 3600, acknowledge_unreadable=True
)
"""Weibo names no limit for a text; 300 characters pass. What we cannot read is kept and acknowledged: Weibo would repeat."""


class WeiboChannel(Posting[Connection]):
    """`settings` are complete: see `WeiboSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: WeiboSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._tenant = surroundings.tenant
        self._account = surroundings.account
        self._secrets = signatures.secrets_of(settings.app_secret, settings.previous_app_secret)
        self._replays = Replays()
        self._connection = connection

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        if webhook.method != "GET":
            return None
        self._check(webhook)
        return Acknowledgement(webhook.query.get("echostr", "").encode("utf-8", "replace"))

    def verify(self, webhook: Webhook) -> None:
        self._check(webhook)
        now = webhook.received_at.timestamp()
        pair = (webhook.query.get("timestamp", ""), webhook.query.get("nonce", ""))
        until = now + 2 * self._settings.timestamp_tolerance_seconds
        self._replays.check(pair, codec.identify(webhook.body), now=now, until=until)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        place = codec.Place(self._tenant, self._account, self._settings.uid, webhook.received_at)
        return codec.parse_call(webhook.body, place)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(b"")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Weibo names no id for what it has taken, and knows no key against repetition."""
        if not part.text.strip():
            raise errors.UnsupportedContent("Weibo does not take an empty text.", code="weibo_empty")
        await self._connection.reply(codec.render_reply(part.message.recipient, part.text))
        return ""

    async def fetch(self, attachment: Attachment) -> Media:
        """`media_id` is the receiver's copy of the file."""
        if not attachment.media_id:
            raise errors.UpstreamRefused("This attachment is none of Weibo's.", code="weibo_unknown_media")
        return await self._connection.file(attachment.media_id)

    def _check(self, webhook: Webhook) -> None:
        timestamp, nonce = webhook.query.get("timestamp", ""), webhook.query.get("nonce", "")
        wanted = [codec.sign(timestamp, nonce, secret) for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.query.get("signature", ""), wanted))
        plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16
        seconds = int(timestamp) / 1000 if plain else float("nan")
        tolerance = self._settings.timestamp_tolerance_seconds
        signatures.require_fresh(seconds, webhook.received_at, tolerance_seconds=tolerance)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, WeiboSettings)
    complete = settings.or_demo(surroundings.vault)
    return WeiboChannel(complete, surroundings, Connection(complete))


SPEC = ChannelSpec(
    name=NAME, settings=WeiboSettings, build=build, title={"zh": "微博私信", "en": "Weibo messages"}
)
