"""AliGenie's two protocols to an utterance, and a speech to the one that was spoken; pure.

V1 knows the user only where the console was told to send ids; else the conversation is the skill's session. It carries no
memory between turns, V2 does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from channels.adapters.aligenie.settings import NAME, AligenieSettings
from channels.families.speakers import spoken
from channels.families.speakers.skills import Kind, Utterance, moment_of, parse_object, part_of, text_of
from channels.families.speakers.spoken import Speech
from foundation import errors
from foundation.messages import Identifier

V1, V2 = "1", "2"

Linked = Callable[[str, datetime], tuple[Identifier, ...]]
"""What a token of account linking proves."""


def parse(body: bytes, settings: AligenieSettings, received_at: datetime, linked: Linked) -> Utterance:
    """Raises `UnreadablePayload`, with code `other_skill` for another skill's."""
    call = parse_object(body)
    digest = hashlib.sha256(body).hexdigest()
    if part_of(call, "context", "system"):
        return _parse_v2(call, settings, received_at, linked, digest)
    return _parse_v1(call, settings, received_at, linked, digest)


def render(heard: Utterance | None, speech: Speech, settings: AligenieSettings) -> dict[str, Any]:
    """To a call that cannot be read, what both protocols look for."""
    version = "" if heard is None else str(heard.details["version"])
    first = {} if version == V2 else _render_v1(heard, speech, settings)
    second = {} if version == V1 else _render_v2(speech, settings)
    return {**first, **second}


def _parse_v2(
    call: Mapping[str, Any], settings: AligenieSettings, received_at: datetime, linked: Linked, digest: str
) -> Utterance:
    session, system, request = (
        part_of(call, "session"),
        part_of(call, "context", "system"),
        part_of(call, "request"),
    )
    user, skill = part_of(system, "user"), text_of(part_of(system, "application"), "skillId")
    user_id, device = text_of(user, "userOpenId"), text_of(part_of(system, "device"), "deviceOpenId")
    thread = user_id or device or text_of(session, "sessionId")
    name = text_of(request, "type")
    if not (thread and name):
        raise errors.UnreadablePayload("The call does not say from whom and what it is.")
    _require_ours(skill, settings)
    kind, text, event = _content_v2(request, name)
    return Utterance(
        kind=kind, thread=thread, request_id=text_of(request, "requestId") or digest, text=text, event=event,
        sender=(*_senders(skill, thread, user), *linked(text_of(user, "accessToken"), received_at)),
        sent_at=moment_of(request.get("timestamp"), received_at), event_data=_data_v2(request, session),
        memory=spoken.remembered(session.get("attributes")), details={"version": V2},
    )  # fmt: skip


def _content_v2(request: Mapping[str, Any], name: str) -> tuple[Kind, str, str]:
    if name == "LaunchRequest":
        return "enter", "", ""
    if name == "SessionEndedRequest":
        return "end", "", ""
    if name != "IntentRequest":
        return "event", "", name
    text = text_of(part_of(request, "input"), "value")
    return ("text", text, "") if text.strip() else ("silence", "", "")


def _data_v2(request: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, str]:
    intent = part_of(request, "intent")
    named = {"intent": text_of(intent, "name"), "reason": text_of(request, "reason")}
    named["session"] = "new" if session.get("new") is True else ""
    for name, slot in part_of(intent, "slots").items():
        values = part_of(slot).get("values")
        named[f"slot.{name}"] = (
            text_of({"value": values[0]}, "value") if isinstance(values, list) and values else ""
        )
    return {name: value for name, value in named.items() if value}


def _senders(skill: str, thread: str, user: Mapping[str, Any]) -> list[Identifier]:
    found = [Identifier(namespace=f"{NAME}:{skill}", value=thread, proven=True, device=True)]
    unions = user.get("userUnionIds")
    for union in unions if isinstance(unions, list) else ():
        organisation, value = text_of(part_of(union), "organizationId"), text_of(part_of(union), "unionId")
        if value:
            found.append(Identifier(namespace=f"{NAME}_union:{organisation}", value=value, proven=True))
    return found


def _parse_v1(
    call: Mapping[str, Any], settings: AligenieSettings, received_at: datetime, linked: Linked, digest: str
) -> Utterance:
    session, given = part_of(call, "skillSession"), part_of(call, "requestData")
    thread = text_of(given, "userOpenId") or text_of(session, "skillSessionId") or text_of(call, "sessionId")
    skill, text = text_of(call, "skillId"), text_of(call, "utterance")
    if not thread or not (skill or text):
        raise errors.UnreadablePayload("The call does not say from whom and what it is.")
    _require_ours(skill, settings)
    wordless = session.get("newSession") is True and not text.strip()
    entered = wordless or text_of(call, "intentName") == settings.welcome_intent
    kind: Kind = "enter" if entered else "text" if text.strip() else "silence"
    return Utterance(
        kind=kind, thread=thread, request_id=text_of(call, "requestId") or digest,
        text=text if kind == "text" else "", sent_at=received_at, event_data=_data_v1(call, session),
        sender=(*_senders(skill, thread, {}), *linked(text_of(call, "token"), received_at)),
        remembers=False, details={"version": V1, "intent_id": call.get("intentId"), "parameter": _parameter(call)},
    )  # fmt: skip


def _slots(call: Mapping[str, Any]) -> list[dict[str, Any]]:
    slots = call.get("slotEntities")
    return [part_of(slot) for slot in slots] if isinstance(slots, list) else []


def _parameter(call: Mapping[str, Any]) -> str:
    return next((name for slot in _slots(call) if (name := text_of(slot, "intentParameterName"))), "")


def _data_v1(call: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, str]:
    named = {"intent": text_of(call, "intentName"), "confirmation": text_of(call, "confirmStatus")}
    named["session"] = "new" if session.get("newSession") is True else ""
    for slot in _slots(call):
        value = text_of(slot, "standardValue") or text_of(slot, "originalValue") or text_of(slot, "slotValue")
        named[f"slot.{text_of(slot, 'intentParameterName')}"] = value
    return {name: value for name, value in named.items() if value}


def _require_ours(skill: str, settings: AligenieSettings) -> None:
    if settings.skill_id not in ("", skill):
        raise errors.UnreadablePayload("The call is for another skill.", code="other_skill")


def _render_v1(heard: Utterance | None, speech: Speech, settings: AligenieSettings) -> dict[str, Any]:
    """The microphone stays open only for a parameter of the intent that is asked for."""
    details: Mapping[str, Any] = {} if heard is None else heard.details
    value: dict[str, Any] = {
        "reply": speech.text, "resultType": "RESULT", "properties": {}, "executeCode": "SUCCESS", "msgInfo": ""
    }  # fmt: skip
    intent_id = details.get("intent_id")
    if speech.keeps_open and isinstance(intent_id, int | str) and intent_id != "":
        asked = {"parameterName": details.get("parameter") or settings.parameter, "intentId": intent_id}
        value |= {"resultType": "ASK_INF", "askedInfos": [asked]}
    return {"returnCode": "0", "returnErrorSolution": "", "returnMessage": "", "returnValue": value}


def _render_v2(speech: Speech, settings: AligenieSettings) -> dict[str, Any]:
    listens = speech.keeps_open and bool(speech.text)
    response: dict[str, Any] = {
        "outputSpeechs": [{"type": "PlainText", "text": speech.text, "suspend": False}]
        if speech.text
        else [],
        "directives": [],
        "shouldEndSession": not speech.keeps_open,
        "expectSpeech": listens,
        "extInfo": {"needLight": listens, "needVoice": listens},
    }
    if listens and settings.slot:
        response["directives"] = [{"type": "Dialog.ElicitSlot", "slotToElicit": settings.slot}]
    return {"version": "2.0", "sessionAttributes": dict(speech.memory), "response": response}
