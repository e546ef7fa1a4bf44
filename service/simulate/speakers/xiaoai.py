"""Plays XiaoAi: the customer's words as signed requests, the answers as they are heard, silence with an open microphone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC
from email.utils import format_datetime
from typing import Any

import httpx
from pydantic import BaseModel

from channels.adapters.xiaoai import gate
from channels.adapters.xiaoai.settings import NAME, XiaoaiSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.speakers.voice import CLOSE, OPEN, SILENCE, Speaker, id_of


class XiaoaiPlatform(Speaker):
    """One skill."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__(clock)
        assert isinstance(settings, XiaoaiSettings)
        self.settings = settings.or_demo(options.vault)
        self._host = httpx.URL(options.url).netloc.decode()
        self.path = f"/v1/hooks/{options.tenant}/{NAME}"

    def say(self, text: str, *, user: str) -> Call:
        if text == OPEN:
            return self.request(user, {"type": 0}, "")
        if text == CLOSE:
            return self.request(user, {"type": 2}, "")
        if text == SILENCE:
            return self.request(user, {"type": 1, "no_response": True}, "")
        session = self.session(user)
        return self.request(user, {"type": 0 if session.new else 1}, text)

    def request(self, user: str, request: dict[str, Any], query: str, *, user_id: str = "") -> Call:
        session = self.session(user)
        intent = {
            "query": query, "score": 0.8, "complete": True, "domain": "openplatform", "skillType": "Custom",
            "is_direct_wakeup": bool(query) and request.get("type") == 0, "slots": '{"intent_name":"ask","slots":[]}',
        }  # fmt: skip
        head = {
            "request_id": f"request-{self.number()}", "timestamp": int(self.clock().timestamp() * 1000),
            "locale": "zh-CN", "no_response": False, "intent": intent,
        }  # fmt: skip
        content = {
            "version": "1.0",
            "query": query,
            "session": {
                "is_new": session.new, "session_id": f"session-{session.number}", "attributes": session.attributes,
                "application": {"app_id": self.settings.app_id or "1001"},
                "user": {"user_id": user_id or id_of(user), "access_token": self.linked.get(user, ""), "is_user_login": True},
            },
            "context": {"device_id": id_of(user, "dev-"), "device_category": "soundbox", "in_exp": False},
            "request": {**head, **request},
        }  # fmt: skip
        return self.signed(json.dumps(content, ensure_ascii=False).encode())

    def signed(self, body: bytes) -> Call:
        headers = {
            "x-xiaomi-date": format_datetime(self.clock().astimezone(UTC), usegmt=True),
            "host": self._host,
            "content-type": "application/json; charset=utf-8",
            "content-md5": gate.digests(body)[0],
        }
        key_id, key = self.settings.keys[0]
        signature = gate.sign(key, "POST", self.path, "", headers)
        return Call(body, headers={**headers, "authorization": f"{gate.SCHEME} {key_id}::{signature}"})

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "authorization": f"{gate.SCHEME} k::{'0' * 64}"})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        content = answer.json()
        speech = content["response"].get("to_speak", {}).get("text", "")
        keeps_open = content.get("is_session_end") is False
        return self.told(user, speech, keeps_open=keeps_open, attributes=content.get("session_attributes"))
