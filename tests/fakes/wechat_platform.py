"""WeChat for tests: its API by the documented rules, with faults on demand, behind the HTTP client of the connection.

The rules are the simulator's; what a test adds here are the faults of the network and of the platform.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import httpx

from channels.adapters.wechat_oa.settings import WechatOaSettings
from foundation.clock import Clock
from service.simulate.wechat.wechat_api import Shown, WechatApi

Fault = Callable[[httpx.Request], httpx.Response]


class WechatPlatform(httpx.AsyncBaseTransport):
    """Give it to `Connection(transport=…)`. `seen` is what reached customers, `calls` the paths that were called."""

    def __init__(self, settings: WechatOaSettings, clock: Clock) -> None:
        self.seen: list[Shown] = []
        self.calls: list[str] = []
        self.bodies: list[bytes] = []
        self.api = WechatApi(settings.app_id, settings.app_secret.get_secret_value(), clock, self.seen.append)
        self._inner = httpx.ASGITransport(self.api.application())
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


def status(code: int, *, retry_after: str = "") -> Fault:
    headers = {"retry-after": retry_after} if retry_after else {}
    return lambda _request: httpx.Response(code, headers=headers, text="<html>not WeChat</html>")


def errcode(code: int) -> Fault:
    return lambda _request: httpx.Response(200, json={"errcode": code, "errmsg": "refused"})


def body(content: bytes) -> Fault:
    return lambda _request: httpx.Response(200, content=content)


def timeout(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)
