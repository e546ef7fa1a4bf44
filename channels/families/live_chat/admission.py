"""Who may come in: exact origins, so many messages in so many seconds, so many sockets.

Browsers do not apply CORS to WebSockets, so the origin is checked here, before anything is accepted. A request without
an origin is no browser's: it needs the server key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from foundation import errors, security
from foundation.clock import Clock

MESSAGES = RateLimitItemPerSecond(10, 10)
REPEATS = RateLimitItemPerSecond(200, 10)
"""The same message again costs little and is what a bad line does; still not without end."""
SESSIONS = RateLimitItemPerSecond(60, 60)
UPLOADS = RateLimitItemPerSecond(12, 60)
EVENTS = RateLimitItemPerSecond(60, 60)
READS = RateLimitItemPerSecond(120, 10)
SHARED = {
    "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}
_REMEMBERED = 20_000
_LOOPBACK = ("localhost", "127.0.0.1")


class Gate(Protocol):
    """Who may call from where. `headers` are a request's, in lower case or case-insensitive."""

    def enter(self, headers: Mapping[str, str]) -> None:
        """For whoever opens a session or a socket. Raises `NotPermitted`."""
        ...

    def check(self, origin: str) -> None:
        """For every other call of a page, which carries a token. Raises `NotPermitted`."""
        ...

    def shares(self, origin: str) -> Mapping[str, str]:
        """The headers that let a page of this origin read an answer; none for an origin that may not."""
        ...


class SiteGate:
    """Pages of the allowed origins, and servers with the key. Keeps `Gate`."""

    def __init__(self, origins: Origins, server_key: ServerKey) -> None:
        self._origins = origins
        self._server_key = server_key

    def enter(self, headers: Mapping[str, str]) -> None:
        self._origins.check(headers.get("origin"), server=self._server_key.fits(headers.get("x-server-key")))

    def check(self, origin: str) -> None:
        self._origins.check(origin)

    def shares(self, origin: str) -> Mapping[str, str]:
        if not self._origins.allows(origin):
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "GET, POST",
            **SHARED,
        }


class Origins:
    def __init__(self, public_url: str, allowed: Iterable[str]) -> None:
        self.public = _origin_of(public_url)
        self.own = frozenset(_same_machine(self.public))
        self.guests = tuple(sorted({_origin_of(one) for one in allowed} - self.own))

    def check(self, origin: str | None, *, server: bool = False) -> None:
        """Raises `NotPermitted` unless the origin is on the list, or absent with the server key."""
        if origin is None and server:
            return
        if origin is None:
            raise errors.NotPermitted(
                "This request names no origin; servers send their key along.", code="origin_missing"
            )
        if not self.allows(origin):
            raise errors.NotPermitted(
                "The chat is not open for this site. Its exact origin has to be added to HUILIU_WIDGET_ORIGINS.",
                code="origin_refused",
            )

    def allows(self, origin: str) -> bool:
        return origin in self.own or origin in self.guests

    def base_for(self, origin: str | None) -> str:
        """Our own address as this caller sees it (localhost stays localhost)."""
        return origin if origin in self.own and origin is not None else self.public

    def frame_ancestors(self) -> str:
        return " ".join(["'self'", *sorted(self.own), *self.guests])


class ServerKey:
    """The key of a shop's server that talks to us without a browser; without one that way is closed."""

    def __init__(self, key: str) -> None:
        self._key = key

    def fits(self, given: str | None) -> bool:
        return bool(self._key) and given is not None and security.equal(self._key, given)


class Pace:
    """How fast somebody may go. Counted in this process: with several, each allows as much."""

    def __init__(self, clock: Clock) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()

    def spend(self, item: RateLimitItem, kind: str, who: str) -> None:
        """Raises `Exhausted` with the seconds until there is room again."""
        if self._limiter.hit(item, kind, who):
            return
        reset = self._limiter.get_window_stats(item, kind, who).reset_time
        seconds = max(1.0, min(float(item.get_expiry()), reset - self._clock().timestamp()))
        raise errors.Exhausted(
            f"That was a lot at once. Please wait {round(seconds)} seconds.",
            code="rate_limited",
            retry_after_seconds=round(seconds, 1),
        )

    def spend_message(self, visitor: str, message_id: str) -> None:
        """A repeat of a message is not a new one."""
        if message_id in self._seen:
            self.spend(REPEATS, "repeat", visitor)
            return
        self.spend(MESSAGES, "message", visitor)
        self._seen[message_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.ConfigurationError(
            f"{url!r} is not an origin; write scheme, host and port, e.g. https://shop.example.com"
        )
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def _same_machine(origin: str) -> list[str]:
    """localhost and 127.0.0.1 are one place to whoever tries the demo."""
    parts = urlsplit(origin)
    if (
        f"//{parts.netloc.rsplit(':', 1)[0] if parts.port else parts.netloc}".removeprefix("//")
        not in _LOOPBACK
    ):
        return [origin]
    port = f":{parts.port}" if parts.port else ""
    return [f"{parts.scheme}://{host}{port}" for host in _LOOPBACK]
