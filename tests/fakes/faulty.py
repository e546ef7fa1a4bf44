"""A simulated platform behind the HTTP client of a connection, with faults on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from starlette.types import ASGIApp

Fault = Callable[[httpx.Request], httpx.Response]


class FaultyTransport(httpx.AsyncBaseTransport):
    """`calls` are the paths that were called, `bodies` what they carried, `requests` both; also the ones that met a fault."""

    def __init__(self, application: ASGIApp) -> None:
        self.calls: list[str] = []
        self.bodies: list[bytes] = []
        self.requests: list[httpx.Request] = []
        self._inner = httpx.ASGITransport(application)
        self._faults: list[tuple[str, Fault]] = []

    def next_call(self, path: str, fault: Fault, *, times: int = 1) -> None:
        """The next calls whose path contains this meet the fault instead of the platform."""
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


def status(
    code: int, content: Any = None, *, headers: dict[str, str] | None = None, json: Any = None, **named: str
) -> Fault:
    """`named` are headers as well, with _ for -."""
    told = {**(headers or {}), **{name.replace("_", "-"): value for name, value in named.items()}}
    body = json if content is None else content
    if body is None:
        return lambda _request: httpx.Response(code, headers=told, text="<html>not the platform</html>")
    return lambda _request: httpx.Response(code, headers=told, json=body)


def says(value: Any, code: int = 200, *, headers: dict[str, str] | None = None) -> Fault:
    return lambda _request: httpx.Response(code, json=value, headers=headers)


def timeout(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def of(name: str) -> Fault:
    """The faults that the contract suite asks for by name."""
    return timeout if name == "timeout" else status(int(name))
