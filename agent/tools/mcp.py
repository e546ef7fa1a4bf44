"""The shop's order system over MCP: a server by URL, or a command we start and talk to over its pipes.

Built in the wiring, handed to the tools through the agent's context. The session lives in one background task from
its first to its last line, because the library's cancel scopes must be left by the task that entered them; calls come
from any task. A broken session is rebuilt by the next call. A call that got no answer may still have been carried
out over there: the idempotency key makes the repeat harmless.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import structlog
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT, TextContent

from foundation import errors

READ_SECONDS = 5.0
WRITE_SECONDS = 10.0
CONNECT_SECONDS = 5.0
PAUSE_SECONDS = 2.0
"""After a failed connection the next calls fail at once for this long, instead of queueing up to wait in turn."""
WRITES = frozenset({"create_return", "change_address", "request_invoice", "cancel_order"})

_FAULTS = (
    MCPError,
    OSError,
    TimeoutError,
    ExceptionGroup,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    ValueError,
)
_UNAVAILABLE = "The order system does not answer at the moment. Please try again in a minute."

_log = structlog.get_logger(__name__)


class McpOrders:
    """`target`: the URL of a streamable HTTP server, or the command line of one that speaks on its pipes."""

    def __init__(
        self, target: str | Sequence[str], *, folder: Path | None = None,
        read_seconds: float = READ_SECONDS, write_seconds: float = WRITE_SECONDS,
    ) -> None:  # fmt: skip
        self._server: str | StdioServerParameters = (
            target
            if isinstance(target, str)
            else StdioServerParameters(command=target[0], args=list(target[1:]), cwd=folder)
        )
        self._read_seconds = read_seconds
        self._write_seconds = write_seconds
        self._session: _Session | None = None
        self._opening: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._paused_until = 0.0

    async def open(self) -> None:
        """Begins to connect and does not wait: calls do. A server that is away is found by the next call."""
        self._opening = asyncio.create_task(self._greet(), name="order-system-greeting")

    async def greeted(self) -> None:
        """When the first attempt to connect is over, whatever came of it."""
        if self._opening is not None:
            await self._opening

    async def close(self) -> None:
        await self.greeted()
        session, self._session = self._session, None
        if session is not None:
            await session.end()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        seconds = self._write_seconds if name in WRITES else self._read_seconds
        session = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                result = await session.client.call_tool(name, dict(arguments))
        except TimeoutError as error:
            raise errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_timeout") from error
        except MCPError as error:
            raise await self._translated(session, error) from error
        except _FAULTS as error:
            await self._drop(session)
            raise errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_down") from error
        if result.is_error:
            _log.error("the order system refused a call", tool=name)
            raise errors.UpstreamRefused("The order system cannot do this.", code="order_system_refused")
        return _answer(result.structured_content, result.content)

    async def _greet(self) -> None:
        try:
            await self._connected()
        except errors.UpstreamUnavailable as error:
            _log.warning("the order system is not there yet", code=error.code)

    async def _connected(self) -> _Session:
        async with self._connecting:
            if self._session is not None and self._session.alive:
                return self._session
            now = asyncio.get_running_loop().time
            if now() < self._paused_until:
                raise errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_down")
            session = _Session(self._server)
            try:
                await session.start()
            except _FAULTS as error:
                self._paused_until = now() + PAUSE_SECONDS
                raise errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_down") from error
            self._session = session
            return session

    async def _translated(self, session: _Session, error: MCPError) -> errors.UpstreamError:
        if error.code == REQUEST_TIMEOUT:
            return errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_timeout")
        if error.code == CONNECTION_CLOSED:
            await self._drop(session)
            return errors.UpstreamUnavailable(_UNAVAILABLE, code="order_system_down")
        return errors.UpstreamRefused("The order system cannot do this.", code="order_system_refused")

    async def _drop(self, session: _Session) -> None:
        if self._session is session:
            self._session = None
        await session.end()


class _Session:
    """One connection, from entering to leaving inside one task."""

    client: Client

    def __init__(self, server: str | StdioServerParameters) -> None:
        self._server = server
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done() and not self._over.is_set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name="order-system-session")
        try:
            self.client = await asyncio.wait_for(asyncio.shield(self._ready), CONNECT_SECONDS)
        except TimeoutError:
            self._task.cancel()
            raise

    async def end(self) -> None:
        self._over.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CONNECT_SECONDS)

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(Client(self._server))
                self._ready.set_result(client)
                await self._over.wait()
        except _FAULTS as error:
            if self._ready.done():
                _log.warning("the session with the order system broke", error=type(error).__name__)
            else:
                self._ready.set_exception(error)


def _answer(structured: object, content: Sequence[object]) -> dict[str, Any]:
    """The shop's answer as a dictionary; servers without structured content send it as JSON text."""
    answer: object = structured.get("result", structured) if isinstance(structured, dict) else None
    text = "".join(block.text for block in content if isinstance(block, TextContent))
    try:
        answer = json.loads(text) if answer is None else answer
    except json.JSONDecodeError as error:
        raise errors.UpstreamRefused(
            "The order system answered something unreadable.", code="order_system_unreadable"
        ) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        raise errors.UpstreamRefused(
            "The order system answered something unreadable.", code="order_system_unreadable"
        )
    return answer
