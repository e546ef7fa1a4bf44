"""The platform's signing keys, by their ids: loaded ahead, looked up without waiting.

`Gate` asks `find` in `verify`, which is synchronous and must stay so: a door that fetches keys while it looks at a call
lets anybody who invents key ids hold it open and send us to the key service as often as they like. So the keys are
loaded when the channel opens and once a day, and an unknown id only rings a bell. A task beside the door then fetches
again, at most once an hour; until it has, calls with that id are refused. The platform publishes new keys long before
it signs with them, so a rotation passes unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from channels.platforms.payloads import items, words
from foundation import errors
from foundation.clock import Clock

log = structlog.get_logger(__name__)

LIFE = timedelta(hours=24)
PAUSE = timedelta(hours=1)
"""Between two fetches that succeeded, however many unknown ids come."""
RETRY = timedelta(seconds=30)
"""After one that failed."""
KEYS_LIMIT = 100

FetchKeys = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Key:
    key: RSAKey
    endorsements: frozenset[str]
    """The channels whose calls it may sign."""


class KeyRing:
    def __init__(self, fetch: FetchKeys, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._due = clock()
        self._earliest = clock()
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Loads, and goes on alone where the key service is away: the channel opens all the same and refuses calls."""
        await self.refresh()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def find(self, key_id: str) -> Key | None:
        found = self._keys.get(key_id)
        if found is None:
            self._bell.set()
        return found

    def take(self, document: dict[str, Any]) -> None:
        """These keys and no others; a document without a usable key changes nothing. Raises `UpstreamUnavailable`."""
        found = dict(_read(one) for one in items(document, "keys")[:KEYS_LIMIT] if _is_usable(one))
        if not found:
            raise errors.UpstreamUnavailable("The key service names no usable key.", code="teams_no_keys")
        self._keys = found

    async def refresh(self) -> bool:
        """Fetches unless that was done within the hour; True when it did."""
        now = self._clock()
        if now < self._earliest:
            return False
        try:
            self.take(await self._fetch())
        except errors.ServiceError as error:
            log.warning("teams signing keys cannot be loaded", code=error.code)
            self._earliest, self._due = now + RETRY, now + RETRY
            return False
        self._earliest, self._due = now + PAUSE, now + LIFE
        return True

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), self._patience())
            self._bell.clear()
            await asyncio.sleep(max(0.0, (self._earliest - self._clock()).total_seconds()))
            await self.refresh()

    def _patience(self) -> float:
        return max(1.0, (self._due - self._clock()).total_seconds())


def _is_usable(jwk: dict[str, Any]) -> bool:
    return words(jwk, "kty") == "RSA" and bool(words(jwk, "kid")) and _import(jwk) is not None


def _read(jwk: dict[str, Any]) -> tuple[str, Key]:
    key = _import(jwk)
    assert key is not None
    endorsements = jwk.get("endorsements")
    names = [one for one in endorsements if isinstance(one, str)] if isinstance(endorsements, list) else []
    return words(jwk, "kid"), Key(key, frozenset(names))


def _import(jwk: dict[str, Any]) -> RSAKey | None:
    """Only the public half, whatever else stands there."""
    try:
        return RSAKey.import_key({name: words(jwk, name) for name in ("kty", "n", "e")})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
