"""Plays Weibo's fans service: signed calls, ids of 64 bits, and a reply interface with its window of 48 hours."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.adapters.weibo.codec import sign
from channels.adapters.weibo.settings import WeiboSettings
from foundation.clock import Clock
from service.simulate.chat.json_platform import JsonPlatform, answer, parsed
from service.simulate.contract import Call, Options, Shown

WINDOW = timedelta(hours=48)
TEXT_LIMIT = 300
FILE = b"\x89PNG\r\n\x1a\n of Weibo"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Weibo(JsonPlatform):
    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(options, clock, show)
        assert isinstance(settings, WeiboSettings)
        self.settings = settings.or_demo(options.vault)
        self._names: dict[str, str] = {}
        self._until: dict[str, datetime] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/2/messages/reply.json", self._reply, methods=["POST"]),
                Route("/2/mss/msget", self._file),
            ]
        )

    def id_of(self, user: str) -> str:
        """Beyond 32 bits, as the youngest accounts are."""
        identity = str(5 * 10**9 + int(hashlib.sha256(user.encode()).hexdigest()[:8], 16))
        self._names[identity] = user
        return identity

    def user_of(self, identity: str) -> str:
        return self._names.get(identity, identity)

    def say(self, text: str, *, user: str) -> Call:
        return self.write(text, self.id_of(user))

    def write(self, text: str, uid: str, *, number: int = 0) -> Call:
        """`number` seconds later than now: Weibo tells messages apart by nothing else."""
        return self.message({"type": "text", "text": text, "data": {}}, uid, number=number)

    def message(self, content: Mapping[str, Any], uid: str, *, number: int = 0) -> Call:
        self.note_action(uid)
        body = {
            "receiver_id": _number(self.settings.uid), "sender_id": _number(uid),
            "created_at": _date(self.clock() + timedelta(seconds=number)), "text": "", **content,
        }  # fmt: skip
        return self.signed(json.dumps(body).encode())

    def note_action(self, uid: str) -> None:
        self._until[uid] = self.clock() + WINDOW

    def signed(self, body: bytes, **query: str) -> Call:
        timestamp, nonce = str(self.milliseconds()), secrets.token_hex(4)
        proof = sign(timestamp, nonce, self.settings.app_secret.get_secret_value())
        named = {"signature": proof, "timestamp": timestamp, "nonce": nonce, **query}
        return Call(body, query=named, headers={"content-type": "application/json"})

    def check(self, echo: str) -> Call:
        return replace(self.signed(b"", echostr=echo), method="GET")

    def forge(self, call: Call) -> Call:
        proof = sign(call.query["timestamp"], call.query["nonce"], "guess")
        return replace(call, query={**call.query, "signature": proof})

    async def _reply(self, request: Request) -> Response:
        form = await request.form()
        uid, content = str(form.get("receiver_id", "")), parsed(form.get("data"))
        if form.get("access_token") != self.settings.access_token.get_secret_value():
            return _refused(21332, "invalid_access_token", 401)
        if form.get("type") != "text" or not content.get("text") or len(content["text"]) > TEXT_LIMIT:
            return _refused(10017, "param error", 400)
        if uid not in self._until or self.clock() >= self._until[uid]:
            return _refused(26403, "already replied or time out", 403)
        self.show_text(uid, str(content["text"]))
        return answer({"result": True, "receiver_id": uid, "type": "text", "data": form.get("data")})

    async def _file(self, request: Request) -> Response:
        if request.query_params.get("access_token") != self.settings.access_token.get_secret_value():
            return _refused(21332, "invalid_access_token", 401)
        return Response(FILE, media_type="image/png")


def _refused(code: int, text: str, status: int) -> Response:
    return answer({"error": text, "error_code": code, "request": "/2/messages/reply.json"}, status)


def _number(uid: str) -> int | str:
    return int(uid) if uid.isascii() and uid.isdigit() else uid


def _date(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    return f"{day} {month} {utc:%d %H:%M:%S} +0000 {utc.year}"
