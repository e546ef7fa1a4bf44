"""Plays an SMS gateway that speaks our JSON: signed calls to our hook, and the address that takes our messages.

It keeps the scheme: a signature that holds, a fresh time, one message for one id, and nobody who has sent STOP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.sms_generic.settings import SmsGenericSettings
from channels.contract import Webhook
from channels.families.sms import OPT_IN, OPT_OUT, keywords
from channels.platforms import standard_webhooks
from channels.platforms.signatures import secrets_of
from foundation import errors
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.sms.phones import Phones

PATIENCE_SECONDS = 15.0
TOLERANCE_SECONDS = 300.0
OTHER_SECRET = f"whsec_{base64.b64encode(b'of somebody else who tries').decode()}"


class GatewayPlatform:
    """One gateway. Keeps `Platform`."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, SmsGenericSettings)
        self.settings = settings.or_demo(options.vault)
        self.phones = Phones()
        self._clock = clock
        self._show = show
        self._stopped: set[str] = set()
        self._taken: dict[str, str] = {}
        self._count = 0

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        path = urlsplit(self.settings.api_base).path or "/"
        return Starlette(routes=[Route(path, self._message, methods=["POST"])])

    def say(self, text: str, *, user: str) -> Call:
        number = self.phones.international(user)
        event = keywords().event_of(text)
        if event == OPT_OUT:
            self._stopped.add(number)
        elif event == OPT_IN:
            self._stopped.discard(number)
        self._count += 1
        return self.call({"id": f"in-{self._now()}-{self._count}", "from": number, "text": text})

    def call(self, content: Mapping[str, Any]) -> Call:
        """A message to our number, as JSON."""
        item = {"to": self.settings.from_number, "ts": self._clock().isoformat(), "media": [], **content}
        return self.signed(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def signed(self, body: bytes, *, secret: str = "", identity: str = "") -> Call:
        self._count += 1
        name = identity or f"wh-{self._now()}-{self._count}"
        secrets = [secret] if secret else secrets_of(self.settings.secret)
        headers = standard_webhooks.headers(secrets, name, self._clock(), body)
        return Call(body, headers={**headers, "content-type": "application/json"})

    def forge(self, call: Call) -> Call:
        forged = self.signed(call.body, secret=OTHER_SECRET, identity=call.headers["webhook-id"])
        return replace(call, headers=forged.headers)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _message(self, request: Request) -> Response:
        body = await request.body()
        if not self._is_authentic(request, body):
            return _error(401, "bad_signature")
        content = json.loads(body)
        identity, number = request.headers["webhook-id"], str(content.get("to", ""))
        if identity in self._taken:
            return JSONResponse({"id": self._taken[identity]})
        if not self.phones.is_number(number):
            return _error(422, "bad_number")
        if number in self._stopped:
            return _error(422, "opted_out")
        if not content.get("text"):
            return _error(422, "empty")
        self._taken[identity] = f"out-{len(self._taken) + 1}"
        self._show(Shown(self.phones.user_of(number), text=str(content["text"])))
        return JSONResponse({"id": self._taken[identity]}, 202)

    def _is_authentic(self, request: Request, body: bytes) -> bool:
        secrets = secrets_of(self.settings.outbound_secret) or secrets_of(self.settings.secret)
        call = Webhook("POST", {}, dict(request.headers), body, self._clock())
        try:
            standard_webhooks.admit(call, secrets, tolerance_seconds=TOLERANCE_SECONDS)
        except errors.NotAuthentic:
            return False
        return True

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)


def _error(status: int, code: str) -> Response:
    return JSONResponse({"error": {"code": code}}, status)
