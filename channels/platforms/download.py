"""A file at an address that stands in a message, from anywhere in the public internet and with nobody's credentials.

For channels whose platform does not keep the files itself (a gateway names a web address, a page's picture at LINE). Every
step of a redirect is checked like the first; size and time are bounded, because the sender chose the server, too.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urljoin

import httpx

from channels.platforms.api import ANSWER_LIMIT, TIMEOUT_SECONDS
from channels.platforms.guarded import LAST_PORT, GuardedTransport
from channels.promises import Media
from foundation import errors

REDIRECTS = 3
SECONDS = 10.0
"""For the whole file: a server that drips is given up."""


async def fetch_public(
    url: str, *, transport: httpx.AsyncBaseTransport | None = None, limit: int = ANSWER_LIMIT,
    seconds: float = SECONDS,
) -> Media:  # fmt: skip
    """Raises `UpstreamRefused` (gone, no web address, a private one), `UpstreamUnavailable`, `InvalidInput` with code
    too_large."""
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(
                transport=transport or GuardedTransport(), timeout=TIMEOUT_SECONDS, trust_env=False
            ) as client,
        ):
            return await _follow(client, url, limit)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise errors.UpstreamUnavailable(
            "The file's server did not answer in time.", code="media_timeout"
        ) from error
    except httpx.InvalidURL as error:
        raise _refused("no_address", "This is no web address.") from error
    except httpx.HTTPError as error:
        raise errors.UpstreamUnavailable(
            "The file's server cannot be reached.", code="media_unreachable"
        ) from error


async def _follow(client: httpx.AsyncClient, url: str, limit: int) -> Media:
    for _step in range(REDIRECTS + 1):
        asked = httpx.URL(url)
        is_web = asked.scheme in ("http", "https") and bool(asked.host) and (asked.port or 0) <= LAST_PORT
        if not is_web or asked.userinfo:
            raise _refused("no_address", "This is no web address.")
        async with client.stream("GET", asked, headers={"accept": "*/*"}) as response:
            client.cookies.clear()
            if not response.is_redirect:
                return await _read(response, limit)
            url = urljoin(url, response.headers.get("location", ""))
    raise _refused("moved", "The file is moved around without end.")


async def _read(response: httpx.Response, limit: int) -> Media:
    if response.status_code >= 500 or response.status_code in (408, 429):
        raise errors.UpstreamUnavailable(
            f"The file's server answers with status {response.status_code}.",
            code=f"media_http_{response.status_code}",
        )
    if response.status_code != 200:
        raise _refused(
            f"http_{response.status_code}", f"The file's server answers with status {response.status_code}."
        )
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > limit:
            raise errors.InvalidInput(f"The file is larger than {limit} bytes.", code="too_large")
    return Media(bytes(content), response.headers.get("content-type", "").split(";")[0].strip())


def _refused(code: str, sentence: str) -> errors.UpstreamRefused:
    return errors.UpstreamRefused(sentence, code=f"media_{code}")
