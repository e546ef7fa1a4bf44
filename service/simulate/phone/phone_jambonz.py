"""Plays a jambonz application and its callers. Behind `huiliu simulate phone_jambonz`: a text is spoken, digits are pressed.

It runs the verbs of an answer in their order; what is not an array of verbs that it knows ends the call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.types import ASGIApp

from channels.adapters.phone_jambonz.codec import signature
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.phone.calling import CALLEE, Answer, Caller, Calling, Where, is_keys, query_of

PATIENCE_SECONDS = 10.0
VERBS = ("say", "gather", "redirect", "dial", "enqueue", "hangup", "pause")
ACCOUNT = "9351f46a-0000-4000-8000-000000000001"


class Jambonz(Calling):
    """Keeps `service.simulate.contract.Platform`."""

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__()
        assert isinstance(settings, PhoneJambonzSettings)
        self._settings = settings.or_demo(options.vault)
        self._clock = clock

    @property
    def address(self) -> str:
        return self._settings.api_base

    @property
    def patience_seconds(self) -> float:
        return PATIENCE_SECONDS

    def application(self) -> ASGIApp:
        """The channel calls no API of the platform."""
        return Starlette()

    def forge(self, call: Call) -> Call:
        time = call.headers["jambonz-signature"].partition(",")[0]
        return replace(call, headers={**call.headers, "jambonz-signature": f"{time},v1={'0' * 64}"})

    def begins(self, caller: Caller) -> Call:
        return self.request(caller, {"call_status": "trying", "sip_status": 100})

    def speaks(self, caller: Caller, text: str, where: Where) -> Call:
        if not text:
            return self.request(caller, {"reason": "timeout"}, where)
        if is_keys(text):
            return self.request(caller, {"reason": "dtmfDetected", "digits": text.rstrip("#")}, where)
        alternatives = [{"transcript": text, "confidence": 0.9}]
        speech = {"language_code": "zh-CN", "is_final": True, "alternatives": alternatives}
        return self.request(caller, {"reason": "speechDetected", "speech": speech}, where)

    def fetches(self, caller: Caller, where: Where) -> Call:
        return self.request(caller, {}, where)

    def hangs_up(self, caller: Caller) -> Call:
        return self.request(caller, {"call_status": "completed"}, {"step": "status"})

    def understand(self, answer: httpx.Response) -> Answer | None:
        try:
            verbs = answer.json() if answer.status_code == 200 else None
        except ValueError:
            return None
        if not isinstance(verbs, list) or any(verb.get("verb") not in VERBS for verb in verbs):
            return None
        says: list[str] = []
        for verb in verbs:
            name = verb["verb"]
            said = verb.get("say", {}) if name == "gather" else verb
            says += [said["text"]] if said.get("text") else []
            if name in ("gather", "redirect"):
                then: Any = "listen" if name == "gather" else "again"
                return Answer(then, query_of(verb["actionHook"]), tuple(says))
            if name in ("dial", "enqueue"):
                to = verb.get("name") or verb["target"][0].get("number") or verb["target"][0]["sipUri"]
                says.append(f"(put through to {to})")
        return Answer("over", says=tuple(says))

    def request(self, caller: Caller, fields: Mapping[str, Any], where: Where | None = None) -> Call:
        """Any request about a call, signed."""
        form = {
            "call_sid": caller.call, "account_sid": self._settings.account_sid or ACCOUNT, "direction": "inbound",
            "from": caller.number, "to": CALLEE, "call_status": "in-progress", "sip_status": 200, **fields,
        }  # fmt: skip
        return self.signed(json.dumps(form, ensure_ascii=False).encode("utf-8", "replace"), where or {})

    def signed(self, body: bytes, where: Where) -> Call:
        time = str(int(self._clock().timestamp()))
        value = signature(self._settings.webhook_secret.get_secret_value(), time, body)
        headers = {"content-type": "application/json", "jambonz-signature": f"t={time},v1={value}"}
        return Call(body, where, headers)
