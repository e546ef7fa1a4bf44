"""Plays one Slack workspace: signed events and button taps, and the Web API through which the server replies.

It keeps what Slack keeps: the bot token, who can be written to, the sizes of texts and blocks, failures in the body of a
200, threads by their parent. Customers write in direct messages, as `--user`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.adapters.slack import markup
from channels.adapters.slack.settings import SlackSettings
from channels.platforms.signatures import hmac_hex
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown

TEXT_LIMIT = 40_000
SECTION_LIMIT = 3000
ELEMENTS = 25
PICTURE = b"\x89PNG\r\n\x1a\n simulated"


class SlackPlatform:
    """`show` is told what reaches a customer. `calls` are the bodies of what the server posted, for tests."""

    patience_seconds = 3.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, SlackSettings)
        self.account = settings.or_demo(options.vault)
        self.address = self.account.api_base
        self.calls: list[dict[str, Any]] = []
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self._buttons: dict[str, dict[str, tuple[str, str]]] = {}
        self._count = 0

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/chat.postMessage", self._post, methods=["POST"]),
                Route("/api/auth.test", self._test, methods=["POST"]),
                Route("/api/files.info", self._file_info),
                Route("/files/{file}", self._file),
            ]
        )

    def know(self, user: str, user_id: str = "") -> str:
        """The id of this customer, the same in every run; also that of their direct channel, behind a D."""
        user_id = user_id or f"U{hashlib.sha256(f'slack {user}'.encode()).hexdigest()[:10].upper()}"
        self._users[user_id] = user
        return user_id

    def say(self, text: str, *, user: str) -> Call:
        tapped = self._buttons.get(user, {}).get(text)
        if tapped is not None:
            return self.tap(user, label=text, value=tapped[0], message_ts=tapped[1])
        user_id = self.know(user)
        event = {
            "type": "message", "channel": f"D{user_id}", "channel_type": "im", "user": user_id,
            "text": markup.escape(text), "ts": self._next_ts(),
        }  # fmt: skip
        return self.event(event)

    def event(self, event: Mapping[str, Any], **outside: Any) -> Call:
        """Any event of the Events API, in its envelope."""
        envelope = {
            "type": "event_callback", "api_app_id": self.account.app_id, "team_id": self.account.team_id,
            "event_id": f"Ev{self._count:08d}", "event_time": int(self._clock().timestamp()), "event": event,
            "authorizations": [
                {"team_id": self.account.team_id, "user_id": self.account.bot_user_id, "is_bot": True}
            ],
            **outside,
        }  # fmt: skip
        return self.signed(json.dumps(envelope).encode())

    def tap(self, user: str, *, label: str, value: str, message_ts: str) -> Call:
        user_id = self.know(user)
        payload = {
            "type": "block_actions", "api_app_id": self.account.app_id, "team": {"id": self.account.team_id},
            "user": {"id": user_id, "name": user}, "channel": {"id": f"D{user_id}", "name": "directmessage"},
            "container": {"type": "message", "message_ts": message_ts, "channel_id": f"D{user_id}"},
            "message": {"type": "message", "ts": message_ts, "bot_id": "B01"},
            "actions": [{
                "type": "button", "action_id": "choice_0", "block_id": "b", "value": value,
                "text": {"type": "plain_text", "text": label}, "action_ts": self._next_ts(),
            }],
        }  # fmt: skip
        form = urlencode({"payload": json.dumps(payload)}).encode()
        return self.signed(form, "application/x-www-form-urlencoded")

    def signed(
        self, body: bytes, media_type: str = "application/json", *, secret: str = "", at: int = 0
    ) -> Call:
        stamp = str(at or int(self._clock().timestamp()))
        secret = secret or self.account.signing_secret.get_secret_value()
        signature = f"v0={hmac_hex(secret, b':'.join((b'v0', stamp.encode(), body)))}"
        headers = {
            "content-type": media_type, "x-slack-request-timestamp": stamp, "x-slack-signature": signature,
        }  # fmt: skip
        return Call(body, headers=headers)

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "x-slack-signature": f"v0={'0' * 64}"})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _next_ts(self) -> str:
        self._count += 1
        return f"{int(self._clock().timestamp())}.{self._count:06d}"

    async def _post(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        problem = self._problem(request) or _too_much(body)
        place = str(body.get("channel", ""))
        user = self._users.get(place) or self._users.get(place.removeprefix("D"))
        if problem or user is None:
            return _failed(problem or "channel_not_found")
        ts = self._next_ts()
        elements = [one for block in body.get("blocks", ()) for one in block.get("elements", ())]
        choices = tuple((str(one["value"]), str(one["text"]["text"])) for one in elements)
        if choices:
            self._buttons[user] = {label: (value, ts) for value, label in choices}
        self.calls.append(body)
        self._show(Shown(user=user, text=markup.unescape(str(body.get("text", ""))), choices=choices))
        return JSONResponse({"ok": True, "channel": place, "ts": ts})

    async def _test(self, request: Request) -> Response:
        problem = self._problem(request)
        found = {"ok": True, "team": "Simulated", "user": "huiliu", "user_id": self.account.bot_user_id}
        return _failed(problem) if problem else JSONResponse(found)

    async def _file_info(self, request: Request) -> Response:
        problem = self._problem(request)
        url = f"{self.address}/files/{request.query_params.get('file', '')}"
        return _failed(problem) if problem else JSONResponse({"ok": True, "file": {"url_private": url}})

    async def _file(self, request: Request) -> Response:
        """Without the token Slack shows its sign-in page, with status 200."""
        if self._problem(request):
            return Response("<html>sign in</html>", media_type="text/html")
        return Response(PICTURE, media_type="image/png")

    def _problem(self, request: Request) -> str:
        given = request.headers.get("authorization", "")
        return "" if given == f"Bearer {self.account.bot_token.get_secret_value()}" else "invalid_auth"


def _failed(code: str) -> Response:
    return JSONResponse({"ok": False, "error": code})


def _too_much(body: Mapping[str, Any]) -> str:
    blocks = body.get("blocks", ())
    if not body.get("text") and not blocks:
        return "no_text"
    if len(str(body.get("text", ""))) > TEXT_LIMIT:
        return "msg_too_long"
    sections = [len(block["text"]["text"]) for block in blocks if block["type"] == "section"]
    elements = [len(block["elements"]) for block in blocks if block["type"] == "actions"]
    wrong = any(not 0 < size <= SECTION_LIMIT for size in sections) or any(
        not 0 < count <= ELEMENTS for count in elements
    )
    return "invalid_blocks" if wrong else ""
