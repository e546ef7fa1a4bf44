"""Between an SMS channel and its simulated carrier: faults of the network on demand, and a carrier's call as our hook gets it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import httpx
from starlette.types import ASGIApp

from channels.contract import Webhook
from service.simulate.contract import Call

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
"""The suite's."""

Fault = Literal["401", "429", "500", "timeout"]


class Network(httpx.AsyncBaseTransport):
    """`calls` are the requests that the carrier saw."""

    def __init__(self, application: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(application)
        self._faults: deque[Fault | httpx.Response] = deque()
        self.calls: list[httpx.Request] = []

    def fail_next(self, fault: Fault | httpx.Response) -> None:
        self._faults.append(fault)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._faults:
            self.calls.append(request)
            return await self._inner.handle_async_request(request)
        fault = self._faults.popleft()
        if isinstance(fault, httpx.Response):
            return fault
        if fault == "timeout":
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(int(fault), text="<html>not the carrier</html>")


def as_webhook(call: Call, name: str) -> Webhook:
    return Webhook(
        call.method, dict(call.query), {key.lower(): value for key, value in call.headers.items()}, call.body, NOW,
        call.path.strip("/"), f"/v1/hooks/demo/{name}{call.path}", urlencode(call.query),
    )  # fmt: skip


def bent(call: Webhook) -> Webhook:
    """One letter of the body is another."""
    middle = len(call.body) // 2
    other = b"B" if call.body[middle : middle + 1] == b"A" else b"A"
    return replace(call, body=call.body[:middle] + other + call.body[middle + 1 :])


def with_header(call: Webhook, name: str, value: str | None) -> Webhook:
    """None: without it."""
    rest = {key: kept for key, kept in call.headers.items() if key != name}
    return replace(call, headers=rest if value is None else {**rest, name: value})


def wrong_paths(call: Webhook) -> list[Webhook]:
    """The address with another secret, or with none."""
    right = call.account
    wrong = (
        "",
        "main",
        "路径",
        "\udcff",
        right[:-1],
        right.swapcase(),
        right[::-1],
        f"{right}x",
        f" {right}",
    )
    return [
        *(replace(call, account=one) for one in wrong),
        replace(call, account="", query={"key": right[:-1]}),
        replace(call, account="", query={"key": ""}),
    ]
