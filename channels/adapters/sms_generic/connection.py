"""Calls the gateway: a signed body in, its id of the message or an error of our tree out."""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError

import httpx

from channels.adapters.sms_generic import codec
from channels.adapters.sms_generic.settings import NAME, SmsGenericSettings
from channels.platforms.api import Api
from foundation import errors

_OF_THE_MESSAGE = (400, 404, 409, 410, 413, 415, 422)
"""Statuses by which the gateway refuses one message, not us."""


class _GatewayApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """A refusal of one message does not mean that the channel is down: `Connection.send` reads it."""
        if response.status_code in (401, 403):
            raise self.refused(
                "credentials", "The SMS gateway refuses our signature; check secret and api_base."
            )
        if response.status_code not in _OF_THE_MESSAGE:
            super().raise_for_status(response)


class Connection:
    def __init__(
        self, settings: SmsGenericSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._api = _GatewayApi(
            NAME, "The SMS gateway", "", transport=transport, trusted=(settings.api_base,)
        )
        self._address = settings.api_base

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: bytes, headers: Mapping[str, str]) -> str:
        """The gateway's id, "" where it names none."""
        response = await self._api.call(
            "POST", self._address, content=body, headers={**headers, "content-type": "application/json"}
        )
        content = _content(response)
        if response.status_code >= 400:
            code = codec.refusal_of(content) or f"http_{response.status_code}"
            raise self._api.refused(code, f"The SMS gateway refuses the message ({code}).")
        if response.status_code >= 300:
            raise self._api.refused("moved", "The SMS gateway has moved; check api_base.")
        identity = content.get("id") if isinstance(content, dict) else None
        return str(identity) if isinstance(identity, str | int) else ""


def is_opt_out(error: errors.UpstreamRefused) -> bool:
    return error.code == f"{NAME}_opted_out"


def _content(response: httpx.Response) -> object:
    """Gateways answer with an empty body or a word as well."""
    try:
        return response.json()
    except (JSONDecodeError, UnicodeDecodeError, RecursionError):
        return None
