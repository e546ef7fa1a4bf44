"""Douyin's events to our message, and our reply to its body; pure.

`content` is an object in some events and a JSON text in others. Opening the chat is an event each time; a greeting is due
once a day, so all openings of one day have one id. Pictures and videos carry no address, they are asked for by message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from channels.adapters.douyin.settings import NAME
from channels.platforms.payloads import (
    at,
    canonical,
    digest,
    dump,
    list_at,
    moment,
    nested,
    parse,
    plain,
    words,
)
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, TenantId

TITLE = "Douyin"
RECEIVED, SENT, ENTERED, CHECK = "im_receive_msg", "im_send_msg", "im_enter_direct_msg", "verify_webhook"
_CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call arrived. `push_id` is the header Msg-Id, the same for all repetitions."""

    tenant: TenantId
    account: str
    client_key: str
    open_id: str
    received_at: datetime
    push_id: str = ""


def sign(secret: str, body: bytes) -> str:
    """SHA-1 over the secret and the raw body; SHA-1 is the platform's choice."""
    return hashlib.sha1(secret.encode() + body).hexdigest()  # noqa: S324  # fixed by the protocol


def challenge_of(body: bytes) -> int | str | None:
    """What the check of our address wants back, of the same type; None when it is no such check."""
    try:
        call = parse(body, TITLE)
    except errors.UnreadablePayload:
        return None
    if words(call, "event") != CHECK:
        return None
    challenge = nested(at(call, "content"), TITLE).get("challenge")
    return challenge if isinstance(challenge, int | str) else ""


def parse_call(body: bytes, place: Place) -> list[InboundMessage]:
    """Nothing for what our account wrote or did. Raises `UnreadablePayload`."""
    call = parse(body, TITLE)
    event, sender, receiver = (words(call, name) for name in ("event", "from_user_id", "to_user_id"))
    if not event:
        raise errors.UnreadablePayload("The call does not say which event it is.")
    if event == RECEIVED and not sender:
        raise errors.UnreadablePayload("The message does not say who wrote it.")
    if event in (SENT, CHECK) or sender in ("", place.open_id):
        return []
    if place.open_id and receiver not in ("", place.open_id):
        raise errors.UnreadablePayload("The message is for another account.", code="other_account")
    content = nested(at(call, "content"), TITLE)
    sent_at = moment(words(content, "create_time"), place.received_at, per_second=1000)
    named = _identity(call, content, event, place.push_id, sent_at)
    shown = _content(content) if event == RECEIVED else _event(content, event)
    name = _nickname(content, sender)
    data = shown.pop("event_data", {}) | ({"sender_name": name} if name else {})
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account,
            thread=words(content, "conversation_short_id") or sender,
            message_id=digest(NAME, place.account, sender, named),
            sender=(Identifier(namespace=f"{NAME}:{place.client_key}", value=sender, proven=True),),
            sent_at=sent_at, event_data=data, reply_context=_context(content, event), **shown,
        )
    ]  # fmt: skip


def render_send(recipient: str, text: str, context: Mapping[str, str]) -> dict[str, Any]:
    """An answer to a message needs no scene; one to an opened chat must name it."""
    body: dict[str, Any] = {
        "msg_id": context.get("msg_id", ""),
        "conversation_id": context.get("conversation_id", ""),
        "to_user_id": recipient,
        "content": {"msg_type": 1, "text": {"text": text}},
    }
    return {**body, "scene": context["scene"]} if context.get("scene") else body


def media_id(conversation: str, message: str) -> str:
    return dump([conversation, message])


def media_parts(value: str) -> tuple[str, str]:
    """Conversation and message; empty for what is not ours."""
    try:
        conversation, message = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return "", ""
    return (conversation, message) if isinstance(conversation, str) and isinstance(message, str) else ("", "")


def _identity(
    call: Mapping[str, Any], content: Mapping[str, Any], event: str, push_id: str, sent_at: datetime
) -> str:
    own = words(content, "server_message_id")
    if event == ENTERED:
        day = sent_at.astimezone(_CHINA).date().isoformat()
        return f"{event}:{words(content, 'conversation_short_id')}:{day}"
    if event == RECEIVED and own:
        return own
    return f"{event}:{push_id or words(call, 'msg_id') or canonical(call)}"


def _context(content: Mapping[str, Any], event: str) -> dict[str, str]:
    """What an answer has to name; only these two events allow one."""
    if event not in (RECEIVED, ENTERED):
        return {}
    named = {
        "msg_id": words(content, "server_message_id"),
        "conversation_id": words(content, "conversation_short_id"),
        "scene": ENTERED if event == ENTERED else "",
    }
    return {name: value for name, value in named.items() if value}


def _content(content: Mapping[str, Any]) -> dict[str, Any]:
    kind = words(content, "message_type")
    if kind == "text":
        return {"kind": "text", "text": words(content, "text") or words(content, "text", "text")}
    if kind not in _MEDIA:
        return {"kind": "unknown", "event_data": {"type": kind}}
    own, conversation = words(content, "server_message_id"), words(content, "conversation_short_id")
    attachments: tuple[Attachment, ...] = ()
    if kind.startswith("user_local_") and own:
        attachments = (Attachment(kind=_MEDIA[kind], media_id=media_id(conversation, own)),)
    return {"kind": _MEDIA[kind], "attachments": attachments, "event_data": {"type": kind}}


_MEDIA: Mapping[str, Literal["image", "video"]] = {
    "image": "image",
    "user_local_image": "image",
    "video": "video",
    "user_local_video": "video",
}


def _event(content: Mapping[str, Any], event: str) -> dict[str, Any]:
    name = "enter" if event == ENTERED else event
    return {"kind": "event", "event": name, "event_data": plain(content)}


def _nickname(content: Mapping[str, Any], sender: str) -> str:
    people = list_at(content, "user_infos")
    return next((words(one, "nick_name") for one in people if words(one, "open_id") == sender), "")
