"""Calls WeChat's API: a body in, nothing or an error of our tree out. The only file here that touches the network.

`channel.py` sends and shows typing through it. One access token is shared by all calls, fetched once however many wait
for it, and renewed ahead of its end; a call that WeChat refuses because of the token is repeated once with a new one.
A timeout after the body has left means "unknown": it is reported as temporary, so that a reply may in rare cases
arrive twice but never gets lost (the platform offers no key that would make a repetition harmless).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import JSONDecodeError
from typing import Any

import httpx
import structlog

from channels.adapters.wechat_oa import refusals
from channels.adapters.wechat_oa.settings import WechatOaSettings
from foundation import errors
from foundation.clock import Clock

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
RENEW_AHEAD_SECONDS = 300
TYPING_REFUSED_QUIETLY = frozenset({45080, 45081})
"""No message within the last 30 s, or already typing: neither is worth a word."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: datetime


class Connection:
    def __init__(
        self, settings: WechatOaSettings, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._client = httpx.AsyncClient(
            base_url=settings.api_base, timeout=TIMEOUT_SECONDS, transport=transport, trust_env=False
        )
        self._token: _Token | None = None
        self._renewing = asyncio.Lock()
        self._healthy = True

    async def close(self) -> None:
        await self._client.aclose()

    async def custom_send(self, body: bytes) -> None:
        """Raises `UpstreamUnavailable`, `UpstreamRefused`, `UnsupportedContent` or `Exhausted`."""
        refusals.raise_for_code(await self._call("/cgi-bin/message/custom/send", body))

    async def typing(self, body: bytes) -> None:
        code = await self._call("/cgi-bin/message/custom/typing", body)
        if code not in TYPING_REFUSED_QUIETLY:
            refusals.raise_for_code(code)

    async def _call(self, path: str, body: bytes) -> int:
        try:
            token = await self._current_token()
            code = _code(await self._post(path, body, token=token))
            if code in refusals.TOKEN_WRONG:
                token = await self._current_token(refused=token)
                code = _code(await self._post(path, body, token=token))
        except errors.UpstreamError as error:
            self._note(error.code)
            raise
        self._note("" if code not in refusals.TOKEN_WRONG else "wechat_credentials")
        return code

    async def _current_token(self, *, refused: str = "") -> str:
        """`refused` forces a new one, unless somebody else has already replaced it."""
        async with self._renewing:
            known = self._token
            if known and known.value != refused and self._clock() < known.renew_at:
                return known.value
            answer = await self._fetch_token(force=bool(known and known.value == refused))
            self._token = answer
            return answer.value

    async def _fetch_token(self, *, force: bool) -> _Token:
        """`stable_token`: all processes of one account get the same token and do not knock each other out."""
        request = {
            "grant_type": "client_credential",
            "appid": self._settings.app_id,
            "secret": self._settings.app_secret.get_secret_value(),
            "force_refresh": force,
        }
        now = self._clock()
        answer = await self._exchange(
            self._client.build_request("POST", "/cgi-bin/stable_token", json=request)
        )
        refusals.raise_for_code(_code(answer))
        value, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(seconds, int):
            raise errors.UpstreamUnavailable("WeChat's answer has no access token.", code="wechat_unreadable")
        lifetime = max(0, seconds - min(RENEW_AHEAD_SECONDS, seconds // 2))
        return _Token(value, now + timedelta(seconds=lifetime))

    async def _post(self, path: str, body: bytes, *, token: str) -> dict[str, Any]:
        headers = {"content-type": "application/json; charset=utf-8"}
        query = {"access_token": token}
        return await self._exchange(
            self._client.build_request("POST", path, params=query, content=body, headers=headers)
        )

    async def _exchange(self, request: httpx.Request) -> dict[str, Any]:
        try:
            response = await self._client.send(request)
        except httpx.TimeoutException as error:
            raise errors.UpstreamUnavailable(
                "WeChat did not answer in time.", code="wechat_timeout"
            ) from error
        except httpx.HTTPError as error:
            raise errors.UpstreamUnavailable(
                "WeChat cannot be reached.", code="wechat_unreachable"
            ) from error
        refusals.raise_for_status(response.status_code, response.headers.get("retry-after", ""))
        try:
            answer = response.json()
        except (JSONDecodeError, UnicodeDecodeError) as error:
            raise errors.UpstreamUnavailable(
                "WeChat's answer cannot be read.", code="wechat_unreadable"
            ) from error
        if not isinstance(answer, dict):
            raise errors.UpstreamUnavailable("WeChat's answer cannot be read.", code="wechat_unreadable")
        return answer

    def _note(self, problem: str) -> None:
        """One line when the connection goes down and one when it is back, however many calls meet it."""
        if problem and self._healthy:
            log.warning("wechat_oa cannot send", code=problem)
        elif not problem and not self._healthy:
            log.info("wechat_oa sends again")
        self._healthy = not problem


def _code(answer: dict[str, Any]) -> int:
    code = answer.get("errcode", 0)
    return code if isinstance(code, int) else -1
