"""Who watches a conversation in this process: one room each, fed by the hub, and by a look at the database each second.

Feeds (`feed.py`) join a room. Signals only say "look again" or pass by (typing, pieces of a reply being written); the
room keeps the pieces of the running reply, so that whoever joins in the middle gets them as one snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import sqlalchemy as sa

from foundation import conversations, errors
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database

POLL_SECONDS = 1.0
LINGER_SECONDS = 120.0
"""How long a room stays open after a message, so that a reply that is written meanwhile is not missed."""
_CHUNK = 400


class Watcher(Protocol):
    def hear(self, signal: Signal) -> None:
        """Never blocks."""
        ...


class Room:
    def __init__(self, conversation_id: ConversationId, hub: Hub) -> None:
        self.watchers: set[Watcher] = set()
        self.running: dict[str, tuple[str, int]] = {}
        """Message being written → (text so far, index of the next piece)."""
        self.linger_until = 0.0
        self._over: deque[str] = deque(maxlen=64)
        self._open = ExitStack()
        self._signals = self._open.enter_context(hub.listen(conversation_id))
        self._task = asyncio.create_task(self._listen(), name=f"room {conversation_id}")

    def tell(self, signal: Signal) -> None:
        if signal.kind == "delta" and not self._collect(signal):
            return
        for watcher in list(self.watchers):
            watcher.hear(signal)

    def finish(self, message_id: str) -> None:
        """The message is in the transcript, or the customer has stopped it: its pieces are over."""
        if message_id not in self._over:
            self._over.append(message_id)
        self.running.pop(message_id, None)

    def close(self) -> None:
        self._task.cancel()
        self._open.close()

    def _collect(self, signal: Signal) -> bool:
        if signal.message_id in self._over:
            return False
        text, expected = self.running.get(signal.message_id, ("", 0))
        if signal.index < expected:
            return False
        self.running[signal.message_id] = (text + signal.text, signal.index + 1)
        return True

    async def _listen(self) -> None:
        while True:
            self.tell(await self._signals.get())


class Rooms:
    def __init__(self, tenant: TenantId, database: Database, hub: Hub) -> None:
        self._tenant = tenant
        self._database = database
        self._hub = hub
        self._rooms: dict[ConversationId, Room] = {}
        self._seen: dict[str, tuple[object, ...]] = {}
        self._poller: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._poller = asyncio.create_task(self._poll(), name="live chat poll")

    def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
        for room in self._rooms.values():
            room.close()
        self._rooms.clear()

    @contextmanager
    def join(self, conversation_id: ConversationId, watcher: Watcher) -> Iterator[Room]:
        """Join BEFORE reading the transcript: nothing falls in between."""
        room = self._ensure(conversation_id)
        room.watchers.add(watcher)
        try:
            yield room
        finally:
            room.watchers.discard(watcher)
            self._drop_if_empty(conversation_id, room)

    def expect(self, conversation_id: ConversationId) -> None:
        """A reply will come: listen to it even if nobody is connected right now."""
        self._ensure(conversation_id).linger_until = _now() + LINGER_SECONDS

    def stop(self, conversation_id: ConversationId, message_id: str) -> None:
        if conversation_id in self._rooms:
            self._rooms[conversation_id].finish(message_id)

    def _ensure(self, conversation_id: ConversationId) -> Room:
        room = self._rooms.get(conversation_id)
        if room is None:
            room = self._rooms[conversation_id] = Room(conversation_id, self._hub)
        return room

    def _drop_if_empty(self, conversation_id: ConversationId, room: Room) -> None:
        still_ours = self._rooms.get(conversation_id) is room
        if still_ours and not room.watchers and room.linger_until <= _now():
            room.close()
            del self._rooms[conversation_id]
            self._seen.pop(conversation_id, None)

    async def _poll(self) -> None:
        """The fallback for several processes: a signal of another one never arrives here, its rows do."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for conversation_id, room in list(self._rooms.items()):
                self._drop_if_empty(conversation_id, room)
            watched = [name for name, room in self._rooms.items() if room.watchers]
            for start in range(0, len(watched), _CHUNK):
                await self._look(watched[start : start + _CHUNK])

    async def _look(self, names: list[ConversationId]) -> None:
        try:
            states = await self._database.read(lambda connection: _states(connection, self._tenant, names))
        except errors.UpstreamUnavailable:
            return  # The database is away; the next look tries again, and whoever reads gets the error.
        for name, state in states.items():
            room = self._rooms.get(ConversationId(name))
            if room is not None and self._seen.get(name) != state:
                self._seen[name] = state
                room.tell(Signal("changed", name))


def _states(
    connection: sa.Connection, tenant: TenantId, names: list[ConversationId]
) -> dict[str, tuple[object, ...]]:
    table = conversations.conversation_table.c
    rows = connection.execute(
        sa.select(
            table.id, table.last_seq, table.holder, table.held_by, table.status, table.updated_at,
            table.customer_delivered_seq, table.customer_read_seq,
        ).where(table.tenant == tenant, table.id.in_(names))
    )  # fmt: skip
    return {row[0]: tuple(row[1:]) for row in rows}


def _now() -> float:
    return asyncio.get_running_loop().time()
