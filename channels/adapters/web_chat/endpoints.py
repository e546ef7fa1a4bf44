"""The web chat's REST routes: sessions, messages, receipts, uploads, streams. The socket stands in `sockets.py`.

Every request carries the visitor token as `Authorization: Bearer …`; an Origin that is sent must be on the list. The
only cookie is the refresh token's, and only `POST /v1/widget/sessions` reads it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from channels import answers
from channels.adapters.web_chat import admission, codec, streams, uploads
from channels.adapters.web_chat.assets import Assets
from channels.adapters.web_chat.messages import PAGE_LIMIT, View
from channels.adapters.web_chat.sessions import REFRESH_LIFE, Session
from channels.adapters.web_chat.sockets import Lobby, Parts
from channels.adapters.web_chat.tokens import Pass
from channels.adapters.web_chat.uploads import Uploads
from channels.contract import Door
from foundation import errors
from foundation.clock import to_milliseconds

BODY_LIMIT = 262_144
"""Bytes of a JSON body; a message of 10,000 characters, each escaped, needs a quarter of it."""
COOKIE = "huiliu_chat"
WAIT_LIMIT = 25.0
SOCKET = "/v1/widget/socket"
_CORS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}

Handler = Callable[[Request], Awaitable[Response]]


class Endpoints:
    def __init__(self, parts: Parts, lobby: Lobby, files: Uploads, *, site_key: str, brand: str) -> None:
        self._parts = parts
        self._lobby = lobby
        self._uploads = files
        self._site_key = site_key
        self._brand = brand

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        async def enter(websocket: WebSocket) -> None:
            await self._lobby.enter(websocket, door)

        one = "/v1/conversations/{conversation_id}"
        return [
            self._route("/v1/widget/sessions", lambda request: self._start(request, door), "POST"),
            self._route(f"{one}/messages", lambda request: self._messages(request, door), "GET", "POST"),
            self._route(f"{one}/read", self._read, "POST"),
            self._route(f"{one}/typing", self._typing, "POST"),
            self._route(f"{one}/stop", self._stop, "POST"),
            self._route(f"{one}/uploads", self._upload, "POST"),
            self._route(f"{one}/stream", self._stream, "GET"),
            Route("/v1/uploads/{upload_id}", answers.answering(self._download)),
            WebSocketRoute(SOCKET, enter),
            *Assets(self._parts.origins).routes(),
        ]

    def _route(self, path: str, handler: Handler, *methods: str) -> Route:
        """Origin first, then the handler; a page of an allowed origin may read the answer, refusals included."""

        async def guarded(request: Request) -> Response:
            origin = request.headers.get("origin")
            if origin is not None:
                self._parts.origins.check(origin)
            return Response(status_code=204) if request.method == "OPTIONS" else await handler(request)

        async def shared(request: Request) -> Response:
            response = await answers.answering(guarded)(request)
            origin = request.headers.get("origin")
            if origin is not None and self._parts.origins.allows(origin):
                response.headers.update({**_CORS, "Access-Control-Allow-Origin": origin})
            return response

        return Route(path, shared, methods=[*methods, "OPTIONS"])

    async def _start(self, request: Request, door: Door) -> Response:
        origin = request.headers.get("origin")
        self._parts.origins.check(
            origin, server=self._parts.server_key.fits(request.headers.get("x-server-key"))
        )
        self._parts.pace.spend(
            admission.SESSIONS, "session", request.client.host if request.client else "unknown"
        )
        form = await answers.read_form(request, codec.SessionForm)
        if form.site_key != self._site_key and (form.site_key or origin not in self._parts.origins.own):
            raise errors.NotFound("No site has this key. Copy the snippet again.", code="unknown_site")
        # A page that cannot keep our cookie is another visitor than the one whose cookie happens to come along.
        cookie = request.cookies.get(COOKIE, "") if form.keep == "cookie" else ""
        try:
            session = await self._parts.sessions.start(form, cookie, door)
        except errors.NotAuthentic as error:
            refused = answers.refusal(error)
            if error.code.startswith("refresh"):
                self._forget_cookie(refused, request)
            return refused
        response = JSONResponse(self._shown(session, form, request), 200 if session.renewed else 201)
        if form.keep == "cookie":
            self._set_cookie(response, request, session.refresh_token)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _shown(self, session: Session, form: codec.SessionForm, request: Request) -> codec.Frame:
        base = self._parts.origins.base_for(request.headers.get("origin"))
        shown: codec.Frame = {
            "visitor_token": session.visitor_token,
            "expires_at": to_milliseconds(session.expires_at),
            "conversation_id": session.conversation_id,
            "last_seq": session.last_seq,
            "ws_url": base.replace("http", "ws", 1) + _root(request) + SOCKET,
            "renewed": session.renewed,
            "account": session.account or None,
            "brand": self._brand,
        }
        if form.keep == "storage":
            shown["refresh_token"] = session.refresh_token
        return shown

    def _set_cookie(self, response: Response, request: Request, value: str) -> None:
        """Secure + SameSite=None + Partitioned where the page may stand in a frame of another site; a plain address
        (the demo on http) cannot have that, and its frames use the storage fallback."""
        secure = self._parts.origins.public.startswith("https://")
        flags = "Secure; SameSite=None; Partitioned" if secure else "SameSite=Lax"
        seconds = int(REFRESH_LIFE.total_seconds()) if value else 0
        path = f"{_root(request)}/v1/widget"
        cookie = f"{COOKIE}={value}; Max-Age={seconds}; Path={path}; HttpOnly; {flags}"
        response.headers.append("set-cookie", cookie)

    def _forget_cookie(self, response: Response, request: Request) -> None:
        self._set_cookie(response, request, "")

    async def _messages(self, request: Request, door: Door) -> Response:
        who = self._who(request)
        if request.method == "GET":
            return await self._list(request, who)
        form = await answers.read_form(request, codec.SendForm, BODY_LIMIT)
        receipt, new = await self._parts.messages.send(who, form, door)
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
        who = self._who(request)
        self._parts.pace.spend(admission.READS, "receipts", who.visitor)
        form = await answers.read_form(request, codec.SeqForm)
        await self._parts.messages.seen(who, read=form.seq)
        return Response(status_code=204)

    async def _typing(self, request: Request) -> Response:
        who = self._who(request)
        self._parts.pace.spend(admission.READS, "typing", who.visitor)
        self._parts.messages.typing(who)
        return Response(status_code=204)

    async def _stop(self, request: Request) -> Response:
        who = self._who(request)
        form = await answers.read_form(request, codec.StopForm)
        self._parts.messages.stop(who, form.message_id)
        return Response(status_code=204)

    async def _upload(self, request: Request) -> Response:
        """The body is the file itself; `?name=` is what to call it."""
        who = self._who(request)
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
        who = self._who(request)
        self._parts.pace.spend(admission.READS, "read", who.visitor)
        after = request.headers.get("last-event-id", "")
        start = int(after) if after.isascii() and after.isdigit() else _number(request, "after_seq", 0)
        flow = streams.events(
            who, self._parts.messages, self._parts.rooms, after_seq=start, clock=self._parts.clock
        )
        return StreamingResponse(flow, media_type="text/event-stream", headers=streams.HEADERS)

    def _who(self, request: Request) -> Pass:
        """Raises `NotAuthentic`, or `NotFound` when the address names another conversation than the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        who = self._parts.sessions.read(token.strip() if scheme.lower() == "bearer" else "")
        if request.path_params["conversation_id"] != who.conversation_id:
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


def _root(request: Request) -> str:
    """Where the tenant's routes are mounted; "" at the root."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise errors.InvalidInput(f"{name} must be a whole number.", code="malformed")
    return int(text)
