"""The gateway's JSON to our messages and receipts, and our reply to its JSON; pure.

A call holds one object or a list of them: `{"id", "from", "to", "text", "ts", "media"}` is a message, `{"id", "status"}`
says what became of one of ours. One object that cannot be read does not spoil the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from channels.adapters.sms_generic.settings import NAME
from channels.contract import BODY_LIMIT, Receipt
from channels.families.sms import Keywords, e164, measure
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

ITEM_LIMIT = 1000
MEDIA_LIMIT = 10
NUMBER_LENGTH = 64

Item = Mapping[str, Any]
_KINDS: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "image": "image",
    "audio": "voice",
    "video": "video",
}
_STATES: Mapping[str, Literal["delivered", "read", "failed"]] = {
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "rejected": "failed",
    "expired": "failed",
}


def parse_items(body: bytes) -> list[Item]:
    """Raises `UnreadablePayload` when it is not JSON of objects."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The message is not JSON.") from error
    items = content if isinstance(content, list) else [content]
    found: list[Item] = [item for item in items[:ITEM_LIMIT] if isinstance(item, dict) and item]
    if not found:
        raise errors.UnreadablePayload("The message holds nothing that can be read.")
    return found


def parse_messages(
    items: Sequence[Item], *, tenant: TenantId, account: str, gateway: str, country: str, webhook_id: str,
    keywords: Keywords, received_at: datetime,
) -> list[InboundMessage]:  # fmt: skip
    """Raises `UnreadablePayload` when none of them is a message or a report."""
    found = [
        _message(
            item, tenant=tenant, account=account, gateway=gateway, country=country, keywords=keywords,
            fallback=f"{webhook_id}#{place}", received_at=received_at,
        )
        for place, item in enumerate(items)
        if not is_report(item) and _word(item, "from")
    ]  # fmt: skip
    if not found and not any(is_report(item) for item in items):
        raise errors.UnreadablePayload("The message does not say who wrote it.")
    return found


def is_report(item: Item) -> bool:
    return "status" in item and "from" not in item


def parse_receipts(items: Sequence[Item]) -> list[Receipt]:
    """States that say nothing new (queued, sent) are let go."""
    found = []
    for item in items:
        state = _STATES.get(_word(item, "status").lower()) if is_report(item) else None
        if state is not None and (identity := _word(item, "id")):
            code = f"{NAME}_{_slug(_word(item, 'error')) or 'undelivered'}" if state == "failed" else ""
            found.append(Receipt(identity, state, code))
    return found


def render_send(identity: str, recipient: str, text: str, *, sender: str) -> bytes:
    length = measure(text)
    content = {
        "id": identity, "to": recipient, "from": sender, "text": text, "encoding": length.encoding,
        "parts": length.segments,
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def identify(*parts: str) -> str:
    """The same name for the same parts, and nothing personal in it."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def refusal_of(content: object) -> str:
    """The code in `{"error": "opted_out"}` or `{"error": {"code": "opted_out"}}`."""
    error = content.get("error") if isinstance(content, dict) else None
    code = error.get("code") if isinstance(error, dict) else error
    return _slug(code) if isinstance(code, str) else ""


def _message(
    item: Item, *, tenant: TenantId, account: str, gateway: str, country: str, keywords: Keywords, fallback: str,
    received_at: datetime,
) -> InboundMessage:  # fmt: skip
    sender, ours = _word(item, "from"), _word(item, "to")
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=f"{ours}|{sender}",
        message_id=MessageId(identify(account, gateway, sender, _word(item, "id") or fallback)),
        sender=_names(sender, gateway, country),
        sent_at=_moment(item.get("ts"), received_at),
        reply_context={"from": ours} if ours else {},
        **_content(item, keywords),
    )


def _content(item: Item, keywords: Keywords) -> dict[str, Any]:
    kind, text, media = _word(item, "type"), item.get("text"), _media(item.get("media"))
    if kind not in ("", "message", "sms", "mms") or (not isinstance(text, str) and not media):
        return {"kind": "unknown", "event_data": {"type": kind}}
    said = text if isinstance(text, str) else ""
    if not media and (event := keywords.event_of(said)):
        return {"kind": "event", "event": event, "text": said}
    if media and not said:
        return {"kind": media[0].kind, "attachments": media}
    return {"kind": "text", "text": said, "attachments": media}


def _media(listed: object) -> tuple[Attachment, ...]:
    """Each an address, or an object with `url` and `type`; only what a browser would open."""
    found = []
    for one in listed[:MEDIA_LIMIT] if isinstance(listed, list) else ():
        given = {"url": one} if isinstance(one, str) else one
        if not isinstance(given, dict):
            continue
        url, media_type = _word(given, "url", 2000), _word(given, "type")
        if url.startswith(("https://", "http://")):
            kind = _KINDS.get(media_type.partition("/")[0].lower(), "file")
            found.append(Attachment(kind=kind, url=url, media_type=media_type, name=_word(given, "name")))
    return tuple(found)


def _names(sender: str, gateway: str, country: str) -> tuple[Identifier, ...]:
    own = Identifier(namespace=f"{NAME}:{gateway}", value=sender, proven=True)
    phone = e164(sender, country)
    return (own, Identifier(namespace="phone", value=phone, proven=True)) if phone else (own,)


def _word(item: Item, name: str, limit: int = NUMBER_LENGTH) -> str:
    """A number or short text as text; "" for everything else."""
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        text = str(value).strip()
    except ValueError:  # more digits than Python writes out
        return ""
    return "" if len(text) > limit else text.encode("utf-8", "replace").decode()


def _slug(text: str) -> str:
    return "".join(mark if mark.isascii() and mark.isalnum() else "_" for mark in text.lower())[:40].strip(
        "_"
    )


def _moment(value: object, received_at: datetime) -> datetime:
    """ISO 8601 or unix seconds; the arrival where it is neither."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return received_at
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return received_at
