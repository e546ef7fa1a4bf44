"""Plays Feishu: encrypted and signed events, tokens of two hours, replies and cards with one arrival per key.

Behind `huiliu simulate feishu`; a text that stands on a button of the last card is a tap on it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.adapters.feishu.gate import encrypt, sign
from channels.adapters.feishu.settings import FeishuSettings
from foundation.clock import Clock
from service.simulate.chat.json_platform import JsonPlatform, answer, json_of, parsed
from service.simulate.contract import Call, Options, Shown

TOKEN_SECONDS = 7200
REQUEST_LIMIT = {"text": 150 * 1024, "interactive": 30 * 1024}
FILE = b"\x89PNG\r\n\x1a\n of Feishu"


class Feishu(JsonPlatform):
    prefix = "ou_"
    patience_seconds = 3.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(options, clock, show)
        assert isinstance(settings, FeishuSettings)
        self.settings = settings.or_demo(options.vault)
        self.tokens_issued = 0
        self._token = ""
        self._token_until: datetime | None = None
        self._arrived: dict[str, str] = {}
        self._asked: dict[str, str] = {}

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> Starlette:
        messages = "/open-apis/im/v1/messages"
        return Starlette(
            routes=[
                Route("/open-apis/auth/v3/tenant_access_token/internal", self._tokens, methods=["POST"]),
                Route("/open-apis/bot/v3/info", self._bot),
                Route(messages, self._write, methods=["POST"]),
                Route(f"{messages}/{{message}}/reply", self._reply, methods=["POST"]),
                Route(f"{messages}/{{message}}/resources/{{key}}", self._resource),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        identity = self.id_of(user)
        value = self.tapped(text, identity)
        return self.tap(value, identity) if value is not None else self.write(text, identity)

    def write(self, text: str, open_id: str, *, number: str = "", group: bool = False) -> Call:
        """`number` makes the message's id a certain one."""
        own = f"om_{number}" if number else self.next_id("om")
        self._asked[own] = open_id
        message = {
            "message_id": own, "create_time": str(self.milliseconds()), "chat_id": self.chat_of(open_id, group),
            "chat_type": "group" if group else "p2p", "message_type": "text", "content": json.dumps({"text": text}),
        }  # fmt: skip
        sender = {"sender_id": self._ids(open_id), "sender_type": "user", "tenant_key": "t1"}
        return self.event("im.message.receive_v1", {"sender": sender, "message": message}, number=number)

    def tap(self, value: Any, open_id: str, *, group: bool = False) -> Call:
        context = {"open_message_id": self.next_id("om"), "open_chat_id": self.chat_of(open_id, group)}
        action = {"tag": "button", "value": value}
        operator = {**self._ids(open_id), "tenant_key": "t1"}
        return self.event("card.action.trigger", {"operator": operator, "action": action, "context": context})

    def event(self, kind: str, event: Mapping[str, Any], *, number: str = "") -> Call:
        header = {
            "event_id": f"ev_{number}" if number else self.next_id("ev"), "event_type": kind,
            "create_time": str(self.milliseconds()), "app_id": self.settings.app_id, "tenant_key": "t1",
            "token": self.settings.verification_token.get_secret_value(),
        }  # fmt: skip
        return self.call({"schema": "2.0", "header": header, "event": event})

    def call(self, body: Mapping[str, Any]) -> Call:
        key = self.settings.encrypt_key.get_secret_value()
        plain = json.dumps(body).encode()
        return self.signed(json.dumps({"encrypt": encrypt(plain, key)}).encode() if key else plain)

    def signed(self, body: bytes) -> Call:
        key = self.settings.encrypt_key.get_secret_value()
        timestamp, nonce = str(int(self.clock().timestamp())), secrets.token_hex(8)
        headers = {"content-type": "application/json"}
        if key:
            headers |= {
                "x-lark-request-timestamp": timestamp,
                "x-lark-request-nonce": nonce,
                "x-lark-signature": sign(timestamp, nonce, key, body),
            }
        return Call(body, headers=headers)

    def forge(self, call: Call) -> Call:
        """Without an encrypt key the token is what a stranger does not know."""
        token = self.settings.verification_token.get_secret_value().encode()
        signature = sign("0", "0", "guess", call.body)
        return replace(
            call,
            body=call.body.replace(token, b"guess"),
            headers={**call.headers, "x-lark-signature": signature},
        )

    def chat_of(self, open_id: str, group: bool = False) -> str:
        return "oc_group" if group else f"oc_{open_id}"

    def revoke_token(self) -> None:
        self._token = ""

    def _ids(self, open_id: str) -> dict[str, str]:
        return {"open_id": open_id, "union_id": f"on_{open_id}"}

    async def _tokens(self, request: Request) -> Response:
        asked = await json_of(request)
        if asked.get("app_id") != self.settings.app_id:
            return answer({"code": 10003, "msg": "invalid param"})
        if asked.get("app_secret") != self.settings.app_secret.get_secret_value():
            return answer({"code": 10014, "msg": "app secret invalid"})
        if not self._token or self._expired():
            self._token = f"t-{secrets.token_urlsafe(24)}"
            self._token_until = self.clock() + timedelta(seconds=TOKEN_SECONDS)
            self.tokens_issued += 1
        return answer({"code": 0, "msg": "ok", "tenant_access_token": self._token, "expire": TOKEN_SECONDS})

    async def _bot(self, request: Request) -> Response:
        refused = self._refuse_token(request)
        return refused or answer({"code": 0, "msg": "ok", "bot": {"app_name": "Shop assistant"}})

    async def _write(self, request: Request) -> Response:
        body = await json_of(request)
        target, kind = str(body.get("receive_id", "")), request.query_params.get("receive_id_type", "")
        if kind not in ("open_id", "chat_id") or not target:
            return self._refuse_token(request) or answer({"code": 230001, "msg": "invalid receive_id"}, 400)
        person = target.removeprefix("oc_") if kind == "chat_id" else target
        return self._refuse_token(request) or self._deliver(body, person)

    async def _reply(self, request: Request) -> Response:
        asked = self._asked.get(request.path_params["message"])
        if asked is None:
            return self._refuse_token(request) or answer({"code": 230011, "msg": "message recalled"}, 400)
        return self._refuse_token(request) or self._deliver(await json_of(request), asked)

    async def _resource(self, request: Request) -> Response:
        found = request.path_params["message"] in self._asked
        refused = self._refuse_token(request)
        if refused or not found:
            return refused or answer({"code": 234003, "msg": "file not in message"}, 400)
        headers = {"content-disposition": "attachment"}
        return Response(FILE, media_type="image/png", headers=headers)

    def _refuse_token(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not given:
            return answer({"code": 99991661, "msg": "missing access token"}, 400)
        if given != self._token or self._expired():
            return answer({"code": 99991663, "msg": "invalid access token"}, 400)
        return None

    def _expired(self) -> bool:
        return self._token_until is None or self.clock() >= self._token_until

    def _deliver(self, body: Mapping[str, Any], open_id: str) -> Response:
        kind, content, key = body.get("msg_type"), parsed(body.get("content")), str(body.get("uuid", ""))
        if kind not in REQUEST_LIMIT or not content or len(key) > 50:
            return answer({"code": 230001, "msg": "invalid request parameter"}, 400)
        if len(json.dumps(body, ensure_ascii=False).encode()) > REQUEST_LIMIT[kind]:
            return answer({"code": 230025, "msg": "message too long"}, 400)
        if key not in self._arrived:
            self._arrived[key] = self.next_id("om")
            self._display(kind, content, open_id)
        return answer({"code": 0, "msg": "success", "data": {"message_id": self._arrived[key]}})

    def _display(self, kind: str, content: Mapping[str, Any], open_id: str) -> None:
        if kind == "text":
            self.show_text(open_id, str(content.get("text", "")))
            return
        texts, choices = [], []
        for element in content.get("elements", ()):
            if element["tag"] == "div":
                texts.append(element["text"]["content"])
            for action in element.get("actions", ()):
                choices.append((action["value"], action["text"]["content"]))
        self.show_text(open_id, "\n".join(texts), choices)
