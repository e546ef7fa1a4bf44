"""Fetches mails for ever: connect, take what is new, wait for more; how far it came stands on the shelf.

The cursor is `UIDVALIDITY:UID` and moves only after the door has taken the mail, so that a crash at any point repeats a
mail at most, which the door knows by its id. A mailbox that was made anew (another UIDVALIDITY) is looked through for the
last days in the same way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Literal

import structlog

from channels.adapters.email import codec
from channels.adapters.email.codec import Mailbox
from channels.adapters.email.incoming import Incoming
from channels.adapters.email.settings import EmailSettings
from channels.adapters.email.threads import digest
from channels.contract import BODY_LIMIT, Door
from channels.platforms.shelf import Shelf
from foundation import errors
from foundation.clock import Clock
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)

CURSOR = "cursor"
RECENT = "recent"
RESYNC_DAYS = 3
FIRST_PAUSE_SECONDS = 2.0
HOUR_SECONDS = 3600
SENDER_FACTOR = 3
"""An automatic writer that begins a new conversation each time is stopped by its address, a little later."""

Pause = Callable[[float], Awaitable[None]]


RECEIPTS: Mapping[str, Literal["delivered", "failed"]] = {"bounced": "failed", "delivered": "delivered"}
"""What the report of a mail server means for the mail of ours that it is about."""


class Puller:
    def __init__(
        self, settings: EmailSettings, box: Mailbox, shelf: Shelf, clock: Clock,
        connect: Callable[[], Incoming], *, pause: Pause = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._box = box
        self._shelf = shelf
        self._clock = clock
        self._connect = connect
        self.pause = pause
        self._healthy = True

    async def run(self, door: Door) -> None:
        """Until it is cancelled."""
        longest = float(self._settings.longest_pause_seconds)
        pause = FIRST_PAUSE_SECONDS
        while True:
            incoming = self._connect()
            try:
                await incoming.open()
                while True:
                    await self.catch_up(incoming, door)
                    self._note("")
                    pause = FIRST_PAUSE_SECONDS
                    await incoming.wait(self._settings.poll_seconds)
            except errors.ServiceError as error:
                self._note(error.code)
                if isinstance(error, errors.UpstreamRefused):
                    pause = longest
            finally:
                incoming.drop()
            await self.pause(pause)
            pause = min(pause * 2, longest)

    async def catch_up(self, incoming: Incoming, door: Door) -> None:
        """Everything that came since the last time, in order."""
        validity, last = _cursor(await self._shelf.read(CURSOR))
        if validity == incoming.validity:
            uids = await incoming.newer(last)
        elif validity or self._settings.start == "new":
            moment = self._clock() - timedelta(days=RESYNC_DAYS)
            uids = await incoming.since(moment) if validity else []
            if not uids:
                await self._move(incoming.validity, incoming.next_uid - 1)
        else:
            uids = await incoming.newer(0)
        for uid in uids:
            await self._take(incoming, door, uid)

    async def _take(self, incoming: Incoming, door: Door, uid: int) -> None:
        raw = await incoming.fetch(uid, self._settings.mail_limit_bytes)
        message = self._read(raw, f"{incoming.validity}:{uid}") if raw else None
        if raw and message is not None:
            message = await self._limited(message)
            accepted = await door.accept(message, raw[:BODY_LIMIT])
            if message.event in RECEIPTS:
                await door.report(
                    message.tenant, codec.NAME, codec.receipt_of(message, RECEIPTS[message.event])
                )
            if accepted.new and message.kind != "event":
                await self._count(message)
        await self._move(incoming.validity, uid)
        if message is not None and self._settings.mark_seen:
            await incoming.mark_seen(uid)

    def _read(self, raw: bytes, stands_at: str) -> InboundMessage | None:
        """A mail that cannot be read stays unread in the mailbox, where a person finds it."""
        try:
            message = codec.parse(raw, self._box, received_at=self._clock(), stands_at=stands_at)
        except errors.UnreadablePayload as error:
            log.warning("mail cannot be read", channel=codec.NAME, code=error.code, size=len(raw))
            return None
        if message is None:
            log.debug("mail is our own or not for us", channel=codec.NAME)
        return message

    async def _limited(self, message: InboundMessage) -> InboundMessage:
        """Two machines that answer each other are stopped here: the mail is stored as an event, and not answered."""
        if message.kind == "event":
            return message
        recent = await self._recent()
        allowed = self._settings.answers_per_hour
        thread, sender = _names(message)
        if len(recent.get(thread, ())) < allowed and len(recent.get(sender, ())) < allowed * SENDER_FACTOR:
            return message
        log.warning("too many mails of one conversation", channel=codec.NAME)
        return message.model_copy(update={"kind": "event", "event": "too_many"})

    async def _count(self, message: InboundMessage) -> None:
        recent = await self._recent()
        for name in _names(message):
            recent.setdefault(name, []).append(int(self._clock().timestamp()))
        await self._shelf.write(RECENT, json.dumps(recent, separators=(",", ":")))

    async def _recent(self) -> dict[str, list[int]]:
        """The mails of the last hour by conversation and by sender, both as digests."""
        stored = json.loads(await self._shelf.read(RECENT) or "{}")
        oldest = self._clock().timestamp() - HOUR_SECONDS
        kept = {name: [one for one in moments if one > oldest] for name, moments in stored.items()}
        return {name: moments for name, moments in kept.items() if moments}

    async def _move(self, validity: int, uid: int) -> None:
        await self._shelf.write(CURSOR, f"{validity}:{uid}")

    def _note(self, problem: str) -> None:
        """One line when the mailbox goes away and one when it is back."""
        if problem and self._healthy:
            note = log.info if self._settings.is_played else log.warning
            note("mailbox cannot be read", channel=codec.NAME, code=problem)
        elif not problem and not self._healthy:
            log.info("mailbox is read again", channel=codec.NAME)
        self._healthy = not problem


def _names(message: InboundMessage) -> tuple[str, str]:
    return f"t{message.thread[:16]}", f"s{digest('sender', message.sender[0].value)[:16]}"


def _cursor(stored: str) -> tuple[int, int]:
    validity, _, uid = stored.partition(":")
    return (int(validity), int(uid)) if validity.isdigit() and uid.isdigit() else (0, 0)
