"""DingTalk's callback to our message, and our reply to its bodies; pure.

A conversation is a chat; in a group it is one member's part of it. The session's address stands in the body, which the
signature does not cover: only addresses of the settings' hosts are kept. What would surprise you: a button of a card can
only open a link, and one kind of link makes the customer's app send a text, so a button's label comes back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from channels.adapters.dingtalk.settings import NAME, DingtalkSettings
from channels.platforms.payloads import at, canonical, digest, dump, list_at, moment, parse, words
from foundation import errors
from foundation.messages import Attachment, Choice, Identifier, InboundMessage, TenantId

TITLE = "DingTalk"
GROUP = "2"
_MARKDOWN = re.compile(r"\*\*\S|\[[^\]\n]+\]\(\S+\)|^#{1,6} |^\s*[-*+] \S|^\s*> |`[^`\n]+`", re.MULTILINE)
_CALLED = re.compile(r"^(?:@\S+\s+)+")
_SEND_TEXT = "dtmd://dingtalkclient/sendMessage?content="
_TITLE_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call arrived."""

    tenant: TenantId
    account: str
    settings: DingtalkSettings
    received_at: datetime


def sign(timestamp: str, secret: str) -> str:
    """Over the time alone: the body is not covered."""
    text = f"{timestamp}\n{secret}".encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def parse_call(body: bytes, place: Place) -> list[InboundMessage]:
    """Nothing for what the robot itself said. Raises `UnreadablePayload`."""
    call = parse(body, TITLE)
    kind, staff, sender = (words(call, name) for name in ("msgtype", "senderStaffId", "senderId"))
    if not kind or not (staff or sender):
        raise errors.UnreadablePayload("The message does not say who wrote it or what it is.")
    corp = words(call, "chatbotCorpId")
    if place.settings.corp_id and corp and corp != place.settings.corp_id:
        raise errors.UnreadablePayload("The message is for another company's robot.", code="other_account")
    if sender and sender == words(call, "chatbotUserId"):
        return []
    who, chat = staff or sender, words(call, "conversationId")
    group = words(call, "conversationType") == GROUP
    name = words(call, "senderNick")
    content = _content(call, kind, group=group)
    data = content.pop("event_data", {}) | ({"sender_name": name} if name else {})
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account,
            thread=f"{chat}:{who}" if group else chat or who,
            message_id=digest(NAME, place.account, who, words(call, "msgId") or canonical(call)),
            sender=_names(staff, sender, place.settings), sent_at=moment(words(call, "createAt"), place.received_at, per_second=1000),
            event_data=data, reply_context=_context(call, place.settings), **content,
        )
    ]  # fmt: skip


def may_reply_to(url: str, settings: DingtalkSettings) -> bool:
    """An https address of an allowed host, or one of the API's own origin (the simulator's)."""
    try:
        parts, own = urlsplit(url), urlsplit(settings.api_base)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or "\\" in url:
        return False
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return True
    allowed = [one.strip().lower() for one in settings.session_hosts.split(",") if one.strip()]
    named = any(host == one or host.endswith(f".{one}") for one in allowed)
    return parts.scheme == "https" and port in (None, 443) and named


def render_session(text: str, choices: Sequence[Choice], *, mention: str = "") -> dict[str, Any]:
    """For the session's address. A card's text is Markdown always."""
    if choices:
        buttons = [
            {"title": one.label, "actionURL": _SEND_TEXT + quote(one.label, safe="")} for one in choices
        ]
        card = {"title": _title(text), "text": _lines(text), "btnOrientation": "0", "btns": buttons}
        return {"msgtype": "actionCard", "actionCard": card}
    body: dict[str, Any] = {"msgtype": "text", "text": {"content": text}}
    if _MARKDOWN.search(text):
        body = {"msgtype": "markdown", "markdown": {"title": _title(text), "text": _lines(text)}}
    return {**body, "at": {"atUserIds": [mention]}} if mention else body


def render_template(text: str) -> dict[str, str]:
    """For the OpenAPI: parameters are JSON within JSON."""
    if _MARKDOWN.search(text):
        return {"msgKey": "sampleMarkdown", "msgParam": dump({"title": _title(text), "text": _lines(text)})}
    return {"msgKey": "sampleText", "msgParam": dump({"content": text})}


def _names(staff: str, sender: str, settings: DingtalkSettings) -> tuple[Identifier, ...]:
    """The company's own name of a member comes first, because only by it the robot can write; outsiders have none."""
    own = Identifier(namespace=f"{NAME}:{settings.client_id}", value=staff or sender, proven=True)
    opaque = Identifier(namespace=f"dingtalk_opaque:{settings.client_id}", value=sender, proven=True)
    return (own, opaque) if staff and sender else (own,)


def _context(call: Mapping[str, Any], settings: DingtalkSettings) -> dict[str, str]:
    session = words(call, "sessionWebhook")
    kept = session if may_reply_to(session, settings) else ""
    named = {
        "session": kept,
        "session_until": words(call, "sessionWebhookExpiredTime") if kept else "",
        "group": words(call, "conversationId") if words(call, "conversationType") == GROUP else "",
        "staff": words(call, "senderStaffId"),
        "outsider": "" if words(call, "senderStaffId") else "yes",
    }
    return {name: value for name, value in named.items() if value}


def _content(call: Mapping[str, Any], kind: str, *, group: bool) -> dict[str, Any]:
    content = at(call, "content")
    if kind == "text":
        return {"kind": "text", "text": words(call, "text", "content").strip()}
    if kind == "richText":
        return _rich(content, group=group)
    if kind in _MEDIA:
        code = words(content, "downloadCode")
        attachment = Attachment(kind=_MEDIA[kind], media_id=code, name=words(content, "fileName"))
        said = words(content, "recognition")
        return {"kind": _MEDIA[kind], "text": said, "attachments": (attachment,) if code else ()}
    return {"kind": "unknown", "event_data": {"type": kind}}


_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "picture": "image",
    "audio": "voice",
    "video": "video",
    "file": "file",
}


def _rich(content: Any, *, group: bool) -> dict[str, Any]:
    items = list_at(content, "richText")
    text = "".join(words(item, "text") for item in items).strip()
    codes = [code for item in items if (code := words(item, "downloadCode"))]
    pictures = tuple(Attachment(kind="image", media_id=code) for code in codes)
    if group:
        text = _CALLED.sub("", text)
    return {"kind": "text" if text or not pictures else "image", "text": text, "attachments": pictures}


def _title(text: str) -> str:
    """What stands in the list of chats."""
    first = re.sub(r"[*#`>\[\]]", "", text).strip().split("\n")[0]
    return first[:_TITLE_LENGTH] or "…"


def _lines(text: str) -> str:
    """DingTalk's Markdown breaks a line only after two blanks."""
    return re.sub(r"(?<!\n)\n(?!\n)", "  \n", text)
