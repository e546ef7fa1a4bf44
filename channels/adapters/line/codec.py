"""LINE's events to our messages, our reply to LINE's message objects; pure.

`channel.py` calls it on both ways. One call brings any number of events; one that cannot be read is left out and spoils
none of the others. The message id is made of `webhookEventId`, which a redelivery keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from channels.platforms.payloads import canonical, child, digest, items, moment, parse, words
from foundation import errors
from foundation.messages import Attachment, Choice, Identifier, InboundMessage, TenantId

NAME = "line"
TEXT_LIMIT = 5000
LABEL_LIMIT = 20
DATA_LIMIT = 300
URL_LIMIT = 2000
TIME_DIGITS = 15
PER_CALL = 5
"""Message objects in one reply or push."""
_OWN_NAMES: Mapping[str, str] = {
    "follow": "enter", "join": "enter", "unfollow": "end", "leave": "end", "memberJoined": "member_joined",
    "memberLeft": "member_left", "videoPlayComplete": "video_play_complete", "accountLink": "account_link",
}  # fmt: skip
_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "image": "image", "audio": "voice", "video": "video", "file": "file",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reader:
    tenant: TenantId
    account: str
    bot_user_id: str = ""
    groups: Literal["mentions", "all"] = "mentions"


def read(body: bytes, reader: Reader, received_at: datetime) -> list[InboundMessage]:
    """Nothing for the console's check (no events), for another module's turn (standby), and in groups for what does not
    mention the bot. Raises `UnreadablePayload`."""
    payload = parse(body, "LINE")
    if not isinstance(payload.get("events"), list):
        raise errors.UnreadablePayload("The payload brings no list of events.")
    bot = words(payload, "destination")
    if reader.bot_user_id not in ("", bot):
        raise errors.UnreadablePayload("The call is for another account.", code="other_account")
    found = (_message(event, bot, reader, received_at) for event in items(payload, "events"))
    return [message for message in found if message is not None]


def render_messages(
    text: str, choices: Sequence[Choice] = (), attachments: Sequence[Attachment] = ()
) -> list[dict[str, Any]]:
    """Message objects in their order; the buttons hang on the last. A picture that LINE cannot show is named."""
    if not text.strip() and not attachments:
        text = "\n".join(choice.label for choice in choices)
    messages: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
    messages += [_shown(one) for one in attachments]
    if choices and messages:
        messages[-1]["quickReply"] = {
            "items": [{"type": "action", "action": _action(one)} for one in choices]
        }
    return messages


def _message(event: dict[str, Any], bot: str, reader: Reader, received_at: datetime) -> InboundMessage | None:
    kind = words(event, "type")
    thread, user = _thread(event), words(event, "source", "userId")
    if not kind or not thread or words(event, "mode") == "standby":
        return None
    grouped = words(event, "source", "type") in ("group", "room")
    if kind == "message" and grouped and reader.groups == "mentions" and not _self_mentions(event):
        return None
    said_id = words(event, "message", "id")
    own_id = words(event, "webhookEventId") or (f"{kind} {said_id}" if said_id else canonical(event))
    context = {"to": thread, "reply_token": words(event, "replyToken"), "token_at": words(event, "timestamp")}
    return InboundMessage(
        tenant=reader.tenant,
        channel=NAME,
        account=reader.account,
        thread=thread,
        message_id=digest(reader.account, bot, thread, user, own_id),
        sender=(Identifier(namespace=f"{NAME}:{bot}", value=user or thread, proven=bool(user)),),
        sent_at=_moment(words(event, "timestamp"), received_at),
        reply_context={name: value for name, value in context.items() if value},
        **_content(event, kind),
    )


def _thread(event: dict[str, Any]) -> str:
    source = child(event, "source")
    return words(source, "groupId") or words(source, "roomId") or words(source, "userId")


def _content(event: dict[str, Any], kind: str) -> dict[str, Any]:
    if kind == "message":
        return _said(event, child(event, "message"))
    if kind == "postback":
        return {"kind": "text", "text": words(event, "postback", "data")}
    data = {"unblocked": "true"} if child(event, "follow").get("isUnblocked") is True else {}
    if kind == "unsend":
        data["message"] = words(event, "unsend", "messageId")
    return {"kind": "event", "event": _OWN_NAMES.get(kind, kind), "event_data": data}


def _said(event: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    kind = words(message, "type")
    if kind == "text":
        return {"kind": "text", "text": _text(event, message)}
    if kind in _MEDIA:
        return {"kind": _MEDIA[kind], "attachments": (_media(message, _MEDIA[kind]),)}
    if kind == "location":
        return {"kind": "location", "attachments": (_place(message),)}
    data = {"type": kind}
    if kind == "sticker":
        keywords = message.get("keywords")
        known = [one for one in keywords if isinstance(one, str)] if isinstance(keywords, list) else []
        data |= {"package": words(message, "packageId"), "sticker": words(message, "stickerId")}
        data |= {"keywords": ", ".join(known)} if known else {}
        if written := words(message, "text"):
            return {"kind": "text", "text": written, "event_data": data}
    return {"kind": "unknown", "event_data": {name: value for name, value in data.items() if value}}


def _text(event: dict[str, Any], message: dict[str, Any]) -> str:
    """Without the mentions of the bot, whose places are counted in UTF-16 units."""
    text = words(message, "text")
    spots = _self_mentions(event)
    if not spots:
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    for index, length in sorted(spots, reverse=True):
        units = units[: 2 * index] + units[2 * (index + length) :]
    return units.decode("utf-16-le", "replace").strip()


def _self_mentions(event: dict[str, Any]) -> list[tuple[int, int]]:
    found = []
    for one in items(child(event, "message", "mention"), "mentionees"):
        index, length = one.get("index"), one.get("length")
        if (
            one.get("isSelf") is True
            and type(index) is int
            and type(length) is int
            and index >= 0
            and length >= 0
        ):
            found.append((index, length))
    return found


def _media(message: dict[str, Any], kind: Literal["image", "voice", "video", "file"]) -> Attachment:
    """Media that a web page brought lie at its address and have no content at LINE."""
    outside = words(message, "contentProvider", "type") == "external"
    return Attachment(
        kind=kind,
        url=words(message, "contentProvider", "originalContentUrl") if outside else "",
        media_id="" if outside else words(message, "id"),
        name=words(message, "fileName"),
    )


def _place(message: dict[str, Any]) -> Attachment:
    return Attachment(
        kind="location",
        name=words(message, "title"),
        description=words(message, "address"),
        latitude=_degrees(message.get("latitude"), 90),
        longitude=_degrees(message.get("longitude"), 180),
    )


def _degrees(value: object, limit: int) -> float | None:
    right = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= limit
    return float(value) if right and isinstance(value, int | float) else None


def _moment(milliseconds: str, received_at: datetime) -> datetime:
    right = milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= TIME_DIGITS
    return moment(int(milliseconds) / 1000, received_at) if right else received_at


def _shown(attachment: Attachment) -> dict[str, Any]:
    if not attachment.url.startswith("https://") or len(attachment.url) > URL_LIMIT:
        named = attachment.url or attachment.name or attachment.description or attachment.kind
        return {"type": "text", "text": named[: TEXT_LIMIT // 2]}
    return {"type": "image", "originalContentUrl": attachment.url, "previewImageUrl": attachment.url}


def _action(choice: Choice) -> dict[str, Any]:
    """The value comes back unseen, the label is shown as said; a value too long for that is said by its label."""
    label = choice.label if len(choice.label) <= LABEL_LIMIT else f"{choice.label[: LABEL_LIMIT - 1]}…"
    said = choice.label[:DATA_LIMIT]
    if len(choice.value) > DATA_LIMIT:
        return {"type": "message", "label": label, "text": said}
    return {"type": "postback", "label": label, "data": choice.value, "displayText": said}
