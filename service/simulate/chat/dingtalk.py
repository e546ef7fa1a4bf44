"""Plays DingTalk: signed callbacks, a session's address that ends, 20 messages a minute, and the OpenAPI with its token.

Behind `huiliu simulate dingtalk`; a text that stands on a button of the last card is a tap, which sends the label.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.adapters.dingtalk.codec import sign
from channels.adapters.dingtalk.settings import DingtalkSettings
from foundation.clock import Clock
from service.simulate.chat.json_platform import JsonPlatform, answer, json_of, parsed
from service.simulate.contract import Call, Options, Shown

TOKEN_SECONDS = 7200
SESSION = timedelta(minutes=90)
PER_MINUTE = 20
PARAMETERS_BYTES = 15_000
FILE = b"\x89PNG\r\n\x1a\n of DingTalk"


class Dingtalk(JsonPlatform):
    prefix = "staff"

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(options, clock, show)
        assert isinstance(settings, DingtalkSettings)
        self.settings = settings.or_demo(options.vault)
        self.tokens_issued = 0
        self.left: set[str] = set()
        """Members who left the company."""
        self._token = ""
        self._token_until: datetime | None = None
        self._sessions: dict[str, tuple[str, datetime]] = {}
        self._sent: list[datetime] = []

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> Starlette:
        robot = "/v1.0/robot"
        return Starlette(
            routes=[
                Route("/v1.0/oauth2/accessToken", self._tokens, methods=["POST"]),
                Route("/robot/sendBySession", self._by_session, methods=["POST"]),
                Route(f"{robot}/oToMessages/batchSend", self._to_people, methods=["POST"]),
                Route(f"{robot}/groupMessages/send", self._to_group, methods=["POST"]),
                Route(f"{robot}/messageFiles/download", self._download, methods=["POST"]),
                Route("/files/1", self._file),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        return self.write(self.tapped(text, self.id_of(user)) or text, self.id_of(user))

    def write(self, text: str, staff: str, *, number: str = "", **more: Any) -> Call:
        return self.message("text", {"text": {"content": text}}, staff, number=number, **more)

    def message(
        self, kind: str, content: Mapping[str, Any], staff: str, *, number: str = "", group: str = "",
        outsider: bool = False,
    ) -> Call:  # fmt: skip
        """`number` makes the message's id a certain one."""
        until, session = self.clock() + SESSION, secrets.token_hex(8)
        self._sessions[session] = (staff, until)
        body = {
            "msgtype": kind, "msgId": f"msg{number}" if number else self.next_id("msg"),
            "createAt": self.milliseconds(), "conversationType": "2" if group else "1",
            "conversationId": group or f"cid{staff}", "senderId": f"$:LWCP:{staff}", "senderNick": "Anna",
            "senderCorpId": self.settings.corp_id, "chatbotCorpId": self.settings.corp_id,
            "chatbotUserId": "$:LWCP:robot", "robotCode": self.settings.robot,
            "sessionWebhook": f"{self.address}/robot/sendBySession?session={session}",
            "sessionWebhookExpiredTime": int(until.timestamp() * 1000), **content,
        }  # fmt: skip
        known = {} if outsider else {"senderStaffId": staff}
        return self.signed(json.dumps({**body, **known}).encode())

    def signed(self, body: bytes) -> Call:
        timestamp = str(self.milliseconds())
        proof = sign(timestamp, self.settings.client_secret.get_secret_value())
        return Call(body, headers={"timestamp": timestamp, "sign": proof, "content-type": "application/json"})

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "sign": sign(str(call.headers["timestamp"]), "guess")})

    def revoke_token(self) -> None:
        self._token = ""

    async def _tokens(self, request: Request) -> Response:
        asked = await json_of(request)
        given = (asked.get("appKey"), asked.get("appSecret"))
        if given != (self.settings.client_id, self.settings.client_secret.get_secret_value()):
            return answer({"code": "invalidClientIdOrSecret", "message": "wrong key or secret"}, 400)
        self._token = secrets.token_hex(16)
        self._token_until = self.clock() + timedelta(seconds=TOKEN_SECONDS)
        self.tokens_issued += 1
        return answer({"accessToken": self._token, "expireIn": TOKEN_SECONDS})

    async def _by_session(self, request: Request) -> Response:
        staff, until = self._sessions.get(request.query_params.get("session", ""), ("", self.clock()))
        now = self.clock()
        if not staff or now >= until:
            return answer({"errcode": 300001, "errmsg": "session is over"})
        self._sent = [one for one in self._sent if now - one < timedelta(minutes=1)]
        if len(self._sent) >= PER_MINUTE:
            return answer({"errcode": 130101, "errmsg": "send too fast"})
        if not self._display(await json_of(request), staff):
            return answer({"errcode": 400002, "errmsg": "invalid message"})
        self._sent.append(now)
        return answer({"errcode": 0, "errmsg": "ok"})

    async def _to_people(self, request: Request) -> Response:
        body = await json_of(request)
        people = [str(one) for one in body.get("userIds", ())]
        return self._refuse(request, body) or self._deliver(body, people)

    async def _to_group(self, request: Request) -> Response:
        body = await json_of(request)
        return self._refuse(request, body) or self._deliver(body, [str(body.get("openConversationId"))])

    async def _download(self, request: Request) -> Response:
        refused = self._refuse_token(request)
        if refused is not None:
            return refused
        if not str((await json_of(request)).get("downloadCode", "")).startswith("code"):
            return answer({"code": "unknownError", "message": "no such file"}, 400)
        return answer({"downloadUrl": f"{self.address}/files/1"})

    async def _file(self, request: Request) -> Response:
        return Response(FILE, media_type="image/png")

    def _refuse_token(self, request: Request) -> Response | None:
        given = request.headers.get("x-acs-dingtalk-access-token", "")
        ended = self._token_until is None or self.clock() >= self._token_until
        if not given or given != self._token or ended:
            return answer({"code": "InvalidAuthentication", "message": "invalid access token"}, 401)
        return None

    def _refuse(self, request: Request, body: Mapping[str, Any]) -> Response | None:
        parameters = str(body.get("msgParam", ""))
        if (refused := self._refuse_token(request)) is not None:
            return refused
        if body.get("robotCode") != self.settings.robot or not parsed(parameters):
            return answer({"code": "invalidParameter", "message": "robot or parameters"}, 400)
        if len(parameters.encode()) > PARAMETERS_BYTES:
            return answer({"code": "invalidParameter.msgParam.tooLong", "message": "too long"}, 400)
        return None

    def _deliver(self, body: Mapping[str, Any], people: list[str]) -> Response:
        gone = [one for one in people if one in self.left]
        parameters = parsed(body["msgParam"])
        for person in people:
            if person not in gone:
                self.show_text(person, _joined(str(parameters.get("content") or parameters.get("text"))))
        lists = {"invalidStaffIdList": gone, "flowControlledStaffIdList": []}
        return answer({"processQueryKey": self.next_id("key"), **lists})

    def _display(self, body: Mapping[str, Any], staff: str) -> bool:
        kind = body.get("msgtype")
        if kind == "text":
            self.show_text(staff, str(body["text"]["content"]))
        elif kind == "markdown":
            self.show_text(staff, _joined(str(body["markdown"]["text"])))
        elif kind == "actionCard":
            card = body["actionCard"]
            buttons = [(unquote(one["actionURL"].split("content=")[1]), one["title"]) for one in card["btns"]]
            self.show_text(staff, _joined(str(card["text"])), buttons)
        return kind in ("text", "markdown", "actionCard")


def _joined(markdown: str) -> str:
    """As it looks: two blanks before a line's end are not seen."""
    return markdown.replace("  \n", "\n")
