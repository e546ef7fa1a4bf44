"""Completes what a customer sent before the bot and the desk look at it: files are fetched, stored, listened to, seen.

`service/handlers.py` names it for `MessageReceived`: the door acknowledges at once, and here, in the order of the
conversation, the files behind a message's attachments are brought in, also where a person holds the conversation. Then
the turn goes on in `agent/turn.py`. A platform that is away holds a customer up for seconds, never for good: the
attachment says why it has no file, and the desk can have it fetched again.

Repeatable: a file that is stored is not fetched twice, and the line of the transcript is written once at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from channels import text as texts
from channels.media import kinds
from channels.media import records as media
from channels.places import Channels, find_channel
from channels.promises import Fetching, Media
from foundation import conversations, errors
from foundation.bus.contract import Outcome, Turn
from foundation.clock import Clock
from foundation.events import MessageReceived
from foundation.live import Hub, Signal
from foundation.messages import FILES, Attachment, ConversationId, InboundMessage, TenantId
from foundation.storage.database import Database
from operations.staff import Member
from service.hearing.senses import Senses

log = structlog.get_logger(__name__)

ATTACHMENTS = 10
"""Files of one message that are fetched."""
TRIES = 2
FETCH_SECONDS = 15.0
"""For all files of a message together, the second tries included."""
FETCHES = 8
"""Files that this process holds in its hands at the same time."""
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0


class HearsMessages(Protocol):
    async def handle_message(self, event: MessageReceived, turn: Turn) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a message came in."""

    tenant: TenantId
    conversation_id: ConversationId
    message_id: str
    channel: str
    account: str
    language: str
    has_text: bool


class Hearing:
    def __init__(
        self, database: Database, channels: Channels, turns: HearsMessages, *, senses: Senses, hub: Hub, clock: Clock,
        pause_seconds: float = PAUSE_SECONDS, fetch_seconds: float = FETCH_SECONDS,
    ) -> None:  # fmt: skip
        self._database = database
        self._channels = channels
        self._turns = turns
        self._senses = senses
        self._hub = hub
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._fetch_seconds = fetch_seconds
        self._at_once = asyncio.Semaphore(FETCHES)

    async def handle_message(self, event: MessageReceived, turn: Turn) -> Outcome:
        if any(one.kind in FILES for one in event.message.attachments):
            event = event.model_copy(update={"message": await self._completed(event)})
        return await self._turns.handle_message(event, turn)

    async def fetch_again(
        self, member: Member, conversation_id: ConversationId, message_id: str
    ) -> list[Attachment]:
        """What could not be fetched, by a click at the desk; nothing is said to the customer. Raises `NotFound`."""
        member.require("desk.read")
        origin, known = await self._look(member.tenant, conversation_id, message_id)
        if not any(one.problem for one in known):
            return known
        return await self._complete(origin, [one.as_sent() if one.problem else one for one in known])

    async def _completed(self, event: MessageReceived) -> InboundMessage:
        message = event.message
        origin, known = await self._look(event.tenant, event.conversation_id, message.message_id)
        origin = replace(origin, channel=message.channel, account=message.account)
        attachments = await self._complete(origin, known)
        spoken = " ".join(one.reading for one in attachments if one.kind == "voice" and one.reading)
        text = message.text or texts.clean(spoken)[0]
        return message.model_copy(update={"attachments": tuple(attachments), "text": text})

    async def _look(
        self, tenant: TenantId, conversation_id: ConversationId, message_id: str
    ) -> tuple[_Origin, list[Attachment]]:
        conversation, line = await self._database.read(
            lambda connection: (
                conversations.get(connection, tenant, conversation_id),
                conversations.find_message(connection, tenant, conversation_id, message_id),
            )
        )
        if line is None or line.role != "customer":
            raise errors.NotFound("This message does not exist.")
        origin = _Origin(
            tenant, conversation_id, message_id, channel=conversation.channel, account=conversation.account,
            language=conversation.language, has_text=bool(line.text.strip()),
        )  # fmt: skip
        return origin, list(line.attachments)

    async def _complete(self, origin: _Origin, known: Sequence[Attachment]) -> list[Attachment]:
        files = [index for index, one in enumerate(known) if one.kind in FILES and not one.problem]
        brought = await asyncio.gather(
            *(self._brought_in(origin, index, known[index]) for index in files[:ATTACHMENTS])
        )
        done = list(known)
        for index, one in zip(files, brought, strict=False):
            done[index] = one
        for index in files[ATTACHMENTS:]:
            done[index] = known[index].model_copy(update={"problem": "too_many"})
        if done != list(known):
            await self._database.write(
                lambda connection: media.complete(
                    connection, origin.tenant, origin.conversation_id, origin.message_id, attachments=done
                )
            )
            for topic in (origin.conversation_id, f"desk:{origin.tenant}"):
                self._hub.tell(Signal("changed", topic))
        return done

    async def _brought_in(self, origin: _Origin, index: int, attachment: Attachment) -> Attachment:
        """Stored and read, or with the reason why not."""
        if attachment.stored:
            return attachment
        media_id = media.make_id(
            self._database.vault, origin.tenant, origin.conversation_id, origin.message_id, index
        )
        found = await self._database.read(lambda connection: media.find(connection, origin.tenant, media_id))
        if found is not None:  # by a run that did not live to tell
            content = await self.content(origin.tenant, media_id)
        else:
            async with self._at_once:
                try:
                    content = (await self._fetched(origin, attachment)).content
                    kinds.fits(content)
                except (errors.InvalidInput, errors.UpstreamError, errors.Exhausted) as error:
                    log.warning("a file was not fetched", channel=origin.channel, code=error.code)
                    return attachment.model_copy(update={"problem": error.code})
                found = await self._store(origin, attachment, media_id, content)
        stored = attachment.model_copy(
            update={"stored": found.id, "size": found.size, "media_type": found.media_type}
        )
        reading = await self._senses.read(
            origin.tenant, stored, content, language=origin.language, has_text=origin.has_text
        )
        return stored.model_copy(update={"reading": reading})

    async def _store(
        self, origin: _Origin, attachment: Attachment, media_id: str, content: bytes
    ) -> media.File:
        file = media.describe(
            content, media_id=media_id, conversation_id=origin.conversation_id, message_id=origin.message_id,
            name=attachment.name or attachment.kind,
        )  # fmt: skip
        sealed = await asyncio.to_thread(self._database.vault.seal_bytes, content)
        now = self._clock()
        await self._database.write(
            lambda connection: media.store(connection, origin.tenant, file, sealed_content=sealed, now=now)
        )
        return file

    async def _fetched(self, origin: _Origin, attachment: Attachment) -> Media:
        channel = find_channel(self._channels, origin.tenant, origin.channel, origin.account)
        if not isinstance(channel, Fetching):
            raise errors.UpstreamRefused("The channel is closed.", code="channel_closed")
        if not attachment.media_id and not attachment.url:
            too_large = attachment.description == "too_large"
            raise errors.UpstreamRefused(
                "The platform names no file.", code="too_large" if too_large else "no_file"
            )
        fetching = channel
        try:
            async with asyncio.timeout(self._fetch_seconds):
                return await self._tried(lambda: fetching.fetch(attachment))
        except TimeoutError as error:
            raise errors.UpstreamUnavailable(
                "The file did not come in time.", code="media_timeout"
            ) from error

    async def _tried(self, fetch: Callable[[], Awaitable[Media]]) -> Media:
        """Once more after a hiccup, and when the platform asks for a moment."""
        for attempt in range(1, TRIES + 1):
            try:
                return await fetch()
            except (errors.UpstreamUnavailable, errors.Exhausted) as error:
                if attempt == TRIES:
                    raise
                pause = (
                    self._pause_seconds if error.retry_after_seconds is None else error.retry_after_seconds
                )
                await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        raise AssertionError("the last try raises")

    async def content(self, tenant: TenantId, media_id: str) -> bytes:
        """Of a stored file. Raises `NotFound`."""
        sealed = await self._database.read(lambda connection: media.read_sealed(connection, tenant, media_id))
        return await asyncio.to_thread(self._database.vault.unseal_bytes, sealed)

    async def file(self, tenant: TenantId, media_id: str) -> tuple[media.File, bytes]:
        """Raises `NotFound`, also for another tenant's."""
        found = await self._database.read(lambda connection: media.find(connection, tenant, media_id))
        if found is None:
            raise errors.NotFound("This file does not exist.")
        return found, await self.content(tenant, media_id)
