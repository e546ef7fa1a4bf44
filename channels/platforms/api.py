"""Calls to a platform's API: a request in, its answer or an error of our tree out. Adapters' connections stand on it.

Only what every platform does alike: time limits, statuses, Retry-After, a line in the log when a platform goes away and
one when it is back. What a platform says in the body of a 200 is its adapter's to read. A connection that ends after the
request left means "unknown" and is told apart from one that never came about: `delivery` knows which channels may repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

import httpx
import structlog

from foundation import errors

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
IDLE_SECONDS = 2.0
"""A connection is not used again after so long: many servers close it after 5, and a message that meets the closing has an
unknown outcome."""
ANSWER_LIMIT = 20_971_520
"""Bytes of an answer; media are the largest."""


class Api:
    """`name` is the channel's and begins every error's code; `title` stands in sentences for people."""

    def __init__(
        self, name: str, title: str, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.title = title
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=timeout_seconds, transport=transport, trust_env=False,
            headers=dict(headers or {}), follow_redirects=False, limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        )  # fmt: skip
        self._healthy = True

    async def close(self) -> None:
        await self._client.aclose()

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """`request` as httpx takes it (json, content, data, params, headers, auth, files); a `path` with a host of its own
        goes there. Raises `Exhausted` (429), `UpstreamUnavailable` (5xx, 408, not reached), `OutcomeUnknown` (no answer to
        something else than a GET), `UpstreamRefused` (4xx)."""
        try:
            response = await self._send(self._client.build_request(method, path, **_built(request)), request)
            self.raise_for_status(response)
        except (errors.UpstreamError, errors.Exhausted) as error:
            self.note(error.code)
            raise
        self.note("")
        return response

    async def call_json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The answer as an object. Raises also `UpstreamUnavailable` for one that is none."""
        return self.read_json(await self.call(method, path, **request))

    def read_json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.unavailable("unreadable", f"{self.title}'s answer cannot be read.") from error
        if not isinstance(answer, dict):
            raise self.unavailable("unreadable", f"{self.title}'s answer cannot be read.")
        return answer

    def raise_for_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        sentence = f"{self.title} answers with status {status}."
        wait = retry_after(response.headers.get("retry-after", ""))
        code = f"{self.name}_http_{status}"
        if status == 429:
            raise errors.Exhausted(sentence, code=code, retry_after_seconds=wait)
        if status >= 500 or status == 408:
            raise errors.UpstreamUnavailable(sentence, code=code, retry_after_seconds=wait)
        raise errors.UpstreamRefused(sentence, code=code)

    def unavailable(
        self, code: str, sentence: str, *, wait: float | None = None
    ) -> errors.UpstreamUnavailable:
        return errors.UpstreamUnavailable(sentence, code=f"{self.name}_{code}", retry_after_seconds=wait)

    def refused(self, code: str, sentence: str) -> errors.UpstreamRefused:
        return errors.UpstreamRefused(sentence, code=f"{self.name}_{code}")

    def note(self, problem: str) -> None:
        """One line when the platform goes away and one when it is back, however many calls meet it."""
        if problem and self._healthy:
            log.warning("channel cannot send", channel=self.name, code=problem)
        elif not problem and not self._healthy:
            log.info("channel sends again", channel=self.name)
        self._healthy = not problem

    async def _send(self, request: httpx.Request, given: Mapping[str, Any]) -> httpx.Response:
        try:
            auth = given.get("auth") or httpx.USE_CLIENT_DEFAULT
            response = await self._client.send(request, stream=True, auth=auth)
            try:
                return await self._read(response)
            finally:
                await response.aclose()
        except _NOT_SENT as error:
            raise self.unavailable("unreachable", f"{self.title} cannot be reached.") from error
        except httpx.TransportError as error:
            raise self._no_answer(request, isinstance(error, httpx.TimeoutException)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.unavailable("unreachable", f"{self.title} cannot be reached.") from error

    def _no_answer(self, request: httpx.Request, timed_out: bool) -> errors.UpstreamUnavailable:
        code, sentence = (
            ("timeout", f"{self.title} did not answer in time.")
            if timed_out
            else ("cut_off", f"{self.title} ended the connection without an answer.")
        )
        kind = errors.UpstreamUnavailable if request.method == "GET" else errors.OutcomeUnknown
        return kind(sentence, code=f"{self.name}_{code}")

    async def _read(self, response: httpx.Response) -> httpx.Response:
        """The whole answer, as long as it stays below the limit."""
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > ANSWER_LIMIT:
                raise errors.InvalidInput(
                    f"{self.title}'s answer is larger than {ANSWER_LIMIT} bytes.", code="too_large"
                )
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _ENCODING]
        return httpx.Response(
            response.status_code, headers=headers, content=bytes(content), request=response.request
        )


_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)
"""What happens before a byte of the request leaves."""
_ENCODING = ("content-encoding", "content-length", "transfer-encoding")
"""Describe the bytes on the wire, not the ones that were read."""


def retry_after(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None


def _built(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "auth"}
