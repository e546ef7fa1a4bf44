"""Plays one LINE official account: signed events of its friends, and the Messaging API through which the server replies.

It keeps what LINE keeps: reply tokens that work once and for a minute, retry keys that make a repeated push one message,
the sizes of texts and quick replies, the access token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.adapters.line.settings import LineSettings
from channels.text import size
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown

TOKEN_LIFE = timedelta(seconds=60)
MESSAGES = 5
QUICK_REPLIES = 13
LABEL = 20
TEXT = 5000
PICTURE = b"\x89PNG\r\n\x1a\n simulated"


class LinePlatform:
    """`show` is told what reaches a customer. `ways` says for each call how it came: reply or push."""

    patience_seconds = 2.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, LineSettings)
        self.account = settings.or_demo(options.vault)
        self.address = self.account.api_base
        self.ways: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._accepted: dict[str, list[dict[str, str]]] = {}
        self._actions: dict[str, dict[str, dict[str, Any]]] = {}
        self._count = 0

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v2/bot/message/reply", self._reply, methods=["POST"]),
                Route("/v2/bot/message/push", self._push, methods=["POST"]),
                Route("/v2/bot/chat/loading/start", self._loading, methods=["POST"]),
                Route("/v2/bot/info", self._info),
                Route("/v2/bot/message/{message}/content", self._content),
            ]
        )

    def know(self, user: str, user_id: str = "") -> str:
        """The id of this customer, the same in every run."""
        user_id = user_id or f"U{hashlib.sha256(f'line {user}'.encode()).hexdigest()[:32]}"
        self._users[user_id] = user
        return user_id

    def say(self, text: str, *, user: str) -> Call:
        action = self._actions.get(user, {}).get(text)
        if action is not None and action["type"] == "postback":
            return self.events(self.event(user, type="postback", postback={"data": action["data"]}))
        said = action["text"] if action is not None else text
        return self.events(self.event(user, type="message", message=self.message(type="text", text=said)))

    def event(self, user: str, **content: Any) -> dict[str, Any]:
        """With a reply token of its own."""
        self._count += 1
        now, user_id = self._clock(), self.know(user)
        token = f"rt-{self._count:06d}"
        self._tokens[token] = (user_id, now + TOKEN_LIFE)
        return {
            "mode": "active", "timestamp": int(now.timestamp() * 1000), "replyToken": token,
            "webhookEventId": f"01K5N{int(now.timestamp())}{self._count:011d}",
            "deliveryContext": {"isRedelivery": False}, "source": {"type": "user", "userId": user_id}, **content,
        }  # fmt: skip

    def message(self, **content: Any) -> dict[str, Any]:
        self._count += 1
        return {"id": str(5_800_000_000 + self._count), "quoteToken": f"q-{self._count}", **content}

    def events(self, *events: dict[str, Any]) -> Call:
        body = {"destination": self.account.bot_user_id, "events": list(events)}
        return self.signed(json.dumps(body, ensure_ascii=False).encode())

    def signed(self, body: bytes, *, secret: str = "") -> Call:
        key = (secret or self.account.channel_secret.get_secret_value()).encode()
        signature = base64.b64encode(hmac.digest(key, body, "sha256")).decode()
        return Call(body, headers={"content-type": "application/json", "x-line-signature": signature})

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "x-line-signature": "A" * 43 + "="})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _reply(self, request: Request) -> Response:
        body = await request.json()
        problem = self._problem(request, body.get("messages"))
        if problem is not None:
            return problem
        user_id, until = self._tokens.pop(str(body.get("replyToken")), ("", self._clock()))
        if not user_id or self._clock() >= until:
            return _failed(400, "Invalid reply token")
        return JSONResponse({"sentMessages": self._deliver("reply", user_id, body["messages"])})

    async def _push(self, request: Request) -> Response:
        body = await request.json()
        problem = self._problem(request, body.get("messages"))
        if problem is not None:
            return problem
        if body.get("to") not in self._users:
            return _failed(400, "The property, 'to', in the request body is invalid (line: -, column: -)")
        key = request.headers.get("x-line-retry-key", "")
        if key in self._accepted:
            answer = {"message": "The retry key is already accepted", "sentMessages": self._accepted[key]}
            return JSONResponse(answer, 409)
        sent = self._deliver("push", body["to"], body["messages"])
        if key:
            self._accepted[key] = sent
        return JSONResponse({"sentMessages": sent})

    def _deliver(self, way: str, user_id: str, messages: list[dict[str, Any]]) -> list[dict[str, str]]:
        self.ways.append(way)
        user, sent = self._users[user_id], []
        for message in messages:
            self.sent.append(message)
            actions = [one["action"] for one in message.get("quickReply", {}).get("items", ())]
            if actions:
                self._actions[user] = {action["label"]: action for action in actions}
            choices = tuple(
                (action.get("data") or action.get("text", ""), action["label"]) for action in actions
            )
            picture = message["type"] == "image"
            self._show(Shown(
                user=user, kind="media" if picture else "text", text=message.get("text", ""), choices=choices,
                url=message.get("originalContentUrl", ""),
            ))  # fmt: skip
            self._count += 1
            sent.append({"id": str(46_000_000_000 + self._count)})
        return sent

    async def _loading(self, request: Request) -> Response:
        body = await request.json()
        seconds, user_id = body.get("loadingSeconds"), body.get("chatId")
        if self._is_stranger(request):
            return _failed(401, "Authentication failed")
        if user_id not in self._users or seconds not in range(5, 61, 5):
            return _failed(400, "The request body has 1 error(s)")
        self._show(Shown(user=self._users[user_id], kind="typing"))
        return JSONResponse({}, 202)

    async def _info(self, request: Request) -> Response:
        if self._is_stranger(request):
            return _failed(401, "Authentication failed")
        return JSONResponse(
            {"userId": self.account.bot_user_id, "basicId": "@216abcd", "displayName": "Huiliu"}
        )

    async def _content(self, request: Request) -> Response:
        if self._is_stranger(request):
            return _failed(401, "Authentication failed")
        return Response(PICTURE, media_type="image/png")

    def _problem(self, request: Request, messages: Any) -> Response | None:
        if self._is_stranger(request):
            return _failed(401, "Authentication failed")
        right = isinstance(messages, list) and 0 < len(messages) <= MESSAGES and all(map(_is_right, messages))
        return None if right else _failed(400, "The request body has 1 error(s)")

    def _is_stranger(self, request: Request) -> bool:
        wanted = f"Bearer {self.account.channel_access_token.get_secret_value()}"
        return request.headers.get("authorization", "") != wanted


def _is_right(message: dict[str, Any]) -> bool:
    quick = message.get("quickReply", {}).get("items", [])
    buttons = len(quick) <= QUICK_REPLIES and all(0 < len(one["action"]["label"]) <= LABEL for one in quick)
    if message["type"] == "image":
        return buttons and str(message["originalContentUrl"]).startswith("https://")
    return buttons and 0 < size(message["text"], "utf16") <= TEXT


def _failed(status: int, sentence: str) -> Response:
    return JSONResponse({"message": sentence}, status)
