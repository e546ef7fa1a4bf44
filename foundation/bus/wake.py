"""A bell: whoever changed something rings, whoever waits for work hears it, a ring before the wait included."""

from __future__ import annotations

import asyncio


class Bell:
    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_seconds: float) -> None:
        """With several listeners each ring is heard by those who wait now; one who is busy may miss it."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()
