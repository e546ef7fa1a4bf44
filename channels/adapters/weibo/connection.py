"""Calls Weibo's reply interface. The only file here that touches the network; its token is renewed by a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from channels.adapters.weibo.settings import NAME, WeiboSettings
from channels.platforms.coded import CREDENTIALS, CodedApi, Meaning, closed, refusal
from channels.platforms.payloads import words
from channels.promises import Media
from foundation import errors

_TOKEN = refusal(CREDENTIALS, "Weibo does not take the access token any more; bind the account again.")
_LIMIT = Meaning(errors.Exhausted, "too_frequent", "Weibo asks us to call less often.", 300)
MEANINGS: Mapping[str, Meaning] = {
    "21314": _TOKEN,
    "21315": _TOKEN,
    "21327": _TOKEN,
    "21332": _TOKEN,
    "26403": closed("window_closed", "Weibo lets us write again after the customer's next message."),
    "10022": _LIMIT,
    "10023": _LIMIT,
    "10024": _LIMIT,
}


class Connection:
    def __init__(self, settings: WeiboSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._api = CodedApi(
            NAME, "Weibo", settings.api_base, code_of=_code, meanings=MEANINGS, transport=transport,
            trusted=(settings.media_url,),
        )  # fmt: skip

    async def close(self) -> None:
        await self._api.close()

    async def reply(self, form: Mapping[str, str]) -> None:
        fields = {**form, "access_token": self._settings.access_token.get_secret_value()}
        await self._api.call_json("POST", "/2/messages/reply.json", data=fields)

    async def file(self, handle: str) -> Media:
        query = {"access_token": self._settings.access_token.get_secret_value(), "fid": handle}
        answer = await self._api.call("GET", self._settings.media_url, params=query)
        return Media(answer.content, answer.headers.get("content-type", "").split(";")[0])


def _code(answer: Mapping[str, Any]) -> str:
    code = words(answer, "error_code")
    if code not in ("", "0"):
        return code
    return "false" if answer.get("result") is False else ""
