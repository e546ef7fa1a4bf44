"""Plays DuerOS: the customer's words as signed requests, the certificate at its place, the answers as they are heard."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.dueros.channel import FOLDER
from channels.adapters.dueros.settings import ANY, DuerosSettings, authority_secret
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.speakers.authority import Signer
from service.simulate.speakers.voice import CLOSE, OPEN, SILENCE, Speaker, id_of

_FILE = f"demo-{secrets.token_hex(4)}.cer.txt"
"""Another name in each process: a key made anew must not meet the certificate of the last one in a cache."""


class DuerosPlatform(Speaker):
    """One skill."""

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(clock)
        assert isinstance(settings, DuerosSettings)
        self.settings = settings.or_demo(options.vault)
        name = self.settings.certificate_name
        host = "dueros-api.baidu.com" if name == ANY else name
        self.address = self.settings.api_base
        self.signer = Signer(authority_secret(options.vault), host, clock())

    @property
    def certificate_url(self) -> str:
        return f"{self.address.rstrip('/')}{FOLDER}{_FILE}"

    def application(self) -> ASGIApp:
        async def certificate(_request: Request) -> Response:
            return Response(self.signer.pem, media_type="text/plain")

        return Starlette(routes=[Route(FOLDER + _FILE, certificate)])

    def say(self, text: str, *, user: str) -> Call:
        if text == OPEN:
            return self.request(user, {"type": "LaunchRequest"})
        if text == CLOSE:
            return self.request(user, {"type": "SessionEndedRequest", "reason": "USER_INITIATED"})
        return self.spoken(user, "" if text == SILENCE else text)

    def spoken(self, user: str, text: str, intent: str = "ask") -> Call:
        intents = [{"name": intent, "confirmationStatus": "NONE", "slots": []}]
        query = {"type": "TEXT", "original": text}
        return self.request(
            user, {"type": "IntentRequest", "dialogState": "IN_PROGRESS", "query": query, "intents": intents}
        )

    def request(self, user: str, request: dict[str, Any], *, user_id: str = "") -> Call:
        session = self.session(user)
        head = {"requestId": f"request-{self.number()}", "timestamp": str(int(self.clock().timestamp()))}
        attributes: dict[str, Any] | list[Any] = session.attributes or []
        content = {
            "version": "v2.0",
            "session": {
                "new": session.new,
                "sessionId": f"session-{session.number}",
                "attributes": attributes,
            },
            "context": {
                "System": {
                    "user": {
                        "userId": user_id or id_of(user, "u-"),
                        "accessToken": self.linked.get(user, ""),
                        "userInfo": [],
                    },
                    "application": {"applicationId": self.settings.bot_id},
                    "device": {"deviceId": id_of(user, "dev-"), "supportedInterfaces": {"VoiceInput": []}},
                }
            },
            "request": {**head, **request},
        }
        return self.signed(json.dumps(content, ensure_ascii=False).encode())

    def signed(self, body: bytes) -> Call:
        signature = self.signer.sign(body, hashes.SHA1())  # noqa: S303  # the platform's choice
        headers = {"signature": signature, "signaturecerturl": self.certificate_url}
        return Call(body, headers={"content-type": "application/json", **headers})

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "signature": base64.b64encode(b"\x01" * 256).decode()})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        content = answer.json()
        response = content["response"]
        speech = response.get("outputSpeech", {}).get("text", "")
        keeps_open = response.get("shouldEndSession", True) is False
        attributes = content.get("session", {}).get("attributes")
        return self.told(user, speech, keeps_open=keeps_open, attributes=attributes)
