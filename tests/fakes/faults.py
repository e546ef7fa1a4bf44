"""Any simulated platform behind a connection's HTTP client, with faults of the network and of the platform on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
from starlette.types import ASGIApp

Fault = Callable[[httpx.Request], httpx.Response]


class FaultyTransport(httpx.AsyncBaseTransport):
    """`calls` are the paths that were called, `bodies` what they carried."""

    def __init__(self, application: ASGIApp) -> None:
        self.calls: list[str] = []
        self.bodies: list[bytes] = []
        self.requests: list[httpx.Request] = []
        self._inner = httpx.ASGITransport(application)
        self._faults: deque[tuple[str, Fault]] = deque()

    def next_call(self, path: str, fault: Fault, *, times: int = 1) -> None:
        """The next calls whose path holds this meet the fault instead of the platform."""
        self._faults.extend([(path, fault)] * times)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path)
        self.bodies.append(await request.aread())
        self.requests.append(request)
        for planned in self._faults:
            if planned[0] in request.url.path:
                self._faults.remove(planned)
                return planned[1](request)
        return await self._inner.handle_async_request(request)


def status(code: int, *, headers: dict[str, str] | None = None) -> Fault:
    return lambda _request: httpx.Response(code, headers=headers, text="<html>a proxy</html>")


def says(value: Any, code: int = 200, *, headers: dict[str, str] | None = None) -> Fault:
    return lambda _request: httpx.Response(code, json=value, headers=headers)


def timeout(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def by_name(name: str) -> Fault:
    return timeout if name == "timeout" else status(int(name))
