"""Calls Slack's Web API. A failure stands in the body of a 200; here it becomes an error of our tree."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.adapters.slack.settings import SlackSettings
from channels.platforms.api import Api, retry_after
from channels.platforms.payloads import is_at
from channels.promises import Media
from foundation import errors
from foundation.messages import Attachment

TITLE = "Slack"
FILE_HOSTS = "*.slack.com"

_BUSY = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"})
_CREDENTIALS = frozenset({
    "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope",
    "not_allowed_token_type", "org_login_required", "no_permission", "ekm_access_denied",
})  # fmt: skip
_UNREACHABLE = frozenset({
    "channel_not_found", "not_in_channel", "is_archived", "user_not_found", "user_disabled", "cannot_dm_bot",
    "messages_tab_disabled", "restricted_action", "thread_not_found", "file_not_found", "file_deleted",
})  # fmt: skip
_TOO_MUCH = frozenset(
    {"msg_too_long", "msg_blocks_too_long", "no_text", "invalid_blocks", "invalid_blocks_format"}
)


class _SlackApi(Api):
    """Reads `ok` and `error` of each answer, so that the log and the caller see one failure."""

    def raise_for_status(self, response: httpx.Response) -> None:
        super().raise_for_status(response)
        if not response.headers.get("content-type", "").startswith("application/json"):
            return
        if urlsplit(str(response.request.url)).path.startswith("/api/"):
            self._raise_for_error(self.read_json(response), response.headers.get("retry-after", ""))

    def _raise_for_error(self, answer: dict[str, Any], wait: str) -> None:
        if answer.get("ok") is True:
            return
        code = _tidy(answer.get("error"))
        if code in ("ratelimited", "rate_limited", "message_limit_exceeded"):
            raise errors.Exhausted(
                "Slack asks us to write more slowly.",
                code="slack_ratelimited",
                retry_after_seconds=retry_after(wait),
            )
        if code in _BUSY:
            raise self.unavailable(code, "Slack is busy.")
        if code in _CREDENTIALS:
            raise self.refused(code, f"Slack refuses the bot token ({code}); check it and its scopes.")
        if code in _UNREACHABLE:
            raise self.refused(code, f"The conversation cannot be reached any more ({code}).")
        if code in _TOO_MUCH:
            raise errors.UnsupportedContent(
                f"Slack does not take this message ({code}).", code=f"slack_{code}"
            )
        raise self.refused(code, f"Slack refuses the call ({code}).")


class Connection:
    def __init__(self, settings: SlackSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base = settings.api_base.rstrip("/") + "/"
        self._is_local = urlsplit(settings.api_base).hostname in ("127.0.0.1", "localhost")
        bearer = {"authorization": f"Bearer {settings.bot_token.get_secret_value()}"}
        self._bearer = bearer
        self._api = _SlackApi("slack", TITLE, settings.api_base, transport=transport)

    async def close(self) -> None:
        await self._api.close()

    async def post(self, body: dict[str, Any]) -> str:
        """The `ts` of the new message. Raises as the contract's `send`."""
        answer = await self._api.call_json("POST", "/api/chat.postMessage", json=body, headers=self._bearer)
        return str(answer.get("ts", ""))

    async def who_am_i(self) -> dict[str, Any]:
        return await self._api.call_json("POST", "/api/auth.test", headers=self._bearer)

    async def fetch(self, attachment: Attachment) -> Media:
        """The token goes to Slack's own hosts only: an address in a message is anybody's word."""
        url = attachment.url or await self._address(attachment.media_id)
        if not (is_at(url, FILE_HOSTS) or (self._is_local and url.startswith(self._base))):
            raise self._api.refused("foreign_file", "The file does not lie at Slack.")
        response = await self._api.call("GET", url, headers=self._bearer)
        media_type = response.headers.get("content-type", "").split(";")[0].strip()
        if response.status_code != 200 or (
            media_type == "text/html" and attachment.media_type != "text/html"
        ):
            raise self._api.refused(
                "file_denied", "Slack shows a sign-in page instead of the file; the app needs files:read."
            )
        return Media(response.content, media_type or attachment.media_type)

    async def _address(self, file_id: str) -> str:
        """Of a file from another workspace, whose event brings only its id."""
        if not file_id:
            raise self._api.refused("no_file", "The message names no file.")
        answer = await self._api.call_json(
            "GET", "/api/files.info", params={"file": file_id}, headers=self._bearer
        )
        file = answer.get("file")
        return str(file.get("url_private", "")) if isinstance(file, dict) else ""


def _tidy(code: object) -> str:
    """A code for our logs and sentences: what Slack's look like, and nothing else."""
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{1,60}", code) else "refused"
