"""The web chat as a channel: assembles its parts, and "sends" by waking whoever watches the conversation.

Built by the wiring through `SPEC`. A reply needs no sending: the turn that made it has written it into the transcript,
and sockets, streams and polls read it there. The generic webhook is closed; customers come in by the routes below.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field, SecretStr
from starlette.routing import BaseRoute

from channels.adapters.web_chat.endpoints import Endpoints
from channels.adapters.web_chat.sessions import CHANNEL, Sessions
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
from channels.families.live_chat.admission import Origins, Pace, ServerKey, SiteGate
from channels.families.live_chat.messages import Messages
from channels.families.live_chat.rooms import Rooms
from channels.families.live_chat.sockets import Lobby, Parts, Timing
from channels.families.live_chat.uploads import Uploads
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.live import Signal
from foundation.messages import Attachment, ConversationId, InboundMessage


class Settings(BaseModel):
    """Read from HUILIU_WEB_CHAT_…"""

    site_key: str = Field("site", min_length=1, max_length=200)
    """Names this chat in the snippet; public."""
    server_key: SecretStr = SecretStr("")
    """For a shop's server that opens sessions without a browser; empty: not possible."""
    brand: str = Field("", max_length=60)
    """Stands at the top of the chat; empty: the page's own word for customer service."""


class WebChat:
    name = CHANNEL
    capabilities = Capabilities(
        text_limit=100_000,
        buttons=20,
        markdown=True,
        streaming=True,
        typing=True,
        media=frozenset({"image", "voice", "video", "file", "location", "link"}),
        citations="native",
        sign_in=True,
    )

    def __init__(self, settings: Settings, surroundings: Surroundings, timing: Timing | None = None) -> None:
        self._hub = surroundings.hub
        self.origins = Origins(surroundings.public_url, surroundings.origins)
        pace = Pace(surroundings.clock)
        self._rooms = Rooms(surroundings.tenant, surroundings.database, surroundings.hub)
        self._files = files = Uploads(surroundings, f"{self.origins.public}/t/{surroundings.tenant}")
        self._sessions = sessions = Sessions(surroundings, settings.site_key)
        parts = Parts(
            passes=sessions,
            messages=Messages(
                surroundings, channel=CHANNEL, device=True, site=settings.site_key, rooms=self._rooms, pace=pace, uploads=files
            ),
            rooms=self._rooms,
            pace=pace,
            gate=SiteGate(self.origins, ServerKey(settings.server_key.get_secret_value())),
            clock=surroundings.clock,
            timing=timing or Timing(),
        )  # fmt: skip
        self._lobby = Lobby(parts)
        self._endpoints = Endpoints(
            parts, self._lobby, files, sessions=sessions, origins=self.origins, site_key=settings.site_key,
            brand=settings.brand,
        )  # fmt: skip

    def visited(self, token: str) -> ConversationId:
        return self._sessions.read(token).conversation_id

    @property
    def hosts(self) -> str:
        return "site"

    @property
    def address(self) -> str:
        """Our own page and widget come by `routes`."""
        return ""

    async def open(self) -> None:
        self._rooms.open()

    async def close(self) -> None:
        await self._lobby.close()
        self._rooms.close()

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def verify(self, webhook: Webhook) -> None:
        raise errors.NotAuthentic("The web chat has no webhook; use /v1/widget/sessions.", code="no_webhook")

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        raise errors.UnreadablePayload("The web chat has no webhook; use /v1/widget/sessions.")

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement()

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        self._hub.tell(Signal("changed", part.message.conversation_id))
        return part.message.message_id

    async def fetch(self, attachment: Attachment) -> Media:
        """A file that was uploaded to us. Raises `UpstreamRefused` when it is not there any more."""
        return await self._files.read(attachment.media_id)

    async def show_typing(self, conversation: Conversation) -> None:
        self._hub.tell(Signal("typing", conversation.id, who="bot"))

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return self._endpoints.routes(door)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    assert isinstance(settings, Settings)
    return WebChat(settings, surroundings)


SPEC = ChannelSpec(name=CHANNEL, settings=Settings, build=build, title={"zh": "网页聊天", "en": "Web chat"})
