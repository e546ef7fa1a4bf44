"""Calls Tencent's SMS API: a body in, its answer or an error of our tree out. Here alone the network is touched.

Every call is signed anew, so there is no token to renew. SendSms is not idempotent: after a time-out a message may come twice.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.adapters.sms_tencent import signing
from channels.adapters.sms_tencent.refusals import error_of
from channels.adapters.sms_tencent.settings import NAME, SmsTencentSettings
from channels.platforms.api import Api
from foundation.clock import Clock


class _TencentApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """What concerns the account stands in the body of a 200; what concerns one number, deeper in it."""
        super().raise_for_status(response)
        code = _of(_of(self.read_json(response), "Response"), "Error").get("Code")
        if isinstance(code, str):
            raise error_of(code)


class Connection:
    def __init__(
        self, settings: SmsTencentSettings, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._api = _TencentApi(NAME, "Tencent", settings.api_base, transport=transport)
        self._settings = settings
        self._host = urlsplit(settings.api_base).netloc
        self._clock = clock

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: bytes) -> str:
        """The SerialNo, under which the report comes. Success of the call is not that of the message."""
        listed = (await self._call("SendSms", body)).get("SendStatusSet")
        status = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        code = str(status.get("Code") or "")
        if code.lower() != "ok":
            raise error_of(code)
        return str(status.get("SerialNo") or "")

    async def template(self, template_id: str) -> dict[str, Any]:
        """What Tencent knows of the template, {} where it knows none; sends nothing."""
        number = int(template_id) if template_id.isascii() and template_id.isdigit() else 0
        body = json.dumps({"TemplateIdSet": [number], "International": 0}).encode()
        listed = (await self._call("DescribeSmsTemplateList", body)).get("DescribeTemplateStatusSet")
        return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}

    async def _call(self, action: str, body: bytes) -> dict[str, Any]:
        headers = signing.headers(
            self._settings.secret_id, self._settings.secret_key.get_secret_value(), host=self._host, action=action,
            region=self._settings.region, body=body, at=self._clock(),
        )  # fmt: skip
        return _of(await self._api.call_json("POST", "/", content=body, headers=headers), "Response")


def _of(answer: dict[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name)
    return value if isinstance(value, dict) else {}
