"""What waits to go out on one socket: bounded, and never waited for by whoever puts something in.

Under pressure passing sights go first (typing), deltas of one message become one delta; when it is full all the same,
`put` says so and the socket is closed as a slow consumer: the client comes back and replays by seq.
"""

from __future__ import annotations

import asyncio
from collections import deque

from channels.families.live_chat.codec import Frame, dump

FRAME_LIMIT = 256
BYTE_LIMIT = 512 * 1024
_PASSING = "typing"


class Outbox:
    def __init__(self, frames: int = FRAME_LIMIT, size: int = BYTE_LIMIT) -> None:
        self._frames: deque[tuple[Frame, int]] = deque()
        self._frame_limit = frames
        self._size_limit = size
        self._size = 0
        self._filled = asyncio.Event()
        self.overflowed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Frame) -> bool:
        """False: there is too much even after making room; the reader has to go and come back."""
        if not self._merge(frame):
            self._add(frame)
        if self._is_full():
            self._relieve()
        if self._is_full():
            self.overflowed.set()
        self._filled.set()
        return not self.overflowed.is_set()

    async def get(self) -> str:
        """The next frame as text; waits for one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame, size = self._frames.popleft()
        self._size -= size
        return dump(frame)

    def _add(self, frame: Frame) -> None:
        size = len(dump(frame).encode())
        self._frames.append((frame, size))
        self._size += size

    def _merge(self, frame: Frame) -> bool:
        """A delta joins the delta of the same message that is last in the queue."""
        if frame["t"] != "delta" or not self._frames:
            return False
        last, size = self._frames[-1]
        if last["t"] != "delta" or last["message_id"] != frame["message_id"] or frame.get("snapshot"):
            return False
        joined = {**last, "text": last["text"] + frame["text"], "next": frame["next"]}
        grown = len(dump(joined).encode())
        self._frames[-1] = (joined, grown)
        self._size += grown - size
        return True

    def _is_full(self) -> bool:
        return len(self._frames) > self._frame_limit or self._size > self._size_limit

    def _relieve(self) -> None:
        """Typing signs go; deltas of one message move together into the place of the first."""
        kept: deque[tuple[Frame, int]] = deque()
        places: dict[str, int] = {}
        for frame, size in self._frames:
            if frame["t"] == _PASSING:
                continue
            place = places.get(frame["message_id"]) if frame["t"] == "delta" else None
            if place is not None and not frame.get("snapshot"):
                first = kept[place][0]
                joined = {**first, "text": first["text"] + frame["text"], "next": frame["next"]}
                kept[place] = (joined, len(dump(joined).encode()))
                continue
            if frame["t"] == "delta":
                places[frame["message_id"]] = len(kept)
            kept.append((frame, size))
        self._frames = kept
        self._size = sum(size for _, size in kept)
