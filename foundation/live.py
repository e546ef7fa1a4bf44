"""What happens right now, inside this process: web chat sockets and desk pages listen, the worker and intake tell.

Everything here is a hint or a passing sight (a delta of a reply being written, "is typing"). The truth is the
transcript, read by `seq`; a signal that is lost costs latency, never data. With several processes the listeners
also poll.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

QUEUE_LIMIT = 256
EVERYTHING = "*"
"""A topic that hears every signal of the process: for lists that only need to know that they should look again."""


@dataclass(frozen=True, slots=True)
class Signal:
    """`changed`: read the transcript again · `typing`: `who` writes · `delta`: piece `index` of message `message_id`,
    which will be stored under that id when it is done · `status`: the holder changed · `receipt`: a state moved."""

    kind: Literal["changed", "typing", "delta", "status", "receipt"]
    topic: str
    who: str = ""
    message_id: str = ""
    index: int = 0
    text: str = ""


class Hub:
    """Topics are conversation ids, `desk:<tenant>` for the desk's list, and `EVERYTHING`."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[Signal]]] = defaultdict(set)

    def tell(self, signal: Signal) -> None:
        """Never blocks: a full listener loses passing sights first, and finds the rest in the transcript."""
        for listener in (*self._listeners.get(signal.topic, ()), *self._listeners.get(EVERYTHING, ())):
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(signal)

    @contextmanager
    def listen(self, *topics: str) -> Iterator[asyncio.Queue[Signal]]:
        """Subscribe BEFORE reading the history, so that nothing falls between."""
        listener: asyncio.Queue[Signal] = asyncio.Queue(QUEUE_LIMIT)
        for topic in topics:
            self._listeners[topic].add(listener)
        try:
            yield listener
        finally:
            for topic in topics:
                self._listeners[topic].discard(listener)
                if not self._listeners[topic]:
                    del self._listeners[topic]
