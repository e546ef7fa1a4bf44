"""Activities of the Bot Framework to our message, our reply to activities; pure.

`channel.py` calls it on both ways. An activity's id is unique only within its conversation, so the message id covers both.
A channel's thread is part of the conversation's id and stays in it: it is where the reply belongs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from channels.platforms.payloads import canonical, child, digest, items, parse, words
from foundation import errors
from foundation.messages import Attachment, Choice, Identifier, InboundMessage, MessageId, TenantId

NAME = "teams"
FILE_CARD = "application/vnd.microsoft.teams.file.download.info"
HERO_CARD = "application/vnd.microsoft.card.hero"
_BOT = "28:"
_SIGHTS = frozenset({"typing"})
"""Nothing was said and nothing happened."""
_EVENTS: Mapping[str, str] = {
    "messageReaction": "message_reaction", "messageUpdate": "message_update", "messageDelete": "message_delete",
    "conversationUpdate": "conversation_update", "installationUpdate": "installation_update",
    "endOfConversation": "end",
}  # fmt: skip
_PICTURES = ("png", "jpg", "jpeg", "gif", "bmp", "webp", "heic")
_FILMS = ("mp4", "mov", "avi", "mkv", "webm")
_SOUNDS = ("mp3", "m4a", "wav", "ogg", "aac", "amr")


@dataclass(frozen=True, slots=True)
class Reader:
    tenant: TenantId
    account: str
    app_id: str


@dataclass(frozen=True, slots=True)
class Context:
    """Where a reply belongs; an empty `conversation` means that one has to be begun."""

    service_url: str
    conversation: str = ""
    activity: str = ""
    bot: str = ""
    tenant: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, str], *, service_url: str) -> Context:
        known = {
            name: stored[name] for name in ("conversation", "activity", "bot", "tenant") if name in stored
        }
        return cls(stored.get("service_url", "") or service_url, **known)


def read(body: bytes, reader: Reader, received_at: datetime) -> list[InboundMessage]:
    """Nothing for our own echo, for other bots and for a typing sign. Raises `UnreadablePayload`."""
    activity = parse(body, "Teams")
    kind, sender, conversation = (
        words(activity, "type"),
        words(activity, "from", "id"),
        words(activity, "conversation", "id"),
    )
    if not kind or not conversation:
        raise errors.UnreadablePayload("The activity does not say what it is and where.")
    if kind in _SIGHTS or not sender or _is_bot(activity):
        return []
    tenant = words(activity, "conversation", "tenantId") or words(activity, "channelData", "tenant", "id")
    context = {
        "service_url": words(activity, "serviceUrl"), "conversation": conversation, "activity": words(activity, "id"),
        "bot": words(activity, "recipient", "id"), "tenant": tenant,
    }  # fmt: skip
    message = InboundMessage(
        tenant=reader.tenant,
        channel=NAME,
        account=reader.account,
        thread=conversation,
        message_id=_message_id(activity, reader),
        sender=_sender(activity, reader, tenant),
        sent_at=_moment(words(activity, "timestamp"), received_at),
        reply_context={name: value for name, value in context.items() if value},
        **_content(activity, kind),
    )
    return [message]


def kind_of(body: bytes) -> str:
    """ "" where it cannot be read."""
    try:
        return words(parse(body, "Teams"), "type")
    except errors.UnreadablePayload:
        return ""


def render_message(
    context: Context, *, recipient: str, text: str, choices: Sequence[Choice] = ()
) -> dict[str, Any]:
    """A plain text: the platform's Markdown swallows single line breaks and reads tags."""
    body = {"type": "message", "text": text, "textFormat": "plain", **_envelope(context, recipient)}
    if choices:
        buttons = [
            {
                "type": "messageBack", "title": choice.label, "displayText": choice.label, "text": choice.value,
                "value": {"choice": choice.value},
            }
            for choice in choices
        ]  # fmt: skip
        body["attachments"] = [{"contentType": HERO_CARD, "content": {"buttons": buttons}}]
    return body


def render_typing(context: Context, recipient: str) -> dict[str, Any]:
    return {"type": "typing", **_envelope(context, recipient)}


def render_conversation(context: Context, recipient: str) -> dict[str, Any]:
    body: dict[str, Any] = {"bot": {"id": context.bot}, "members": [{"id": recipient}], "isGroup": False}
    if context.tenant:
        body |= {"tenantId": context.tenant, "channelData": {"tenant": {"id": context.tenant}}}
    return body


def _envelope(context: Context, recipient: str) -> dict[str, Any]:
    found: dict[str, Any] = {"recipient": {"id": recipient}, "conversation": {"id": context.conversation}}
    if context.bot:
        found["from"] = {"id": context.bot}
    if context.activity:
        found["replyToId"] = context.activity
    return found


def _is_bot(activity: dict[str, Any]) -> bool:
    sender = words(activity, "from", "id")
    return (
        sender == words(activity, "recipient", "id") or sender.startswith(_BOT)
        or words(activity, "from", "role").lower() == "bot"
    )  # fmt: skip


def _sender(activity: dict[str, Any], reader: Reader, tenant: str) -> tuple[Identifier, ...]:
    """The bot's own name for a person first, which replies go to; then the directory's, the same for every bot."""
    own = Identifier(namespace=f"{NAME}:{reader.app_id}", value=words(activity, "from", "id"), proven=True)
    directory = words(activity, "from", "aadObjectId")
    if not directory:
        return (own,)
    return own, Identifier(namespace=f"entra:{tenant}", value=directory, proven=True)


def _content(activity: dict[str, Any], kind: str) -> dict[str, Any]:
    name = words(activity, "from", "name")
    data = {"sender_name": name} if name else {}
    if kind == "message":
        text, attachments = _text(activity), _attachments(activity)
        shown = attachments[0].kind if attachments and not text.strip() else "text"
        return {"kind": shown, "text": text, "attachments": attachments, "event_data": data}
    event = _event(activity, kind)
    if inner := words(activity, "name"):
        data["name"] = inner
    return {"kind": "event", "event": event, "event_data": data}


def _event(activity: dict[str, Any], kind: str) -> str:
    bot = words(activity, "recipient", "id")
    if kind == "conversationUpdate":
        if bot and any(words(one, "id") == bot for one in items(activity, "membersAdded")):
            return "enter"
        if bot and any(words(one, "id") == bot for one in items(activity, "membersRemoved")):
            return "end"
    if kind == "installationUpdate" and words(activity, "action").startswith("remove"):
        return "end"
    if kind == "event":
        return words(activity, "name") or kind
    return _EVENTS.get(kind, kind)


def _text(activity: dict[str, Any]) -> str:
    """Without the mention of the bot, which the entities name; a tapped button brings its choice."""
    text, bot = words(activity, "text"), words(activity, "recipient", "id")
    if not text:
        return words(activity, "value", "choice")
    for entity in items(activity, "entities"):
        spot = words(entity, "text")
        if words(entity, "type").lower() != "mention" or not spot or spot not in text:
            continue
        who = child(entity, "mentioned")
        if bot and words(who, "id") == bot:
            text = text.replace(spot, "").strip()
        elif words(who, "name"):
            text = text.replace(spot, f"@{words(who, 'name')}")
    return text


def _attachments(activity: dict[str, Any]) -> tuple[Attachment, ...]:
    """The copy of a rich text in HTML, quotations and cards are no attachments of the customer's."""
    found = []
    for one in items(activity, "attachments"):
        media_type = words(one, "contentType")
        if media_type == FILE_CARD:
            name = words(one, "name")
            suffix = words(one, "content", "fileType").lower() or name.rpartition(".")[2].lower()
            found.append(Attachment(
                kind=_kind_of_suffix(suffix), url=words(one, "content", "downloadUrl") or words(one, "contentUrl"),
                media_id=words(one, "content", "uniqueId"), name=name,
            ))  # fmt: skip
        elif words(one, "contentUrl") and not media_type.startswith(
            ("text/html", "application/vnd.microsoft")
        ):
            found.append(Attachment(
                kind=_MEDIA.get(media_type.split("/")[0], "file"), url=words(one, "contentUrl"),
                media_type="" if "*" in media_type else media_type, name=words(one, "name"),
            ))  # fmt: skip
    return tuple(found)


_MEDIA: Mapping[str, Literal["image", "voice", "video"]] = {
    "image": "image",
    "audio": "voice",
    "video": "video",
}


def _kind_of_suffix(suffix: str) -> Literal["image", "voice", "video", "file"]:
    if suffix in _PICTURES:
        return "image"
    if suffix in _SOUNDS:
        return "voice"
    return "video" if suffix in _FILMS else "file"


def _message_id(activity: dict[str, Any], reader: Reader) -> MessageId:
    """A changed or withdrawn message keeps its id, so the type stands beside it; without an id the content is it."""
    own = words(activity, "id") or canonical(activity)
    where = (
        words(activity, "channelId"),
        words(activity, "conversation", "id"),
        words(activity, "from", "id"),
    )
    kind = words(activity, "type")
    later = "" if kind == "message" else f"{kind} {words(activity, 'timestamp')}"
    return digest(reader.account, *where, own, later)


def _moment(text: str, received_at: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return received_at
    return found if found.tzinfo else received_at
