"""A platform behind a connection, with faults of the network and of the platform on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import httpx
from starlette.types import ASGIApp

Fault = Callable[[httpx.Request], httpx.Response]


class FaultyTransport(httpx.AsyncBaseTransport):
    """`calls` are the paths that were called, `bodies` what they carried."""

    def __init__(self, application: ASGIApp) -> None:
        self.calls: list[str] = []
        self.bodies: list[bytes] = []
        self._inner = httpx.ASGITransport(application)
        self._faults: deque[tuple[str, Fault]] = deque()

    def next_call(self, path: str, fault: Fault) -> None:
        """The next call whose path ends like this meets the fault instead of the platform."""
        self._faults.append((path, fault))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path)
        self.bodies.append(await request.aread())
        for planned in self._faults:
            if request.url.path.endswith(planned[0]):
                self._faults.remove(planned)
                return planned[1](request)
        return await self._inner.handle_async_request(request)
