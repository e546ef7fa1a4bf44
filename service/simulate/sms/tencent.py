"""Plays Tencent Cloud SMS: messages to our secret address, and the API with its signature and codes.

It keeps what Tencent keeps: TC3 over the body, a fresh time, the application, the approved signature and template, the length
of its variable. Refusals of a number stand inside an answer that is a success.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.sms_tencent import signing
from channels.adapters.sms_tencent.settings import SmsTencentSettings
from foundation.clock import Clock
from foundation.security import equal
from service.simulate.contract import Call, Options, Shown
from service.simulate.sms.phones import Phones

PATIENCE_SECONDS = 5.0
FRESH_SECONDS = 300


class TencentPlatform:
    """One application. Keeps `Platform`."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, SmsTencentSettings)
        self.settings = settings.or_demo(options.vault)
        self.phones = Phones()
        self._clock = clock
        self._show = show
        self._count = 0

    @property
    def address(self) -> str:
        return self.settings.api_base

    def application(self) -> ASGIApp:
        return Starlette(routes=[Route("/", self._call, methods=["POST"])])

    def say(self, text: str, *, user: str) -> Call:
        return self.call({"mobile": self.phones.national(user), "text": text})

    def call(self, content: Mapping[str, Any]) -> Call:
        item = {
            "extend": self.settings.extend_code, "nationcode": "86", "sign": self.settings.sign_name,
            "time": int(self._clock().timestamp()), **content,
        }  # fmt: skip
        return self.post(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def post(self, body: bytes) -> Call:
        path = f"/{self.settings.path_secret.get_secret_value()}"
        return Call(body, headers={"content-type": "application/json"}, path=path)

    def forge(self, call: Call) -> Call:
        """Somebody who knows the address but for its last part."""
        return replace(call, path="/a-guess-at-the-secret")

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    async def _call(self, request: Request) -> Response:
        body = await request.body()
        if code := self._refuse_caller(request.headers, body):
            return _error(code)
        content: dict[str, Any] = json.loads(body)
        action = request.headers.get("x-tc-action", "")
        if action == "SendSms":
            return self._send(content)
        if action == "DescribeSmsTemplateList":
            known = content.get("TemplateIdSet") == [int(self.settings.template_id)]
            found = [{"TemplateId": int(self.settings.template_id), "StatusCode": 0}] if known else []
            return _answer(DescribeTemplateStatusSet=found)
        return _error("InvalidAction")

    def _send(self, content: Mapping[str, Any]) -> Response:
        statuses = []
        for number in content.get("PhoneNumberSet", []):
            code = self._refuse_message(content, number)
            self._count += 1
            serial = "" if code else f"2019:{self._count}"
            if not code:
                self._show(Shown(self.phones.user_of(number), text=content["TemplateParamSet"][0]))
            statuses.append(
                {"SerialNo": serial, "PhoneNumber": number, "Fee": 0 if code else 1, "Code": code or "Ok",
                 "SessionContext": content.get("SessionContext", ""), "Message": code, "IsoCode": "CN"}
            )  # fmt: skip
        return _answer(SendStatusSet=statuses)

    def _refuse_message(self, content: Mapping[str, Any], number: str) -> str:
        if content.get("SmsSdkAppId") != self.settings.app_id:
            return "UnauthorizedOperation.SmsSdkAppIdVerifyFail"
        if content.get("SignName") != self.settings.sign_name:
            return "FailedOperation.SignatureIncorrectOrUnapproved"
        if content.get("TemplateId") != self.settings.template_id:
            return "FailedOperation.TemplateIncorrectOrUnapproved"
        if not self.phones.is_number(number):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        values = content.get("TemplateParamSet", [])
        if len(values) != 1 or not values[0]:
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
        too_long = len(values[0]) > self.settings.variable_limit
        return "InvalidParameterValue.TemplateParameterLengthLimit" if too_long else ""

    def _refuse_caller(self, headers: Mapping[str, str], body: bytes) -> str:
        text = headers.get("x-tc-timestamp", "")
        timestamp = int(text) if text.isascii() and text.isdigit() else 0
        if abs(self._clock().timestamp() - timestamp) > FRESH_SECONDS:
            return "AuthFailure.SignatureExpire"
        given = headers.get("authorization", "")
        if f"Credential={self.settings.secret_id}/" not in given:
            return "AuthFailure.SecretIdNotFound"
        key = self.settings.secret_key.get_secret_value()
        wanted = signing.authorization(self.settings.secret_id, key, headers.get("host", ""), body, timestamp)
        right = equal(given, wanted) and headers.get("content-type") == signing.CONTENT_TYPE
        return "" if right else "AuthFailure.SignatureFailure"


def _answer(**content: object) -> Response:
    return JSONResponse({"Response": {"RequestId": "simulated", **content}})


def _error(code: str) -> Response:
    return _answer(Error={"Code": code, "Message": code})
