"""WeChat's API by its documented rules: an ASGI application that stands where api.weixin.qq.com stands.

The simulator serves it on a local port and prints what arrives; tests put it behind the channel's connection. It keeps
what the platform keeps: one access token at a time that expires, the window of 48 hours and five messages after a
customer's message, three within a minute after a tapped menu item, typing only shortly after a message. A mini program
has the same API with other messages: links and pages, no menus, two messages within a minute of entering.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from foundation.clock import Clock

TOKEN_SECONDS = 7200
TEXT_LIMIT_BYTES = 2048
TYPING_AFTER_SECONDS = 30

_ALLOWANCE = {
    "message": (5, timedelta(hours=48)),
    "menu": (3, timedelta(minutes=1)),
    "enter": (2, timedelta(minutes=1)),
}
Action = Literal["message", "menu", "enter"]

_WORDS = {
    0: "ok",
    40001: "invalid credential, access_token is invalid or not latest",
    40003: "invalid openid",
    40007: "invalid media_id",
    40008: "invalid message type",
    40013: "invalid appid",
    40125: "invalid appsecret",
    42001: "access_token expired",
    44004: "empty text content",
    45002: "content size out of limit",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45080: "client has not sent a message recently",
    45081: "already typing",
    47001: "data format error",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a customer sees: a message, or the sign that somebody types."""

    openid: str
    kind: Literal["text", "menu", "typing"]
    text: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """(id, label) of each item of a menu."""


@dataclass(slots=True)
class _Customer:
    acted_at: datetime
    left: int
    until: datetime
    typing: bool = False


@dataclass(slots=True)
class WechatApi:
    """One account. `show` is called for everything that reaches a customer."""

    app_id: str
    app_secret: str
    clock: Clock
    show: Callable[[Shown], None]
    menus: bool = True
    media: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Content and type of each file that customers sent."""
    tokens_issued: int = 0
    _token: str = ""
    _token_until: datetime | None = None
    _customers: dict[str, _Customer] = field(default_factory=dict)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/cgi-bin/stable_token", self._stable_token, methods=["POST"]),
                Route("/cgi-bin/message/custom/send", self._custom_send, methods=["POST"]),
                Route("/cgi-bin/message/custom/typing", self._typing, methods=["POST"]),
                Route("/cgi-bin/media/get", self._media, methods=["GET"]),
                Route("/cgi-bin/get_api_domain_ip", self._addresses, methods=["GET"]),
            ]
        )

    def note_action(self, openid: str, kind: Action = "message") -> None:
        """The customer did something; a new allowance replaces what was left of the last one."""
        count, lasting = _ALLOWANCE[kind]
        now = self.clock()
        self._customers[openid] = _Customer(now, count, now + lasting)

    def revoke_token(self) -> None:
        """As when another system of the same account fetches one in the old way."""
        self._token = ""

    async def _stable_token(self, request: Request) -> Response:
        asked = _json(await request.body())
        if asked.get("appid") != self.app_id:
            return _answer(40013)
        if asked.get("secret") != self.app_secret:
            return _answer(40125)
        now = self.clock()
        if asked.get("force_refresh") or not self._token or self._expired():
            self._token = secrets.token_urlsafe(48)
            self._token_until = now + timedelta(seconds=TOKEN_SECONDS)
            self.tokens_issued += 1
        assert self._token_until is not None
        left = int((self._token_until - now).total_seconds())
        return JSONResponse({"access_token": self._token, "expires_in": left})

    async def _custom_send(self, request: Request) -> Response:
        body = _json(await request.body())
        return _answer(self._refuse_token(request) or self._refuse_customer(body) or self._deliver(body))

    async def _typing(self, request: Request) -> Response:
        body = _json(await request.body())
        return _answer(self._refuse_token(request) or self._type(body))

    async def _media(self, request: Request) -> Response:
        file = self.media.get(request.query_params.get("media_id", ""))
        if (code := self._refuse_token(request)) or file is None:
            return _answer(code or 40007)
        return Response(file[0], media_type=file[1])

    async def _addresses(self, request: Request) -> Response:
        if code := self._refuse_token(request):
            return _answer(code)
        return JSONResponse({"ip_list": ["192.0.2.1", "192.0.2.2"]})

    def _refuse_token(self, request: Request) -> int:
        if not self._token or request.query_params.get("access_token") != self._token:
            return 40001
        return 42001 if self._expired() else 0

    def _expired(self) -> bool:
        return self._token_until is None or self.clock() >= self._token_until

    def _refuse_customer(self, body: dict[str, Any]) -> int:
        if not body:
            return 47001
        if not str(body.get("touser", "")).startswith("o"):
            return 40003
        customer = self._customers.get(body["touser"])
        if customer is None or self.clock() >= customer.until:
            return 45015
        return 0 if customer.left else 45047

    def _deliver(self, body: dict[str, Any]) -> int:
        shown = _shown(body)
        if shown is None or (shown.kind == "menu" and not self.menus):
            return 40008
        if not shown.text:
            return 44004
        if len(shown.text.encode()) > TEXT_LIMIT_BYTES:
            return 45002
        customer = self._customers[shown.openid]
        customer.left -= 1
        customer.typing = False
        self.show(shown)
        return 0

    def _type(self, body: dict[str, Any]) -> int:
        customer = self._customers.get(str(body.get("touser", "")))
        if customer is None or self.clock() >= customer.acted_at + timedelta(seconds=TYPING_AFTER_SECONDS):
            return 45080
        if customer.typing:
            return 45081
        customer.typing = body.get("command") == "Typing"
        self.show(Shown(body["touser"], "typing"))
        return 0


def _shown(body: dict[str, Any]) -> Shown | None:
    if body.get("msgtype") == "text":
        return Shown(body["touser"], "text", str(body["text"]["content"]))
    if body.get("msgtype") == "msgmenu":
        menu = body["msgmenu"]
        items = tuple((str(item["id"]), str(item["content"])) for item in menu["list"])
        return Shown(body["touser"], "menu", str(menu["head_content"]), items)
    return None


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _answer(code: int) -> Response:
    return JSONResponse({"errcode": code, "errmsg": _WORDS[code]})
