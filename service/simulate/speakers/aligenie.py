"""Plays AliGenie in both of its protocols: `--mode plain` speaks V1, `--mode secure` V2; neither is signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel

from channels.adapters.aligenie.settings import AligenieSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.speakers.voice import CLOSE, OPEN, SILENCE, Speaker, id_of


class AligeniePlatform(Speaker):
    """One skill."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(clock)
        assert isinstance(settings, AligenieSettings)
        self.settings = settings.or_demo(options.vault)
        self._first = options.mode == "plain"

    def say(self, text: str, *, user: str) -> Call:
        if self._first:
            return self.first(user, "" if text == SILENCE else text, welcome=text == OPEN)
        if text == OPEN:
            return self.second(user, {"type": "LaunchRequest"})
        if text == CLOSE:
            return self.second(user, {"type": "SessionEndedRequest", "reason": "USER_INITIATED"})
        said = {"type": "TEXT", "value": "" if text == SILENCE else text}
        return self.second(
            user, {"type": "IntentRequest", "input": said, "intent": {"name": "ask", "slots": {}}}
        )

    def first(self, user: str, text: str, *, welcome: bool = False, **fields: Any) -> Call:
        session = self.session(user)
        slot = {"intentParameterName": "any", "originalValue": text, "standardValue": text, "liveTime": 0}
        content = {
            "sessionId": f"s-{session.number}", "requestId": f"request-{self.number()}", "utterance": text,
            "botId": 1, "skillId": self._skill, "skillName": "Help desk", "domainId": 3, "intentId": 4,
            "intentName": self.settings.welcome_intent if welcome else "ask",
            "requestData": {"userOpenId": id_of(user)}, "slotEntities": [slot],
            "skillSession": {"skillSessionId": f"k-{session.number}", "newSession": session.new},
        }  # fmt: skip
        return self.sent({**content, **fields})

    def second(self, user: str, request: dict[str, Any], *, user_id: str = "") -> Call:
        session = self.session(user)
        head = {"requestId": f"request-{self.number()}", "timestamp": int(self.clock().timestamp())}
        known = {
            "userOpenId": user_id or id_of(user),
            "userUnionIds": [],
            "accessToken": self.linked.get(user, ""),
        }
        system = {
            "application": {"skillId": self._skill},
            "user": known,
            "device": {"deviceOpenId": id_of(user, "d")},
        }
        return self.sent(
            {
                "version": "2.0",
                "session": {
                    "new": session.new, "sessionId": f"s-{session.number}", "attributes": session.attributes
                },
                "context": {"system": system},
                "request": {**head, **request},
            }
        )  # fmt: skip

    def sent(self, content: dict[str, Any]) -> Call:
        headers = {"content-type": "application/json"}
        if self.settings.header_name:
            headers[self.settings.header_name] = self.settings.header_value.get_secret_value()
        path = f"/{self.settings.path_secret.get_secret_value()}"
        return Call(json.dumps(content, ensure_ascii=False).encode(), headers=headers, path=path)

    def forge(self, call: Call) -> Call:
        return replace(call, path="/not-the-address-that-was-agreed")

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        content = answer.json()
        if "returnValue" in content:
            value = content["returnValue"]
            return self.told(
                user, value["reply"], keeps_open=value["resultType"] == "ASK_INF", attributes=None
            )
        response = content["response"]
        text = "".join(speech["text"] for speech in response["outputSpeechs"])
        attributes = content.get("sessionAttributes")
        return self.told(user, text, keeps_open=not response["shouldEndSession"], attributes=attributes)

    @property
    def _skill(self) -> str:
        return self.settings.skill_id or "2"
