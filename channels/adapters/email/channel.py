"""A mailbox as a channel of the house: mails pulled by IMAP, replies handed to SMTP.

`registry.py` lists `SPEC`. There is no webhook: `verify` refuses every call, and `read` is for one raw mail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import BaseModel
from starlette.routing import BaseRoute

from channels.adapters.email import codec, compose
from channels.adapters.email.codec import Mailbox
from channels.adapters.email.incoming import Incoming
from channels.adapters.email.login import Login
from channels.adapters.email.outgoing import Outgoing
from channels.adapters.email.pulling import Puller
from channels.adapters.email.settings import EmailSettings
from channels.adapters.email.threads import Threads
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Door,
    Part,
    Surroundings,
    Webhook,
)
from channels.platforms.shelf import Shelf
from channels.platforms.signatures import derive
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(text_limit=100_000, text_unit="characters", markdown=True, citations="text")
"""The limit is ours; servers take megabytes. Choices become a numbered list, for mails have no buttons."""


class Sender(Protocol):
    """`outgoing.Outgoing` keeps it."""

    async def send(self, recipient: str, mail: bytes) -> None: ...


class EmailChannel:
    """`settings` are complete: see `EmailSettings.or_demo`."""

    name = codec.NAME
    capabilities = CAPABILITIES

    def __init__(
        self, settings: EmailSettings, surroundings: Surroundings, *, outgoing: Sender | None = None
    ) -> None:
        self.settings = settings
        self._clock = surroundings.clock
        address = settings.address.lower()
        key = derive(surroundings.vault, codec.NAME, f"threads of {address}")
        self._box = Mailbox(
            tenant=surroundings.tenant,
            account=surroundings.account,
            address=address,
            own=settings.own_addresses,
            authserv_id=settings.authserv_id,
            threads=Threads(key, surroundings.account, address),
            attachment_limit_bytes=settings.attachment_limit_bytes,
        )
        self.login = Login(settings, surroundings)
        self._outgoing: Sender = outgoing or Outgoing(settings, self.login)
        self._connect: Callable[[], Incoming] = lambda: Incoming(settings, self.login)
        self.puller = Puller(
            settings, self._box, Shelf(codec.NAME, surroundings), surroundings.clock, self._connect
        )

    @property
    def mailbox(self) -> str:
        return self._box.address

    @property
    def address(self) -> str:
        """Mails are fetched."""
        return ""

    async def open(self) -> None:
        """Nothing to prepare: pulling connects."""

    async def close(self) -> None:
        await self.login.close()

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def verify(self, webhook: Webhook) -> None:
        raise errors.NotAuthentic("Mails come by IMAP; this address takes nothing.", code="no_webhook")

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        """`webhook.body` is a raw mail."""
        message = codec.parse(webhook.body, self._box, received_at=webhook.received_at)
        return [] if message is None else [message]

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement()

    async def pull(self, door: Door) -> None:
        await self.puller.run(door)

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Returns the Message-ID, the same for every attempt."""
        if not part.text.strip():
            raise errors.UnsupportedContent("A mail without words is not sent.", code="email_empty")
        message_id, mail = compose.render(
            part, self._box, idempotency_key=idempotency_key, now=self._clock(),
            name=self.settings.display_name, signature=self.settings.signature,
        )  # fmt: skip
        await self._outgoing.send(part.message.recipient, mail)
        return message_id

    async def show_typing(self, conversation: Conversation) -> None:
        """Mails know no such sign."""

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()

    async def fetch(self, attachment: Attachment) -> Media:
        """Out of the mail where it lies. Raises `UpstreamRefused` when it was moved or deleted meanwhile."""
        validity, uid, number = _place(attachment.media_id)
        incoming = self._connect()
        try:
            await incoming.open()
            if incoming.validity != validity:
                raise errors.UpstreamRefused(
                    "The mailbox was made anew; the mail is gone.", code="email_gone"
                )
            raw = await incoming.fetch(uid, self.settings.mail_limit_bytes)
        finally:
            incoming.drop()
        found = [one for one in codec.attached(raw or b"") if one.number == number]
        if not found or found[0].name != attachment.name:
            raise errors.UpstreamRefused("The mail is gone or has no such attachment.", code="email_gone")
        content = found[0].content()
        if len(content) > self.settings.attachment_limit_bytes:
            raise errors.InvalidInput("The attachment is too large.", code="too_large")
        return Media(content, found[0].part.get_content_type())

    async def test(self) -> str:
        incoming = self._connect()
        try:
            await incoming.open()
        finally:
            incoming.drop()
        await Outgoing(self.settings, self.login).test()
        return f"The folder {self.settings.folder} of {self.settings.address} can be read, and its SMTP server takes the login."


def _place(media_id: str) -> tuple[int, int, int]:
    pieces = media_id.split(":")
    if len(pieces) != 3 or not all(piece.isascii() and piece.isdigit() for piece in pieces):
        raise errors.UpstreamRefused(
            "This attachment was too large to be kept, or is none.", code="email_gone"
        )
    validity, uid, number = map(int, pieces)
    return validity, uid, number


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a configured mailbox the channel opens with the demo's, which the simulator plays."""
    assert isinstance(settings, EmailSettings)
    return EmailChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=codec.NAME, settings=EmailSettings, build=build, title={"zh": "电子邮件", "en": "E-mail"}
)
