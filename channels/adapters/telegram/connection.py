"""Calls Telegram's Bot API: methods in, ids and files out, refusals as errors of our tree.

The bot's token stands in every address, so no address is ever logged, by us or by the HTTP client.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from channels.adapters.telegram.codec import NAME, TITLE
from channels.adapters.telegram.settings import TelegramSettings
from channels.platforms import api, payloads
from channels.promises import Media
from foundation import errors

_REFUSALS: Mapping[int, tuple[str, str]] = {
    401: ("credentials", "Telegram refuses the bot token; take a new one from @BotFather and enter it."),
    403: ("unreachable", "The customer has blocked the bot or removed it from the group."),
    404: (
        "credentials",
        "Telegram does not know the bot token; take a new one from @BotFather and enter it.",
    ),
    409: ("polled_elsewhere", "Another program fetches this bot's updates; only one may."),
}
_DESCRIPTIONS: tuple[tuple[str, type[errors.ServiceError], str, str], ...] = (
    ("chat not found", errors.UpstreamRefused, "unreachable", "Telegram does not know this chat."),
    ("user is deactivated", errors.UpstreamRefused, "unreachable", "The customer's account is closed."),
    ("too long", errors.UnsupportedContent, "too_long", "The text is longer than Telegram takes."),
    ("message text is empty", errors.UnsupportedContent, "empty", "Telegram does not take an empty text."),
    ("file is too big", errors.InvalidInput, "too_large", "Telegram hands out files up to 20 MB only."),
    (
        "failed to get http url content",
        errors.UnsupportedContent,
        "media",
        "Telegram cannot fetch this file.",
    ),
    ("wrong file", errors.UpstreamRefused, "gone", "Telegram does not have the file any more."),
)
"""Of a 400: a part of its description, in small letters."""


class Moved(errors.UpstreamRefused):
    """The group has become a supergroup with another id."""

    def __init__(self, chat_id: str) -> None:
        super().__init__("The group has got another id at Telegram.", code=f"{NAME}_moved")
        self.chat_id = chat_id


class BotApi(api.Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """The body says more than the status, where it is Telegram's."""
        status = response.status_code
        if status < 400:
            return
        problem = _problem(response)
        parameters = payloads.child(problem.get("parameters"))
        if status == 429:
            wait = payloads.number(parameters.get("retry_after"), 86_400)
            header = api.retry_after(response.headers.get("retry-after", ""))
            raise errors.Exhausted(
                "Telegram asks us to send less often.", code=f"{NAME}_too_frequent", retry_after_seconds=wait or header
            )  # fmt: skip
        if status in _REFUSALS:
            raise self.refused(*_REFUSALS[status])
        if status == 400:
            _raise_for_description(payloads.text(problem.get("description")).lower(), parameters)
        super().raise_for_status(response)


class Connection:
    def __init__(
        self, settings: TelegramSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the token with each address
        self._token = settings.bot_token.get_secret_value()
        self._api = BotApi(NAME, TITLE, settings.api_base, transport=transport)

    async def close(self) -> None:
        await self._api.close()

    async def send(self, method: str, body: Mapping[str, Any]) -> str:
        """The number of the message in its chat. Raises `UpstreamUnavailable`, `UpstreamRefused`, `UnsupportedContent`,
        `Exhausted`."""
        try:
            result = await self.call(method, body)
        except Moved as moved:
            again = {name: value for name, value in body.items() if name != "reply_parameters"}
            result = await self.call(method, {**again, "chat_id": moved.chat_id})
        return payloads.text(payloads.child(result).get("message_id"))

    async def call(self, method: str, body: Mapping[str, Any]) -> Any:
        """The result of one method."""
        answer = await self._api.call_json("POST", f"/bot{self._token}/{method}", json=body)
        if answer.get("ok") is not True:
            raise self._api.unavailable("unreadable", "Telegram's answer cannot be read.")
        return answer.get("result")

    async def fetch(self, file_id: str) -> Media:
        """Two steps: the id gives a path, the path the file. Raises also `InvalidInput` with code too_large."""
        found = payloads.child(await self.call("getFile", {"file_id": file_id}))
        path = payloads.text(found.get("file_path"))
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise self._api.refused("gone", "Telegram does not have the file any more.")
        response = await self._api.call("GET", f"/file/bot{self._token}/{quote(path)}")
        return Media(response.content, response.headers.get("content-type", "").split(";")[0].strip())


def _raise_for_description(description: str, parameters: payloads.Fields) -> None:
    if moved := payloads.text(parameters.get("migrate_to_chat_id")):
        raise Moved(moved)
    for words, kind, code, sentence in _DESCRIPTIONS:
        if words in description:
            raise kind(sentence, code=code if kind is errors.InvalidInput else f"{NAME}_{code}")


def _problem(response: httpx.Response) -> payloads.Fields:
    try:
        return payloads.parse(response.content, TITLE)
    except errors.UnreadablePayload:
        return {}
