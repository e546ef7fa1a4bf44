"""Plays Aliyun SMS: batches to our secret address, and the OpenAPI with its signature and codes.

It keeps what Aliyun keeps: ACS3 over headers and query, a fresh time, each nonce once, the approved signature and template,
the length of its variable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.sms_aliyun import signing
from channels.adapters.sms_aliyun.settings import SmsAliyunSettings
from foundation.clock import Clock
from foundation.security import equal
from service.simulate.contract import Call, Options, Shown
from service.simulate.sms.phones import Phones

PATIENCE_SECONDS = 5.0
FRESH_SECONDS = 900
_AUTHENTICATION = {
    "InvalidAccessKeyId.NotFound": 404,
    "SignatureDoesNotMatch": 400,
    "InvalidTimeStamp.Expired": 400,
    "SignatureNonceUsed": 400,
}


class AliyunPlatform:
    """One account. Keeps `Platform`."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, SmsAliyunSettings)
        self.settings = settings.or_demo(options.vault)
        self.phones = Phones()
        self._clock = clock
        self._show = show
        self._nonces: set[str] = set()
        self._count = 0

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        return Starlette(routes=[Route("/", self._call, methods=["POST"])])

    def say(self, text: str, *, user: str) -> Call:
        return self.batch([self.item(self.phones.national(user), text)])

    def item(self, phone: str, text: str, sequence: str = "") -> dict[str, Any]:
        self._count += 1
        zone = timezone(timedelta(hours=self.settings.utc_offset_hours))
        now = self._clock()
        return {
            "phone_number": phone, "content": text, "send_time": now.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
            "dest_code": self.settings.extend_code or "1234",
            "sequence_id": sequence or f"{int(now.timestamp() * 1000)}{self._count}",
        }  # fmt: skip

    def batch(self, items: Sequence[object]) -> Call:
        return self.post(json.dumps(items, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def post(self, body: bytes) -> Call:
        path = f"/{self.settings.path_secret.get_secret_value()}"
        return Call(body, headers={"content-type": "application/json;charset=UTF-8"}, path=path)

    def forge(self, call: Call) -> Call:
        """Somebody who knows the address but for its last part."""
        return replace(call, path="/a-guess-at-the-secret")

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _call(self, request: Request) -> Response:
        query = request.scope["query_string"].decode("ascii")
        if code := self._refuse_caller(request.headers, query):
            return _answer(code, _AUTHENTICATION[code])
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        action = request.headers.get("x-acs-action", "")
        if action == "SendSms":
            return self._send(parameters)
        if action == "QuerySmsTemplate":
            known = parameters.get("TemplateCode") == self.settings.template_code
            return _answer("OK", TemplateStatus=1) if known else _answer("isv.SMS_TEMPLATE_ILLEGAL")
        return _answer("InvalidAction.NotFound", 404)

    def _send(self, parameters: Mapping[str, str]) -> Response:
        code, text = self._refuse_message(parameters)
        if code:
            return _answer(code)
        self._count += 1
        self._show(Shown(self.phones.user_of(parameters["PhoneNumbers"]), text=text))
        return _answer("OK", BizId=f"{90000000 + self._count}^0")

    def _refuse_message(self, parameters: Mapping[str, str]) -> tuple[str, str]:
        """The code, and the variable's value."""
        try:
            values = json.loads(parameters.get("TemplateParam", ""))
        except ValueError:
            return "isv.INVALID_JSON_PARAM", ""
        text = values.get(self.settings.variable) if isinstance(values, dict) else None
        if parameters.get("SignName") != self.settings.sign_name:
            return "isv.SMS_SIGNATURE_ILLEGAL", ""
        if parameters.get("TemplateCode") != self.settings.template_code:
            return "isv.SMS_TEMPLATE_ILLEGAL", ""
        if not text:
            return "isv.TEMPLATE_MISSING_PARAMETERS", ""
        if not self.phones.is_number(parameters.get("PhoneNumbers", "")):
            return "isv.MOBILE_NUMBER_ILLEGAL", ""
        return ("isv.PARAM_LENGTH_LIMIT", "") if len(text) > self.settings.variable_limit else ("", text)

    def _refuse_caller(self, headers: Mapping[str, str], query: str) -> str:
        given = headers.get("authorization", "")
        if f"Credential={self.settings.access_key_id}," not in given:
            return "InvalidAccessKeyId.NotFound"
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed = {name: headers.get(name, "") for name in {*names, "x-acs-content-sha256"}}
        secret = self.settings.access_key_secret.get_secret_value()
        if not equal(given, signing.authorization(self.settings.access_key_id, secret, signed, query)):
            return "SignatureDoesNotMatch"
        nonce = headers.get("x-acs-signature-nonce", "")
        if nonce in self._nonces:
            return "SignatureNonceUsed"
        self._nonces.add(nonce)
        try:
            moment = datetime.fromisoformat(headers.get("x-acs-date", ""))
        except ValueError:
            return "InvalidTimeStamp.Expired"
        late = abs((self._clock() - moment.astimezone(UTC)).total_seconds())
        return "InvalidTimeStamp.Expired" if late > FRESH_SECONDS else ""


def _answer(code: str, status: int = 200, **more: object) -> Response:
    return JSONResponse({"Code": code, "Message": code, "RequestId": "simulated", **more}, status)
