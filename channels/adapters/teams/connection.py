"""Calls the connector: replies, conversations that we begin, the access token for both, the keys of the calls to us.

The address to reply to comes out of an activity. It is checked here once more before our token goes there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from channels.adapters.teams.codec import Context, render_conversation
from channels.adapters.teams.settings import TeamsSettings
from channels.platforms.api import Api, retry_after
from channels.platforms.payloads import is_at
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment

_UNAUTHORISED = "teams_http_401"


class _TeamsApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """412 asks for another attempt; the others say what happened to the conversation."""
        status = response.status_code
        if status == 412:
            wait = retry_after(response.headers.get("retry-after", ""))
            raise self.unavailable("conflict", "Teams asks for another attempt.", wait=wait)
        if status == 403:
            raise self.refused(
                "blocked", "The bot was removed from the conversation, or the person blocks it."
            )
        if status == 404:
            raise self.refused("gone", "The conversation does not exist any more.")
        if status == 413:
            raise errors.UnsupportedContent("The message is larger than Teams takes.", code="teams_too_large")
        super().raise_for_status(response)


class Connection:
    def __init__(
        self, settings: TeamsSettings, shelf: Shelf, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._api = _TeamsApi("teams", "Teams", settings.api_base, transport=transport)
        self._login = Api(
            "teams",
            "Microsoft's login",
            settings.login_base,
            transport=transport,
            trusted=(settings.keys_url,),
        )

    async def close(self) -> None:
        await self._api.close()
        await self._login.close()

    async def fetch_keys(self) -> dict[str, Any]:
        return await self._login.call_json("GET", self._settings.keys_url)

    async def token(self, *, refused: str = "") -> str:
        return await self._shelf.token(self._fetch_token, refused=refused)

    async def post(self, context: Context, activity: dict[str, Any]) -> str:
        """The activity's id. Raises as the contract's `send`."""
        path = f"/v3/conversations/{quote(context.conversation, safe='')}/activities"
        if context.activity and activity["type"] == "message":
            path += f"/{quote(context.activity, safe='')}"
        answer = await self._call(context.service_url, path, activity)
        return str(answer.get("id", ""))

    async def begin(self, context: Context, recipient: str) -> str:
        """The id of a conversation with one person."""
        answer = await self._call(
            context.service_url, "/v3/conversations", render_conversation(context, recipient)
        )
        found = answer.get("id")
        if not isinstance(found, str) or not found:
            raise self._api.unavailable("unreadable", "Teams' answer names no conversation.")
        return found

    async def fetch(self, attachment: Attachment) -> Media:
        """Pictures lie at the connector, behind our token; files where the customer's organisation keeps them, at an
        address that opens by itself."""
        url = attachment.url
        if self._is_connector(url):
            response = await self._authorised("GET", url)
        elif is_at(url, self._settings.media_hosts):
            response = await self._api.call("GET", url)
        else:
            raise self._api.refused("foreign_file", "The file lies at a place that is not known here.")
        if response.status_code != 200:
            raise self._api.refused("no_file", "The file is not there.")
        media_type = response.headers.get("content-type", "").split(";")[0].strip()
        return Media(response.content, media_type or attachment.media_type)

    def _is_connector(self, url: str) -> bool:
        local = self._settings.is_local and url.startswith(self._settings.api_base.rstrip("/") + "/")
        return local or is_at(url, self._settings.service_hosts)

    async def _call(self, service_url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self._settings.serves(service_url):
            raise self._api.refused(
                "foreign_service_url", "The address to reply to is not one of Microsoft's."
            )
        response = await self._authorised("POST", service_url.rstrip("/") + path, json=body)
        return self._api.read_json(response) if response.content.strip() else {}

    async def _authorised(self, method: str, url: str, **request: Any) -> httpx.Response:
        """With one new token and one repetition, when the first token is refused."""
        token = await self.token()
        try:
            return await self._api.call(method, url, headers=_bearer(token), **request)
        except errors.UpstreamRefused as error:
            if error.code != _UNAUTHORISED:
                raise
        token = await self.token(refused=token)
        try:
            return await self._api.call(method, url, headers=_bearer(token), **request)
        except errors.UpstreamRefused as error:
            if error.code != _UNAUTHORISED:
                raise
            raise self._api.refused(
                "credentials", "Teams refuses the bot's access token; check app and tenant."
            ) from error

    async def _fetch_token(self) -> tuple[str, float]:
        form = {
            "grant_type": "client_credentials", "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(), "scope": self._settings.scope,
        }  # fmt: skip
        path = f"/{quote(self._settings.tenant_id, safe='')}/oauth2/v2.0/token"
        try:
            answer = await self._login.call_json("POST", path, data=form)
        except errors.UpstreamRefused as error:
            raise self._login.refused(
                "credentials", "Microsoft refuses app id, secret or tenant of the bot."
            ) from error
        value, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(seconds, int | float | str):
            raise self._login.unavailable("unreadable", "Microsoft's answer has no access token.")
        return value, float(seconds) if str(seconds).isdigit() else 3600.0


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
