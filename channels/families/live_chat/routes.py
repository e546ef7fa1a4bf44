"""The REST routes of a conversation: messages, receipts, uploads, streams, and the socket's address.

Adapters mount them below an address of their own. Every request carries the visitor token as `Authorization: Bearer …`;
an Origin that is sent must be one that the gate knows. No cookie is read here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from channels import answers
from channels.contract import Door
from channels.families.live_chat import admission, codec, streams, uploads
from channels.families.live_chat.admission import Gate
from channels.families.live_chat.messages import PAGE_LIMIT, View
from channels.families.live_chat.sockets import Lobby, Parts
from channels.families.live_chat.tokens import Pass
from channels.families.live_chat.uploads import Uploads
from foundation import errors

BODY_LIMIT = 262_144
"""Bytes of a JSON body; a message of 10,000 characters, each escaped, needs a quarter of it."""
EVENTS_LIMIT = 65_536
WAIT_LIMIT = 25.0

Handler = Callable[[Request], Awaitable[Response]]


def route(gate: Gate, path: str, handler: Handler, *methods: str) -> Route:
    """Origin first, then the handler; a page of an allowed origin may read the answer, refusals included."""

    async def guarded(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None:
            gate.check(origin)
        return Response(status_code=204) if request.method == "OPTIONS" else await handler(request)

    async def shared(request: Request) -> Response:
        response = await answers.answering(guarded)(request)
        origin = request.headers.get("origin")
        if origin is not None:
            response.headers.update(gate.shares(origin))
        return response

    return Route(path, shared, methods=[*methods, "OPTIONS"])


class Routes:
    def __init__(self, parts: Parts, lobby: Lobby, files: Uploads) -> None:
        self._parts = parts
        self._lobby = lobby
        self._uploads = files

    def routes(self, door: Door, *, below: str, socket: str) -> list[BaseRoute]:
        """`below` is the address of a conversation; where it names one (`{conversation_id}`) it must be the token's."""

        async def enter(websocket: WebSocket) -> None:
            await self._lobby.enter(websocket, door)

        gate = self._parts.gate
        return [
            route(gate, f"{below}/messages", lambda request: self._messages(request, door), "GET", "POST"),
            route(gate, f"{below}/read", self._read, "POST"),
            route(gate, f"{below}/events", lambda request: self._events(request, door), "POST"),
            route(gate, f"{below}/typing", self._typing, "POST"),
            route(gate, f"{below}/stop", self._stop, "POST"),
            route(gate, f"{below}/uploads", self._upload, "POST"),
            route(gate, f"{below}/stream", self._stream, "GET"),
            Route("/v1/uploads/{upload_id}", answers.answering(self._download)),
            WebSocketRoute(socket, enter),
        ]

    async def _messages(self, request: Request, door: Door) -> Response:
        who = self.who(request)
        if request.method == "GET":
            return await self._list(request, who)
        form = await answers.read_form(request, codec.SendForm, BODY_LIMIT)
        host = request.client.host if request.client else ""
        receipt, new = await self._parts.messages.send(who, form, door, host=host)
        return JSONResponse(receipt, 201 if new else 200)

    async def _list(self, request: Request, who: Pass) -> Response:
        self._parts.pace.spend(admission.READS, "read", who.visitor)
        limit = max(1, min(_number(request, "limit", 100), PAGE_LIMIT))
        after, wait = _number(request, "after_seq", 0), min(_number(request, "wait", 0), WAIT_LIMIT)
        messages = self._parts.messages
        if wait > 0:
            view = await streams.wait_for_news(
                who, messages, self._parts.rooms, after_seq=after, seconds=wait
            )
        else:
            view = await messages.view(who, after_seq=after, limit=limit)
        if "before_seq" in request.query_params:
            before = await messages.before(who, _number(request, "before_seq", 0), limit)
            return JSONResponse(_listed(view, [codec.render_message(one) for one in before]))
        return JSONResponse(_listed(view, [codec.render_message(one) for one in view.messages]))

    async def _read(self, request: Request) -> Response:
        who = self.who(request)
        self._parts.pace.spend(admission.READS, "receipts", who.visitor)
        form = await answers.read_form(request, codec.SeqForm)
        await self._parts.messages.seen(who, read=form.seq)
        return Response(status_code=204)

    async def _events(self, request: Request, door: Door) -> Response:
        who = self.who(request)
        self._parts.pace.spend(admission.EVENTS, "events", who.visitor)
        form = await answers.read_form(request, codec.EventsForm, EVENTS_LIMIT)
        await self._parts.messages.observe(who, form, door)
        return Response(status_code=202)

    async def _typing(self, request: Request) -> Response:
        who = self.who(request)
        self._parts.pace.spend(admission.READS, "typing", who.visitor)
        self._parts.messages.typing(who)
        return Response(status_code=204)

    async def _stop(self, request: Request) -> Response:
        who = self.who(request)
        form = await answers.read_form(request, codec.StopForm)
        self._parts.messages.stop(who, form.message_id)
        return Response(status_code=204)

    async def _upload(self, request: Request) -> Response:
        """The body is the file itself; `?name=` is what to call it."""
        who = self.who(request)
        self._parts.pace.spend(admission.UPLOADS, "upload", who.visitor)
        body = await answers.read_body(request, uploads.UPLOAD_LIMIT)
        kept = await self._uploads.keep(who, request.query_params.get("name", ""), body)
        attachment = self._uploads.attachment(kept)
        return JSONResponse(
            {"upload_id": kept.id, "name": kept.name, "media_type": kept.media_type, "size": kept.size,
             "kind": attachment.kind, "url": attachment.url},
            201,
        )  # fmt: skip

    async def _download(self, request: Request) -> Response:
        found, body = await self._uploads.open(
            request.path_params["upload_id"], request.query_params.get("key", "")
        )
        return Response(
            body,
            media_type=found.media_type,
            headers={
                "Content-Disposition": uploads.disposition(found.name),
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=3600",
            },
        )

    async def _stream(self, request: Request) -> Response:
        who = self.who(request)
        self._parts.pace.spend(admission.READS, "read", who.visitor)
        after = request.headers.get("last-event-id", "")
        start = int(after) if after.isascii() and after.isdigit() else _number(request, "after_seq", 0)
        flow = streams.events(
            who, self._parts.messages, self._parts.rooms, after_seq=start, clock=self._parts.clock
        )
        return StreamingResponse(flow, media_type="text/event-stream", headers=streams.HEADERS)

    def who(self, request: Request) -> Pass:
        """Raises `NotAuthentic`, or `NotFound` when the address names another conversation than the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        who = self._parts.passes.read(token.strip() if scheme.lower() == "bearer" else "")
        if request.path_params.get("conversation_id", who.conversation_id) != who.conversation_id:
            raise errors.NotFound("This conversation does not exist.", code="unknown_conversation")
        return who


def _listed(view: View, messages: list[codec.Frame]) -> codec.Frame:
    return {
        "messages": messages,
        "last_seq": view.last_seq,
        "status": view.status_frame(),
        "receipts": {
            "delivered": view.delivered_upto, "read": view.read_upto, "seen": view.seen_upto,
        },
    }  # fmt: skip


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise errors.InvalidInput(f"{name} must be a whole number.", code="malformed")
    return int(text)
