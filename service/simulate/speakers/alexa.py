"""Plays Alexa: the customer's words as signed requests, the certificate at its place, the answers as they are heard."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.alexa.channel import FOLDER, SIGNER
from channels.adapters.alexa.settings import AlexaSettings, authority_secret
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.speakers.authority import Signer
from service.simulate.speakers.voice import CLOSE, OPEN, SILENCE, Speaker, id_of

SPEECH_LIMIT = 8000
ANSWER_LIMIT = 24_576
_FILE = f"echo-api-cert-demo-{secrets.token_hex(4)}.pem"
"""Another name in each process: a key made anew must not meet the certificate of the last one in a cache."""


class AlexaPlatform(Speaker):
    """One skill. `say` makes intents of the model in the adapter's README."""

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(clock)
        assert isinstance(settings, AlexaSettings)
        self.settings = settings.or_demo(options.vault)
        self.address = self.settings.api_base
        self.signer = Signer(authority_secret(options.vault), SIGNER, clock())

    @property
    def chain_url(self) -> str:
        return f"{self.address.rstrip('/')}{FOLDER}{_FILE}"

    def application(self) -> ASGIApp:
        async def certificate(_request: Request) -> Response:
            return Response(self.signer.pem, media_type="application/x-pem-file")

        return Starlette(routes=[Route(FOLDER + _FILE, certificate)])

    def say(self, text: str, *, user: str) -> Call:
        if text == OPEN:
            return self.request(user, {"type": "LaunchRequest"})
        if text in (CLOSE, SILENCE):
            reason = "USER_INITIATED" if text == CLOSE else "EXCEEDED_MAX_REPROMPTS"
            return self.request(user, {"type": "SessionEndedRequest", "reason": reason})
        slot = {"name": self.settings.free_text_slot, "value": text, "confirmationStatus": "NONE"}
        return self.intent(user, self.settings.free_text_intent, {self.settings.free_text_slot: slot})

    def intent(self, user: str, name: str, slots: dict[str, Any] | None = None) -> Call:
        intent = {"name": name, "confirmationStatus": "NONE", "slots": slots or {}}
        return self.request(user, {"type": "IntentRequest", "dialogState": "STARTED", "intent": intent})

    def request(self, user: str, request: dict[str, Any], *, user_id: str = "") -> Call:
        session = self.session(user)
        known = {"userId": user_id or id_of(user, "amzn1.ask.account.")}
        known |= {"accessToken": self.linked[user]} if user in self.linked else {}
        application = {"applicationId": self.settings.skill_id}
        device = {"deviceId": id_of(user, "amzn1.ask.device."), "supportedInterfaces": {}}
        moment = self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        head = {
            "requestId": f"amzn1.echo-api.request.{self.number()}",
            "timestamp": moment,
            "locale": "en-GB",
        }
        content = {
            "version": "1.0",
            "session": {
                "new": session.new, "sessionId": f"amzn1.echo-api.session.{session.number}",
                "application": application, "attributes": session.attributes, "user": known,
            },
            "context": {"System": {"application": application, "user": known, "device": device}},
            "request": {**head, **request},
        }  # fmt: skip
        return self.signed(json.dumps(content, ensure_ascii=False).encode())

    def signed(self, body: bytes) -> Call:
        signature = self.signer.sign(body, hashes.SHA256())
        headers = {"signature-256": signature, "signaturecertchainurl": self.chain_url}
        return Call(body, headers={"content-type": "application/json;charset=utf-8", **headers})

    def forge(self, call: Call) -> Call:
        return replace(
            call, headers={**call.headers, "signature-256": base64.b64encode(b"\x01" * 256).decode()}
        )

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        if len(answer.content) > ANSWER_LIMIT:
            return self.told(
                user, "(Alexa does not take an answer this large)", keeps_open=False, attributes=None
            )
        content = answer.json()
        response = content["response"]
        speech = response.get("outputSpeech", {}).get("text", "")
        if len(speech) >= SPEECH_LIMIT:
            return self.told(
                user, "(Alexa does not take a speech this long)", keeps_open=False, attributes=None
            )
        keeps_open = response.get("shouldEndSession") is False
        return self.told(user, speech, keeps_open=keeps_open, attributes=content.get("sessionAttributes"))
