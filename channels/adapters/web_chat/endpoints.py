"""The web chat's own routes: sessions with their cookie, and the pages. What follows a session is the family's.

The only cookie is the refresh token's, and only `POST /v1/widget/sessions` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from channels import answers
from channels.adapters.web_chat.assets import Assets
from channels.adapters.web_chat.sessions import REFRESH_LIFE, Session, SessionForm, Sessions
from channels.contract import Door
from channels.families.live_chat import admission, codec
from channels.families.live_chat.admission import Origins
from channels.families.live_chat.routes import Routes, route
from channels.families.live_chat.sockets import Lobby, Parts
from channels.families.live_chat.uploads import Uploads
from foundation import errors
from foundation.clock import to_milliseconds

COOKIE = "huiliu_chat"
SOCKET = "/v1/widget/socket"


class Endpoints:
    def __init__(
        self, parts: Parts, lobby: Lobby, files: Uploads, *, sessions: Sessions, origins: Origins, site_key: str,
        brand: str,
    ) -> None:  # fmt: skip
        self._parts = parts
        self._sessions = sessions
        self._origins = origins
        self._talk = Routes(parts, lobby, files)
        self._site_key = site_key
        self._brand = brand

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return [
            route(
                self._parts.gate, "/v1/widget/sessions", lambda request: self._start(request, door), "POST"
            ),
            *self._talk.routes(door, below="/v1/conversations/{conversation_id}", socket=SOCKET),
            *Assets(self._origins).routes(),
        ]

    async def _start(self, request: Request, door: Door) -> Response:
        origin = request.headers.get("origin")
        self._parts.gate.enter(request.headers)
        self._parts.pace.spend(
            admission.SESSIONS, "session", request.client.host if request.client else "unknown"
        )
        form = await answers.read_form(request, SessionForm)
        if form.site_key != self._site_key and (form.site_key or origin not in self._origins.own):
            raise errors.NotFound("No site has this key. Copy the snippet again.", code="unknown_site")
        # A page that cannot keep our cookie is another visitor than the one whose cookie happens to come along.
        cookie = request.cookies.get(COOKIE, "") if form.keep == "cookie" else ""
        try:
            session = await self._sessions.start(form, cookie, door)
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

    def _shown(self, session: Session, form: SessionForm, request: Request) -> codec.Frame:
        base = self._origins.base_for(request.headers.get("origin"))
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
        secure = self._origins.public.startswith("https://")
        flags = "Secure; SameSite=None; Partitioned" if secure else "SameSite=Lax"
        seconds = int(REFRESH_LIFE.total_seconds()) if value else 0
        path = f"{_root(request)}/v1/widget"
        cookie = f"{COOKIE}={value}; Max-Age={seconds}; Path={path}; HttpOnly; {flags}"
        response.headers.append("set-cookie", cookie)

    def _forget_cookie(self, response: Response, request: Request) -> None:
        self._set_cookie(response, request, "")


def _root(request: Request) -> str:
    """Where the tenant's routes are mounted; "" at the root."""
    return str(request.scope.get("root_path", "")).rstrip("/")
