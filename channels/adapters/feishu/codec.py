"""Feishu's events to our messages and receipts, and our reply to Feishu's bodies; pure.

A conversation is a chat; in a group it is one member's part of the chat, because what one asks is no other's to
continue. One message has been seen under several event ids, so its own id names it; all else is named by the event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels.adapters.feishu.gate import TITLE
from channels.adapters.feishu.settings import NAME
from channels.contract import Receipt
from channels.platforms.payloads import at, canonical, digest, dump, list_at, moment, nested, plain, words
from foundation import errors
from foundation.messages import Attachment, Choice, Identifier, InboundMessage, TenantId

MESSAGE = "im.message.receive_v1"
BUTTON = "card.action.trigger"
READ = "im.message.message_read_v1"
ENTERED = "im.chat.access_event.bot_p2p_chat_entered_v1"
_OPENING_OF_MENTION = re.compile(r"<(?=/?at\b)", re.IGNORECASE)
_PEOPLE = (
    ("operator",),
    ("operator_id",),
    ("operator", "operator_id"),
    ("user_id",),
    ("sender", "sender_id"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call arrived."""

    tenant: TenantId
    account: str
    app_id: str
    received_at: datetime


def parse_event(body: Mapping[str, Any], place: Place) -> list[InboundMessage]:
    """Nothing for what no customer did (other bots, receipts). Raises `UnreadablePayload` for another app's event and
    for a message that does not say who wrote it."""
    app_id = words(body, "header", "app_id")
    if app_id and app_id != place.app_id:
        raise errors.UnreadablePayload("The event is for another app.", code="other_account")
    kind, event = event_type(body), at(body, "event")
    if not kind:
        raise errors.UnreadablePayload("The call does not say which event it is.")
    if kind == READ:
        return []
    if kind == MESSAGE:
        return _message(body, event, place)
    return _button(body, event, place) if kind == BUTTON else _other(body, event, kind, place)


def event_type(body: Mapping[str, Any]) -> str:
    """Of schema 2.0, else of the first schema."""
    return words(body, "header", "event_type") or words(body, "event", "type")


def parse_receipts(body: Mapping[str, Any]) -> list[Receipt]:
    if event_type(body) != READ:
        return []
    return [Receipt(one, "read") for one in list_at(body, "event", "message_id_list") if isinstance(one, str)]


def render_text(text: str) -> dict[str, str]:
    """Feishu reads `<at …>` in a text as a call to a member, or to all of them: a quoted one stays a quotation."""
    return {"msg_type": "text", "content": dump({"text": _OPENING_OF_MENTION.sub("<\u200b", text)})}


def render_card(text: str, choices: Sequence[Choice], *, chat_type: str) -> dict[str, str]:
    """A button's value comes back as we write it here; it says where it was pressed, which the call itself does not."""
    buttons = [
        {
            "tag": "button",
            "text": {"tag": "plain_text", "content": choice.label},
            "type": "default",
            "value": {"choice": choice.value, "chat_type": chat_type},
        }
        for choice in choices
    ]
    elements = [
        {"tag": "div", "text": {"tag": "plain_text", "content": text}},
        {"tag": "action", "actions": buttons},
    ]
    card = {"config": {"wide_screen_mode": True}, "elements": elements}
    return {"msg_type": "interactive", "content": dump(card)}


def _message(body: Mapping[str, Any], event: Any, place: Place) -> list[InboundMessage]:
    if words(event, "sender", "sender_type") not in ("", "user"):
        return []
    ids = at(event, "sender", "sender_id")
    open_id = words(ids, "open_id")
    if not open_id:
        raise errors.UnreadablePayload("The message does not say who wrote it.")
    message = at(event, "message")
    own = words(message, "message_id")
    chat = words(message, "chat_id")
    chat_type = words(message, "chat_type") or "p2p"
    context = {
        "message_id": own, "chat_id": chat, "chat_type": chat_type,
        "thread_id": words(message, "thread_id"),
    }  # fmt: skip
    named = own or words(body, "header", "event_id") or canonical(body)
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account, thread=_thread(chat, chat_type, open_id),
            message_id=digest(NAME, place.account, open_id, named),
            sender=_names(ids, words(event, "sender", "tenant_key"), place),
            sent_at=moment(words(message, "create_time"), place.received_at, per_second=1000),
            reply_context={name: value for name, value in context.items() if value},
            **_content(message, own),
        )
    ]  # fmt: skip


def _button(body: Mapping[str, Any], event: Any, place: Place) -> list[InboundMessage]:
    """A pressed button is a text with the choice's value; a card's other elements bring what was chosen or typed."""
    open_id = words(event, "operator", "open_id")
    if not open_id:
        raise errors.UnreadablePayload("The call does not say who pressed the button.")
    value = at(event, "action", "value")
    chat = words(event, "context", "open_chat_id") or words(event, "open_chat_id")
    card = words(event, "context", "open_message_id") or words(event, "open_message_id")
    chat_type = words(value, "chat_type") or "p2p"
    chosen = (
        words(value, "choice")
        or words(event, "action", "value")
        or words(event, "action", "option")
        or words(event, "action", "input_value")
    )
    context = {"message_id": card, "chat_id": chat, "chat_type": chat_type}
    named = words(body, "header", "event_id") or canonical(body)
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account, thread=_thread(chat, chat_type, open_id),
            message_id=digest(NAME, place.account, open_id, named),
            sender=_names(at(event, "operator"), words(event, "operator", "tenant_key"), place),
            kind="text" if chosen else "event", text=chosen, event="" if chosen else BUTTON,
            event_data={"button": "pressed"}, sent_at=_event_time(body, place),
            reply_context={name: value for name, value in context.items() if value},
        )
    ]  # fmt: skip


def _other(body: Mapping[str, Any], event: Any, kind: str, place: Place) -> list[InboundMessage]:
    """Feishu tells of every look into the chat; only the first, before any message, is a beginning."""
    person = next((one for path in _PEOPLE if words(one := at(event, *path), "open_id")), None)
    if person is None:
        return []
    open_id, chat = words(person, "open_id"), words(event, "chat_id")
    first = kind == ENTERED and not words(event, "last_message_id")
    chat_type = "p2p" if kind == ENTERED or not chat else "group"
    named = words(body, "header", "event_id") or canonical(body)
    context = {"chat_id": chat, "chat_type": chat_type} if chat else {}
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account, thread=_thread(chat, chat_type, open_id),
            message_id=digest(NAME, place.account, open_id, named),
            sender=_names(person, words(body, "header", "tenant_key"), place), kind="event",
            event="enter" if first else kind, event_data=plain(event), sent_at=_event_time(body, place),
            reply_context=context,
        )
    ]  # fmt: skip


def _names(ids: Any, tenant_key: str, place: Place) -> tuple[Identifier, ...]:
    """The open id belongs to the app, the union id to its developer, the user id to the company."""
    found = [Identifier(namespace=f"{NAME}:{place.app_id}", value=words(ids, "open_id"), proven=True)]
    if union := words(ids, "union_id"):
        found.append(Identifier(namespace="feishu_union", value=union, proven=True))
    if (user := words(ids, "user_id")) and tenant_key:
        found.append(Identifier(namespace=f"feishu_user:{tenant_key}", value=user, proven=True))
    return tuple(found)


def _thread(chat: str, chat_type: str, open_id: str) -> str:
    return (chat or open_id) if chat_type == "p2p" else f"{chat}:{open_id}"


def _event_time(body: Mapping[str, Any], place: Place) -> datetime:
    """Cards are told in microseconds, all else in milliseconds."""
    told = words(body, "header", "create_time")
    return moment(told[:13], place.received_at, per_second=1000)


def _content(message: Any, own: str) -> dict[str, Any]:
    kind, content = words(message, "message_type"), nested(at(message, "content"), TITLE)
    mentions = list_at(message, "mentions")
    if kind == "text":
        return {"kind": "text", "text": _without_mentions(words(content, "text"), mentions)}
    if kind == "post":
        return _post(content, mentions, own)
    if kind in _MEDIA:
        shown, key = _MEDIA[kind]
        if not words(content, key):
            return {"kind": shown}
        attachment = Attachment.model_validate(
            {
                "kind": shown,
                "media_id": f"{own}/{words(content, key)}",
                "name": words(content, "file_name"),
            }
        )
        return {"kind": shown, "attachments": (attachment,)}
    if kind == "location":
        return {"kind": "location", "attachments": (_location(content),)}
    return {"kind": "unknown", "event_data": {"type": kind}}


_MEDIA: Mapping[str, tuple[str, str]] = {
    "image": ("image", "image_key"),
    "file": ("file", "file_key"),
    "audio": ("voice", "file_key"),
    "media": ("video", "file_key"),
}


def _location(content: Mapping[str, Any]) -> Attachment:
    return Attachment(
        kind="location", name=words(content, "name"), latitude=_degrees(content.get("latitude"), 90),
        longitude=_degrees(content.get("longitude"), 180),
    )  # fmt: skip


def _degrees(value: Any, limit: int) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if abs(found) <= limit else None


def _post(content: Mapping[str, Any], mentions: Sequence[Any], own: str) -> dict[str, Any]:
    """A text of several lines with pictures between them."""
    lines, pictures = [words(content, "title")], []
    for row in list_at(content, "content"):
        items = [item for item in (row if isinstance(row, list) else [row]) if isinstance(item, dict)]
        lines.append("".join(_inline(item) for item in items))
        pictures += [words(item, "image_key") for item in items if words(item, "image_key")]
    text = _without_mentions("\n".join(lines).strip(), mentions)
    attachments = tuple(Attachment(kind="image", media_id=f"{own}/{key}") for key in pictures)
    return {"kind": "image" if attachments and not text else "text", "text": text, "attachments": attachments}


def _inline(item: Mapping[str, Any]) -> str:
    """One piece of a line."""
    if item.get("tag") == "at":
        return words(item, "user_id")
    text, address = words(item, "text"), words(item, "href")
    return f"{text} ({address})" if address and address != text else text


def _without_mentions(text: str, mentions: Sequence[Any]) -> str:
    """The bot was called to get its attention, people are meant: their names stay. A text without mentions stays as
    it was written."""
    changed = text
    ordered = sorted(mentions, key=lambda one: len(words(one, "key")), reverse=True)
    for one in ordered:
        key = words(one, "key")
        person = words(one, "mentioned_type") == "user"
        if key:
            changed = changed.replace(key, f"@{words(one, 'name')}" if person else "")
    if mentions or changed.startswith("@_all"):
        changed = changed.replace("@_all", "")
    return changed if changed == text else changed.strip()
