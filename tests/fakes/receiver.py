"""Somebody else's system that takes webhooks: a real HTTP server on this machine, which answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook as Oracle


@dataclass
class Call:
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.event["data"]
        return found

    def verify(self, secret: str) -> None:
        """As the receiver's own library does; raises where it would refuse."""
        Oracle(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """`answers` are used up one by one, then it is 204. `refuses`: a type that is always answered 500."""

    origin: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: deque[str] = field(default_factory=deque)
    refuses: str = ""

    @property
    def url(self) -> str:
        return f"{self.origin}/hook?token=hidden"

    @property
    def types(self) -> list[str]:
        return [call.event["type"] for call in self.calls]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            call = Call(headers, await reader.readexactly(int(headers["content-length"])))
            self.calls.append(call)
            answer = self.answers.popleft() if self.answers else "204 No Content"
            if self.refuses and call.event["type"] == self.refuses:
                answer = "500 No"
            writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found
