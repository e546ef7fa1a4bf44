"""DuerOS's JSON to an utterance and a speech to DuerOS's JSON; pure.

The conversation is with the user, so that a reply they did not wait for is said when they come back. Empty objects may
come as empty lists; times are unix seconds as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from channels.adapters.dueros.settings import NAME
from channels.families.speakers import spoken
from channels.families.speakers.skills import Kind, Utterance, moment_of, parse_object, part_of, text_of
from channels.families.speakers.spoken import Speech
from foundation import errors
from foundation.messages import Identifier

_SPOKEN = ("", "LaunchRequest", "IntentRequest")
_LEAVE = frozenset({"ai.dueros.common.stop_intent", "ai.dueros.common.cancel_intent"})
_UNHEARD = frozenset({"ai.dueros.common.default_intent"})

Linked = Callable[[str, datetime], tuple[Identifier, ...]]
"""What an access token of account linking proves."""


def parse(body: bytes, received_at: datetime, linked: Linked) -> Utterance:
    """Raises `UnreadablePayload`."""
    call = parse_object(body)
    request, session, system = (
        part_of(call, "request"),
        part_of(call, "session"),
        part_of(call, "context", "System"),
    )
    user = part_of(system, "user")
    user_id = text_of(user, "userId") or text_of(part_of(system, "extension"), "realUserId")
    request_id, name = text_of(request, "requestId"), text_of(request, "type")
    if not (user_id and request_id and name):
        raise errors.UnreadablePayload("The call does not say from whom and what it is.")
    kind, text, event = _content(request, name)
    scope = application_of(call)
    sender = [Identifier(namespace=f"{NAME}:{scope}", value=user_id, proven=True, device=True)]
    if device := text_of(part_of(system, "device"), "deviceId"):
        sender.append(Identifier(namespace=f"{NAME}_device:{scope}", value=device, proven=True, device=True))
    sender += linked(text_of(user, "accessToken"), received_at)
    return Utterance(
        kind=kind, thread=user_id, request_id=request_id, sender=tuple(sender), text=text, event=event,
        sent_at=moment_of(request.get("timestamp"), received_at), event_data=_data(request, session),
        memory=spoken.remembered(session.get("attributes")), details={"type": name},
    )  # fmt: skip


def application_of(call: Mapping[str, Any]) -> str:
    return text_of(part_of(call, "context", "System", "application"), "applicationId")


def signed_at(call: Mapping[str, Any]) -> str:
    return text_of(part_of(call, "request"), "timestamp")


def render(heard: Utterance | None, speech: Speech) -> dict[str, Any]:
    """The session's attributes are always written: what is left out would be forgotten."""
    kind = "" if heard is None else str(heard.details["type"])
    response: dict[str, Any] = {
        "directives": [],
        "shouldEndSession": not speech.keeps_open,
        "expectSpeech": speech.keeps_open and bool(speech.text),
    }
    if speech.text and kind in _SPOKEN:
        response["outputSpeech"] = _plain(speech.text)
        response["card"] = {"type": "txt", "content": speech.text}
        if speech.keeps_open and speech.reprompt:
            response["reprompt"] = {"outputSpeech": _plain(speech.reprompt)}
    return {
        "version": "2.0",
        "context": {},
        "session": {"attributes": dict(speech.memory)},
        "response": response,
    }


def _content(request: Mapping[str, Any], name: str) -> tuple[Kind, str, str]:
    if name == "SessionEndedRequest":
        return "end", "", ""
    text = text_of(part_of(request, "query"), "original")
    if name == "LaunchRequest":
        return "enter", "", ""
    if name != "IntentRequest":
        return "event", "", name
    if _intent(request) in _LEAVE:
        return "end", "", ""
    if text.strip():
        return "text", text, ""
    return ("unheard" if _intent(request) in _UNHEARD or "query" not in request else "silence"), "", ""


def _intent(request: Mapping[str, Any]) -> str:
    intents = request.get("intents")
    return text_of(part_of(intents[0]), "name") if isinstance(intents, list) and intents else ""


def _data(request: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, str]:
    intents = request.get("intents")
    first = part_of(intents[0]) if isinstance(intents, list) and intents else {}
    slots = {
        f"slot.{name}": text_of(part_of(slot), "value") for name, slot in part_of(first, "slots").items()
    }
    named = {"intent": text_of(first, "name"), "reason": text_of(request, "reason")}
    named["session"] = "new" if session.get("new") is True else ""
    return {name: value for name, value in {**named, **slots}.items() if value}


def _plain(text: str) -> dict[str, str]:
    return {"type": "PlainText", "text": text}
