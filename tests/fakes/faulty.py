"""A simulated platform behind the HTTP client of a connection, with faults on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import httpx
from starlette.types import ASGIApp

Fault = Callable[[httpx.Request], httpx.Response]


class FaultyTransport(httpx.AsyncBaseTransport):
    """`calls` are the paths that were called, in order."""

    def __init__(self, app: ASGIApp) -> None:
        self.calls: list[str] = []
        self.requests: list[httpx.Request] = []
        self._inner = httpx.ASGITransport(app)
        self._faults: deque[tuple[str, Fault]] = deque()

    def next_call(self, path: str, fault: Fault) -> None:
        """The next call whose path ends like this meets the fault instead of the platform."""
        self._faults.append((path, fault))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path)
        await request.aread()
        self.requests.append(request)
        for planned in self._faults:
            if request.url.path.endswith(planned[0]):
                self._faults.remove(planned)
                return planned[1](request)
        return await self._inner.handle_async_request(request)


def status(code: int, content: object = None, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content is None:
        return lambda _request: httpx.Response(code, headers=named, text="<html>not the platform</html>")
    return lambda _request: httpx.Response(code, headers=named, json=content)


def timeout(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)
