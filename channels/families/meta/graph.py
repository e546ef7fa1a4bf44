"""Calls to Meta's Graph API, the same for all its messengers: the token, refusals as errors of our tree, media.

The connections of WhatsApp and Messenger stand on it. Meta answers a refusal with a 4xx (now and then a 5xx) and a number
in the body; the number decides. What is not in the table is decided by Meta's own `is_transient`, then by the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from channels.platforms import api, payloads
from channels.promises import Media
from foundation import errors

_HOST = re.compile(r"[a-z0-9.-]+")
_Kind = type[
    errors.UpstreamUnavailable | errors.UpstreamRefused | errors.UnsupportedContent | errors.Exhausted
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """`sentence` has {title} where the platform's name stands."""

    kind: _Kind
    code: str
    sentence: str
    retry_after_seconds: float | None = None


def permanent(code: str, sentence: str) -> Meaning:
    return Meaning(errors.UpstreamRefused, code, sentence)


def closed(code: str, sentence: str) -> Meaning:
    """Of a window or a quota: another way to the same customer may work."""
    return Meaning(errors.WindowClosed, code, sentence)


def busy(code: str, sentence: str, seconds: float) -> Meaning:
    return Meaning(errors.Exhausted, code, sentence, seconds)


def passing(seconds: float = 5) -> Meaning:
    return Meaning(errors.UpstreamUnavailable, "busy", "{title} is busy.", seconds)


_NO_PERMISSION = permanent("no_permission", "The access token lacks the permission for this call at {title}.")
_TOO_FREQUENT = busy("too_frequent", "{title} asks us to call less often.", 60)

COMMON: Mapping[int | tuple[int, int], Meaning] = {
    1: passing(),
    2: passing(),
    4: _TOO_FREQUENT,
    10: _NO_PERMISSION,
    100: permanent("malformed", "{title} does not take a value of this call."),
    190: permanent("credentials", "{title} refuses the access token; make a new one and enter it."),
    368: permanent("policy", "{title} has restricted the account for breaking its policies."),
    613: _TOO_FREQUENT,
    **dict.fromkeys(range(200, 300), _NO_PERMISSION),
}
"""By Meta's error number; each messenger adds its own."""


class GraphApi(api.Api):
    """`meanings`: the messenger's numbers, over the common ones. A pair (number, subcode) goes before the number."""

    def __init__(
        self, name: str, title: str, base_url: str, token: str, *,
        meanings: Mapping[int | tuple[int, int], Meaning], transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, title, base_url, transport=transport)
        self._authorization = {"authorization": f"Bearer {token}"}
        self._meanings: Mapping[int | tuple[int, int], Meaning] = {**COMMON, **meanings}

    async def graph(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """With the account's token. Raises as `call_json`, and `UnsupportedContent`."""
        return await self.call_json(method, path, headers=self._authorization, **request)

    async def download(self, url: str, hosts: Sequence[str], *, with_token: bool) -> Media:
        """Only from `hosts` (each with what stands below it) and from the API's own: a link in a message must lead our token
        nowhere else. Raises `UpstreamRefused`, `UpstreamUnavailable`, `InvalidInput`."""
        if not self._may_fetch(url, hosts):
            raise self.refused("strange_address", f"The file does not lie at an address of {self.title}.")
        headers = self._authorization if with_token else {}
        response = await self.call("GET", url, headers=headers)
        if response.status_code != 200:
            raise self.refused("gone", f"{self.title} does not have the file any more.")
        media_type = response.headers.get("content-type", "").split(";")[0].strip()
        return Media(response.content, media_type)

    def raise_for_status(self, response: httpx.Response) -> None:
        if response.status_code < 400:
            return
        problem = _problem(response)
        number, subcode = _number(problem.get("code")), _number(problem.get("error_subcode"))
        meaning = self._meanings.get((number, subcode)) or self._meanings.get(number)
        if meaning is None and problem.get("is_transient") is True:
            meaning = passing()
        if meaning is None:
            super().raise_for_status(response)
            return
        raise self.error(meaning, api.retry_after(response.headers.get("retry-after", "")))

    def error(self, meaning: Meaning, wait: float | None = None) -> errors.ServiceError:
        return meaning.kind(
            meaning.sentence.format(title=self.title), code=f"{self.name}_{meaning.code}",
            retry_after_seconds=wait or meaning.retry_after_seconds,
        )  # fmt: skip

    def _may_fetch(self, url: str, hosts: Sequence[str]) -> bool:
        """Read by the client's own parser, so that both see the same host."""
        try:
            asked, own = httpx.URL(url), self._client.base_url
        except httpx.InvalidURL:
            return False
        if (asked.scheme, asked.host, asked.port) == (own.scheme, own.host, own.port):
            return True
        below = any(asked.host == name or asked.host.endswith(f".{name}") for name in hosts if name)
        return asked.scheme == "https" and asked.port is None and below and bool(_HOST.fullmatch(asked.host))


def hosts_of(setting: str) -> list[str]:
    """Of a setting: host names with commas between them."""
    return [name for part in setting.split(",") if (name := part.strip().lower().lstrip("."))]


def _problem(response: httpx.Response) -> payloads.Fields:
    try:
        return payloads.child(payloads.parse(response.content, "Meta").get("error"))
    except errors.UnreadablePayload:
        return {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
