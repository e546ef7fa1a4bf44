"""Calls LINE's API: a reply while its token is good, a push afterwards, media, the loading sign."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx

from channels.adapters.line.settings import LineSettings
from channels.platforms.api import Api
from channels.platforms.payloads import items, words
from channels.promises import Media

NAME = "line"
TITLE = "LINE"
_KEYS = uuid.UUID("6a6f6e65-6c69-4e65-8b1d-2f0a3c5d7e91")
"""The space of our retry keys; any fixed value does."""
TRANSCODING_SECONDS = 5.0


class _LineApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """A spent reply token and a retry key that was used are no failures: who called looks at them."""
        status = response.status_code
        if status == 409 or (
            status == 400 and response.request.url.path.endswith("/reply") and _is_spent(response)
        ):
            return
        if status == 429 and "monthly limit" in _said(response).lower():
            raise self.refused("monthly_limit", "This month's quota of pushed messages is used up.")
        if status == 401:
            raise self.refused("credentials", "LINE refuses the channel access token.")
        if status == 403:
            raise self.refused("no_permission", "The LINE account may not make this call.")
        if status == 400:
            raise self.refused("rejected", "LINE refuses the message or does not know its receiver.")
        super().raise_for_status(response)


class Connection:
    def __init__(self, settings: LineSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        bearer = {"authorization": f"Bearer {settings.channel_access_token.get_secret_value()}"}
        self._api = _LineApi(NAME, TITLE, settings.api_base, transport=transport, headers=bearer)
        self._content = _LineApi(NAME, TITLE, settings.content_base, transport=transport, headers=bearer)

    async def close(self) -> None:
        await self._api.close()
        await self._content.close()

    async def reply(self, token: str, messages: Sequence[dict[str, Any]]) -> str | None:
        """The id of the last message; None when the token is spent or too old."""
        body = {"replyToken": token, "messages": messages}
        response = await self._api.call("POST", "/v2/bot/message/reply", json=body)
        return None if response.status_code == 400 else _sent_id(self._api.read_json(response))

    async def push(self, to: str, messages: Sequence[dict[str, Any]], *, key: str) -> str:
        """The id of the last message. The same `key` any number of times is one message to the customer."""
        headers = {"x-line-retry-key": str(uuid.uuid5(_KEYS, key))}
        body = {"to": to, "messages": messages}
        response = await self._api.call("POST", "/v2/bot/message/push", json=body, headers=headers)
        return _sent_id(self._api.read_json(response))

    async def show_loading(self, user: str, seconds: int) -> None:
        body = {"chatId": user, "loadingSeconds": seconds}
        await self._api.call("POST", "/v2/bot/chat/loading/start", json=body)

    async def bot_info(self) -> dict[str, Any]:
        return await self._api.call_json("GET", "/v2/bot/info")

    async def fetch(self, message_id: str) -> Media:
        response = await self._content.call("GET", f"/v2/bot/message/{quote(message_id, safe='')}/content")
        if response.status_code == 202:
            raise self._content.unavailable(
                "transcoding", "LINE still prepares the file.", wait=TRANSCODING_SECONDS
            )
        if response.status_code != 200:
            raise self._content.refused("no_file", "LINE does not hand out the file.")
        return Media(response.content, response.headers.get("content-type", "").split(";")[0].strip())


def _is_spent(response: httpx.Response) -> bool:
    return "reply token" in _said(response).lower()


def _said(response: httpx.Response) -> str:
    try:
        return words(response.json(), "message")
    except (ValueError, RecursionError):
        return ""


def _sent_id(answer: dict[str, Any]) -> str:
    sent = items(answer, "sentMessages")
    return words(sent[-1], "id") if sent else ""
