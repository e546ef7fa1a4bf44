"""Messenger's JSON to our messages and receipts; pure.

`channel.py` calls it. One call may bring several entries with several items: all are read, and one that cannot be does not
spoil the others. What the page itself said (echoes), what another app answers (standby) and receipts are no messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from channels.contract import Receipt, Watermark
from channels.platforms.payloads import (
    Fields,
    child,
    digest,
    fingerprint,
    items,
    list_at,
    moment,
    number,
    parse,
    plain,
    text,
)
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

NAME = "messenger"
TITLE = "Messenger"
WHOLE = "page"

_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "image": "image",
    "sticker": "image",
    "audio": "voice",
    "video": "video",
    "file": "file",
}
_LINKS = frozenset({"fallback", "ig_reel", "reel", "share", "template"})
_ENVELOPE = frozenset({"sender", "recipient", "timestamp"})
_RECEIPTS: Mapping[str, Literal["delivered", "read"]] = {"delivery": "delivered", "read": "read"}
_LATEST = 10**14
"""Milliseconds."""
_EVENTS = {"message_edit": "edit", "reaction": "reaction", "referral": "referral", "optin": "optin"}


def read(
    body: bytes, *, tenant: TenantId, account: str, page_id: str, get_started: str, received_at: datetime
) -> list[InboundMessage]:
    """Raises `UnreadablePayload` when it is not Messenger's, or when there are messages and none of them names its sender or
    is for this page."""
    found: list[InboundMessage] = []
    others = 0
    for page, item in _items(body):
        if _is_silent(item, page):
            continue
        who = text(child(item.get("sender")).get("id"))
        if page != page_id or not who:
            others += 1
            continue
        content = _content(item, get_started)
        found.append(
            InboundMessage(
                tenant=tenant,
                channel=NAME,
                account=account,
                thread=who,
                message_id=MessageId(digest(NAME, account, page_id, who, _key(item))),
                sender=(Identifier(namespace=f"{NAME}:{page_id}", value=who, proven=True),),
                sent_at=moment(item.get("timestamp"), received_at, per_second=1000),
                **content,
            )
        )
    if others and not found:
        raise errors.UnreadablePayload(
            "The messages name no sender or are for another page.", code="other_account"
        )
    return found


def read_receipts(
    body: bytes, *, account: str, page_id: str, received_at: datetime
) -> list[Receipt | Watermark]:
    """Of the messages that are named, and of all up to a moment where none is. Raises `UnreadablePayload`."""
    receipts: list[Receipt | Watermark] = []
    for page, item in _items(body):
        who = text(child(item.get("sender")).get("id"))
        if page != page_id:
            continue
        for kind, state in _RECEIPTS.items():
            event = child(item.get(kind))
            named = [mid for one in (*list_at(event, "mids"), event.get("mid")) if (mid := text(one))]
            receipts += [Receipt(mid, state) for mid in named]
            mark = number(event.get("watermark"), _LATEST) or 0
            if not named and who and mark > 0:
                until = min(moment(mark, received_at, per_second=1000), received_at)
                receipts.append(Watermark(account, who, until, state))
    return receipts


def _items(body: bytes) -> Iterator[tuple[str, Fields]]:
    """Of each entry: the page's id and what happened."""
    whole = parse(body, TITLE)
    if whole.get("object") != WHOLE or not isinstance(whole.get("entry"), list):
        raise errors.UnreadablePayload("The message is not one of Messenger's.")
    for entry in items(whole["entry"]):
        for item in items(entry.get("messaging")):
            yield text(entry.get("id")), item


def _is_silent(item: Fields, page: str) -> bool:
    said = set(item) - _ENVELOPE
    by_page = text(child(item.get("sender")).get("id")) == page and bool(page)
    return not said or by_page or said <= set(_RECEIPTS) or child(item.get("message")).get("is_echo") is True


def _key(item: Fields) -> str:
    for name in ("message", "postback"):
        if mid := text(child(item.get(name)).get("mid")):
            return mid
    return fingerprint(item)


def _content(item: Fields, get_started: str) -> dict[str, Any]:
    if message := child(item.get("message")):
        return _message(message)
    if postback := child(item.get("postback")):
        return _postback(postback, get_started)
    name = next(iter(sorted(set(item) - _ENVELOPE)))
    if name in _EVENTS:
        return {"kind": "event", "event": _EVENTS[name], "event_data": plain(item[name])}
    return {"kind": "unknown", "event_data": {"type": text(name)}}


def _message(message: Fields) -> dict[str, Any]:
    """A tapped quick reply comes with its payload, which is the choice's value, and its title as text."""
    said = text(message.get("text"))
    if payload := text(child(message.get("quick_reply")).get("payload")):
        return {"kind": "text", "text": payload, "event_data": {"label": said} if said else {}}
    attachments = tuple(one for part in items(message.get("attachments")) if (one := _attachment(part)))
    if attachments and not (said and attachments[0].kind == "link"):
        return {"kind": attachments[0].kind, "text": said, "attachments": attachments}
    if "text" in message:
        return {"kind": "text", "text": said, "attachments": attachments}
    types = [text(part.get("type")) for part in items(message.get("attachments"))]
    return {"kind": "unknown", "event_data": {"type": types[0] if types else "message"}}


def _postback(postback: Fields, get_started: str) -> dict[str, Any]:
    payload, title = text(postback.get("payload")), text(postback.get("title"))
    label = {"label": title} if title else {}
    if payload and payload == get_started:
        return {"kind": "event", "event": "enter", "event_data": label | plain(postback.get("referral"))}
    return {"kind": "text", "text": payload or title, "event_data": label}


def _attachment(part: Fields) -> Attachment | None:
    kind, payload = text(part.get("type")), child(part.get("payload"))
    url = text(payload.get("url")) or text(part.get("url"))
    if kind in _MEDIA:
        return Attachment(kind=_MEDIA[kind], url=url, media_id=text(payload.get("sticker_id")))
    if kind == "location":
        point = child(payload.get("coordinates"))
        return Attachment(
            kind="location",
            latitude=number(point.get("lat"), 90),
            longitude=number(point.get("long"), 180),
            name=text(part.get("title")),
        )
    if kind in _LINKS and url:
        return Attachment(kind="link", url=url, name=text(payload.get("title")) or text(part.get("title")))
    return None
