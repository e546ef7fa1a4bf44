"""Plays Twilio Voice and its callers. Behind `huiliu simulate phone_twilio`: a text is spoken, digits are pressed.

It follows redirects, and treats what the documents call an error (a wrong type, XML that cannot be read) as the platform
does: with its own words, and the call is over.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode
from xml.etree.ElementTree import Element, ParseError

import httpx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.phone_twilio.codec import signature
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from foundation.clock import Clock
from foundation.security import equal
from service.simulate.contract import Call, Options, Shown
from service.simulate.phone.calling import CALLEE, Answer, Caller, Calling, Where, is_keys, query_of

PATIENCE_SECONDS = 15.0
SAY_LIMIT = 4500
"""Bytes of one <Say> when it is encoded for an address."""


class TwilioVoice(Calling):
    """Keeps `service.simulate.contract.Platform`."""

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__()
        assert isinstance(settings, PhoneTwilioSettings)
        self._settings = settings.or_demo(options.vault)
        self.hook = f"{options.url.rstrip('/')}/v1/hooks/{options.tenant}/phone_twilio"

    @property
    def address(self) -> str:
        return self._settings.api_base

    @property
    def patience_seconds(self) -> float:
        return PATIENCE_SECONDS

    def application(self) -> ASGIApp:
        return Starlette(routes=[Route("/2010-04-01/Accounts/{name}", self._account)])

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "x-twilio-signature": "0" * 28})

    def begins(self, caller: Caller) -> Call:
        return self.request(caller, {"CallStatus": "ringing"})

    def speaks(self, caller: Caller, text: str, where: Where) -> Call:
        if is_keys(text):
            return self.request(caller, {"Digits": text}, where)
        said = {"SpeechResult": text, "Confidence": "0.91"} if text else {}
        return self.request(caller, said, where)

    def fetches(self, caller: Caller, where: Where) -> Call:
        return self.request(caller, {}, where)

    def hangs_up(self, caller: Caller) -> Call:
        return self.request(caller, {"CallStatus": "completed"})

    def understand(self, answer: httpx.Response) -> Answer | None:
        document = _document(answer)
        if document is None:
            return None
        says = [say.text or "" for say in document.iter("Say")]
        if any(len(urlencode({"": text})) > SAY_LIMIT for text in says):
            return None
        gather, redirect = document.find("Gather"), document.find("Redirect")
        if gather is not None:
            return Answer("listen", query_of(gather.get("action", "")), tuple(says))
        if redirect is not None:
            return Answer("again", query_of(redirect.text or ""), tuple(says))
        for put in (*document.iter("Dial"), *document.iter("Enqueue")):
            says.append(f"(put through to {''.join(put.itertext())})")
        return Answer("over", says=tuple(says))

    def request(self, caller: Caller, fields: Mapping[str, str], where: Where | None = None) -> Call:
        """Any request about a call, signed."""
        form = {
            "CallSid": f"CA{caller.call}", "AccountSid": self._settings.account_sid, "From": caller.number,
            "To": CALLEE, "CallStatus": "in-progress", "Direction": "inbound", "FromCity": "", **fields,
        }  # fmt: skip
        return self.signed(urlencode(form).encode(), where or {})

    def signed(self, body: bytes, where: Where) -> Call:
        url = f"{self.hook}?{urlencode(where)}" if where else self.hook
        form = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": signature(self._settings.auth_token.get_secret_value(), url, form),
        }
        return Call(body, where, headers)

    async def _account(self, request: Request) -> Response:
        sid, token = self._settings.account_sid, self._settings.auth_token.get_secret_value()
        wanted = f"Basic {b64encode(f'{sid}:{token}'.encode()).decode()}"
        known = equal(request.headers.get("authorization", ""), wanted)
        if not known or request.path_params["name"] != f"{sid}.json":
            return JSONResponse({"code": 20003, "message": "Authenticate", "status": 401}, 401)
        return JSONResponse({"sid": sid, "status": "active"})


def _document(answer: httpx.Response) -> Element | None:
    if answer.status_code != 200 or "xml" not in answer.headers.get("content-type", ""):
        return None
    try:
        found = fromstring(answer.content, forbid_dtd=True)
    except (ParseError, DefusedXmlException):
        return None
    return found if found.tag == "Response" else None
