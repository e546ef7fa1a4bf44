"""An API whose platform says in the body what is wrong, whatever the status; and the call with a token that may be stale.

Connections of such platforms give their table of codes; an answer that comes back from `call` is a good one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from channels.platforms.api import Api, retry_after
from channels.platforms.shelf import Fetch, Shelf
from foundation import errors

CREDENTIALS = "credentials"
"""The meaning that is worth one new token; also of a bare status 401."""
_TEMPORARY = (408, 429)
_SHOWABLE = re.compile(r"[A-Za-z0-9._-]{1,60}")

T = TypeVar("T")
_Kind = type[
    errors.UpstreamUnavailable | errors.UpstreamRefused | errors.UnsupportedContent | errors.Exhausted
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one code of the platform means to us; `code` gets the channel's name in front."""

    kind: _Kind
    code: str
    sentence: str
    retry_after_seconds: float | None = None


def refusal(code: str, sentence: str) -> Meaning:
    return Meaning(errors.UpstreamRefused, code, sentence)


def closed(code: str, sentence: str) -> Meaning:
    """Of a window or a quota: another way to the same customer may work."""
    return Meaning(errors.WindowClosed, code, sentence)


class CodedApi(Api):
    """`code_of` finds the platform's code in an answer, "" where all is well. Codes that are not in the table are
    permanent: repeating an unknown refusal only burns a quota."""

    def __init__(
        self, name: str, title: str, base_url: str, *, code_of: Callable[[Mapping[str, Any]], str],
        meanings: Mapping[str, Meaning], transport: httpx.AsyncBaseTransport | None = None,
        wait_header: str = "retry-after", trusted: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(name, title, base_url, transport=transport, trusted=trusted)
        self._code_of = code_of
        self._meanings = meanings
        self._wait_header = wait_header

    def raise_for_status(self, response: httpx.Response) -> None:
        code = self._code(response)
        if (meaning := self._meanings.get(code)) is not None:
            raise meaning.kind(
                meaning.sentence, code=f"{self.name}_{meaning.code}",
                retry_after_seconds=self._wait(response) or meaning.retry_after_seconds,
            )  # fmt: skip
        if response.status_code == 401:
            raise self.refused(CREDENTIALS, f"{self.title} does not take the account's credentials.")
        if not code or response.status_code in _TEMPORARY or response.status_code >= 500:
            super().raise_for_status(response)
        if code:
            shown = code if _SHOWABLE.fullmatch(code) else "unreadable"
            raise self.refused("refused", f"{self.title} refuses the call (code {shown}).")

    def _wait(self, response: httpx.Response) -> float | None:
        return retry_after(response.headers.get(self._wait_header, ""))

    def _code(self, response: httpx.Response) -> str:
        """A file that somebody sent may be JSON too: it comes as a download, and is not read for a code."""
        kind = response.headers.get("content-type", "")
        if "json" not in kind or "content-disposition" in response.headers:
            return ""
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            return ""
        return self._code_of(answer) if isinstance(answer, dict) else ""


async def with_token(
    shelf: Shelf,
    fetch: Fetch,
    act: Callable[[str], Awaitable[T]],
    *,
    channel: str,
    name: str = "access_token",
) -> T:
    """`act` with the token; once more with a new one when the platform does not take it. Raises what `act` raises."""
    token = await shelf.token(fetch, name=name)
    try:
        return await act(token)
    except errors.UpstreamRefused as error:
        if error.code != f"{channel}_{CREDENTIALS}":
            raise
    return await act(await shelf.token(fetch, name=name, refused=token))
