"""XiaoAi's JSON to an utterance and a speech to XiaoAi's JSON; pure.

The conversation is with the user (with the device where nobody is logged in), so that a reply they did not wait for is said
when they come back. What waits or is left over travels in the session's attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from channels.adapters.xiaoai.settings import NAME, XiaoaiSettings
from channels.families.speakers import spoken
from channels.families.speakers.skills import Kind, Utterance, moment_of, parse_object, part_of, text_of
from channels.families.speakers.spoken import Speech
from foundation import errors
from foundation.messages import Identifier

ENTER, INSIDE, LEAVE = "0", "1", "2"
_MARK = {"open": "1"}
"""Stands in every open session, so that its absence tells that the platform hands nothing back."""

Linked = Callable[[str, datetime], tuple[Identifier, ...]]
"""What an access token of account linking proves."""


def parse(body: bytes, settings: XiaoaiSettings, received_at: datetime, linked: Linked) -> Utterance:
    """Raises `UnreadablePayload`, with code `other_app` for another skill's."""
    call = parse_object(body)
    request, session = part_of(call, "request"), part_of(call, "session")
    user, app = part_of(session, "user"), _app(call)
    user_id, device = text_of(user, "user_id"), text_of(part_of(call, "context"), "device_id")
    request_id = text_of(request, "request_id")
    if not (user_id or device) or not request_id:
        raise errors.UnreadablePayload("The call does not say from whom and what it is.")
    if settings.app_id not in ("", app):
        raise errors.UnreadablePayload("The call is for another skill.", code="other_app")
    kind, text, event = _content(call, request)
    attributes = _attributes(call, session)
    known = session.get("is_new") is True or bool(attributes)
    return Utterance(
        kind=kind, thread=user_id or device, request_id=request_id, text=text, event=event,
        sender=(*_senders(app, user_id, device), *linked(text_of(user, "access_token"), received_at)),
        sent_at=_moment(request, received_at), event_data=_data(request, session),
        memory=spoken.remembered(attributes), remembers=settings.session_memory and known,
    )  # fmt: skip


def render(speech: Speech) -> dict[str, Any]:
    answer: dict[str, Any] = {"version": "1.0", "is_session_end": not speech.keeps_open}
    if speech.keeps_open:
        answer["session_attributes"] = {**_MARK, **speech.memory}
    response: dict[str, Any] = {
        "open_mic": speech.keeps_open and bool(speech.text),
        "not_understand": False,
    }
    if speech.text:
        response["to_speak"] = {"type": 0, "text": speech.text}
        response["to_display"] = {"type": 0, "text": speech.text}
    return {**answer, "response": response}


def _content(call: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[Kind, str, str]:
    kind = text_of(request, "type")
    intent = part_of(request, "intent")
    text = text_of(call, "query") or text_of(intent, "query")
    if kind == LEAVE:
        return "end", "", ""
    if event := text_of(request, "event_type"):
        return "event", "", event
    if kind == ENTER:
        asked = intent.get("is_direct_wakeup") is True and bool(text.strip())
        return ("text", text, "") if asked else ("enter", "", "")
    if kind != INSIDE:
        return "event", "", f"type_{kind or 'missing'}"
    silent = request.get("no_response") is True or not text.strip()
    return ("silence", "", "") if silent else ("text", text, "")


def _app(call: Mapping[str, Any]) -> str:
    session = text_of(part_of(call, "session", "application"), "app_id")
    return session or text_of(part_of(call, "request", "intent"), "app_id")


def _senders(app: str, user_id: str, device: str) -> list[Identifier]:
    pairs = ((f"{NAME}:{app}", user_id), (f"{NAME}_device:{app}", device))
    return [
        Identifier(namespace=name, value=value, proven=True, device=True) for name, value in pairs if value
    ]


def _attributes(call: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    """Where the platform puts them is not confirmed."""
    for holder, name in (
        (session, "attributes"),
        (session, "session_attributes"),
        (call, "session_attributes"),
    ):
        if found := part_of(holder, name):
            return found
    return {}


def _data(request: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, str]:
    named = {"session": "new" if session.get("is_new") is True else ""}
    named["file"] = text_of(part_of(request, "event_property"), "msg_file_id")
    info = part_of(request, "slot_info") or _slots(part_of(request, "intent"))
    named["intent"] = text_of(info, "intent_name")
    slots = info.get("slots")
    for slot in slots if isinstance(slots, list) else ():
        named[f"slot.{text_of(part_of(slot), 'name')}"] = text_of(part_of(slot), "value")
    return {name: value for name, value in named.items() if value and name != "slot."}


def _slots(intent: Mapping[str, Any]) -> dict[str, Any]:
    """JSON within JSON."""
    try:
        return part_of(json.loads(text_of(intent, "slots") or "{}"))
    except (ValueError, RecursionError):
        return {}


def _moment(request: Mapping[str, Any], received_at: datetime) -> datetime:
    """Milliseconds, as a number or a text."""
    text = text_of(request, "timestamp")
    return (
        moment_of(int(text) / 1000, received_at)
        if text.isascii() and text.isdigit() and len(text) < 20
        else received_at
    )
