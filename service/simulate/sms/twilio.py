"""Plays Twilio for SMS: signed forms to our hook, and the Messages API with its errors.

It keeps what Twilio keeps: Basic auth, who has sent STOP, 1,600 characters, a number to send from, an SID for each message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urlencode

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.sms_twilio.gate import parse_form, sign
from channels.adapters.sms_twilio.settings import NAME, SmsTwilioSettings
from channels.families.sms import OPT_IN, OPT_OUT, keywords
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.sms.phones import Phones

PATIENCE_SECONDS = 15.0
BODY_LIMIT = 1600
OUR_NUMBER = "+15005550006"
_WORDS = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    21211: (400, "Invalid 'To' phone number"),
    21602: (400, "Message body is required"),
    21603: (400, "A 'From' phone number is required"),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}


class TwilioPlatform:
    """One account. Keeps `Platform`."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, SmsTwilioSettings)
        self.settings = settings.or_demo(options.vault)
        self.phones = Phones()
        hook = f"{options.url.rstrip('/')}/v1/hooks/{options.tenant}/{NAME}"
        self._hook = self.settings.public_url or hook
        self._clock = clock
        self._show = show
        self._stopped: set[str] = set()
        self._count = 0

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        account = f"/2010-04-01/Accounts/{self.settings.account_sid}"
        return Starlette(
            routes=[
                Route(f"{account}.json", self._account, methods=["GET"]),
                Route(f"{account}/Messages.json", self._message, methods=["POST"]),
                Route("/media/{name}", self._media, methods=["GET"]),
            ]
        )

    def say(self, text: str, *, user: str) -> Call:
        """STOP and START are acted upon here, before our hook hears of them."""
        number = self.phones.international(user)
        event = keywords(platform_blocks=True).event_of(text)
        if event == OPT_OUT:
            self._stopped.add(number)
        elif event == OPT_IN:
            self._stopped.discard(number)
        return self.call({"From": number, "Body": text, "NumMedia": "0"})

    def call(self, fields: dict[str, str]) -> Call:
        """What Twilio adds, and its signature over all of it."""
        head = {
            "MessageSid": self._sid("in"), "AccountSid": self.settings.account_sid,
            "To": self.settings.from_number or OUR_NUMBER, "FromCity": "",
        }  # fmt: skip
        return self.signed(urlencode({**head, **fields}).encode())

    def status(self, sid: str, state: str, code: str = "") -> Call:
        """A status callback."""
        return self.call({"MessageSid": sid, "MessageStatus": state, "SmsStatus": state, "ErrorCode": code})

    def signed(self, body: bytes, *, token: str = "") -> Call:
        key = token or self.settings.auth_token.get_secret_value()
        signature = sign(key, self._hook.partition("#")[0], parse_form(body))
        headers = {
            "x-twilio-signature": signature,
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        return Call(body, headers=headers)

    def forge(self, call: Call) -> Call:
        other = self.signed(call.body, token=self.settings.account_sid)
        return replace(call, headers=other.headers)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _message(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        fields = {name: values[0] for name, values in form.items()}
        if code := self._refusal(request, fields):
            return _error(code)
        media = form.get("MediaUrl", [])
        self._show(
            Shown(
                self.phones.user_of(fields["To"]), text=fields.get("Body", ""), url=media[0] if media else ""
            )
        )
        sid = self._sid("out")
        return JSONResponse({"sid": sid, "status": "queued", "error_code": None}, 201)

    def _refusal(self, request: Request, fields: dict[str, str]) -> int:
        if not self._is_authentic(request):
            return 20003
        if not self.phones.is_number(fields.get("To", "")):
            return 21211
        if not fields.get("From") and not fields.get("MessagingServiceSid"):
            return 21603
        if fields["To"] in self._stopped:
            return 21610
        if not fields.get("Body") and not fields.get("MediaUrl"):
            return 21602
        return 21617 if len(fields.get("Body", "")) > BODY_LIMIT else 0

    async def _account(self, request: Request) -> Response:
        if not self._is_authentic(request):
            return _error(20003)
        return JSONResponse({"sid": self.settings.account_sid, "friendly_name": "Demo", "status": "active"})

    async def _media(self, request: Request) -> Response:
        """Only a stand-in picture, behind the account's credentials."""
        if not self._is_authentic(request):
            return _error(20003)
        return Response(b"\x89PNG\r\n\x1a\n", media_type="image/png")

    def _is_authentic(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and (user, password) == self.settings.credentials

    def _sid(self, way: str) -> str:
        self._count += 1
        seed = f"{way} {self._count} {self._clock().isoformat()}"
        return f"SM{hashlib.sha256(seed.encode()).hexdigest()[:32]}"


def _error(code: int) -> Response:
    status, sentence = _WORDS[code]
    return JSONResponse({"code": code, "message": sentence, "status": status, "more_info": ""}, status)
