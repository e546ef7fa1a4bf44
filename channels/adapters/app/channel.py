"""The app as a channel: assembles its parts, wakes whoever is connected, and puts down a push for whoever is not.

A reply needs no sending: the turn that made it has written it into the transcript, where every device reads it. The
generic webhook is closed; customers come in by the routes of `endpoints.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from pydantic import BaseModel
from starlette.routing import BaseRoute

from channels.adapters.app.endpoints import Endpoints, OpenGate
from channels.adapters.app.push import Pusher
from channels.adapters.app.sessions import Sessions
from channels.adapters.app.settings import NAME, AppSettings
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
from channels.families.live_chat.admission import Pace
from channels.families.live_chat.messages import Messages
from channels.families.live_chat.rooms import Rooms
from channels.families.live_chat.sockets import Lobby, Parts, Timing
from channels.families.live_chat.uploads import Uploads
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.live import Signal
from foundation.messages import Attachment, ConversationId, InboundMessage

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
_CLOSED = "The app has no webhook; its clients call /v1/app/{account}/sessions."


class AppChannel:
    """`settings` are complete: see `AppSettings.or_demo`."""

    name = NAME
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

    def __init__(
        self, settings: AppSettings, surroundings: Surroundings, pusher: Pusher, timing: Timing | None = None
    ) -> None:  # fmt: skip
        self._around = surroundings
        self._hub = surroundings.hub
        self._pusher = pusher
        self._sessions = Sessions(settings, surroundings)
        self._rooms = Rooms(surroundings.tenant, surroundings.database, surroundings.hub)
        pace = Pace(surroundings.clock)
        self._files = files = Uploads(
            surroundings, f"{surroundings.public_url.rstrip('/')}/t/{surroundings.tenant}"
        )
        parts = Parts(
            passes=self._sessions,
            messages=Messages(
                surroundings, channel=NAME, device=False, site=surroundings.account, rooms=self._rooms, pace=pace, uploads=files
            ),
            rooms=self._rooms,
            pace=pace,
            gate=OpenGate(),
            clock=surroundings.clock,
            timing=timing or Timing(),
        )  # fmt: skip
        self._lobby = Lobby(parts)
        self._endpoints = Endpoints(
            parts, self._lobby, files, sessions=self._sessions, surroundings=surroundings
        )

    def visited(self, token: str) -> ConversationId:
        return self._sessions.read(token).conversation_id

    @property
    def address(self) -> str:
        """Where the app's clients call; nothing is entered at a platform."""
        return f"{self._around.public_url}/t/{self._around.tenant}/v1/app/{self._around.account}"

    async def open(self) -> None:
        self._rooms.open()

    async def close(self) -> None:
        await self._lobby.close()
        self._rooms.close()
        await self._pusher.close()

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def verify(self, webhook: Webhook) -> None:
        raise errors.NotAuthentic(_CLOSED, code="no_webhook")

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        raise errors.UnreadablePayload(_CLOSED)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement()

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        self._hub.tell(Signal("changed", part.message.conversation_id))
        if self._pusher.is_on and part.index == part.count - 1:
            await self._pusher.put_down(part, idempotency_key)
        return part.message.message_id

    async def fetch(self, attachment: Attachment) -> Media:
        """A file that was uploaded to us. Raises `UpstreamRefused` when it is not there any more."""
        return await self._files.read(attachment.media_id)

    async def show_typing(self, conversation: Conversation) -> None:
        self._hub.tell(Signal("typing", conversation.id, who="bot"))

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return self._endpoints.routes(door)

    async def pull(self, door: Door) -> None:
        """Nothing is fetched: what waits to be pushed is looked at here, where the customers' calls come in."""
        while True:
            if not self._pusher.is_on or not await self._pusher.work():
                await asyncio.sleep(TICK_SECONDS)

    async def test(self) -> str:
        known = ", ".join(self._sessions.key_names)
        if not self._pusher.is_on:
            return f"User tokens are checked with {known}. There is no push service."
        await self._pusher.ping()
        return f"User tokens are checked with {known}. The push service takes our calls."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured keys the channel opens with the demo's, for the simulator to sign with."""
    assert isinstance(settings, AppSettings)
    if settings.is_demo:
        log.warning("app runs with demo credentials", try_it='huiliu simulate app "hello"')
    complete = settings.or_demo(surroundings.vault)
    return AppChannel(complete, surroundings, Pusher(complete, surroundings))


SPEC = ChannelSpec(
    name=NAME, settings=AppSettings, build=build, title={"zh": "应用内客服", "en": "In-app chat"}
)
