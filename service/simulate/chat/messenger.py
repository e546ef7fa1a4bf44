"""Plays Facebook Messenger by its documents: signed calls of customers, and the Send API for whoever replies to them.

Behind `huiliu simulate messenger`; tests put it behind the channel's connection. It keeps the token, the 24 hours after a
customer's message (7 days under the tag HUMAN_AGENT), and the limits of texts and quick replies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.messenger.settings import MessengerSettings
from foundation.clock import Clock
from service.simulate.chat import meta
from service.simulate.chat.meta import Refusal, require
from service.simulate.contract import Call, Options, Shown
from service.simulate.people import People

TEXT_LIMIT, QUICK_REPLIES, TITLE_LIMIT, PAYLOAD_LIMIT = 2000, 13, 20, 1000
BEYOND_THE_DAY = timedelta(days=6)
"""What the tag HUMAN_AGENT adds."""


class MessengerPlatform:
    """One page."""

    patience_seconds = 20.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, MessengerSettings)
        self.settings = settings.or_demo(options.vault)
        self.people = People("messenger", digits=16)
        self.sent: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self._clock = clock
        self._show = show
        self._secret = self.settings.app_secret.get_secret_value()
        self._token = self.settings.access_token.get_secret_value()
        self._ids = itertools.count(int(clock().timestamp() * 1000))
        self._offered: dict[str, dict[str, str]] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        page = f"/{{version}}/{self.settings.page_id}"
        return Starlette(
            routes=[
                Route(f"{page}/messages", self._messages, methods=["POST"]),
                Route(page, self._describe, methods=["GET"]),
                Route("/files/{name}", self._file, methods=["GET"]),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        tapped = self._offered.pop(user, {}).get(text)
        quick = {} if tapped is None else {"quick_reply": {"payload": tapped}}
        return self.call(self.item(user, message={"mid": self._mid(), "text": text, **quick}))

    def item(self, user: str, **content: Any) -> dict[str, Any]:
        """One thing that a customer did."""
        now = self._clock()
        who = self.people.wrote(user, now)
        page = {"id": self.settings.page_id}
        return {"sender": {"id": who}, "recipient": page, "timestamp": int(now.timestamp() * 1000), **content}

    def call(self, *items: dict[str, Any]) -> Call:
        moment = int(self._clock().timestamp() * 1000)
        entry = {"id": self.settings.page_id, "time": moment, "messaging": list(items)}
        return meta.signed(self._secret, {"object": "page", "entry": [entry]})

    def forge(self, call: Call) -> Call:
        return meta.forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _messages(self, request: Request) -> Response:
        try:
            meta.require_token(request, self._token)
            return self._take(await meta.body_of(request))
        except Refusal as refusal:
            return refusal.response()

    def _take(self, body: dict[str, Any]) -> Response:
        who = str(body.get("recipient", {}).get("id", ""))
        user = self.people.name_of(who)
        if user is None:
            raise Refusal(400, 100, 2018001, says="No matching user found")
        tagged = body.get("messaging_type") == "MESSAGE_TAG" and body.get("tag") == "HUMAN_AGENT"
        now = self._clock() - BEYOND_THE_DAY if tagged else self._clock()
        if not self.people.may_be_written(who, now):
            raise Refusal(403, 10, 2018278, says="Message is sent outside of allowed window")
        if action := body.get("sender_action"):
            require("message" not in body and action in ("typing_on", "typing_off", "mark_seen"))
            self._show(Shown(user, "typing"))
            return JSONResponse({"recipient_id": who})
        require(body.get("messaging_type") == "RESPONSE" or tagged)
        self._show(self._shown(user, body.get("message", {})))
        self.sent.append(body)
        return JSONResponse({"recipient_id": who, "message_id": self._mid()})

    def _shown(self, user: str, message: dict[str, Any]) -> Shown:
        if "attachment" in message:
            url, kind = message["attachment"]["payload"]["url"], message["attachment"]["type"]
            require(kind in ("image", "audio", "video", "file") and url.startswith("https://"))
            return Shown(user, "media", kind, url=url)
        text, quick = message.get("text", ""), message.get("quick_replies", [])
        require(0 < len(text) <= TEXT_LIMIT and len(quick) <= QUICK_REPLIES)
        for reply in quick:
            require(1 <= len(reply["title"]) <= TITLE_LIMIT and 1 <= len(reply["payload"]) <= PAYLOAD_LIMIT)
        self._offered[user] = {reply["title"]: reply["payload"] for reply in quick}
        return Shown(user, "text", text, tuple((reply["payload"], reply["title"]) for reply in quick))

    async def _describe(self, request: Request) -> Response:
        try:
            meta.require_token(request, self._token)
        except Refusal as refusal:
            return refusal.response()
        return JSONResponse({"id": self.settings.page_id, "name": "Demo shop"})

    async def _file(self, request: Request) -> Response:
        """Signed addresses: whoever has one gets the file."""
        return Response(self.files[request.path_params["name"]], media_type="image/jpeg")

    def _mid(self) -> str:
        return f"m_{next(self._ids)}"
