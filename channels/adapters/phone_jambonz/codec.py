"""jambonz' JSON to what was heard, and a script to its verbs; pure. Also what is signed.

The platform signs time and body, not the address. Where a call stands is in the address, so we seal it ourselves: the seal
covers the call, and a call that somebody recorded cannot be played again as another turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.contract import BODY_LIMIT
from channels.families.speech.telephone import Heard, Line, Script, address, certainty
from channels.platforms.signatures import hmac_hex
from foundation import errors

NAME = "phone_jambonz"
SEAL = "seal"
_PAIR = re.compile(r"\s*(t|v1)=([^,\s]+)\s*", re.ASCII)
_ALIVE = ("", "trying", "ringing", "early-media", "in-progress", "queued", "alerting")
_ENDED = ("completed", "failed", "busy", "no-answer", "canceled", "cancelled")
_TAKEN_DIAL = ("completed", "answered", "in-progress")
_TAKEN_QUEUE = ("bridged", "complete", "completed")


def parse_signature(header: str) -> tuple[str, list[str]]:
    """The time and every signature of a header; empty for what is none."""
    time, signatures = "", []
    for item in header.split(","):
        pair = _PAIR.fullmatch(item)
        if pair is None:
            continue
        if pair[1] == "t":
            time = pair[2]
        else:
            signatures.append(pair[2])
    return time, signatures


def signature(secret: str, time: str, body: bytes) -> str:
    return hmac_hex(secret, time.encode("utf-8", "surrogatepass") + b"." + body)


def seal(secret: str, call: str, fields: Mapping[str, str]) -> str:
    """Over the call and where it stands."""
    named = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != SEAL)
    return hmac_hex(secret, f"line {call} {named}".encode("utf-8", "surrogatepass"))[:32]


def parse_body(body: bytes) -> dict[str, Any]:
    """Raises `UnreadablePayload` when it does not say which call it is about."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The message is not the JSON that jambonz sends.") from error
    if not isinstance(fields, dict) or not _text(fields, "call_sid"):
        raise errors.UnreadablePayload("The message does not say which call it is about.")
    return fields


def parse_call(body: bytes, query: Mapping[str, str]) -> Heard:
    fields = parse_body(body)
    state = _text(fields, "call_status").lower()
    reason = _text(fields, "reason")
    said, confidence = _speech(fields.get("speech"))
    digits = _text(fields, "digits")
    return Heard(
        call=_text(fields, "call_sid"),
        scope=_text(fields, "account_sid"),
        line=Line.of(query),
        caller=_text(fields, "from"),
        caller_name=_text(fields, "caller_name"),
        callee=_text(fields, "to"),
        speech=said,
        keys=digits,
        confidence=confidence,
        state="ended" if state in _ENDED else "alive" if state in _ALIVE else state,
        taken=_taken(fields),
        invalid=reason == "error" or (reason == "speechDetected" and not said),
    )


def render(script: Script, call: str, settings: PhoneJambonzSettings, hook: str) -> bytes:
    """The verbs, as a JSON array."""
    fields = script.line.fields()
    sealed = seal(settings.webhook_secret.get_secret_value(), call, fields)
    following = address(hook, script.line, **{SEAL: sealed})
    text = " ".join(script.says)
    say = _say(text, script, settings)
    verbs: list[dict[str, Any]] = []
    if script.then == "listen":
        verbs = [_gather(script, settings, following, say)]
    else:
        verbs = [{"verb": "say", **say}] if text else []
    if script.then == "again":
        verbs.append({"verb": "redirect", "actionHook": following})
    elif script.then == "transfer":
        verbs.append(_transfer(settings, following))
    elif script.then == "hang_up":
        verbs.append({"verb": "hangup"})
    return json.dumps(verbs, ensure_ascii=False).encode("utf-8", "replace")


def _gather(
    script: Script, settings: PhoneJambonzSettings, following: str, say: Mapping[str, Any]
) -> dict[str, Any]:
    recogniser: dict[str, Any] = {
        "vendor": settings.recognizer,
        "language": settings.tag(script.line.language),
    }
    if hints := [hint.strip() for hint in settings.hints.split(",") if hint.strip()]:
        recogniser["hints"] = hints
    ending: dict[str, Any] = {"numDigits": script.digits} if script.digits else {"finishOnKey": "#"}
    return {
        "verb": "gather", "input": ["speech", "digits"], "actionHook": following,
        "timeout": settings.listen_seconds, "bargein": True, "dtmfBargein": True, **ending,
        "recognizer": recogniser, "say": dict(say),
    }  # fmt: skip


def _say(text: str, script: Script, settings: PhoneJambonzSettings) -> dict[str, Any]:
    synthesizer = {"vendor": settings.synthesizer, "language": settings.tag(script.line.language)}
    if voice := settings.voice(script.line.language):
        synthesizer["voice"] = voice
    return {"text": text, "synthesizer": synthesizer}


def _transfer(settings: PhoneJambonzSettings, following: str) -> dict[str, Any]:
    target = settings.transfer_to
    if target.startswith("queue:"):
        return {"verb": "enqueue", "name": target.removeprefix("queue:"), "actionHook": following}
    to = (
        {"type": "sip", "sipUri": target}
        if target.startswith("sip:")
        else {"type": "phone", "number": target}
    )
    return {
        "verb": "dial", "target": [to], "actionHook": following, "timeout": settings.transfer_seconds,
        "answerOnBridge": True,
    }  # fmt: skip


def _speech(found: object) -> tuple[str, float | None]:
    """The first transcript, in either nesting that the platform has been seen to use."""
    waiting = [found]
    for _ in range(20):
        if not waiting:
            break
        one = waiting.pop(0)
        if isinstance(one, dict):
            if isinstance(text := one.get("transcript"), str) and text.strip():
                return text, certainty(one.get("confidence"))
            waiting += [one[name] for name in ("alternatives", "speech", "channel") if name in one]
        elif isinstance(one, list):
            waiting += one[:5]
    return "", None


def _taken(fields: Mapping[str, Any]) -> bool | None:
    dialled, queued = _text(fields, "dial_call_status"), _text(fields, "queue_result")
    if dialled:
        return dialled in _TAKEN_DIAL
    return queued in _TAKEN_QUEUE if queued else None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
