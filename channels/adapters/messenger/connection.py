"""Calls Messenger's Send API: bodies in, ids and files out, refusals as errors of our tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from channels.adapters.messenger.codec import NAME, TITLE
from channels.adapters.messenger.settings import MessengerSettings
from channels.families.meta.graph import GraphApi, Meaning, busy, closed, hosts_of, passing, permanent
from channels.platforms import payloads
from channels.promises import Media

_WINDOW_CLOSED = closed("window_closed", "Messenger lets us write again after the customer's next message.")
_UNREACHABLE = permanent("unreachable", "The customer does not take messages from the page any more.")

MEANINGS: Mapping[int | tuple[int, int], Meaning] = {
    (10, 2018278): _WINDOW_CLOSED,
    (10, 1893063): busy("restricted", "Meta has restricted the page for a while.", 3600),
    (100, 2018001): _UNREACHABLE,
    551: _UNREACHABLE,
    1200: passing(30),
}


class Connection:
    def __init__(
        self, settings: MessengerSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._page = f"/{settings.graph_version}/{settings.page_id}"
        self._hosts: Sequence[str] = hosts_of(settings.media_hosts)
        self._api = GraphApi(
            NAME, TITLE, settings.api_base, settings.access_token.get_secret_value(), meanings=MEANINGS,
            transport=transport,
        )  # fmt: skip

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: Mapping[str, Any]) -> str:
        """The mid; "" for a sign. Raises `UpstreamUnavailable`, `UpstreamRefused`, `Exhausted`."""
        answer = await self._api.graph("POST", f"{self._page}/messages", json=body)
        return payloads.text(answer.get("message_id"))

    async def fetch(self, url: str) -> Media:
        """Files lie at signed addresses that expire; the token is not needed and not shown to them."""
        return await self._api.download(url, self._hosts, with_token=False)

    async def describe(self) -> Mapping[str, str]:
        """What Meta says about the page."""
        return payloads.plain(await self._api.graph("GET", self._page, params={"fields": "name"}))
