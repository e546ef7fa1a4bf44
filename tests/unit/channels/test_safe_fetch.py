"""Files at addresses that strangers chose: a local server with every fault, and names that lead into the house."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from channels.platforms.api import Api
from channels.platforms.download import fetch_public
from channels.platforms.guarded import Address, GuardedTransport, is_public
from foundation import errors

PICTURE = b"\x89PNG\r\n\x1a\n" + b"p" * 100


@dataclass
class Server:
    """Answers by the path; `seen` is what was asked, headers and all."""

    port: int = 0
    seen: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.seen.append(asked)
            path = asked.split()[1]
            if path == "/drip":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx")
                await writer.drain()
                await reader.read()  # until the client has had enough
                return
            writer.write(self._answer(path))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        if path.startswith("/to?"):
            return f"HTTP/1.1 302 Found\r\nlocation: {path[4:]}\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n".encode()
        if path.startswith("/status/"):
            return f"HTTP/1.1 {path[8:]} x\r\ncontent-length: 0\r\n\r\n".encode()
        if path == "/cut":
            return b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nhalf"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: image/png; x=y\r\ncontent-length: {len(PICTURE)}\r\n\r\n"
        return head.encode() + PICTURE


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    listening = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield found


class Names:
    """A name server that may change its mind."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, list[list[str]]] = {
            "cdn.example": [["127.0.0.1"]],
            "inside.example": [["10.0.0.7"]],
            "mixed.example": [["127.0.0.1", "192.168.1.1"]],
            "rebinds.example": [["127.0.0.1"], ["169.254.169.254"]],
            "nowhere.example": [[]],
        }

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host, [[host]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def guarded(names: Names) -> AsyncIterator[GuardedTransport]:
    """127.0.0.1 plays the internet here."""

    def allows(address: Address) -> bool:
        return address == ipaddress.ip_address("127.0.0.1")

    transport = GuardedTransport(allows=allows, resolver=names.resolve)
    yield transport
    await transport.aclose()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.0.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1", False), ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("2002:a00:1::", False), ("ff02::1", False),
    ],
)  # fmt: skip
def test_only_the_public_internet_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


async def test_file_comes_with_its_type(server: Server, guarded: GuardedTransport) -> None:
    found = await fetch_public(f"http://cdn.example:{server.port}/a.png", transport=guarded)
    assert (found.content, found.media_type) == (PICTURE, "image/png")
    assert f"Host: cdn.example:{server.port}" in server.seen[0]


@pytest.mark.parametrize("host", ["inside.example", "mixed.example", "169.254.169.254", "[::1]", "10.0.0.1"])
async def test_private_addresses_are_never_called(
    server: Server, guarded: GuardedTransport, host: str
) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(f"http://{host}:{server.port}/a.png", transport=guarded)
    assert (refused.value.code, server.seen) == ("private_address", [])


async def test_redirect_is_checked_like_the_first_address(server: Server, guarded: GuardedTransport) -> None:
    start = f"http://cdn.example:{server.port}/to?"
    assert (await fetch_public(f"{start}/a.png", transport=guarded)).content == PICTURE
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(f"{start}http://inside.example:{server.port}/a.png", transport=guarded)
    assert refused.value.code == "private_address"
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(f"{start}file:///etc/passwd", transport=guarded)
    assert refused.value.code == "media_no_address"
    assert not any("cookie" in asked.lower() for asked in server.seen)


async def test_redirects_end(server: Server, guarded: GuardedTransport) -> None:
    address = f"http://cdn.example:{server.port}/to?"
    server_says = address * 5 + "/a.png"
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(server_says, transport=guarded)
    assert (refused.value.code, len(server.seen)) == ("media_moved", 4)


async def test_name_that_changes_its_mind_is_refused_the_second_time(
    server: Server, guarded: GuardedTransport, names: Names
) -> None:
    """The address that was checked is the one that is called, and a new connection is checked anew."""
    address = f"http://rebinds.example:{server.port}/a.png"
    await fetch_public(address, transport=guarded)
    assert names.asked == ["rebinds.example"]
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(address, transport=GuardedTransport(resolver=names.resolve))
    assert (refused.value.code, len(server.seen)) == ("private_address", 1)


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/status/404", errors.UpstreamRefused, "media_http_404"),
        ("/status/503", errors.UpstreamUnavailable, "media_http_503"),
        ("/status/429", errors.UpstreamUnavailable, "media_http_429"),
        ("/cut", errors.UpstreamUnavailable, "media_unreachable"),
        ("/drip", errors.UpstreamUnavailable, "media_timeout"),
    ],
)
async def test_faults_of_the_server_are_named(
    server: Server, guarded: GuardedTransport, path: str, kind: type[errors.ServiceError], code: str
) -> None:
    with pytest.raises(kind) as refused:
        await fetch_public(f"http://cdn.example:{server.port}{path}", transport=guarded, seconds=0.3)
    assert refused.value.code == code


async def test_file_larger_than_the_limit_is_refused(server: Server, guarded: GuardedTransport) -> None:
    address = f"http://cdn.example:{server.port}/a.png"
    assert (await fetch_public(address, transport=guarded, limit=len(PICTURE))).content == PICTURE
    with pytest.raises(errors.InvalidInput) as refused:
        await fetch_public(address, transport=guarded, limit=len(PICTURE) - 1)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    "url", ["", "ftp://cdn.example/x", "file:///etc/passwd", "http://", "//cdn.example/x", "http://u:p@cdn.example/x",
            "http://cdn.example:99999/x", "http://[::1", "data:text/plain,x"]
)  # fmt: skip
async def test_what_is_no_web_address_is_refused(guarded: GuardedTransport, url: str) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await fetch_public(url, transport=guarded)
    assert refused.value.code == "media_no_address"


async def test_name_without_an_address_is_worth_another_try(guarded: GuardedTransport) -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await fetch_public("http://nowhere.example/x", transport=guarded)


async def test_adapters_reach_their_own_platform_and_no_other_private_place(server: Server) -> None:
    """What stands in the settings may stand in the house; what stands in a message may not."""
    neighbouring = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with neighbouring as other:
        neighbour = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        api = Api("line", "LINE", f"http://127.0.0.1:{server.port}")
        assert (await api.call("GET", "/a.png")).content == PICTURE
        with pytest.raises(errors.UpstreamRefused) as refused:
            await api.call("GET", f"{neighbour}/a.png")
        assert (refused.value.code, len(server.seen)) == ("private_address", 1)
        await api.close()
        trusting = Api("line", "LINE", f"http://127.0.0.1:{server.port}", trusted=(f"{neighbour}/x",))
        assert (await trusting.call("GET", f"{neighbour}/a.png")).content == PICTURE
        await trusting.close()
