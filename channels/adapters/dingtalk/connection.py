"""Calls DingTalk: the session's address without a token, the OpenAPI with one. The only file here that touches the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.adapters.dingtalk.settings import NAME, DingtalkSettings
from channels.platforms.coded import CREDENTIALS, CodedApi, Meaning, refusal, with_token
from channels.platforms.payloads import dump, list_at, words
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors

SESSION_OVER = f"{NAME}_session_over"
THROTTLED_SECONDS = 60
"""DingTalk holds a robot that wrote more than 20 messages a minute for up to ten."""

_CREDENTIALS = refusal(CREDENTIALS, "DingTalk refuses the app's credentials; check client id and secret.")
_THROTTLED = Meaning(
    errors.Exhausted, "too_frequent", "DingTalk takes 20 messages a minute from a robot.", THROTTLED_SECONDS
)
_PERMISSION = refusal("no_permission", "The DingTalk app lacks a permission for this call.")
MEANINGS: Mapping[str, Meaning] = {
    "130101": _THROTTLED,
    "300001": refusal("session_over", "The session of the customer's last message is over."),
    "310000": refusal("security_check", "The robot's security settings do not let this call pass."),
    "InvalidAuthentication": _CREDENTIALS,
    "invalidClientIdOrSecret": _CREDENTIALS,
    "Forbidden.AccessDenied.AccessTokenPermissionDenied": _PERMISSION,
    "Throttling": _THROTTLED,
    "Throttling.Api": _THROTTLED,
    "invalidParameter.robotCode.empty": refusal("malformed", "DingTalk could not read our message."),
}


class Connection:
    def __init__(
        self, settings: DingtalkSettings, shelf: Shelf, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._api = CodedApi(
            NAME, "DingTalk", settings.api_base, code_of=_code, meanings=MEANINGS, transport=transport
        )

    async def close(self) -> None:
        await self._api.close()

    async def to_session(self, url: str, body: Mapping[str, Any]) -> None:
        """`url` has passed `codec.may_reply_to`."""
        await self._api.call_json("POST", url, json=body)

    async def to_person(self, staff: str, body: Mapping[str, str]) -> str:
        """DingTalk answers 200 also for a person whom it does not know, and names them in a list."""
        answer = await self._call(
            "/v1.0/robot/oToMessages/batchSend", {"robotCode": self._settings.robot, "userIds": [staff], **body}
        )  # fmt: skip
        if staff in list_at(answer, "invalidStaffIdList"):
            raise self._api.refused("unreachable", "The customer is not a member of this company any more.")
        if staff in list_at(answer, "flowControlledStaffIdList"):
            raise errors.Exhausted(
                _THROTTLED.sentence, code=f"{NAME}_too_frequent", retry_after_seconds=THROTTLED_SECONDS
            )
        return words(answer, "processQueryKey")

    async def to_group(self, conversation: str, body: Mapping[str, str]) -> str:
        request = {"robotCode": self._settings.robot, "openConversationId": conversation, **body}
        return words(await self._call("/v1.0/robot/groupMessages/send", request), "processQueryKey")

    async def file(self, code: str) -> Media:
        """DingTalk names an address for the file, which needs no token."""
        request = {"downloadCode": code, "robotCode": self._settings.robot}
        url = words(await self._call("/v1.0/robot/messageFiles/download", request), "downloadUrl")
        own, given = urlsplit(self._settings.api_base), urlsplit(url)
        if given.scheme != "https" and (given.scheme, given.netloc) != (own.scheme, own.netloc):
            raise self._api.refused("media_gone", "DingTalk names no address for this file.")
        answer = await self._api.call("GET", url)
        return Media(answer.content, answer.headers.get("content-type", "").split(";")[0])

    async def try_credentials(self) -> None:
        await self._fetch_token()

    async def _call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        async def act(token: str) -> dict[str, Any]:
            headers = {"x-acs-dingtalk-access-token": token, "content-type": "application/json"}
            return await self._api.call_json("POST", path, content=dump(body).encode(), headers=headers)

        name = f"access_token:{self._settings.client_id}"
        return await with_token(self._shelf, self._fetch_token, act, channel=NAME, name=name)

    async def _fetch_token(self) -> tuple[str, float]:
        request = {
            "appKey": self._settings.client_id,
            "appSecret": self._settings.client_secret.get_secret_value(),
        }
        answer = await self._api.call_json("POST", "/v1.0/oauth2/accessToken", json=request)
        token, seconds = answer.get("accessToken"), answer.get("expireIn")
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            raise self._api.unavailable("unreadable", "DingTalk's answer has no access token.")
        return token, float(seconds)


def _code(answer: Mapping[str, Any]) -> str:
    """Robots' addresses answer with errcode, the OpenAPI with a code in words."""
    code = words(answer, "errcode")
    return words(answer, "code") if code in ("", "0") else code
