"""Plays Douyin: signed events, tokens that are refreshed, and replies within 24 hours, six for each message."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.adapters.douyin.codec import ENTERED, RECEIVED, sign
from channels.adapters.douyin.settings import DouyinSettings
from foundation.clock import Clock
from service.simulate.chat.json_platform import JsonPlatform, answer, json_of
from service.simulate.contract import Call, Options, Shown

TOKEN_DAYS, REFRESH_DAYS = 15, 30
EXTENSIONS = 5
TEXT_LIMIT = 1000
FILE = b"\x89PNG\r\n\x1a\n of Douyin"


@dataclass(slots=True)
class _Allowance:
    """What one message of a customer allows."""

    person: str
    left: int
    until: datetime
    scene: str = ""


class Douyin(JsonPlatform):
    prefix = "open-"

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(options, clock, show)
        assert isinstance(settings, DouyinSettings)
        self.settings = settings.or_demo(options.vault)
        self.tokens_issued = self.extensions = 0
        self._refresh = self.settings.refresh_token.get_secret_value()
        self._refresh_until = clock() + timedelta(days=REFRESH_DAYS)
        self._token = ""
        self._token_until = clock()
        self._allowed: dict[str, _Allowance] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth/refresh_token/", self._tokens, methods=["POST"]),
                Route("/oauth/renew_refresh_token/", self._extend, methods=["POST"]),
                Route("/im/send/msg/", self._send, methods=["POST"]),
                Route("/api/im/message/resources/", self._resource),
                Route("/files/1", self._file),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        return self.write(text, self.id_of(user))

    def write(self, text: str, person: str, *, number: str = "") -> Call:
        """`number` makes the message's id a certain one."""
        return self.message({"message_type": "text", "text": text}, person, number=number)

    def message(self, content: Mapping[str, Any], person: str, *, number: str = "") -> Call:
        own = f"@msg{number}" if number else self.next_id("@msg")
        self._allowed[own] = _Allowance(person, 6, self.clock() + timedelta(hours=24))
        return self.event(RECEIVED, {**self._head(own, person), **content}, person)

    def enter(self, person: str) -> Call:
        own = self.next_id("@enter")
        self._allowed[own] = _Allowance(person, 3, self.clock() + timedelta(seconds=30), ENTERED)
        return self.event(ENTERED, self._head(own, person), person)

    def event(self, name: str, content: Mapping[str, Any], person: str) -> Call:
        body = {
            "event": name, "client_key": self.settings.client_key, "from_user_id": person,
            "to_user_id": self.settings.open_id, "log_id": self.next_id("log"), "content": json.dumps(content),
        }  # fmt: skip
        return self.signed(json.dumps(body).encode())

    def signed(self, body: bytes) -> Call:
        proof = sign(self.settings.client_secret.get_secret_value(), body)
        headers = {
            "x-douyin-signature": proof,
            "msg-id": self.next_id("push"),
            "content-type": "application/json",
        }
        return Call(body, headers=headers)

    def check(self, challenge: int) -> Call:
        body = {
            "event": "verify_webhook",
            "client_key": self.settings.client_key,
            "content": {"challenge": challenge},
        }
        return self.signed(json.dumps(body).encode())

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "x-douyin-signature": sign("guess", call.body)})

    def revoke_token(self) -> None:
        self._token = ""

    def _head(self, own: str, person: str) -> dict[str, Any]:
        people = [
            {"open_id": person, "nick_name": "Anna"},
            {"open_id": self.settings.open_id, "nick_name": "Shop"},
        ]
        return {
            "conversation_short_id": f"@conv{person}", "server_message_id": own, "conversation_type": 1, "source": "",
            "create_time": self.milliseconds(), "user_infos": people,
        }  # fmt: skip

    async def _tokens(self, request: Request) -> Response:
        form = await request.form()
        if not self._knows(form.get("client_key"), form.get("refresh_token")):
            return _coded(10010, "refresh token expired")
        self._token = f"act.{secrets.token_hex(12)}"
        self._token_until = self.clock() + timedelta(days=TOKEN_DAYS)
        self.tokens_issued += 1
        return _coded(
            0, "", access_token=self._token, expires_in=TOKEN_DAYS * 86_400, refresh_token=self._refresh,
            refresh_expires_in=REFRESH_DAYS * 86_400, open_id=self.settings.open_id,
        )  # fmt: skip

    async def _extend(self, request: Request) -> Response:
        form = await request.form()
        if (
            not self._knows(form.get("client_key"), form.get("refresh_token"))
            or self.extensions >= EXTENSIONS
        ):
            return _coded(10020, "cannot be extended")
        self._refresh = f"rft.{secrets.token_hex(12)}"
        self._refresh_until = self.clock() + timedelta(days=REFRESH_DAYS)
        self.extensions += 1
        return _coded(0, "", refresh_token=self._refresh, expires_in=REFRESH_DAYS * 86_400)

    async def _send(self, request: Request) -> Response:
        body = await json_of(request)
        code = self._refuse_token(request) or self._refuse(body)
        if code:
            return _coded(code, "refused")
        allowance = self._allowed[body["msg_id"]]
        allowance.left -= 1
        self.show_text(allowance.person, str(body["content"]["text"]["text"]))
        return _coded(0, "", msg_id=self.next_id("@sent"))

    async def _resource(self, request: Request) -> Response:
        known = request.query_params.get("message_id") in self._allowed
        code = self._refuse_token(request) or (0 if known else 28001007)
        return _coded(code, "", media_type="image", url=f"{self.address}/files/1" if known else "")

    async def _file(self, request: Request) -> Response:
        return Response(FILE, media_type="image/png")

    def _knows(self, client_key: Any, refresh: Any) -> bool:
        given = (client_key, refresh) == (self.settings.client_key, self._refresh)
        return given and self.clock() < self._refresh_until

    def _refuse_token(self, request: Request) -> int:
        if not self._token or request.headers.get("access-token") != self._token:
            return 28001003
        if self.clock() >= self._token_until:
            return 28001008
        return 0 if request.query_params.get("open_id") == self.settings.open_id else 2190015

    def _refuse(self, body: Mapping[str, Any]) -> int:
        allowance, content = self._allowed.get(str(body.get("msg_id"))), body.get("content")
        text = content.get("text", {}).get("text") if isinstance(content, dict) else None
        if not text or len(text) > TEXT_LIMIT:
            return 28001007
        if allowance is None or self.clock() >= allowance.until:
            return 28003081
        if body.get("to_user_id") != allowance.person or body.get("scene", "") != allowance.scene:
            return 28003082
        return 0 if allowance.left else 28003070


def _coded(code: int, description: str, **data: Any) -> Response:
    extra = {"error_code": code, "description": description}
    return answer({"data": {**data, **extra}, "extra": extra})
