"""Calls to addresses that somebody else chose: only out into the public internet, whatever a name resolves to.

`Api` sends every call through `GuardedTransport`. The hosts that our settings name are trusted and may stand anywhere (a
gateway in the house, a simulator on this machine). Every other host is an address out of a message or a redirect: its
name is resolved here, each address is checked, and the connection goes to the address that was checked, so that a name
which answers differently the next time (DNS rebinding) leads nowhere else. Certificates are still checked by the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache
from typing import Any

import httpcore
import httpx

from foundation import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port → addresses; raises `OSError` for a name that does not exist."""

IDLE_SECONDS = 2.0
"""A connection is not used again after so long: many servers close it after 5, and a message that meets the closing has an
unknown outcome."""
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""IPv6 that a gateway turns into IPv4: behind it may stand the house again."""
_BY_SCHEME = {"http": 80, "https": 443}
LAST_PORT = 65_535
"""The client itself lets greater ones pass, and the system's call breaks over them."""


def is_public(address: Address) -> bool:
    """Not private, loopback, link-local (clouds hand out credentials there), shared, multicast or reserved."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]
        if inside is not None:
            return is_public(inside)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """`trusted`: addresses out of our settings, whose host and port are called as they are. `allows` and `resolver` are
    for tests, which have no internet."""

    def __init__(
        self, trusted: Iterable[str] = (), *, allows: Callable[[Address], bool] = is_public,
        resolver: Resolver = resolve,
    ) -> None:  # fmt: skip
        self._trusted = {place for address in trusted if (place := _place(httpx.URL(address)))}
        self._open = httpx.AsyncHTTPTransport(
            verify=_certificates(), trust_env=False, limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS)
        )
        self._guarded = _Guarded(allows, resolver)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `UpstreamRefused` with code private_address, also for a scheme that is no web address."""
        if _place(request.url) in self._trusted:
            return await self._open.handle_async_request(request)
        if request.url.scheme not in _BY_SCHEME or (request.url.port or 0) > LAST_PORT:
            raise _refused()
        return await self._guarded.handle_async_request(request)

    async def aclose(self) -> None:
        await self._open.aclose()
        await self._guarded.aclose()


class _Guarded(httpx.AsyncHTTPTransport):
    def __init__(self, allows: Callable[[Address], bool], resolver: Resolver) -> None:
        super().__init__(verify=_certificates(), trust_env=False)
        # httpx has no parameter for the pool's backend, and the address is known only where the socket is opened.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_certificates(), max_connections=20, max_keepalive_connections=0,
            network_backend=_CheckingBackend(allows, resolver),
        )  # fmt: skip


class _CheckingBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, allows: Callable[[Address], bool], resolver: Resolver) -> None:
        self._allows = allows
        self._resolver = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        address = await self._checked(host, port, timeout)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise _refused()

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _checked(self, host: str, port: int, timeout: float | None) -> str:
        """One private address among public ones is a trick; then none of them is called."""
        try:
            async with asyncio.timeout(timeout):
                found = [
                    ipaddress.ip_address(one.partition("%")[0]) for one in await self._resolver(host, port)
                ]
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(str(error)) from error
        if not all(self._allows(one) for one in found):
            raise _refused()
        if not found:
            raise httpcore.ConnectError("the name has no address")
        return str(found[0])


@cache
def _certificates() -> ssl.SSLContext:
    """Read once a process: there is a transport for each channel's account."""
    return httpx.create_ssl_context(trust_env=False)


def _place(url: httpx.URL) -> tuple[str, int] | None:
    port = url.port or _BY_SCHEME.get(url.scheme)
    return (url.host, port) if url.host and port else None


def _refused() -> errors.UpstreamRefused:
    return errors.UpstreamRefused(
        "The address leads into a private network, or is no web address.", code="private_address"
    )
