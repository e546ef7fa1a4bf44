"""Plays a self-built app of WeCom and one of its members for the stage, by the platform's documented rules."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.wecom_app.settings import WecomAppSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat import wecom

ENTER = "/enter"
"""Said instead of a text: the member opens the app."""


class WecomAppPlatform:
    """Keeps `contract.Platform`. `members` are those in the app's visible range, by the id in small letters."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WecomAppSettings)
        self._settings = settings.or_demo(options.vault)
        self._clock = clock
        self._show = show
        self.members: dict[str, str] = {}
        self.corporation = wecom.Corporation(self._settings, clock)

    @property
    def address(self) -> str:
        return self._settings.api_base

    def application(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/cgi-bin/gettoken", self.corporation.get_token, methods=["GET"]),
                Route("/cgi-bin/media/get", self.corporation.get_media, methods=["GET"]),
                Route("/cgi-bin/agent/get", self._agent, methods=["GET"]),
                Route("/cgi-bin/message/send", self._send, methods=["POST"]),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        member = wecom.id_of(user, "member")
        self.members[member] = user
        if text == ENTER:
            return self.call(member, {"MsgType": "event", "Event": "enter_agent", "EventKey": ""})
        message_id = str(secrets.randbits(62) + 2**62)
        return self.call(member, {"MsgType": "text", "Content": text, "MsgId": message_id})

    def call(self, member: str, fields: dict[str, str]) -> Call:
        now = self._clock()
        head = {
            "ToUserName": self._settings.corp_id, "FromUserName": member, "CreateTime": str(int(now.timestamp())),
            "AgentID": self._settings.agent_id,
        }  # fmt: skip
        return wecom.render_callback(
            self._settings, {**head, **fields}, at=now, agent_id=self._settings.agent_id
        )

    def forge(self, call: Call) -> Call:
        return wecom.forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _agent(self, request: Request) -> Response:
        if code := self.corporation.refuse(request):
            return wecom.answer(code)
        return wecom.answer(0, agentid=int(self._settings.agent_id), name="服务台")

    async def _send(self, request: Request) -> Response:
        asked = wecom.parse_json(await request.body())
        code = self.corporation.refuse(request) or self._refuse(asked)
        if code:
            return wecom.answer(code)
        names = str(asked.get("touser", "")).lower().split("|")
        strangers = [name for name in names if name not in self.members]
        if len(strangers) == len(names):
            return wecom.answer(81013)
        for name in names:
            if name in self.members:
                self._show(Shown(self.members[name], text=str(asked["text"]["content"])))
        return wecom.answer(0, invaliduser="|".join(strangers), msgid=secrets.token_hex(16))

    def _refuse(self, asked: dict[str, Any]) -> int:
        if not asked:
            return 47001
        if asked.get("msgtype") != "text" or asked.get("agentid") != int(self._settings.agent_id):
            return 40008
        text = str(asked["text"]["content"])
        if not text:
            return 44004
        return 45002 if len(text.encode()) > wecom.TEXT_LIMIT_BYTES else 0
