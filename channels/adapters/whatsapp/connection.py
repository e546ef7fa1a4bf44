"""Calls WhatsApp's Cloud API: bodies in, ids and files out, refusals as errors of our tree.

The token of a system user does not expire, so a refused one is not renewed but reported once, until somebody enters another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from channels.adapters.whatsapp.codec import NAME, TITLE
from channels.adapters.whatsapp.settings import WhatsappSettings
from channels.families.meta.graph import GraphApi, Meaning, busy, closed, hosts_of, passing, permanent
from channels.platforms import payloads
from channels.promises import Media
from foundation import errors

_MEDIA_REFUSED = Meaning(errors.UnsupportedContent, "media", "WhatsApp cannot take this file.")
_UNREACHABLE = permanent("unreachable", "WhatsApp cannot deliver to this customer.")
_NEEDS_PHONE = permanent("needs_phone", "WhatsApp needs the customer's phone number for this message.")

MEANINGS: Mapping[int | tuple[int, int], Meaning] = {
    80007: busy("too_frequent", "WhatsApp asks us to call less often.", 60),
    130429: busy("too_frequent", "WhatsApp asks us to send less often.", 5),
    131056: busy("too_frequent", "WhatsApp asks us to write less often to one customer.", 6),
    131000: passing(),
    131016: passing(30),
    133004: passing(30),
    131008: permanent("malformed", "WhatsApp misses a value in our message."),
    131009: permanent("malformed", "WhatsApp does not take a value of our message."),
    131026: _UNREACHABLE,
    131030: permanent("unreachable", "The customer's number is not on the test number's list of recipients."),
    131031: permanent("locked", "WhatsApp has locked the account."),
    131042: permanent("payment", "WhatsApp wants a way of payment for the account."),
    131047: closed("window_closed", "WhatsApp lets us write again after the customer's next message."),
    131048: permanent("spam", "WhatsApp has limited the number because customers reported its messages."),
    131049: permanent("marketing_refused", "WhatsApp does not deliver this marketing message."),
    131050: permanent("marketing_refused", "The customer does not want marketing messages."),
    131051: Meaning(errors.UnsupportedContent, "type", "WhatsApp does not know this kind of message."),
    131052: _MEDIA_REFUSED,
    131053: _MEDIA_REFUSED,
    131062: _NEEDS_PHONE,
    131063: _NEEDS_PHONE,
    131064: _NEEDS_PHONE,
    **dict.fromkeys(range(132000, 133000), permanent("template", "WhatsApp refuses the template.")),
}


class Connection:
    def __init__(
        self, settings: WhatsappSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._root = f"/{settings.graph_version}"
        self._number = f"{self._root}/{settings.phone_number_id}"
        self._hosts: Sequence[str] = hosts_of(settings.media_hosts)
        self._api = GraphApi(
            NAME, TITLE, settings.api_base, settings.access_token.get_secret_value(), meanings=MEANINGS,
            transport=transport,
        )  # fmt: skip

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: Mapping[str, Any]) -> str:
        """The wamid. Raises `UpstreamUnavailable`, `UpstreamRefused`, `UnsupportedContent`, `Exhausted`."""
        answer = await self._api.graph("POST", f"{self._number}/messages", json=body)
        sent = payloads.items(answer.get("messages"))
        return payloads.text(sent[0].get("id")) if sent else ""

    async def fetch(self, media_id: str) -> Media:
        """Two steps: the id gives an address that lives for minutes, the address gives the file, both with the token."""
        if not media_id.isascii() or not media_id.isalnum():
            raise self._api.refused("gone", "WhatsApp does not have the file.")
        answer = await self._api.graph("GET", f"{self._root}/{media_id}")
        media = await self._api.download(payloads.text(answer.get("url")), self._hosts, with_token=True)
        named = payloads.text(answer.get("mime_type")).split(";")[0].strip()
        return Media(media.content, named or media.media_type)

    async def describe(self) -> Mapping[str, str]:
        """What WhatsApp says about the number."""
        params = {"fields": "display_phone_number,verified_name,quality_rating"}
        return payloads.plain(await self._api.graph("GET", self._number, params=params))
