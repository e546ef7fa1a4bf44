"""Calls Feishu's API: bodies in, ids and files out, or an error of our tree. The only file here that touches the network.

One tenant access token for all processes stands on the shelf; a call that Feishu refuses because of it is repeated once
with a new one. Each message carries a key of ours, so that a repetition after a time-out arrives once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from channels.adapters.feishu.settings import NAME, FeishuSettings
from channels.platforms.coded import CREDENTIALS, CodedApi, Meaning, refusal, with_token
from channels.platforms.payloads import words
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors

RECALLED = f"{NAME}_recalled"
CARD_FAILED = f"{NAME}_card_failed"

_CREDENTIALS = refusal(CREDENTIALS, "Feishu refuses the app's credentials; check app id and secret.")
_NO_PERMISSION = refusal("no_permission", "The Feishu app lacks a permission for this call.")
MEANINGS: Mapping[str, Meaning] = {
    "10003": _CREDENTIALS,
    "10014": _CREDENTIALS,
    "99991663": _CREDENTIALS,
    "99991661": _CREDENTIALS,
    "99991668": _CREDENTIALS,
    "99991672": _NO_PERMISSION,
    "99991400": Meaning(errors.Exhausted, "too_frequent", "Feishu asks us to call less often.", 5),
    "230001": refusal("malformed", "Feishu could not read our message."),
    "230002": refusal("unreachable", "The bot is not in this chat any more."),
    "230006": refusal("bot_off", "The bot ability of the Feishu app is switched off."),
    "230011": refusal("recalled", "The message that we answer was withdrawn."),
    "230013": refusal("unreachable", "The customer is outside the app's range of availability."),
    "230020": Meaning(errors.Exhausted, "too_frequent", "Feishu asks us to write less often.", 5),
    "230025": Meaning(errors.UnsupportedContent, "too_long", "The text is longer than Feishu takes."),
    "230027": _NO_PERMISSION,
    "230028": refusal("content_rejected", "Feishu's check of contents does not let this text pass."),
    "230099": Meaning(errors.UnsupportedContent, "card_failed", "Feishu could not make the card."),
    "230101": Meaning(errors.UpstreamUnavailable, "paused", "Feishu does not deliver to customers now.", 300),
}


class Connection:
    def __init__(
        self, settings: FeishuSettings, shelf: Shelf, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._api = CodedApi(
            NAME, "Feishu", settings.api_base, code_of=_code, meanings=MEANINGS, transport=transport,
            wait_header="x-ogw-ratelimit-reset",
        )  # fmt: skip

    async def close(self) -> None:
        await self._api.close()

    async def write(self, body: Mapping[str, str], *, to: str, kind: str, key: str) -> str:
        """To a person (kind open_id) or a chat (chat_id); the message's id."""
        answer = await self._call(
            "POST", "/open-apis/im/v1/messages", params={"receive_id_type": kind},
            json={**body, "receive_id": to, "uuid": key},
        )  # fmt: skip
        return words(self._api.read_json(answer), "data", "message_id")

    async def reply(self, body: Mapping[str, str], *, message_id: str, in_thread: bool, key: str) -> str:
        path = f"/open-apis/im/v1/messages/{quote(message_id, safe='')}/reply"
        answer = await self._call("POST", path, json={**body, "reply_in_thread": in_thread, "uuid": key})
        return words(self._api.read_json(answer), "data", "message_id")

    async def resource(self, message_id: str, key: str, *, kind: str) -> Media:
        path = f"/open-apis/im/v1/messages/{quote(message_id, safe='')}/resources/{quote(key, safe='')}"
        answer = await self._call("GET", path, params={"type": kind})
        return Media(answer.content, answer.headers.get("content-type", "").split(";")[0])

    async def bot_name(self) -> str:
        answer = await self._call("GET", "/open-apis/bot/v3/info")
        return words(self._api.read_json(answer), "bot", "app_name")

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def act(token: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"}
            return await self._api.call(method, path, headers=headers, **request)

        return await with_token(self._shelf, self._fetch_token, act, channel=NAME, name=self._token_name())

    def _token_name(self) -> str:
        return f"tenant_access_token:{self._settings.app_id}"

    async def _fetch_token(self) -> tuple[str, float]:
        request = {
            "app_id": self._settings.app_id,
            "app_secret": self._settings.app_secret.get_secret_value(),
        }
        answer = await self._api.call_json(
            "POST", "/open-apis/auth/v3/tenant_access_token/internal", json=request
        )
        token, seconds = answer.get("tenant_access_token"), answer.get("expire")
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            raise self._api.unavailable("unreadable", "Feishu's answer has no access token.")
        return token, float(seconds)


def _code(answer: Mapping[str, Any]) -> str:
    code = words(answer, "code")
    return "" if code == "0" else code
