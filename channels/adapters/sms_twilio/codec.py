"""Twilio's form to our message, and our reply to the form of its Messages API; pure.

One address takes messages and status callbacks; which of the two a call is shows in its fields. SMS has no conversation
of its own: the pair of our number and the customer's is one. The message id is a digest, because it stands unsealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from channels.adapters.sms_twilio.settings import NAME
from channels.contract import Receipt
from channels.families.sms import HELP, OPT_IN, OPT_OUT, Keywords, e164
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

MEDIA_LIMIT = 10
"""Pictures of one MMS."""
ACKNOWLEDGED = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'

Fields = Mapping[str, str]
MediaKind = Literal["image", "voice", "video", "file"]

_ARRIVED = ("", "received", "receiving")
_EVENTS = {"STOP": OPT_OUT, "START": OPT_IN, "HELP": HELP}
"""Of OptOutType, which comes where the account has Twilio's extended handling."""
_KINDS: Mapping[str, MediaKind] = {"image": "image", "audio": "voice", "video": "video"}
_STATES: Mapping[str, Literal["delivered", "read", "failed"]] = {
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
}


def is_report(fields: Fields) -> bool:
    """A status callback about a message of ours."""
    return fields.get("MessageStatus", "").lower() not in _ARRIVED


def parse_message(
    fields: Fields, *, tenant: TenantId, account: str, account_sid: str, keywords: Keywords, received_at: datetime
) -> InboundMessage:  # fmt: skip
    """Raises `UnreadablePayload` when it does not say who wrote. Twilio names no time: the arrival counts."""
    sender, ours = fields.get("From", ""), fields.get("To", "")
    if not sender:
        raise errors.UnreadablePayload("The message does not say who wrote it.")
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=f"{ours}|{sender}",
        message_id=_message_id(fields, account),
        sender=_names(sender, account_sid),
        sent_at=received_at,
        reply_context={"from": ours} if ours else {},
        **_content(fields, keywords),
    )


def parse_receipt(fields: Fields) -> Receipt | None:
    """None for a state that says nothing new (queued, sending, sent)."""
    state = _STATES.get(fields.get("MessageStatus", "").lower())
    sid = fields.get("MessageSid") or fields.get("SmsSid", "")
    if state is None or not sid:
        return None
    code = f"{NAME}_{fields.get('ErrorCode') or 'undelivered'}" if state == "failed" else ""
    return Receipt(sid, state, code)


def render_send(
    recipient: str, text: str, *, sender: str, service: str, media: Sequence[str] = (), callback: str = ""
) -> dict[str, Any]:  # fmt: skip
    """The form of the Messages resource; a service chooses the number itself."""
    form: dict[str, Any] = {"To": recipient}
    form |= {"MessagingServiceSid": service} if service else {"From": sender}
    if text:
        form["Body"] = text
    if media:
        form["MediaUrl"] = list(media[:MEDIA_LIMIT])
    if callback:
        form["StatusCallback"] = callback
    return form


def _content(fields: Fields, keywords: Keywords) -> dict[str, Any]:
    text, media = fields.get("Body", ""), _media(fields)
    event = _EVENTS.get(fields.get("OptOutType", "").upper()) or ("" if media else keywords.event_of(text))
    if event:
        return {"kind": "event", "event": event, "text": text}
    if media and not text:
        return {"kind": media[0].kind, "attachments": media}
    if "Body" not in fields and not media:
        return {"kind": "unknown", "event_data": {"type": fields.get("EventType", "")}}
    return {"kind": "text", "text": text, "attachments": media}


def _media(fields: Fields) -> tuple[Attachment, ...]:
    found = []
    for index in range(MEDIA_LIMIT):
        url, media_type = fields.get(f"MediaUrl{index}", ""), fields.get(f"MediaContentType{index}", "")
        if url:
            kind = _KINDS.get(media_type.partition("/")[0].lower(), "file")
            found.append(Attachment(kind=kind, url=url, media_type=media_type))
    return tuple(found)


def _names(sender: str, account_sid: str) -> tuple[Identifier, ...]:
    own = Identifier(namespace=f"{NAME}:{account_sid}", value=sender, proven=True)
    phone = e164(sender)
    return (own, Identifier(namespace="phone", value=phone, proven=True)) if phone else (own,)


def _message_id(fields: Fields, account: str) -> MessageId:
    sid = next((fields[name] for name in ("MessageSid", "SmsMessageSid", "SmsSid") if fields.get(name)), "")
    who = (account, fields.get("AccountSid", ""), fields.get("From", ""))
    named = (sid,) if sid else tuple(part for item in sorted(fields.items()) for part in item)
    text = "\0".join((*who, *named))
    return MessageId(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32])
