"""Telegram's updates to our messages; pure.

`channel.py` calls it. A message is known by its chat and number, so that the same message under another update id is still
one; an edit also by its time, a tapped button by its query. Other bots, channels and our own messages say nothing to us.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from channels.platforms.payloads import (
    Fields,
    child,
    digest,
    fingerprint,
    items,
    moment,
    number,
    parse,
    plain,
    text,
)
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

NAME = "telegram"
TITLE = "Telegram"

_START = re.compile(r"/start(?:@\w+)?(?:\s+(.*))?", re.S)
_DEEP_LINK = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COMMAND = re.compile(r"(/\w+)@\w+")
_MENTION = re.compile(r"@\w*bot\b[\s,，:：]*", re.I)
"""Names of bots end in bot; at the beginning of a message in a group it calls us."""
_SILENT = frozenset({"channel_post", "edited_channel_post"})
_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "animation": "video",
    "audio": "voice",
    "document": "file",
    "photo": "image",
    "sticker": "image",
    "video": "video",
    "video_note": "video",
    "voice": "voice",
}
"""In this order: an animation also comes as a document."""
_SERVICE = (
    "new_chat_members",
    "left_chat_member",
    "group_chat_created",
    "supergroup_chat_created",
    "migrate_to_chat_id",
    "migrate_from_chat_id",
    "pinned_message",
    "new_chat_title",
    "message_auto_delete_timer_changed",
)
_MEMBERSHIP = {"kicked": "blocked", "left": "blocked", "member": "unblocked", "administrator": "unblocked"}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Who said something where."""

    sender: Fields
    chat: Fields
    topic: str
    key: tuple[str, ...]
    sent_at: datetime
    context: Mapping[str, str]


def read(
    body: bytes, *, tenant: TenantId, account: str, bot_id: str, received_at: datetime
) -> list[InboundMessage]:
    """At most one. Raises `UnreadablePayload` for what is no update."""
    update = parse(body, TITLE)
    update_id = text(update.get("update_id"))
    kinds = [name for name, value in update.items() if name != "update_id" and isinstance(value, dict)]
    if not update_id or not kinds:
        raise errors.UnreadablePayload("The message is not an update of Telegram's.")
    kind = kinds[0]
    inside = child(update[kind])
    frame = _frame(kind, inside, update_id, received_at)
    sender_id, chat_id = text(frame.sender.get("id")), text(frame.chat.get("id"))
    if kind in _SILENT or not sender_id or frame.sender.get("is_bot") is True:
        return []
    content = _content(kind, inside)
    about = {"sender_name": _name(frame.sender), "sender_language": text(frame.sender.get("language_code"))}
    content["event_data"] = content.get("event_data", {}) | {
        name: said for name, said in about.items() if said
    }
    where = chat_id or sender_id
    return [
        InboundMessage(
            tenant=tenant,
            channel=NAME,
            account=account,
            thread=f"{where}:{frame.topic}" if frame.topic else where,
            message_id=MessageId(digest(NAME, account, bot_id, sender_id, *frame.key)),
            sender=(Identifier(namespace=f"{NAME}:{bot_id}", value=sender_id, proven=True),),
            sent_at=frame.sent_at,
            reply_context={"chat_id": where, **frame.context},
            **content,
        )
    ]  # fmt: skip


def query_of(body: bytes) -> str:
    """The id of a tapped button that waits for an answer; "" for every other update. Never raises."""
    try:
        return text(child(parse(body, TITLE).get("callback_query")).get("id"))
    except errors.UnreadablePayload:
        return ""


def _frame(kind: str, inside: Fields, update_id: str, received_at: datetime) -> _Frame:
    tapped = kind == "callback_query"
    message = child(inside.get("message")) if tapped else inside
    chat = child(message.get("chat"))
    message_id = text(message.get("message_id"))
    topic = text(message.get("message_thread_id")) if message.get("is_topic_message") is True else ""
    key: tuple[str, ...]
    if tapped:
        key = ("query", text(inside.get("id")) or fingerprint(inside))
    elif kind == "message" and message_id:
        key = (text(chat.get("id")), message_id)
    elif kind == "edited_message" and message_id:
        key = (text(chat.get("id")), message_id, text(inside.get("edit_date")) or update_id)
    else:
        key = ("update", update_id)
    written = received_at if tapped else moment(inside.get("edit_date") or inside.get("date"), received_at)
    context = {"topic": topic} if topic else {}
    if message_id and not tapped and chat.get("type") not in (None, "private"):
        context["reply_to"] = message_id
    return _Frame(child(inside.get("from")), chat, topic, key, written, context)


def _content(kind: str, inside: Fields) -> dict[str, Any]:
    if kind == "message":
        return _message(inside)
    if kind == "edited_message":
        said = text(inside.get("text")) or text(inside.get("caption"))
        return {"kind": "event", "event": "edit", "event_data": {"text": said} if said else {}}
    if kind == "callback_query":
        return _tapped(inside)
    if kind == "my_chat_member":
        status = text(child(inside.get("new_chat_member")).get("status"))
        return {"kind": "event", "event": _MEMBERSHIP.get(status, kind), "event_data": {"status": status}}
    return {"kind": "event", "event": kind, "event_data": {}}


def _message(inside: Fields) -> dict[str, Any]:
    if "text" in inside:
        return _text(text(inside["text"]), child(inside.get("chat")).get("type") in (None, "private"))
    if "location" in inside or "venue" in inside:
        return {"kind": "location", "attachments": (_place(inside),)}
    for name, kind in _MEDIA.items():
        if (file := _file(inside.get(name))) is not None:
            attachment = Attachment(
                kind=kind,
                media_id=text(file.get("file_id")),
                media_type=text(file.get("mime_type")) or ("image/jpeg" if name == "photo" else ""),
                name=text(file.get("file_name")),
            )
            return {"kind": kind, "text": text(inside.get("caption")), "attachments": (attachment,)}
    for name in _SERVICE:
        if name in inside:
            return {"kind": "event", "event": name, "event_data": plain({name: inside[name]})}
    return {"kind": "unknown", "event_data": {"type": _unknown(inside)}}


def _text(said: str, private: bool) -> dict[str, Any]:
    """/start opens the conversation; what a link carried along with it is kept. With a sentence behind it the sentence
    counts."""
    started = _START.fullmatch(said)
    if started is not None:
        more = (started.group(1) or "").strip()
        if not more or _DEEP_LINK.fullmatch(more):
            return {"kind": "event", "event": "enter", "event_data": {"start": more} if more else {}}
        return {"kind": "text", "text": more}
    if not private:
        said = _MENTION.sub("", said, count=1) if _MENTION.match(said) else said
        said = _COMMAND.sub(r"\1", said, count=1) if _COMMAND.match(said) else said
    return {"kind": "text", "text": said}


def _tapped(inside: Fields) -> dict[str, Any]:
    """The value of a choice, and the label that stood on its button."""
    value = text(inside.get("data"))
    keyboard = child(child(inside.get("message")).get("reply_markup")).get("inline_keyboard")
    for line in keyboard if isinstance(keyboard, list) else []:
        for button in items(line):
            if text(button.get("callback_data")) == value and text(button.get("text")):
                return {"kind": "text", "text": value, "event_data": {"label": text(button["text"])}}
    return {"kind": "text", "text": value}


def _file(value: Any) -> Fields | None:
    """A photo comes in several sizes, the largest last."""
    if isinstance(value, list):
        sizes = items(value)
        value = sizes[-1] if sizes else None
    return value if isinstance(value, dict) and text(value.get("file_id")) else None


def _place(inside: Fields) -> Attachment:
    venue = child(inside.get("venue"))
    point = child(inside.get("location")) or child(venue.get("location"))
    return Attachment(
        kind="location",
        latitude=number(point.get("latitude"), 90),
        longitude=number(point.get("longitude"), 180),
        name=text(venue.get("title")),
        description=text(venue.get("address")),
    )


_ORDINARY = frozenset({"message_id", "message_thread_id", "date", "from", "chat", "caption", "entities"})


def _unknown(inside: Fields) -> str:
    """What kind of message it may be: the first member that not every message has."""
    return next((text(name) for name in inside if name not in _ORDINARY), "message")


def _name(sender: Fields) -> str:
    return " ".join(said for part in ("first_name", "last_name") if (said := text(sender.get(part))))
