"""Calls Aliyun's SMS API: parameters in, its answer or an error of our tree out. Here alone the network is touched.

Every call is signed anew, so there is no token to renew. SendSms is not idempotent: after a time-out a message may come twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.adapters.sms_aliyun import signing
from channels.adapters.sms_aliyun.refusals import error_of, is_about_us
from channels.adapters.sms_aliyun.settings import NAME, SmsAliyunSettings
from channels.platforms.api import Api
from foundation.clock import Clock


class _AliyunApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """Refusals stand in the body, with any status; those of one message are left to `Connection`."""
        code = code_of(response)
        if code in ("", "OK"):
            super().raise_for_status(response)
        elif is_about_us(code):
            raise error_of(code)


class Connection:
    def __init__(
        self, settings: SmsAliyunSettings, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._api = _AliyunApi(NAME, "Aliyun", settings.api_base, transport=transport)
        self._settings = settings
        self._host = urlsplit(settings.api_base).netloc
        self._clock = clock

    async def close(self) -> None:
        await self._api.close()

    async def send(self, parameters: Mapping[str, str]) -> str:
        """The BizId, under which the report comes."""
        return str((await self._call("SendSms", parameters)).get("BizId") or "")

    async def template(self, template_code: str) -> dict[str, Any]:
        """What Aliyun knows of the template; asks for nothing and sends nothing."""
        return await self._call("QuerySmsTemplate", {"TemplateCode": template_code})

    async def _call(self, action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        query = signing.canonical_query(parameters)
        headers = signing.headers(
            self._settings.access_key_id, self._settings.access_key_secret.get_secret_value(), host=self._host,
            action=action, query=query, at=self._clock(), nonce=secrets.token_hex(16),
        )  # fmt: skip
        response = await self._api.call("POST", f"/?{query}", headers=headers)
        answer = self._api.read_json(response)
        if answer.get("Code") != "OK":
            raise error_of(str(answer.get("Code") or "refused"))
        return answer


def code_of(response: httpx.Response) -> str:
    """Aliyun's code, "" where the answer has none."""
    try:
        answer = response.json()
    except (JSONDecodeError, UnicodeDecodeError, RecursionError):
        return ""
    code = answer.get("Code") if isinstance(answer, dict) else None
    return code if isinstance(code, str) else ""
