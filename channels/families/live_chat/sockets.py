"""The WebSocket of a live chat: hello, ready, replay, live; one reader, one writer, one feed and one timer each.

`routes` mounts `Lobby.enter`. The origin is checked before the handshake is accepted; the token comes in the first
frame (or as a subprotocol), never in the address. Close codes: 1009 too big, 1013 full, 4400 bad frame, 4401 token,
4404 other conversation, 4408 slow reader, 4409 replaced by a newer socket, 4429 too fast.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from channels.contract import Door
from channels.families.live_chat import codec
from channels.families.live_chat.admission import READS, Gate, Pace
from channels.families.live_chat.feed import PING_SECONDS, Feed
from channels.families.live_chat.messages import Messages
from channels.families.live_chat.rooms import Rooms
from channels.families.live_chat.tokens import Pass, Passes
from foundation import errors
from foundation.clock import Clock

FRAME_BYTES = 32_768
SOCKETS_PER_VISITOR = 5
PROTOCOL = "chat.v1"
_BEARER = "bearer."
_WARNING = timedelta(seconds=60)
_PATIENCE = 3
"""Refusals for haste before the socket is closed."""


@dataclass(frozen=True, slots=True)
class Timing:
    hello_seconds: float = 5.0
    ping_seconds: float = PING_SECONDS
    tick_seconds: float = 2.0
    sockets: int = 5_000
    """Of this process; above it, 1013 try later."""


class Closed(Exception):
    """This socket has to be closed, with this code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Parts:
    """What a socket works with."""

    passes: Passes
    messages: Messages
    rooms: Rooms
    pace: Pace
    gate: Gate
    clock: Clock
    timing: Timing


class Lobby:
    """All sockets of this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sockets: dict[str, list[ChatSocket]] = defaultdict(list)

    async def enter(self, websocket: WebSocket, door: Door) -> None:
        try:
            self._parts.gate.enter(websocket.headers)
        except errors.NotPermitted:
            await websocket.close(4403)
            return
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        token = next((one[len(_BEARER) :] for one in offered if one.startswith(_BEARER)), "")
        try:
            if sum(map(len, self._sockets.values())) >= self._parts.timing.sockets:
                raise Closed(1013, "try again later")
            hello = await self._hello(websocket)
            who = self._authenticate(hello.token or token, hello.conversation_id)
            await self._stay(ChatSocket(websocket, who, door, self._parts), hello.last_seq)
        except Closed as closed:
            await _close(websocket, closed)
        except errors.ServiceError as error:
            await _close(websocket, Closed(1013, error.code))
        except WebSocketDisconnect:
            return

    async def close(self) -> None:
        """Going away: clients come back after a random pause."""
        for socket in [one for group in self._sockets.values() for one in group]:
            socket.end(Closed(1001, "going away"))

    async def _stay(self, socket: ChatSocket, last_seq: int) -> None:
        group = self._sockets[socket.who.visitor]
        while len(group) >= SOCKETS_PER_VISITOR:
            group.pop(0).end(Closed(4409, "replaced by a newer connection"))
        group.append(socket)
        try:
            await socket.run(last_seq)
        finally:
            if socket in group:
                group.remove(socket)
            if not group:
                self._sockets.pop(socket.who.visitor, None)

    async def _hello(self, websocket: WebSocket) -> codec.Hello:
        try:
            async with asyncio.timeout(self._parts.timing.hello_seconds):
                frame = await _receive(websocket)
        except TimeoutError:
            raise Closed(4401, "no hello") from None
        if not isinstance(frame, codec.Hello):
            raise Closed(4400, "hello comes first")
        return frame

    def _authenticate(self, token: str, conversation_id: str) -> Pass:
        try:
            who = self._parts.passes.read(token)
        except errors.NotAuthentic as error:
            raise Closed(4401, error.code) from error
        if conversation_id and conversation_id != who.conversation_id:
            raise Closed(4404, "conversation")
        return who


class ChatSocket:
    def __init__(self, websocket: WebSocket, who: Pass, door: Door, parts: Parts) -> None:
        self.who = who
        self._websocket = websocket
        self._door = door
        self._parts = parts
        self._feed = Feed(who, parts.messages, parts.rooms)
        self._ending: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._heard_at = asyncio.get_running_loop().time()
        self._warned = False
        self._hasty = 0

    def end(self, closed: Closed) -> None:
        if not self._ending.done():
            self._ending.set_result(closed)

    async def run(self, last_seq: int) -> None:
        """Raises `Closed`, or `WebSocketDisconnect` when the client has gone."""
        work: list[Coroutine[Any, Any, None]] = [
            self._read(), self._write(), self._feed.run(last_seq), self._keep(), self._overflow(), self._end(),
        ]  # fmt: skip
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            await task

    async def _end(self) -> None:
        raise await self._ending

    async def _overflow(self) -> None:
        await self._feed.outbox.overflowed.wait()
        raise Closed(4408, "slow consumer")

    async def _write(self) -> None:
        while True:
            await self._websocket.send_text(await self._feed.outbox.get())

    async def _read(self) -> None:
        while True:
            frame = await _receive(self._websocket)
            self._heard_at = asyncio.get_running_loop().time()
            try:
                await self._answer(frame)
                self._hasty = 0
            except errors.Exhausted as error:
                self._refuse(error, frame)
                self._hasty += 1
                if self._hasty >= _PATIENCE:
                    raise Closed(4429, "too fast") from error
            except errors.NotAuthentic as error:
                raise Closed(4401, error.code) from error
            except errors.ServiceError as error:
                self._refuse(error, frame)

    async def _answer(self, frame: codec.ClientFrame) -> None:
        messages = self._parts.messages
        match frame:
            case codec.Send():
                await self._send(frame)
            case codec.Ack():
                self._parts.pace.spend(READS, "receipts", self.who.visitor)
                await messages.seen(self.who, delivered=frame.seq)
            case codec.Read():
                self._parts.pace.spend(READS, "receipts", self.who.visitor)
                await messages.seen(self.who, read=frame.seq)
            case codec.Typing():
                self._parts.pace.spend(READS, "typing", self.who.visitor)
                messages.typing(self.who)
            case codec.Stop():
                messages.stop(self.who, frame.message_id)
            case codec.Auth():
                self._renew(frame.token)
            case codec.Ping():
                self._feed.outbox.put({"t": "pong"})
            case codec.Pong():
                pass
            case codec.Hello():
                raise Closed(4400, "hello comes once")

    async def _send(self, frame: codec.Send) -> None:
        if self._parts.clock() >= self.who.expires_at:
            raise Closed(4401, "token_expired")
        host = self._websocket.client.host if self._websocket.client else ""
        receipt, new = await self._parts.messages.send(self.who, frame, self._door, host=host)
        if not new:
            # The echo may have gone out before; a client that lost it gets its confirmation again.
            stored = await self._parts.messages.find(self.who, receipt["id"])
            self._feed.outbox.put({"t": "message", **codec.render_message(stored)})

    def _renew(self, token: str) -> None:
        who = self._parts.passes.read(token)
        if (who.visitor, who.conversation_id) != (self.who.visitor, self.who.conversation_id):
            raise Closed(4404, "conversation")
        self.who = who
        self._warned = False

    def _refuse(self, error: errors.ServiceError, frame: codec.ClientFrame) -> None:
        refusal: codec.Frame = {"t": "error", "code": error.code, "message": error.public_text}
        if error.retry_after_seconds is not None:
            refusal["retry_after"] = error.retry_after_seconds
        if isinstance(frame, codec.Send):
            refusal["client_msg_id"] = str(frame.client_msg_id)
        self._feed.outbox.put(refusal)

    async def _keep(self) -> None:
        """Pings, silence, and the token's end."""
        loop = asyncio.get_running_loop()
        pinged_at = loop.time()
        while True:
            await asyncio.sleep(self._parts.timing.tick_seconds)
            if loop.time() - self._heard_at > 2 * self._parts.timing.ping_seconds + 5:
                raise Closed(1001, "silent")
            if loop.time() - pinged_at >= self._parts.timing.ping_seconds:
                pinged_at = loop.time()
                self._feed.outbox.put({"t": "ping"})
            left = self.who.expires_at - self._parts.clock()
            if left <= timedelta(0):
                raise Closed(4401, "token_expired")
            if left <= _WARNING and not self._warned:
                self._warned = True
                self._feed.outbox.put({"t": "token_expiring", "seconds": round(left.total_seconds())})


async def _receive(websocket: WebSocket) -> codec.ClientFrame:
    event = await websocket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1000))
    text = event.get("text")
    if text is None:
        raise Closed(4400, "text frames only")
    if len(text) > FRAME_BYTES or len(text.encode("utf-8", "surrogatepass")) > FRAME_BYTES:
        raise Closed(1009, f"frames have at most {FRAME_BYTES} bytes")
    try:
        return codec.parse_frame(text)
    except errors.InvalidInput as error:
        raise Closed(4400, error.code) from error


async def _close(websocket: WebSocket, closed: Closed) -> None:
    """A reader that does not read cannot hold us up: the frame is queued, the rest is the server's business."""
    try:
        async with asyncio.timeout(1):
            await websocket.close(closed.code, closed.reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        # It has gone in the meantime, or its line is full: the connection ends with this handler.
        return
