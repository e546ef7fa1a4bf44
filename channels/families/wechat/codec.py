"""What the members of WeChat's family write alike: their XML and JSON, the kinds of messages, what names a message. Pure.

The codecs of the Official Account, the mini program, and WeCom stand on it, and so do the simulators. Reading
tolerates what the platform may add: unknown types and events become messages, missing optional fields become empty,
control characters that XML forbids are dropped. DTDs and entities are never allowed.

The message id is a digest, because it stands unsealed in tables and logs and its parts name a person. It covers our
account, the sender and MsgId (MsgId alone has been seen twice for different senders); events have no MsgId and are
named by time, event and key, as the platform's documentation prescribes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from channels.contract import BODY_LIMIT
from foundation import errors
from foundation.messages import Attachment, ContentKind, MessageId

MESSAGE_FIELDS = ("ToUserName", "FromUserName", "MsgType")
_COMMON = frozenset({*MESSAGE_FIELDS, "CreateTime", "MsgId", "Event", "Encrypt"})
_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_SCENE_PREFIX = "qrscene_"
_DEEPEST = 5
_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""

Fields = Mapping[str, str]


def parse_fields(body: bytes) -> dict[str, str]:
    """Every leaf of the XML by its path below the root. Raises `UnreadablePayload`."""
    _check_size(body)
    try:
        text = _FORBIDDEN_IN_XML.sub("", body.decode("utf-8"))
        root = fromstring(text, forbid_dtd=True)
    except (UnicodeDecodeError, ParseError, DefusedXmlException) as error:
        raise errors.UnreadablePayload("The message is not the XML that WeChat sends.") from error
    return dict(_leaves(root, ""))


def parse_either(body: bytes) -> dict[str, str]:
    """XML or JSON, told by the first byte as the platform's console lets the account choose. Numbers keep their digits
    (a MsgId has 64 bits). Raises `UnreadablePayload`."""
    if body.lstrip()[:1] != b"{":
        return parse_fields(body)
    _check_size(body)
    try:
        value = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The message is not the JSON that WeChat sends.") from error
    return dict(_entries(value, ""))


def check_parties(fields: Fields) -> None:
    """Raises `UnreadablePayload` unless it says who wrote what to whom."""
    if any(not fields.get(name) for name in MESSAGE_FIELDS):
        raise errors.UnreadablePayload("The message does not say from whom, to whom and what it is.")


def content_of(fields: Fields) -> dict[str, Any]:
    """kind, text, attachments, event and event_data of an `InboundMessage`."""
    kind = fields.get("MsgType", "").lower()
    if kind == "text":
        return _text(fields)
    if kind == "event":
        return _event(fields)
    if kind == "location":
        place = _place(fields, "Location_X", "Location_Y", fields.get("Label", ""))
        return {"kind": "location", "attachments": (place,)}
    if kind in ("link", "miniprogrampage"):
        return {"kind": "link", "attachments": (_link(fields),)}
    if kind in _MEDIA:
        return _media(fields, kind)
    return {"kind": "unknown", "event_data": {"type": kind, **_rest(fields)}}


def message_id(fields: Fields) -> MessageId:
    who = (fields.get("ToUserName", ""), fields.get("FromUserName", ""))
    if fields.get("MsgType", "").lower() == "event":
        named = tuple(fields.get(name, "") for name in ("CreateTime", "Event", "EventKey"))
        return MessageId(digest(*who, *named))
    if fields.get("MsgId"):
        return MessageId(digest(*who, fields["MsgId"]))
    return MessageId(digest(*(part for item in sorted(fields.items()) for part in item)))


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def moment(text: str, received_at: datetime) -> datetime:
    """Of unix seconds; when it came, where they are missing or absurd."""
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _LATEST else received_at


def degrees(text: str, limit: int) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= limit else None


def render_xml(fields: Fields) -> bytes:
    """WeChat's flat XML; numbers bare, everything else in CDATA that no value can leave."""
    inside = "".join(f"<{name}>{_cdata(value)}</{name}>" for name, value in fields.items())
    return f"<xml>{inside}</xml>".encode()


def render_json(content: Mapping[str, Any]) -> bytes:
    """Real UTF-8: the platform shows `\\uXXXX` escapes to the customer as they are."""
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


_MEDIA: Mapping[str, Literal["image", "voice", "video"]] = {
    "image": "image",
    "voice": "voice",
    "video": "video",
    "shortvideo": "video",
}


def _text(fields: Fields) -> dict[str, Any]:
    """A tapped item of a menu comes as a text with the item's label, and its id, which is the choice's value."""
    return {"kind": "text", "text": fields.get("Content") or fields.get("bizmsgmenuid", "")}


def _link(fields: Fields) -> Attachment:
    """A page of a mini program has no address, but a path that its owner understands."""
    return Attachment(
        kind="link",
        url=fields.get("Url", ""),
        media_id=fields.get("PagePath", ""),
        name=fields.get("Title", ""),
        description=fields.get("Description", ""),
    )


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
        latitude=degrees(fields.get(latitude, ""), 90),
        longitude=degrees(fields.get(longitude, ""), 180),
        description=label,
    )


def _rest(fields: Fields) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in _COMMON}


def _check_size(body: bytes) -> None:
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")


def _leaves(element: Element, path: str) -> list[tuple[str, str]]:
    _check_depth(path)
    found: list[tuple[str, str]] = []
    for child in element:
        name = f"{path}{child.tag}"
        if len(child):
            found += _leaves(child, f"{name}.")
        else:
            found.append((name, (child.text or "").strip()))
    return found


def _entries(value: Any, path: str) -> list[tuple[str, str]]:
    """The leaves of a JSON object by their path, as `_leaves` names those of XML; numbers came as their digits."""
    _check_depth(path)
    if not isinstance(value, dict):
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        return [(path.removesuffix("."), _FORBIDDEN_IN_XML.sub("", text))]
    return [entry for name, inside in value.items() for entry in _entries(inside, f"{path}{name}.")]


def _check_depth(path: str) -> None:
    if path.count(".") > _DEEPEST:
        raise errors.UnreadablePayload("The message is nested deeper than any that WeChat sends.")


def _cdata(value: str) -> str:
    clean = _FORBIDDEN_IN_XML.sub("", value)
    if clean.isascii() and clean.isdigit():
        return clean
    return f"<![CDATA[{clean.replace(']]>', ']]]]><![CDATA[>')}]]>"
