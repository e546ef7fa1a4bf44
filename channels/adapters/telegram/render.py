"""Our reply to calls of the Bot API; pure.

`channel.py` makes them in order. Choices are an inline keyboard; a value that is too long for a button, a place without
coordinates and a file without a public address are said in words instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from channels import degrade
from channels.contract import Capabilities, Part, Rate
from channels.text import size
from foundation.messages import Attachment, Choice, ContentKind

CALLBACK_BYTES = 64
CAPTION_LIMIT = 1024
BUTTONS = 12
SHORT_LABEL = 12
"""Two buttons with labels up to this length share a line."""
MEDIA: Mapping[ContentKind, tuple[str, str]] = {
    "image": ("sendPhoto", "photo"),
    "video": ("sendVideo", "video"),
}
"""What Telegram fetches by an address whatever its format; documents and voice only in some."""

CAPABILITIES = Capabilities(
    text_limit=4096,
    text_unit="utf16",
    buttons=BUTTONS,
    typing=True,
    rate=Rate(30, 1),
    rate_per_customer=Rate(20, 20),
    media=frozenset({*MEDIA, "location"}),
    citations="text",
    acknowledge_unreadable=True,
)
"""What we cannot read is acknowledged all the same: Telegram would hold back everything else until it is."""

Method = tuple[str, dict[str, Any]]


def calls(part: Part) -> list[Method]:
    """Method and body of each; empty when there is nothing to show."""
    reply = part.message.reply
    media = [_medium(one) for one in reply.attachments]
    if None in media or not _can_tap(reply.choices):
        plainer = replace(CAPABILITIES, buttons=0, media=frozenset(), markdown=True)
        return [call for one in degrade.fit(part.message, plainer) for call in calls(one)]
    where = _where(part.message.reply_context, part.message.recipient)
    keyboard = {"reply_markup": {"inline_keyboard": _keyboard(reply.choices)}} if reply.choices else {}
    shown = [one for one in media if one is not None]
    if len(shown) == 1 and "latitude" not in shown[0][1] and size(part.text, "utf16") <= CAPTION_LIMIT:
        method, body = shown[0]
        caption = {"caption": part.text} if part.text else {}
        return [(method, {**where, **body, **caption, **keyboard})]
    said = [("sendMessage", {"text": part.text, **keyboard})] if part.text.strip() else []
    return [(method, {**where, **body}) for method, body in (*said, *shown)]


def typing(context: Mapping[str, str], recipient: str) -> Method:
    where = _where(context, recipient)
    where.pop("reply_parameters", None)
    return "sendChatAction", {**where, "action": "typing"}


def answer_query(query_id: str) -> bytes:
    """As the answer to the webhook itself: the tapped button stops waiting."""
    return json.dumps({"method": "answerCallbackQuery", "callback_query_id": query_id}).encode()


def _where(context: Mapping[str, str], recipient: str) -> dict[str, Any]:
    """In a group the answer names the message that it answers; in a forum it goes to its topic."""
    where: dict[str, Any] = {"chat_id": context.get("chat_id") or recipient}
    if (topic := context.get("topic", "")).isdecimal():
        where["message_thread_id"] = int(topic)
    if (reply_to := context.get("reply_to", "")).isdecimal():
        where["reply_parameters"] = {"message_id": int(reply_to), "allow_sending_without_reply": True}
    return where


def _medium(attachment: Attachment) -> Method | None:
    """None where it has to be said in words."""
    if attachment.kind == "location":
        if attachment.latitude is None or attachment.longitude is None:
            return None
        point = {"latitude": attachment.latitude, "longitude": attachment.longitude}
        if attachment.name and attachment.description:
            return "sendVenue", {**point, "title": attachment.name, "address": attachment.description}
        return "sendLocation", point
    if attachment.kind not in MEDIA or not attachment.url.startswith("https://"):
        return None
    method, member = MEDIA[attachment.kind]
    return method, {member: attachment.url}


def _can_tap(choices: Sequence[Choice]) -> bool:
    return all(
        choice.label.strip() and 1 <= size(choice.value, "bytes") <= CALLBACK_BYTES for choice in choices
    )


def _keyboard(choices: Sequence[Choice]) -> list[list[dict[str, str]]]:
    lines: list[list[dict[str, str]]] = []
    for choice in choices:
        button = {"text": choice.label, "callback_data": choice.value}
        short = len(choice.label) <= SHORT_LABEL
        if short and lines and len(lines[-1]) == 1 and len(lines[-1][0]["text"]) <= SHORT_LABEL:
            lines[-1].append(button)
        else:
            lines.append([button])
    return lines
