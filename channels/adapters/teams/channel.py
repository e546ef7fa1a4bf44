"""Microsoft Teams as a channel of the house: activities with a signed token in, the connector's REST API out.

`registry.py` lists `SPEC`; intake and delivery call the channel. The Bot Service waits 10 to 15 s and shows the customer
an error after that, so every activity is answered at once and the reply goes out later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import httpx
import structlog
from pydantic import BaseModel

from channels.adapters.teams import codec, demo
from channels.adapters.teams.connection import Connection
from channels.adapters.teams.gate import Gate
from channels.adapters.teams.keys import KeyRing
from channels.adapters.teams.settings import TeamsSettings
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
from channels.platforms.posting import Posting
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

log = structlog.get_logger(__name__)

CAPABILITIES = Capabilities(
    text_limit=20_000,
    text_unit="utf16",
    buttons=6,
    typing=True,
    rate=Rate(50, 1),
    rate_per_customer=Rate(7, 1),
    citations="text",
    acknowledge_unreadable=True,
)
"""A message with its cards may have about 100 KB in UTF-16; 40 KB of text leave room. A hero card shows six buttons."""


class TeamsChannel(Posting[Connection]):
    """`settings` are complete: see `TeamsSettings.or_demo`. Keeps `Fetching` and `Testing` as well."""

    name = codec.NAME
    capabilities = CAPABILITIES

    def __init__(
        self, settings: TeamsSettings, surroundings: Surroundings, *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._connection = Connection(settings, Shelf(codec.NAME, surroundings), transport=transport)
        self.keys = KeyRing(self._connection.fetch_keys, surroundings.clock)
        self._gate = Gate(settings, self.keys)
        self._reader = codec.Reader(surroundings.tenant, surroundings.account, settings.app_id)
        self._watches = True

    def use_keys_of_the_demo(self, surroundings: Surroundings) -> None:
        """They are derived, not fetched: the simulator that signs with them does not run yet when the server starts."""
        self.keys.take(demo.key_document(surroundings.vault))
        self._watches = False

    async def open(self) -> None:
        """Loads the signing keys ahead, because `verify` cannot wait for them."""
        if self._watches:
            await self.keys.open()

    async def close(self) -> None:
        await self.keys.close()
        await self._connection.close()

    def verify(self, webhook: Webhook) -> None:
        """Never fetches: a key that is not known yet is asked for beside the door, and the call is refused meanwhile.
        Waiting here would let anybody who invents key ids hold the door open; see `keys`."""
        self._gate.admit(webhook)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.read(webhook.body, self._reader, webhook.received_at)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        """An `invoke` waits for JSON and shows an error without it."""
        if codec.kind_of(webhook.body) == "invoke":
            return Acknowledgement(b"{}", media_type="application/json")
        return Acknowledgement()

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """The activity's id. Without a conversation to answer in, one with the person is begun. The connector knows no
        key against a repetition."""
        message = part.message
        if not part.text.strip() and not message.reply.choices:
            raise errors.UnsupportedContent("Teams does not take an empty text.", code="teams_empty")
        context = self._context(message.reply_context)
        if not context.conversation:
            conversation = await self._connection.begin(context, message.recipient)
            context = replace(context, conversation=conversation)
        activity = codec.render_message(
            context, recipient=message.recipient, text=part.text, choices=message.reply.choices
        )
        return await self._connection.post(context, activity)

    async def show_typing(self, conversation: Conversation) -> None:
        context = self._context(conversation.reply_context)
        if not context.conversation:
            return
        try:
            await self._connection.post(context, codec.render_typing(context, conversation.recipient))
        except errors.ServiceError as error:
            log.debug("teams could not show typing", code=error.code)

    async def fetch(self, attachment: Attachment) -> Media:
        return await self._connection.fetch(attachment)

    async def test(self) -> str:
        await self._connection.token()
        return "Microsoft issues an access token for the bot; whether it is installed in Teams shows with the first message."

    def _context(self, stored: dict[str, str]) -> codec.Context:
        found = codec.Context.of(stored, service_url=self._settings.api_base)
        return replace(
            found, bot=found.bot or f"28:{self._settings.app_id}", tenant=found.tenant or self._tenant
        )

    @property
    def _tenant(self) -> str:
        return self._settings.tenant_id if "." not in self._settings.tenant_id else ""


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, TeamsSettings)
    complete = settings.or_demo(surroundings.vault)
    channel = TeamsChannel(complete, surroundings)
    if complete.is_local:
        channel.use_keys_of_the_demo(surroundings)
    return channel


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=TeamsSettings,
    build=build,
    title={"zh": "微软 Teams", "en": "Microsoft Teams"},
    fetches_token=True,
)
