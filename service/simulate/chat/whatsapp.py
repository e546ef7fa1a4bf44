"""Plays WhatsApp's Cloud API by its documents: signed calls of customers, and the API for whoever replies to them.

Behind `huiliu simulate whatsapp`; tests put it behind the channel's connection. It keeps the token, the 24 hours after a
customer's message, the limits of texts, buttons and lists, and the two steps in which a file is fetched.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.whatsapp.settings import WhatsappSettings
from foundation.clock import Clock
from service.simulate.chat import meta
from service.simulate.chat.meta import Refusal, require
from service.simulate.contract import Call, Options, Shown
from service.simulate.people import People

TEXT_LIMIT, BODY_LIMITS = 4096, {"button": 1024, "list": 4096}
Handler = Callable[[Request], Awaitable[Response]]


class WhatsappPlatform:
    """One number. Its customers have a phone number and the id that Meta gives them for the business."""

    patience_seconds = 20.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WhatsappSettings)
        self.settings = settings.or_demo(options.vault)
        self.people = People("whatsapp", digits=8, prefix="861380")
        self.read: list[str] = []
        """wamids of customers' messages that were marked as read."""
        self.sent: list[dict[str, Any]] = []
        self.files: dict[str, tuple[bytes, str]] = {}
        self._clock = clock
        self._show = show
        self._secret = self.settings.app_secret.get_secret_value()
        self._token = self.settings.access_token.get_secret_value()
        self._ids = itertools.count(int(clock().timestamp() * 1000))
        self._offered: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        number = f"/{{version}}/{self.settings.phone_number_id}"
        return Starlette(
            routes=[
                Route(f"{number}/messages", self._guarded(self._messages), methods=["POST"]),
                Route(number, self._guarded(self._describe), methods=["GET"]),
                Route("/files/{media_id}", self._guarded(self._file), methods=["GET"]),
                Route("/{version}/{media_id}", self._guarded(self._locate), methods=["GET"]),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        tapped = self._offered.get(user, {}).get(text)
        content = (
            {"type": "text", "text": {"body": text}}
            if tapped is None
            else {"type": "interactive", "interactive": tapped}
        )
        return self.call(self.message(user, content))

    def message(self, user: str, content: dict[str, Any]) -> dict[str, Any]:
        """The value of a change with one message."""
        phone = self.people.wrote(user, self._clock())
        person = f"CN.{phone}55"
        self.people.wrote(user, self._clock(), person)
        about = {"from": phone, "from_user_id": person, "id": self._wamid(), "timestamp": self._now()}
        contact = {"profile": {"name": user}, "wa_id": phone, "user_id": person}
        return {"contacts": [contact], "messages": [{**about, **content}]}

    def status(self, provider_id: str, state: str, **more: Any) -> dict[str, Any]:
        """The value of a change with one receipt."""
        return {"statuses": [{"id": provider_id, "status": state, "timestamp": self._now(), **more}]}

    def call(self, *values: dict[str, Any]) -> Call:
        head = {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": "15550001111",
                "phone_number_id": self.settings.phone_number_id,
            },
        }
        changes = [{"field": "messages", "value": {**head, **value}} for value in values]
        whole = {
            "object": "whatsapp_business_account",
            "entry": [{"id": "WABA1", "changes": changes}],
        }
        return meta.signed(self._secret, whole)

    def forge(self, call: Call) -> Call:
        return meta.forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                meta.require_token(request, self._token)
                return await handler(request)
            except Refusal as refusal:
                return refusal.response()

        return answer

    async def _messages(self, request: Request) -> Response:
        body = await meta.body_of(request)
        require(body.get("messaging_product") == "whatsapp")
        if body.get("status") == "read":
            return self._mark(body)
        who = str(body.get("to") or body.get("recipient") or "")
        require(who)
        user = self.people.name_of(who)
        if user is None:
            raise Refusal(400, 131026, says="Message undeliverable")
        if body.get("type") != "template" and not self.people.may_be_written(who, self._clock()):
            raise Refusal(400, 131047, says="Re-engagement message")
        self._show(self._shown(user, body))
        self.sent.append(body)
        return JSONResponse({"messaging_product": "whatsapp", "messages": [{"id": self._wamid()}]})

    def _mark(self, body: dict[str, Any]) -> Response:
        require(str(body.get("message_id", "")).startswith("wamid."))
        self.read.append(body["message_id"])
        if body.get("typing_indicator") == {"type": "text"}:
            self._show(Shown(self.people.last_user, "typing"))
        return JSONResponse({"success": True})

    def _shown(self, user: str, body: dict[str, Any]) -> Shown:
        kind = str(body.get("type"))
        inside = body.get(kind)
        if kind == "template" and isinstance(inside, dict):
            return self._templated(user, inside)
        if kind not in ("text", "interactive", "image", "audio", "video", "document"):
            raise Refusal(400, 131051, says="Unsupported message type")
        require(isinstance(inside, dict))
        assert isinstance(inside, dict)
        if kind == "text":
            require(0 < len(inside.get("body", "")) <= TEXT_LIMIT)
            return Shown(user, "text", inside["body"])
        if kind == "interactive":
            return self._interactive(user, inside)
        require(str(inside.get("link", "")).startswith("https://"))
        require(kind != "audio" or "caption" not in inside)
        return Shown(user, "media", inside.get("caption", ""), url=inside["link"])

    def _templated(self, user: str, inside: dict[str, Any]) -> Shown:
        if inside.get("name") != self.settings.template:
            raise Refusal(404, 132001, says="Template name does not exist in the translation")
        (parameter,) = inside["components"][0]["parameters"]
        require(
            0 < len(parameter["text"]) <= 1024
            and "\n" not in parameter["text"]
            and "     " not in parameter["text"]
        )
        return Shown(user, "text", parameter["text"])

    def _interactive(self, user: str, inside: dict[str, Any]) -> Shown:
        kind, body = inside["type"], inside["body"]["text"]
        require(kind in BODY_LIMITS and 0 < len(body) <= BODY_LIMITS[kind])
        if kind == "button":
            items = [button["reply"] for button in inside["action"]["buttons"]]
            require(1 <= len(items) <= 3 and all(1 <= len(item["title"]) <= 20 for item in items))
        else:
            items = [row for section in inside["action"]["sections"] for row in section["rows"]]
            require(1 <= len(items) <= 10 and all(1 <= len(item["title"]) <= 24 for item in items))
            require(all(len(item.get("description", "")) <= 72 for item in items))
            require(1 <= len(inside["action"]["button"]) <= 20)
        require(all(1 <= len(item["id"]) <= (256 if kind == "button" else 200) for item in items))
        require(len({item["id"] for item in items}) == len({item["title"] for item in items}) == len(items))
        self._offered[user] = {
            label: {"type": f"{kind}_reply", f"{kind}_reply": {"id": item["id"], "title": item["title"]}}
            for item in items
            for label in (item["title"], item.get("description", item["title"]))
        }
        choices = tuple((item["id"], item.get("description", item["title"])) for item in items)
        return Shown(user, "text", body, choices)

    async def _describe(self, _request: Request) -> Response:
        named = {
            "display_phone_number": "+1 555-000-1111",
            "verified_name": "Demo shop",
            "quality_rating": "GREEN",
        }
        return JSONResponse({"id": self.settings.phone_number_id, **named})

    async def _locate(self, request: Request) -> Response:
        media_id = request.path_params["media_id"]
        if media_id not in self.files:
            raise Refusal(400, 100, 33, says="Object does not exist")
        _, media_type = self.files[media_id]
        url = f"{self.address.rstrip('/')}/files/{media_id}"
        return JSONResponse({"url": url, "mime_type": media_type, "id": media_id})

    async def _file(self, request: Request) -> Response:
        content, media_type = self.files[request.path_params["media_id"]]
        return Response(content, media_type=media_type)

    def _wamid(self) -> str:
        return f"wamid.{next(self._ids)}"

    def _now(self) -> str:
        return str(int(self._clock().timestamp()))
