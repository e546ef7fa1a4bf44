"""What one connection gets, in order: ready, what it missed, then what happens. Sockets, SSE and long polls read it.

The transcript is the truth and is read by `seq`; signals only wake the reader. The feed joins its room before the first
read, so a message that is inserted during the replay wakes it again: there is no window in which one can be lost.
"""

from __future__ import annotations

import asyncio

from channels.families.live_chat import codec
from channels.families.live_chat.codec import Frame
from channels.families.live_chat.messages import PAGE_LIMIT, Messages, View
from channels.families.live_chat.outbox import Outbox
from channels.families.live_chat.rooms import Room, Rooms
from channels.families.live_chat.tokens import Pass
from foundation.live import Signal

PING_SECONDS = 25
TYPING_SECONDS = 6


class Feed:
    def __init__(self, who: Pass, messages: Messages, rooms: Rooms, *, outbox: Outbox | None = None) -> None:
        self.outbox = outbox or Outbox()
        self._who = who
        self._messages = messages
        self._rooms = rooms
        self._wake = asyncio.Event()
        self._live = False
        self._cursor = 0
        self._last_own = 0
        self._told: dict[str, object] = {}
        self._streamed: set[str] = set()

    def hear(self, signal: Signal) -> None:
        if signal.kind == "delta":
            self._delta(signal.message_id, signal.index, signal.text)
        elif signal.kind == "typing":
            self._typing(signal.who)
        else:
            self._wake.set()

    async def run(self, last_seq: int) -> None:
        """Until cancelled; whoever runs it watches `outbox.overflowed`."""
        with self._rooms.join(self._who.conversation_id, self) as room:
            await self._replay(last_seq)
            for message_id, (text, following) in room.running.items():
                self._snapshot(message_id, text, following)
            self._live = True
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._catch_up(room)

    async def _replay(self, last_seq: int) -> None:
        view = await self._messages.view(self._who, after_seq=last_seq, limit=PAGE_LIMIT)
        self._cursor = min(last_seq, view.last_seq)
        self._put(
            {"t": "ready", "v": 1, "last_seq": view.last_seq, "ping_s": PING_SECONDS,
             "conversation_id": self._who.conversation_id}
        )  # fmt: skip
        if view.last_seq - self._cursor > PAGE_LIMIT:
            self._put({"t": "resync", "last_seq": view.last_seq})
            self._cursor = view.last_seq
        else:
            self._tell_messages(view)
        self._tell_state(view)

    async def _catch_up(self, room: Room) -> None:
        while True:
            view = await self._messages.view(self._who, after_seq=self._cursor, limit=PAGE_LIMIT)
            self._tell_messages(view)
            for message in view.messages:
                self._finish(message.id, message.seq, room)
            if len(view.messages) < PAGE_LIMIT:
                self._tell_state(view)
                return

    def _tell_messages(self, view: View) -> None:
        for message in view.messages:
            self._put({"t": "message", **codec.render_message(message)})
            self._cursor = message.seq
            if message.role == "customer":
                self._last_own = message.seq

    def _finish(self, message_id: str, seq: int, room: Room) -> None:
        if message_id in self._streamed or message_id in room.running:
            self._put({"t": "message_done", "message_id": message_id, "seq": seq})
            self._streamed.discard(message_id)
            room.finish(message_id)

    def _tell_state(self, view: View) -> None:
        self._tell("status", view.status_frame())
        for kind, by, upto in (
            ("delivered", "service", view.delivered_upto),
            ("read", "service", view.read_upto),
            ("read", "customer", view.seen_upto),
        ):
            self._receipt(kind, by, upto)

    def _receipt(self, kind: str, by: str, upto: int) -> None:
        """Only forward."""
        before = self._told.get(f"{kind} {by}", 0)
        assert isinstance(before, int)
        if upto > before:
            self._told[f"{kind} {by}"] = upto
            self._put({"t": "receipt", "kind": kind, "upto_seq": upto, "by": by})

    def _tell(self, name: str, frame: Frame) -> None:
        if self._told.get(name) != frame:
            self._told[name] = frame
            self._put(frame)

    def _delta(self, message_id: str, index: int, text: str) -> None:
        if self._live:
            self._streamed.add(message_id)
            self._taken()
            self._put({"t": "delta", "message_id": message_id, "i": index, "text": text, "next": index + 1})

    def _snapshot(self, message_id: str, text: str, following: int) -> None:
        self._streamed.add(message_id)
        self._put(
            {
                "t": "delta",
                "message_id": message_id,
                "i": 0,
                "text": text,
                "next": following,
                "snapshot": True,
            }
        )

    def _typing(self, who: str) -> None:
        if self._live and who != "customer":
            self._taken()
            self._put({"t": "typing", "who": who or "bot", "ttl": TYPING_SECONDS})

    def _taken(self) -> None:
        """Somebody is at work on the answer, so the customer's messages have arrived there."""
        self._receipt("delivered", "service", self._last_own)

    def _put(self, frame: Frame) -> None:
        self.outbox.put(frame)
