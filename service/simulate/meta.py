"""What the simulators of Meta's messengers have in common: signed calls, people's ids, refusals of the Graph API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from channels.meta_signature import HEADER, sign
from service.simulate.contract import Call

WINDOW = timedelta(hours=24)
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


@dataclass(slots=True)
class People:
    """Platform ids of the simulated customers and back, and until when each may be written to."""

    platform: str
    digits: int
    prefix: str = ""
    last_user: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _until: dict[str, datetime] = field(default_factory=dict)

    def id_of(self, user: str) -> str:
        """Always the same for one name."""
        number = int.from_bytes(hashlib.sha256(f"{self.platform} id of {user}".encode()).digest()[:16])
        return self.prefix + str(number).zfill(40)[-self.digits :]

    def wrote(self, user: str, at: datetime, platform_id: str = "") -> str:
        """The customer did something: the window opens anew."""
        who = platform_id or self.id_of(user)
        self.last_user = user
        self._names[who] = user
        self._until[who] = at + WINDOW
        return who

    def name_of(self, platform_id: str) -> str | None:
        return self._names.get(platform_id)

    def may_be_written(self, platform_id: str, now: datetime) -> bool:
        return now < self._until[platform_id]


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
