"""Without a WebSocket: server-sent events, and as the last step a long poll. Both read the same feed as the sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from channels.families.live_chat.feed import Feed
from channels.families.live_chat.messages import PAGE_LIMIT, Messages, View
from channels.families.live_chat.rooms import Rooms
from channels.families.live_chat.tokens import Pass
from foundation.clock import Clock
from foundation.live import Signal

KEEP_ALIVE_SECONDS = 20.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one keeps a proxy (nginx) from collecting what should flow."""


async def events(
    who: Pass, messages: Messages, rooms: Rooms, *, after_seq: int, clock: Clock
) -> AsyncIterator[str]:
    """Ends with the token, or with a reader that is too slow; the client comes back with Last-Event-ID."""
    feed = Feed(who, messages, rooms)
    running = asyncio.create_task(feed.run(after_seq))
    try:
        while not feed.outbox.overflowed.is_set() and not running.done() and clock() < who.expires_at:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    frame = await feed.outbox.get()
            except TimeoutError:
                yield ": keep-alive\n\n"
                continue
            yield _event(frame)
        if clock() >= who.expires_at:
            yield _event('{"t":"token_expiring","seconds":0}')
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _Waiter:
    """Woken by everything but passing sights."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    def hear(self, signal: Signal) -> None:
        if signal.kind not in ("delta", "typing"):
            self.woken.set()


async def wait_for_news(
    who: Pass, messages: Messages, rooms: Rooms, *, after_seq: int, seconds: float
) -> View:
    """What came after `after_seq`; waits for something to come when there is nothing yet."""
    waiter = _Waiter()
    with rooms.join(who.conversation_id, waiter):
        try:
            async with asyncio.timeout(seconds):
                while True:
                    view = await messages.view(who, after_seq=after_seq, limit=PAGE_LIMIT)
                    if view.messages:
                        return view
                    await waiter.woken.wait()
                    waiter.woken.clear()
        except TimeoutError:
            return await messages.view(who, after_seq=after_seq, limit=PAGE_LIMIT)


def _event(frame: str) -> str:
    """Only messages have a place to come back to."""
    parsed = json.loads(frame)
    number = f"id: {parsed['seq']}\n" if parsed["t"] == "message" else ""
    return f"{number}data: {frame}\n\n"
