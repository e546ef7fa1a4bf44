"""Calls Twilio's API: a form in, the message's SID or an error of our tree out. Here alone the network is touched.

`channel.py` sends, fetches pictures and tests through it. The credentials are fixed, so a refusal of them is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from channels.adapters.sms_twilio.settings import NAME, SmsTwilioSettings
from channels.platforms.api import Api
from channels.promises import Media
from foundation import errors

REDIRECTS = 3
OPTED_OUT = 21610

_CREDENTIALS = (20003, 20008)
_REFUSED: Mapping[int, tuple[str, str]] = {
    OPTED_OUT: ("opted_out", "The customer has opted out at Twilio and takes no messages."),
    21211: ("bad_number", "The customer's number is not one that Twilio can write to."),
    21614: ("bad_number", "The customer's number takes no SMS."),
    21408: ("region_closed", "The account may not send to this country; allow it in Twilio's geo permissions."),
    21602: ("empty", "Twilio does not take an empty text."),
    21606: ("bad_sender", "Our number cannot send SMS; check from_number."),
    21609: ("bad_callback", "Twilio does not take our address for reports; switch status_callbacks off."),
    21617: ("too_long", "The text is longer than Twilio takes."),
}  # fmt: skip
"""About one message. What is not here is refused with Twilio's own number."""


class _TwilioApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """A refusal of one message does not mean that the channel is down: `Connection.send` reads it."""
        code = code_of(response)
        if response.status_code == 401 or code in _CREDENTIALS:
            raise self.refused(
                "credentials", "Twilio refuses the credentials; check account_sid and its token."
            )
        if code in _REFUSED or (response.status_code == 400 and code):
            return
        super().raise_for_status(response)


class Connection:
    def __init__(
        self, settings: SmsTwilioSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._api = _TwilioApi(NAME, "Twilio", settings.api_base, transport=transport)
        self._auth = settings.credentials
        self._account = f"/2010-04-01/Accounts/{quote(settings.account_sid, safe='')}"
        hosts = [host.strip().lower() for host in settings.media_hosts.split(",")]
        self._hosts = [host for host in hosts if host]
        self._base = settings.api_base

    async def close(self) -> None:
        await self._api.close()

    async def send(self, form: Mapping[str, Any]) -> str:
        """The message's SID."""
        response = await self._api.call("POST", f"{self._account}/Messages.json", data=form, auth=self._auth)
        if response.status_code >= 400:
            code = code_of(response)
            name, sentence = _REFUSED.get(code, (str(code), f"Twilio refuses the message (error {code})."))
            raise self._api.refused(name, sentence)
        return str(self._api.read_json(response).get("sid") or "")

    async def account_name(self) -> str:
        answer = await self._api.call_json("GET", f"{self._account}.json", auth=self._auth)
        return str(answer.get("friendly_name") or answer.get("sid") or "")

    async def media(self, url: str) -> Media:
        """From Twilio's hosts only; our credentials go to its API and nowhere that it leads us to."""
        for step in range(REDIRECTS + 1):
            self._require_known(url)
            auth = {"auth": self._auth} if step == 0 else {}
            response = await self._api.call("GET", url, **auth)
            if not response.is_redirect:
                kind = response.headers.get("content-type", "").partition(";")[0]
                return Media(response.content, kind)
            url = urljoin(url, response.headers.get("location", ""))
        raise self._api.refused("media_moved", "The picture is moved around without end.")

    def _require_known(self, url: str) -> None:
        given, own = urlsplit(url), urlsplit(self._base)
        if (given.scheme, given.netloc) == (own.scheme, own.netloc):
            return
        host = (given.hostname or "").lower()
        known = any(host == one or host.endswith(f".{one}") for one in self._hosts)
        if given.scheme != "https" or not known:
            raise self._api.refused(
                "foreign_media", "The picture does not stand at one of Twilio's addresses."
            )


def code_of(response: httpx.Response) -> int:
    """Twilio's number of an error, 0 where the answer has none."""
    if response.status_code < 400:
        return 0
    try:
        answer = response.json()
    except (JSONDecodeError, UnicodeDecodeError, RecursionError):
        return 0
    code = answer.get("code") if isinstance(answer, dict) else None
    return code if isinstance(code, int) else 0


def is_opt_out(error: errors.UpstreamRefused) -> bool:
    return error.code == f"{NAME}_opted_out"
