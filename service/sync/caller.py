"""One call of a webhook: an event in, what the receiver answered out. Signed by Standard Webhooks.

`sender.py` and the webhook desk's test use it. Addresses come from people: only https, only into the public internet, and the
connection goes to the address that was checked. What `HUILIU_WEBHOOK_HOSTS` names is trusted and may stand in the house.
Redirects are not followed. Nothing of an address or an answer's body is kept or logged.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from channels.platforms import standard_webhooks
from channels.platforms.guarded import GuardedTransport, Resolver, is_public, resolve
from foundation import errors
from foundation.clock import Clock
from foundation.outward.outbox import Told
from foundation.security import random_token
from foundation.storage.database import Database
from operations.webhooks import records
from operations.webhooks.desk import Attempt
from operations.webhooks.records import Webhook

TIMEOUT_SECONDS = 15.0
LONGEST_RETRY_AFTER = 86_400.0


class HttpCaller:
    def __init__(
        self, database: Database, clock: Clock, *, trusted: Sequence[str] = (), resolver: Resolver = resolve
    ) -> None:
        self._database = database
        self._clock = clock
        self._resolver = resolver
        self._trusted = {_origin(one) for one in trusted}
        transport = GuardedTransport(trusted, resolver=resolver)
        self._client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS)

    async def close(self) -> None:
        await self._client.aclose()

    async def check(self, url: str) -> None:
        parts = _split(url)
        if parts is None or parts.username or parts.fragment:
            raise errors.InvalidInput(
                "A webhook's address looks like https://crm.example.com/huiliu, without a user and without #.",
                code="bad_address",
            )
        if _origin(url) in self._trusted:
            return
        if parts.scheme != "https":
            raise errors.InvalidInput("A webhook's address begins with https://.", code="not_https")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found = await self._resolver(parts.hostname or "", parts.port or 443)
            addresses = [ipaddress.ip_address(one.partition("%")[0]) for one in found]
        except (OSError, ValueError, UnicodeError) as error:
            raise errors.InvalidInput(
                "There is no such host, or its name cannot be looked up now.", code="unknown_host"
            ) from error
        if not addresses or not all(map(is_public, addresses)):
            raise errors.InvalidInput(
                "The address leads into a private network; HUILIU_WEBHOOK_HOSTS names those that may be called.",
                code="private_address",
            )

    async def test(self, webhook: Webhook) -> Attempt:
        now, event_id = self._clock(), f"evt_{random_token(15)}"
        data = {"webhook_id": webhook.id}
        told = Told(0, event_id, webhook.tenant, now, records.TEST, 1, webhook.id, data)
        attempt = await self.call(webhook, told)
        await self._database.write(
            lambda c: records.note_test(
                c, webhook, event_id, status=attempt.status, error=attempt.error,
                milliseconds=attempt.milliseconds, now=now,
            )
        )  # fmt: skip
        return attempt

    async def call(self, webhook: Webhook, told: Told, text: str | None = None) -> Attempt:
        """Never raises for what the other side does."""
        body = render(told, text)
        signed = standard_webhooks.headers(webhook.secrets, told.id, self._clock(), body)
        headers = {"content-type": "application/json", "user-agent": "Huiliu-Webhooks/1", **signed}
        started = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                request = self._client.build_request("POST", webhook.url, content=body, headers=headers)
                answer = await self._client.send(request, stream=True)  # a body is nobody's business
                await answer.aclose()
        except (httpx.TimeoutException, TimeoutError):
            return Attempt(None, "timeout", _since(started))
        except errors.UpstreamRefused as error:
            return Attempt(None, error.code, _since(started))
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Attempt(None, "unreachable", _since(started))
        return Attempt(answer.status_code, "", _since(started), _retry_after(answer.headers))


def render(told: Told, text: str | None = None) -> bytes:
    """The body that webhooks and streams carry: the same bytes at each attempt."""
    data: dict[str, Any] = dict(told.data) if text is None else {**told.data, "text": text}
    body = {
        "id": told.id, "type": told.type, "version": told.version, "tenant": told.tenant,
        "timestamp": told.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "lane": told.lane, "data": data,
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    known = parts.scheme in ("https", "http") and parts.hostname
    return parts if known and url.isprintable() and " " not in url else None


def _origin(url: str) -> tuple[str, str, int]:
    parts = _split(url)
    if parts is None:
        return ("", "", 0)
    return (parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}[parts.scheme])


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds; the form with a date is rare and no reason to fail."""
    given = headers.get("retry-after", "")
    return min(float(given), LONGEST_RETRY_AFTER) if given.isascii() and given.isdigit() else None


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
