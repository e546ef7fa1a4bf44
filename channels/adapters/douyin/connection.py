"""Calls Douyin's open platform. The only file here that touches the network.

The access token lives 15 days and is made of a refresh token, which lives 30 and may be extended five times; both stand on
the shelf under the name of the refresh token in the settings, so that a new authorisation begins afresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.adapters.douyin.settings import NAME, DouyinSettings
from channels.platforms.coded import CREDENTIALS, CodedApi, Meaning, closed, refusal, with_token
from channels.platforms.payloads import at, words
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.clock import Clock, to_milliseconds

EXTEND_AFTER_MILLISECONDS = 20 * 86_400_000
"""Of 30 days: late enough that five times reach far, early enough to be in time."""

_TOKEN = refusal(CREDENTIALS, "Douyin does not take the access token.")
_AUTHORISE = refusal("authorisation_over", "The authorisation of the Douyin account is over; scan it again.")
_WINDOW = closed("window_closed", "Douyin lets us write again after the customer's next message.")
MEANINGS: Mapping[str, Meaning] = {
    "2190002": _TOKEN,
    "2190008": _TOKEN,
    "28001003": _TOKEN,
    "28001008": _TOKEN,
    "10010": _AUTHORISE,
    "10020": _AUTHORISE,
    "2190015": refusal("other_account", "The access token belongs to another Douyin account."),
    "2190001": Meaning(errors.Exhausted, "daily_quota", "The quota of Douyin calls is used up.", 3600),
    "28003018": Meaning(errors.Exhausted, "too_frequent", "Douyin asks us to call less often.", 60),
    "28003070": closed("quota_used_up", "All replies to the customer's last message are used up."),
    "28003080": _WINDOW,
    "28003081": _WINDOW,
    "28003082": refusal("unknown_recipient", "The customer does not belong to this conversation."),
    "28003101": refusal("unreachable", "Douyin has banned the customer."),
    "28029004": refusal("account_banned", "Douyin has banned our account from writing."),
    "28001038": refusal("content_rejected", "Douyin's check of contents does not let this text pass."),
}


class Connection:
    def __init__(
        self, settings: DouyinSettings, shelf: Shelf, clock: Clock, *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._shelf = shelf
        self._clock = clock
        self._api = CodedApi(
            NAME, "Douyin", settings.api_base, code_of=_code, meanings=MEANINGS, transport=transport
        )
        given = settings.refresh_token.get_secret_value()
        self._mark = hashlib.sha256(given.encode()).hexdigest()[:12]

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: Mapping[str, Any]) -> str:
        answer = await self._call("POST", "/im/send/msg/", params={}, json=body)
        return words(answer, "data", "msg_id") or words(answer, "msg_id")

    async def file(self, conversation: str, message: str) -> Media:
        """Douyin names an address for the file, which needs no token."""
        query = {"conversation_id": conversation, "message_id": message}
        answer = await self._call("GET", "/api/im/message/resources/", params=query)
        url = words(answer, "data", "url")
        own, given = urlsplit(self._settings.api_base), urlsplit(url)
        if given.scheme != "https" and (given.scheme, given.netloc) != (own.scheme, own.netloc):
            raise self._api.refused("media_gone", "Douyin names no address for this file.")
        found = await self._api.call("GET", url)
        return Media(found.content, found.headers.get("content-type", "").split(";")[0])

    async def _call(
        self, method: str, path: str, *, params: Mapping[str, str], **request: Any
    ) -> dict[str, Any]:
        query = {"open_id": self._settings.open_id, **params}

        async def act(token: str) -> dict[str, Any]:
            headers = {"access-token": token}
            return await self._api.call_json(method, path, params=query, headers=headers, **request)

        name = f"access_token:{self._mark}"
        return await with_token(self._shelf, self._fetch_token, act, channel=NAME, name=name)

    async def _fetch_token(self) -> tuple[str, float]:
        """Keeps the newest refresh token; without one on the shelf it is the settings'."""
        refresh = await self._extended(await self._refresh_token())
        form = {
            "client_key": self._settings.client_key,
            "grant_type": "refresh_token",
            "refresh_token": refresh,
        }
        answer = await self._api.call_json("POST", "/oauth/refresh_token/", data=form)
        token, seconds = at(answer, "data", "access_token"), at(answer, "data", "expires_in")
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            raise self._api.unavailable("unreadable", "Douyin's answer has no access token.")
        if renewed := words(answer, "data", "refresh_token"):
            await self._shelf.write(f"refresh_token:{self._mark}", renewed)
        return token, float(seconds)

    async def _refresh_token(self) -> str:
        kept = await self._shelf.read(f"refresh_token:{self._mark}")
        return kept or self._settings.refresh_token.get_secret_value()

    async def _extended(self, refresh: str) -> str:
        """With a longer life when it is 20 days old; where Douyin refuses, the old one is used to its end."""
        name, now = f"refresh_token_since:{self._mark}", to_milliseconds(self._clock())
        since = await self._shelf.read(name)
        if not since:
            await self._shelf.write(name, str(now))
            return refresh
        if now - int(since) < EXTEND_AFTER_MILLISECONDS:
            return refresh
        form = {"client_key": self._settings.client_key, "refresh_token": refresh}
        try:
            answer = await self._api.call_json("POST", "/oauth/renew_refresh_token/", data=form)
        except errors.UpstreamRefused:
            return refresh
        extended = words(answer, "data", "refresh_token") or refresh
        await self._shelf.write(f"refresh_token:{self._mark}", extended)
        await self._shelf.write(name, str(now))
        return extended


def _code(answer: Mapping[str, Any]) -> str:
    """The same code stands in one of three places."""
    places = (("data", "error_code"), ("extra", "error_code"), ("err_no",))
    return next((code for path in places if (code := words(answer, *path)) not in ("", "0")), "")
