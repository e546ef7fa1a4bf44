"""Weibo's JSON to our message, and our reply to its form; pure.

Weibo names no message: an id is made of who wrote what in which second, as its documents advise. Two equal texts of one
person within one second are one message therefore. Ids of people are numbers of 64 bits and are kept as text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from channels.adapters.weibo.settings import NAME
from channels.platforms.payloads import at, canonical, digest, dump, nested, parse, plain, words
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, TenantId

TITLE = "Weibo"
BEGINNINGS = frozenset({"follow", "scan_follow"})
"""Who follows may be written to. A subscription comes beside it, and is no second beginning."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"\w{3} (\w{3}) (\d{1,2}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call arrived. `uid` is our account's, or "" where it is not checked."""

    tenant: TenantId
    account: str
    uid: str
    received_at: datetime


def sign(timestamp: str, nonce: str, secret: str) -> str:
    """Over secret, time and nonce alone: the body is not covered. SHA-1 is the platform's choice."""
    joined = "".join(sorted((secret, timestamp, nonce))).encode("utf-8", "surrogatepass")
    return hashlib.sha1(joined).hexdigest()  # noqa: S324  # fixed by the protocol


def parse_call(body: bytes, place: Place) -> list[InboundMessage]:
    """Nothing for our own words. Raises `UnreadablePayload`."""
    call = parse(body, TITLE)
    sender, receiver, kind = (words(call, name) for name in ("sender_id", "receiver_id", "type"))
    if not sender or not kind:
        raise errors.UnreadablePayload("The message does not say who wrote it or what it is.")
    if sender == place.uid:
        return []
    if place.uid and receiver not in ("", place.uid):
        raise errors.UnreadablePayload("The message is for another account.", code="other_account")
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account, thread=sender,
            message_id=digest(NAME, place.account, _identity(call)),
            sender=(Identifier(namespace=f"{NAME}:{place.uid or receiver}", value=sender, proven=True),),
            sent_at=moment(words(call, "created_at"), place.received_at), **_content(call, kind),
        )
    ]  # fmt: skip


def identify(body: bytes) -> str:
    """The same for every repetition of one message, also of one that cannot be read; never raises."""
    try:
        return _identity(parse(body, TITLE))
    except errors.UnreadablePayload:
        return hashlib.sha256(body).hexdigest()


def moment(text: str, fallback: datetime) -> datetime:
    """`Thu Jan 01 08:00:00 +0800 2026`, whatever language the machine speaks."""
    match = _DATE.fullmatch(text)
    if match is None or match[1] not in _MONTHS:
        return fallback
    sign_of_zone = -1 if match[6] == "-" else 1
    try:
        zone = timezone(sign_of_zone * timedelta(hours=int(match[7]), minutes=int(match[8])))
        year, month, day = int(match[9]), _MONTHS.index(match[1]) + 1, int(match[2])
        hour, minute, second = int(match[3]), int(match[4]), int(match[5])
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return fallback


def render_reply(recipient: str, text: str) -> dict[str, str]:
    """Fields of the form, which the client encodes once; `data` is JSON."""
    return {"type": "text", "data": dump({"text": text}), "receiver_id": recipient, "save_sender_box": "1"}


def _identity(call: Mapping[str, Any]) -> str:
    named = {name: call.get(name) for name in ("sender_id", "created_at", "type", "text", "data")}
    return canonical(named)


def _content(call: Mapping[str, Any], kind: str) -> dict[str, Any]:
    data = nested(at(call, "data"), TITLE)
    if kind == "text":
        return {"kind": "text", "text": words(call, "text")}
    if kind in _MEDIA:
        handle = words(data, "tovfid") or words(data, "vfid")
        attachments = (Attachment(kind=_MEDIA[kind], media_id=handle),) if handle else ()
        return {"kind": _MEDIA[kind], "attachments": attachments}
    if kind == "position":
        place = Attachment(
            kind="location", latitude=_degrees(data.get("latitude"), 90), longitude=_degrees(data.get("longitude"), 180)
        )  # fmt: skip
        return {"kind": "location", "attachments": (place,)}
    if kind in ("event", "mention"):
        subtype = words(data, "subtype")
        name = "enter" if subtype in BEGINNINGS else _renamed(kind, subtype)
        return {"kind": "event", "event": name, "event_data": plain(data)}
    return {"kind": "unknown", "event_data": {"type": kind}}


_MEDIA: Mapping[str, Literal["image", "voice"]] = {"image": "image", "voice": "voice"}


def _renamed(kind: str, subtype: str) -> str:
    if kind == "mention":
        return "mention"
    return "subscription" if subtype == "subscribe" else subtype or "unknown"


def _degrees(value: Any, limit: int) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if abs(found) <= limit else None
