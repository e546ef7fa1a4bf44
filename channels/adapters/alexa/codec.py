"""Alexa's JSON to an utterance and a speech to Alexa's JSON; pure.

The conversation is with the skill's user, not with one session: a reply that was not ready before the customer left is
said when they come back. What somebody says comes in the slot for free text; an intent of its own without slots counts as
its name in words ("TrackOrderIntent" is "track order"), the built-in ones as `words.yaml` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels.adapters.alexa.settings import NAME, AlexaSettings
from channels.families.speakers import spoken
from channels.families.speakers.skills import Kind, Utterance, parse_object, part_of, text_of
from channels.families.speakers.spoken import Speech
from foundation import errors
from foundation.messages import Identifier

_LEAVE = frozenset({"AMAZON.StopIntent", "AMAZON.CancelIntent", "AMAZON.NavigateHomeIntent"})
_UNHEARD = frozenset({"AMAZON.FallbackIntent"})
_WORDS = Path(__file__).parent / "words.yaml"

Linked = Callable[[str, datetime], tuple[Identifier, ...]]
"""What an access token of account linking proves."""


def parse(body: bytes, settings: AlexaSettings, received_at: datetime, linked: Linked) -> Utterance:
    """Raises `UnreadablePayload`."""
    call = parse_object(body)
    request, session, system = (
        part_of(call, "request"),
        part_of(call, "session"),
        part_of(call, "context", "System"),
    )
    user = part_of(system, "user") or part_of(session, "user")
    user_id, request_id, name = (
        text_of(user, "userId"),
        text_of(request, "requestId"),
        text_of(request, "type"),
    )
    if not (user_id and request_id and name):
        raise errors.UnreadablePayload("The call does not say from whom and what it is.")
    language = text_of(request, "locale") or "en"
    kind, text, event = _content(request, name, settings, language)
    scope = application_of(call)
    sender = [Identifier(namespace=f"{NAME}:{scope}", value=user_id, proven=True, device=True)]
    if person := text_of(part_of(system, "person"), "personId"):
        sender.append(Identifier(namespace=f"{NAME}_person:{scope}", value=person, proven=True))
    sender += linked(text_of(user, "accessToken"), received_at)
    return Utterance(
        kind=kind, thread=user_id, request_id=request_id, sender=tuple(sender), sent_at=_moment(request, received_at),
        text=text, event=event, event_data=_data(request, session), language=language,
        memory=spoken.remembered(session.get("attributes")), details={"type": name},
    )  # fmt: skip


def application_of(call: Mapping[str, Any]) -> str:
    """The skill that is called; "" where the call names none, or two."""
    system = text_of(part_of(call, "context", "System", "application"), "applicationId")
    session = text_of(part_of(call, "session", "application"), "applicationId")
    return "" if system and session and system != session else system or session


def signed_at(call: Mapping[str, Any]) -> datetime | None:
    return _read_moment(text_of(part_of(call, "request"), "timestamp"))


def is_skill_event(call: Mapping[str, Any]) -> bool:
    """Enabled, disabled, linked: delivered later than what somebody says."""
    return text_of(part_of(call, "request"), "type").startswith("AlexaSkillEvent.")


def render(heard: Utterance | None, speech: Speech, settings: AlexaSettings) -> dict[str, Any]:
    """Requests of other kinds than these three take no speech; the answer to them is empty."""
    kind = "" if heard is None else str(heard.details["type"])
    if kind not in ("", "LaunchRequest", "IntentRequest"):
        return {"version": "1.0", "response": {}}
    response: dict[str, Any] = {"shouldEndSession": not speech.keeps_open}
    if speech.text:
        response["outputSpeech"] = _plain(speech.text)
    if speech.keeps_open and speech.reprompt:
        response["reprompt"] = {"outputSpeech": _plain(speech.reprompt)}
    if speech.keeps_open and settings.elicits:
        response["directives"] = [_elicit(settings)]
    answer: dict[str, Any] = {"version": "1.0", "response": response}
    if speech.keeps_open and speech.memory:
        answer["sessionAttributes"] = dict(speech.memory)
    return answer


def _content(
    request: Mapping[str, Any], name: str, settings: AlexaSettings, language: str
) -> tuple[Kind, str, str]:
    """What was said, or what happened."""
    if name == "LaunchRequest":
        return "enter", "", ""
    if name == "SessionEndedRequest":
        return "end", "", ""
    if name != "IntentRequest":
        return "event", "", name
    intent = part_of(request, "intent")
    called = text_of(intent, "name")
    if called in _LEAVE:
        return "end", "", ""
    text = "" if called in _UNHEARD else _said(intent, called, settings, language)
    return ("text", text, "") if text.strip() else ("unheard", "", "")


def _said(intent: Mapping[str, Any], called: str, settings: AlexaSettings, language: str) -> str:
    slots = _slots(intent)
    if settings.free_text_slot in slots:
        return slots[settings.free_text_slot]
    if slots:
        return " ".join(slots.values())
    if called.startswith("AMAZON."):
        return str(_words().get(called, {}).get("zh" if language.startswith("zh") else "en", ""))
    if called == settings.free_text_intent:
        return ""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_.]+", " ", called.removesuffix("Intent"))
    return words.strip().lower()


def _slots(intent: Mapping[str, Any]) -> dict[str, str]:
    found = {str(name): text_of(part_of(slot), "value") for name, slot in part_of(intent, "slots").items()}
    return {name: value for name, value in found.items() if value}


def _data(request: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, str]:
    intent = part_of(request, "intent")
    named = {"intent": text_of(intent, "name"), "reason": text_of(request, "reason")}
    named["session"] = "new" if session.get("new") is True else ""
    slots = {f"slot.{name}": value for name, value in _slots(intent).items()}
    return {name: value for name, value in {**named, **slots}.items() if value}


def _moment(request: Mapping[str, Any], received_at: datetime) -> datetime:
    return _read_moment(text_of(request, "timestamp")) or received_at


def _read_moment(text: str) -> datetime | None:
    """ISO 8601; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _plain(text: str) -> dict[str, str]:
    return {"type": "PlainText", "text": text}


def _elicit(settings: AlexaSettings) -> dict[str, Any]:
    slot = {"name": settings.free_text_slot, "confirmationStatus": "NONE"}
    return {
        "type": "Dialog.ElicitSlot",
        "slotToElicit": settings.free_text_slot,
        "updatedIntent": {
            "name": settings.free_text_intent,
            "confirmationStatus": "NONE",
            "slots": {settings.free_text_slot: slot},
        },
    }


@cache
def _words() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded
