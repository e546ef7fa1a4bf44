"""What the simulators of WeCom's channels share: signed and encrypted callbacks, the access token, the words of refusals."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from channels.families.wechat.codec import render_xml
from channels.families.wechat.crypto import Cipher, sign
from channels.families.wechat.wecom import CorpSettings
from foundation.clock import Clock
from service.simulate.contract import Call

TOKEN_SECONDS = 7200
TEXT_LIMIT_BYTES = 2048

_WORDS = {
    0: "ok",
    40001: "invalid credential",
    40007: "invalid media_id",
    40008: "invalid message type",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40058: "invalid parameter",
    41001: "access_token missing",
    42001: "access_token expired",
    44004: "empty content",
    45002: "content size out of limit",
    47001: "data format error",
    81013: "no valid recipient",
    95001: "send msg count limit",
    95002: "send msg time limit",
    95004: "open_kfid not exist",
    95007: "invalid msg token",
    95013: "conversation end",
    95014: "not a servicer",
    95016: "session state change not allowed",
    95018: "send msg session status invalid",
}


@dataclass(slots=True)
class Corporation:
    """Credentials of one app, its one access token, and the files that customers sent."""

    settings: CorpSettings
    clock: Clock
    media: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    tokens_issued: int = 0
    _token: str = ""
    _until: datetime | None = None

    def revoke_token(self) -> None:
        self._token = ""

    async def get_token(self, request: Request) -> Response:
        """Asked again within its life, the same."""
        if request.query_params.get("corpid") != self.settings.corp_id:
            return answer(40013)
        if request.query_params.get("corpsecret") != self.settings.secret.get_secret_value():
            return answer(40001)
        now = self.clock()
        if not self._token or self._until is None or now >= self._until:
            self._token, self._until = secrets.token_urlsafe(48), now + timedelta(seconds=TOKEN_SECONDS)
            self.tokens_issued += 1
        left = int((self._until - now).total_seconds())
        return answer(0, access_token=self._token, expires_in=left)

    async def get_media(self, request: Request) -> Response:
        file = self.media.get(request.query_params.get("media_id", ""))
        if (code := self.refuse(request)) or file is None:
            return answer(code or 40007)
        return Response(file[0], media_type=file[1])

    def refuse(self, request: Request) -> int:
        given = request.query_params.get("access_token", "")
        if not given:
            return 41001
        if not self._token or given != self._token:
            return 40014
        return 42001 if self._until is None or self.clock() >= self._until else 0


def render_callback(
    settings: CorpSettings, fields: Mapping[str, str], *, at: datetime, nonce: str = "", agent_id: str = ""
) -> Call:
    """Signed with the current token and encrypted with the current key of `settings`."""
    encrypted = encrypt(settings, render_xml(fields))
    outside = {"ToUserName": settings.corp_id, "Encrypt": encrypted, "AgentID": agent_id}
    return Call(
        render_xml(outside), signed(settings, encrypted, at=at, nonce=nonce), {"content-type": "text/xml"}
    )


def render_greeting(settings: CorpSettings, echo: str, *, at: datetime) -> Call:
    """The check of our address."""
    encrypted = encrypt(settings, echo.encode())
    return Call(query={**signed(settings, encrypted, at=at), "echostr": encrypted}, method="GET")


def encrypt(settings: CorpSettings, message: bytes) -> str:
    return Cipher(settings.encoding_aes_key.get_secret_value(), settings.corp_id).encrypt(message)


def signed(settings: CorpSettings, encrypted: str, *, at: datetime, nonce: str = "") -> dict[str, str]:
    timestamp, nonce = str(int(at.timestamp())), nonce or secrets.token_hex(8)
    signature = sign(settings.token.get_secret_value(), timestamp, nonce, encrypted)
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}


def forged(call: Call) -> Call:
    return replace(call, query={**call.query, "msg_signature": "0" * 40})


def id_of(user: str, kind: Literal["wm", "member"]) -> str:
    """Always the same for one name, in the platform's form."""
    digest = hashlib.sha256(f"{kind} of {user}".encode()).hexdigest()
    return f"wm{digest[:30]}" if kind == "wm" else f"{user.lower()}.{digest[:6]}"


def answer(code: int, **more: Any) -> Response:
    return JSONResponse({"errcode": code, "errmsg": _WORDS[code], **more})


def parse_json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
