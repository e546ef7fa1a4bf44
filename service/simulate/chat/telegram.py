"""Plays Telegram's Bot API by its documents: updates of customers, and the methods for whoever replies to them.

Behind `huiliu simulate telegram`; tests put it behind the channel's connection. It keeps the token in the address, the
limits of texts, captions and buttons, blocked bots, groups that move, and the two steps in which a file is fetched.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.telegram.channel import HEADER
from channels.adapters.telegram.settings import TelegramSettings
from channels.text import size
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.people import People

TEXT_LIMIT, CAPTION_LIMIT, CALLBACK_BYTES = 4096, 1024, 64


class Refusal(Exception):
    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.content: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
        if parameters:
            self.content["parameters"] = parameters
        self.code = code


class TelegramPlatform:
    """One bot and its private chats."""

    patience_seconds = 60.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, TelegramSettings)
        self.settings = settings.or_demo(options.vault)
        self.people = People("telegram", digits=9, prefix="5")
        self.blocked: set[str] = set()
        self.moved: dict[str, str] = {}
        """Chat id → the one that took its place."""
        self.files: dict[str, bytes] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.webhook: dict[str, Any] = {"url": ""}
        self._clock = clock
        self._show = show
        self._token = self.settings.bot_token.get_secret_value()
        self._ids = itertools.count(int(clock().timestamp()))
        self._offered: dict[str, dict[str, str]] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
                Route("/file/bot{token}/{path:path}", self._file, methods=["GET"]),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        tapped = self._offered.get(user, {}).get(text)
        if tapped is None:
            return self.update("message", self.message(user, text=text))
        button = {"text": text, "callback_data": tapped}
        shown = {
            **self.message(user, text="…"),
            "from": {"id": int(self.settings.bot_id), "is_bot": True},
            "reply_markup": {"inline_keyboard": [[button]]},
        }
        query = {"id": str(next(self._ids)), "from": self._person(user), "message": shown, "data": tapped}
        return self.update("callback_query", query)

    def message(self, user: str, **content: Any) -> dict[str, Any]:
        person = self._person(user)
        chat = {"id": person["id"], "type": "private", "first_name": user}
        head = {
            "message_id": next(self._ids),
            "date": int(self._clock().timestamp()),
            "from": person,
            "chat": chat,
        }
        return {**head, **content}

    def update(self, kind: str, content: dict[str, Any]) -> Call:
        return self.signed(json.dumps({"update_id": next(self._ids), kind: content}).encode())

    def signed(self, body: bytes) -> Call:
        secret = self.settings.secret_token.get_secret_value()
        return Call(body, headers={"content-type": "application/json", HEADER: secret})

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, HEADER: "somebody-elses"})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _person(self, user: str) -> dict[str, Any]:
        who = self.people.wrote(user, self._clock())
        return {"id": int(who), "is_bot": False, "first_name": user, "language_code": "zh-hans"}

    async def _call(self, request: Request) -> Response:
        try:
            if request.path_params["token"] != self._token:
                raise Refusal(401, "Unauthorized")
            result = self._do(request.path_params["method"], await _body(request))
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.code)
        return JSONResponse({"ok": True, "result": result})

    def _do(self, method: str, body: dict[str, Any]) -> Any:
        if method == "getMe":
            return {"id": int(self.settings.bot_id), "is_bot": True, "username": "demo_shop_bot"}
        if method == "getWebhookInfo":
            return self.webhook
        if method == "getFile":
            if body.get("file_id") not in self.files:
                raise Refusal(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
            return {"file_id": body["file_id"], "file_path": f"photos/{body['file_id']}.jpg"}
        shown = self._shown(method, body)
        self._show(shown)
        self.sent.append((method, body))
        if method == "sendChatAction":
            return True
        return {"message_id": next(self._ids), "chat": {"id": body["chat_id"]}}

    def _shown(self, method: str, body: dict[str, Any]) -> Shown:
        chat = str(body.get("chat_id", ""))
        if chat in self.moved:
            raise Refusal(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=self.moved[chat]
            )  # fmt: skip
        user = self.people.name_of(chat)
        if user is None:
            raise Refusal(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        choices = self._choices(user, body.get("reply_markup", {}))
        if method == "sendMessage":
            _limit(body.get("text", ""), TEXT_LIMIT, "message")
            return Shown(user, "text", body["text"], choices)
        if method == "sendChatAction":
            return Shown(user, "typing")
        if method in ("sendLocation", "sendVenue"):
            return Shown(user, "media", f"{body['latitude']}, {body['longitude']}")
        member = {"sendPhoto": "photo", "sendVideo": "video"}.get(method)
        if member is None:
            raise Refusal(404, "Not Found")
        if not str(body.get(member, "")).startswith("https://"):
            raise Refusal(400, "Bad Request: failed to get HTTP URL content")
        _limit(body.get("caption", " "), CAPTION_LIMIT, "caption")
        return Shown(user, "media", body.get("caption", ""), choices, body[member])

    def _choices(self, user: str, markup: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        buttons = [button for line in markup.get("inline_keyboard", []) for button in line]
        if any(not 1 <= len(button["callback_data"].encode()) <= CALLBACK_BYTES for button in buttons):
            raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
        if buttons:
            self._offered[user] = {button["text"]: button["callback_data"] for button in buttons}
        return tuple((button["callback_data"], button["text"]) for button in buttons)

    async def _file(self, request: Request) -> Response:
        file_id = request.path_params["path"].removeprefix("photos/").removesuffix(".jpg")
        if request.path_params["token"] != self._token or file_id not in self.files:
            return JSONResponse({"ok": False, "error_code": 404, "description": "Not Found"}, 404)
        return Response(self.files[file_id], media_type="application/octet-stream")


def _limit(text: str, limit: int, what: str) -> None:
    if not text:
        raise Refusal(400, f"Bad Request: {what} text is empty")
    if size(text, "utf16") > limit:
        raise Refusal(400, f"Bad Request: {what} is too long")


async def _body(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.body())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "Bad Request: can't parse the request")
    return value
