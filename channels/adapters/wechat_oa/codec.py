"""WeChat's XML to our message and our reply to WeChat's JSON and XML; pure.

`channel.py` calls it on both ways, the gate for the envelope, the simulator for the XML it plays. Reading tolerates
what the platform may add: unknown types and events become messages, missing optional fields become empty, control
characters that XML forbids are dropped. DTDs and entities are never allowed.

The message id is a digest, because it stands unsealed in tables and logs and its parts name a person. It covers our
account, the sender and MsgId (MsgId alone has been seen twice for different senders); events have no MsgId and are
named by time, event and key, as the platform's documentation prescribes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from channels.contract import BODY_LIMIT
from foundation import errors
from foundation.messages import (
    Attachment,
    Choice,
    ContentKind,
    Identifier,
    InboundMessage,
    MessageId,
    TenantId,
)

NAME = "wechat_oa"
MESSAGE_FIELDS = ("ToUserName", "FromUserName", "MsgType")
_COMMON = frozenset({*MESSAGE_FIELDS, "CreateTime", "MsgId", "Event", "Encrypt"})
_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_SCENE_PREFIX = "qrscene_"
_DEEPEST = 5
_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""

Fields = Mapping[str, str]


def parse_envelope(body: bytes) -> str:
    """The cipher text of an encrypted call, "" where there is none."""
    return parse_fields(body).get("Encrypt", "")


def parse_fields(body: bytes) -> dict[str, str]:
    """Every leaf of the XML by its path below the root. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        text = _FORBIDDEN_IN_XML.sub("", body.decode("utf-8"))
        root = fromstring(text, forbid_dtd=True)
    except (UnicodeDecodeError, ParseError, DefusedXmlException) as error:
        raise errors.UnreadablePayload("The message is not the XML that WeChat sends.") from error
    return dict(_leaves(root, ""))


def parse_message(body: bytes, *, tenant: TenantId, app_id: str, received_at: datetime) -> InboundMessage:
    """Raises `UnreadablePayload` when it is not XML or does not say who wrote to whom."""
    fields = parse_fields(body)
    if any(not fields.get(name) for name in MESSAGE_FIELDS):
        raise errors.UnreadablePayload("The message does not say from whom, to whom and what it is.")
    content = _content(fields)
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=fields["ToUserName"],
        thread=fields["FromUserName"],
        message_id=_message_id(fields),
        sender=(Identifier(namespace=f"{NAME}:{app_id}", value=fields["FromUserName"], proven=True),),
        sent_at=_moment(fields.get("CreateTime", ""), received_at),
        **content,
    )


def identify(body: bytes) -> str:
    """The same for every repetition of one message, also of one that cannot be read; never raises."""
    try:
        fields = parse_fields(body)
    except errors.UnreadablePayload:
        return _digest(body.hex())
    return _message_id(fields)


def render_custom_send(recipient: str, text: str, choices: Sequence[Choice] = ()) -> bytes:
    """The body of custom/send. Real UTF-8: the platform shows `\\uXXXX` escapes to the customer as they are."""
    content: dict[str, Any] = {"touser": recipient}
    if choices:
        items = [{"id": choice.value, "content": choice.label} for choice in choices]
        content |= {
            "msgtype": "msgmenu",
            "msgmenu": {"head_content": text, "list": items, "tail_content": ""},
        }
    else:
        content |= {"msgtype": "text", "text": {"content": text}}
    return _json(content)


def render_typing(recipient: str, command: Literal["Typing", "CancelTyping"] = "Typing") -> bytes:
    return _json({"touser": recipient, "command": command})


def render_passive_reply(*, recipient: str, account: str, text: str, sent_at: datetime) -> bytes:
    """A text as the answer to the webhook itself, for accounts that may not call custom/send."""
    fields = {
        "ToUserName": recipient,
        "FromUserName": account,
        "CreateTime": str(int(sent_at.timestamp())),
        "MsgType": "text",
        "Content": text,
    }
    return render_xml(fields)


def render_xml(fields: Fields) -> bytes:
    """WeChat's flat XML; numbers bare, everything else in CDATA that no value can leave."""
    inside = "".join(f"<{name}>{_cdata(value)}</{name}>" for name, value in fields.items())
    return f"<xml>{inside}</xml>".encode()


def _content(fields: Fields) -> dict[str, Any]:
    kind = fields["MsgType"].lower()
    if kind == "text":
        return _text(fields)
    if kind == "event":
        return _event(fields)
    if kind == "location":
        place = _place(fields, "Location_X", "Location_Y", fields.get("Label", ""))
        return {"kind": "location", "attachments": (place,)}
    if kind == "link":
        link = Attachment(
            kind="link",
            url=fields.get("Url", ""),
            name=fields.get("Title", ""),
            description=fields.get("Description", ""),
        )
        return {"kind": "link", "attachments": (link,)}
    if kind in _MEDIA:
        return _media(fields, kind)
    return {"kind": "unknown", "event_data": {"type": kind, **_rest(fields)}}


_MEDIA: Mapping[str, Literal["image", "voice", "video"]] = {
    "image": "image",
    "voice": "voice",
    "video": "video",
    "shortvideo": "video",
}


def _text(fields: Fields) -> dict[str, Any]:
    """A tapped item of a menu comes as a text with the item's label, and its id, which is the choice's value."""
    return {"kind": "text", "text": fields.get("Content") or fields.get("bizmsgmenuid", "")}


def _media(fields: Fields, kind: str) -> dict[str, Any]:
    """A voice message brings its own transcript when speech recognition is switched on for the account."""
    shown = _MEDIA[kind]
    form = fields.get("Format", "").lower()
    attachment = Attachment(
        kind=shown,
        url=fields.get("PicUrl", ""),
        media_id=fields.get("MediaId", ""),
        media_type=f"audio/{form}" if form else "",
    )
    return {"kind": shown, "text": fields.get("Recognition", ""), "attachments": (attachment,)}


def _event(fields: Fields) -> dict[str, Any]:
    name = fields.get("Event", "").lower()
    data = _rest(fields)
    kind: ContentKind = "event" if name else "unknown"
    key = fields.get("EventKey", "")
    if name == "scan" or (name == "subscribe" and key.startswith(_SCENE_PREFIX)):
        data["scene"] = key.removeprefix(_SCENE_PREFIX)
    places = (_place(fields, "Latitude", "Longitude", ""),) if name == "location" else ()
    return {"kind": kind, "event": name, "event_data": data, "attachments": places}


def _place(fields: Fields, latitude: str, longitude: str, label: str) -> Attachment:
    return Attachment(
        kind="location",
        latitude=_degrees(fields.get(latitude, ""), 90),
        longitude=_degrees(fields.get(longitude, ""), 180),
        description=label,
    )


def _degrees(text: str, limit: int) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= limit else None


def _rest(fields: Fields) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in _COMMON}


def _message_id(fields: Fields) -> MessageId:
    who = (fields.get("ToUserName", ""), fields.get("FromUserName", ""))
    if fields.get("MsgType", "").lower() == "event":
        named = tuple(fields.get(name, "") for name in ("CreateTime", "Event", "EventKey"))
        return MessageId(_digest(*who, *named))
    if fields.get("MsgId"):
        return MessageId(_digest(*who, fields["MsgId"]))
    return MessageId(_digest(*(part for item in sorted(fields.items()) for part in item)))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _moment(text: str, received_at: datetime) -> datetime:
    seconds = int(text) if text.isascii() and text.isdigit() else 0
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _LATEST else received_at


def _leaves(element: Element, path: str) -> list[tuple[str, str]]:
    if path.count(".") > _DEEPEST:
        raise errors.UnreadablePayload("The message is nested deeper than any that WeChat sends.")
    found: list[tuple[str, str]] = []
    for child in element:
        name = f"{path}{child.tag}"
        if len(child):
            found += _leaves(child, f"{name}.")
        else:
            found.append((name, (child.text or "").strip()))
    return found


def _cdata(value: str) -> str:
    clean = _FORBIDDEN_IN_XML.sub("", value)
    if clean.isascii() and clean.isdigit():
        return clean
    return f"<![CDATA[{clean.replace(']]>', ']]]]><![CDATA[>')}]]>"


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
