"""Calls to platforms over connections that were idle: the platform may be closing them just then."""

from __future__ import annotations

import asyncio
import time

import pytest

from channels.platforms.api import Api

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def test_idle_connection_is_not_used_when_the_platform_may_be_closing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = 0

    async def platform(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the first request of a connection, and closes on the second, as if it had done so a moment before."""
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(platform, "127.0.0.1", 0) as server:
        api = Api("pigeons", "Pigeons", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await api.call_json("POST", "/send") == {}
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + 3)
        assert await api.call_json("POST", "/send") == {}
        await api.close()
    assert connections == 2
