"""Calls to api.weixin.qq.com and qyapi.weixin.qq.com: one access token for all processes, and codes become errors.

The connections of WeChat's family stand on it. The token lies on the account's shelf, is renewed ahead of its end by one
caller, and a call that is refused because of it is repeated once with a new one. A time-out after the body has left
means "unknown": it is reported as temporary, so that a reply may in rare cases arrive twice but never gets lost.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import structlog

from channels.families.wechat import refusals as wechat_refusals
from channels.families.wechat.refusals import CREDENTIALS_WRONG, TOKEN_WRONG, Table
from channels.platforms.api import Api
from channels.platforms.shelf import Shelf
from channels.promises import Media

log = structlog.get_logger(__name__)

_JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}
_MAYBE_JSON = ("", "application/json", "text/plain")
"""How the platforms mark a word of theirs where a file was asked for; a customer's own text file may look the same."""

FetchToken = Callable[[bool], Awaitable[Mapping[str, Any]]]
"""Asks for an access token, by force when the last one was refused: the platform's answer, errcode and all."""


class TokenApi:
    def __init__(self, api: Api, shelf: Shelf, fetch_token: FetchToken, table: Table) -> None:
        self._api = api
        self._shelf = shelf
        self._fetch_token = fetch_token
        self._table = table
        self._accepted = True

    async def close(self) -> None:
        await self._api.close()

    async def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Raises `UpstreamUnavailable`, `UpstreamRefused`, `UnsupportedContent` or `Exhausted`."""
        return self.checked(await self._authorised("POST", path, content=body, headers=_JSON_HEADERS))

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        return self.checked(await self._authorised("GET", path, params=query))

    async def post_for_code(self, path: str, body: bytes) -> int:
        """For calls some of whose refusals are no news."""
        response = await self._authorised("POST", path, content=body, headers=_JSON_HEADERS)
        return code_of(self._api.read_json(response))

    async def download(self, path: str, **query: str) -> Media:
        """A file, or the error that the platform put in its place."""
        response = await self._authorised("GET", path, params=query)
        said = _said(response)
        if "errcode" in said:
            self.raise_for_code(code_of(said))
            raise self._api.refused("media_gone", "The platform has no file of this name.")
        if isinstance(said.get("video_url"), str):
            response = await self._api.call("GET", said["video_url"])
        return Media(response.content, _media_type(response))

    def checked(self, response: httpx.Response) -> dict[str, Any]:
        answer = self._api.read_json(response)
        self.raise_for_code(code_of(answer))
        return answer

    def raise_for_code(self, code: int) -> None:
        wechat_refusals.raise_for_code(code, self._table, self._api.name)

    async def _authorised(self, method: str, path: str, **request: Any) -> httpx.Response:
        token = await self._token()
        response = await self._call(method, path, token, request)
        if code_of(_said(response)) in TOKEN_WRONG:
            token = await self._token(refused=token)
            response = await self._call(method, path, token, request)
        self._note(accepted=code_of(_said(response)) not in TOKEN_WRONG)
        return response

    async def _call(self, method: str, path: str, token: str, request: Mapping[str, Any]) -> httpx.Response:
        query = {**request.get("params", {}), "access_token": token}
        return await self._api.call(method, path, **{**request, "params": query})

    async def _token(self, *, refused: str = "") -> str:
        async def fetch() -> tuple[str, float]:
            answer = await self._fetch_token(bool(refused))
            if code_of(answer) in CREDENTIALS_WRONG:
                self._note(accepted=False)
            self.raise_for_code(code_of(answer))
            value, seconds = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(value, str) or not value or not isinstance(seconds, int):
                raise self._api.unavailable("unreadable", f"{self._api.title}'s answer has no access token.")
            return value, seconds

        return await self._shelf.token(fetch, refused=refused)

    def _note(self, *, accepted: bool) -> None:
        """One line when the credentials stop being taken and one when they are again."""
        if not accepted and self._accepted:
            log.warning("channel's credentials are refused", channel=self._api.name)
        elif accepted and not self._accepted:
            log.info("channel's credentials are taken again", channel=self._api.name)
        self._accepted = accepted


def stable_token(api: Api, app_id: str, app_secret: str) -> FetchToken:
    """WeChat's: all processes of one account get the same token and do not knock each other out."""

    async def fetch(force: bool) -> Mapping[str, Any]:
        request = {
            "grant_type": "client_credential",
            "appid": app_id,
            "secret": app_secret,
            "force_refresh": force,
        }
        return await api.call_json("POST", "/cgi-bin/stable_token", json=request)

    return fetch


def corporation_token(api: Api, corp_id: str, secret: str) -> FetchToken:
    """WeCom's: asked again within its life, the platform names the same token."""

    async def fetch(_force: bool) -> Mapping[str, Any]:
        return await api.call_json(
            "GET", "/cgi-bin/gettoken", params={"corpid": corp_id, "corpsecret": secret}
        )

    return fetch


def code_of(answer: Mapping[str, Any]) -> int:
    code = answer.get("errcode", 0)
    return code if isinstance(code, int) else -1


def _said(response: httpx.Response) -> dict[str, Any]:
    """The platform's word in an answer that may as well be a file; {} for a file."""
    if _media_type(response) not in _MAYBE_JSON or response.content[:1] != b"{":
        return {}
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()
