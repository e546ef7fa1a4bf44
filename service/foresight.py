"""Where turns are worked in this process, the vectors of a message are computed while it is stored and taken.

`wiring` gives `begin` to intake. A hint: the turn computes what is missing, and meets again whatever went wrong here.
"""

from __future__ import annotations

import asyncio

import structlog

from agent.understanding.understand import Understander

log = structlog.get_logger(__name__)


class Foresight:
    def __init__(self, understander: Understander) -> None:
        self._understander = understander
        self._thinking: set[asyncio.Task[None]] = set()

    def begin(self, text: str) -> None:
        task = asyncio.create_task(self._understander.prepare(text))
        self._thinking.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._thinking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("not prepared", error=type(task.exception()).__name__)
