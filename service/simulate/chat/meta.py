"""What the simulators of Meta's messengers have in common: signed calls, refusals of the Graph API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from channels.families.meta.signature import HEADER, sign
from service.simulate.contract import Call

_JSON = {"content-type": "application/json"}


class Refusal(Exception):
    """What the Graph API answers instead: status, number, subcode."""

    def __init__(self, status: int, code: int, subcode: int = 0, *, says: str = "refused") -> None:
        super().__init__(says)
        self.status, self.code, self.subcode, self.says = status, code, subcode, says

    def response(self) -> Response:
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {self.says}",
            "type": "OAuthException",
            "code": self.code,
        }
        if self.subcode:
            error["error_subcode"] = self.subcode
        return JSONResponse({"error": error}, self.status)


def signed(app_secret: str, content: Mapping[str, Any]) -> Call:
    """As Meta posts it: ASCII with escapes, no spaces."""
    return signed_body(app_secret, json.dumps(content, separators=(",", ":")).encode())


def signed_body(app_secret: str, body: bytes) -> Call:
    return Call(body, headers={**_JSON, HEADER: sign(app_secret, body)})


def forged(call: Call) -> Call:
    return replace(call, headers={**call.headers, HEADER: sign("somebody else's secret", call.body)})


def require_token(request: Request, token: str) -> None:
    if request.headers.get("authorization") != f"Bearer {token}":
        raise Refusal(401, 190, says="Error validating access token")


async def body_of(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.body())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, 100, says="Invalid parameter")
    return value


def require(fine: object, says: str = "Invalid parameter") -> None:
    if not fine:
        raise Refusal(400, 100, says=says)
