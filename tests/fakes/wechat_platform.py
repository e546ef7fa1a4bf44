"""WeChat for tests: its API by the documented rules behind the HTTP client of the connection, with faults on demand."""

from __future__ import annotations

import httpx

from channels.adapters.wechat_oa.settings import WechatOaSettings
from foundation.clock import Clock
from service.simulate.wechat.wechat_api import Shown, WechatApi
from tests.fakes.faulty import Fault, FaultyTransport, status, timeout

__all__ = ["Fault", "WechatPlatform", "body", "errcode", "status", "timeout", "unreachable"]


class WechatPlatform(FaultyTransport):
    """Give it to `Connection(transport=…)`. `seen` is what reached customers."""

    def __init__(self, settings: WechatOaSettings, clock: Clock) -> None:
        self.seen: list[Shown] = []
        self.api = WechatApi(settings.app_id, settings.app_secret.get_secret_value(), clock, self.seen.append)
        super().__init__(self.api.application())


def errcode(code: int) -> Fault:
    return lambda _request: httpx.Response(200, json={"errcode": code, "errmsg": "refused"})


def body(content: bytes) -> Fault:
    return lambda _request: httpx.Response(200, content=content)


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)
