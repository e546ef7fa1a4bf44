"""WhatsApp's JSON to our messages and receipts; pure.

`channel.py` calls it. One call may bring several entries, changes, messages and statuses: all are read, and one that
cannot be does not spoil the others. A person may come with a phone number, with the id that Meta gives them for this business
(since 2026, also without a number), or with both; nothing but one of the two is required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from channels.contract import Receipt
from channels.platforms.payloads import (
    Fields,
    child,
    digest,
    fingerprint,
    items,
    moment,
    number,
    parse,
    plain,
    text,
)
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

NAME = "whatsapp"
TITLE = "WhatsApp"
WHOLE = "whatsapp_business_account"

_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "image": "image",
    "sticker": "image",
    "audio": "voice",
    "video": "video",
    "document": "file",
}
_EVENTS = {
    "request_welcome": "enter",
    "reaction": "reaction",
    "system": "system",
    "edit": "edit",
    "revoke": "revoke",
}
_STATES: Mapping[str, Literal["delivered", "read", "failed"]] = {
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}


def read(
    body: bytes, *, tenant: TenantId, account: str, phone_number_id: str, received_at: datetime
) -> list[InboundMessage]:
    """Raises `UnreadablePayload` when it is not WhatsApp's, or when there are messages and none of them can be read or is
    for this number."""
    found: list[InboundMessage] = []
    others = 0
    for value in _values(body):
        ours = _is_ours(value, phone_number_id)
        for item in items(value.get("messages")):
            message = (
                _message(
                    item, items(value.get("contacts")), tenant=tenant, account=account,
                    phone_number_id=phone_number_id, received_at=received_at,
                )
                if ours
                else None
            )  # fmt: skip
            if message is None:
                others += 1
            else:
                found.append(message)
    if others and not found:
        raise errors.UnreadablePayload(
            "The messages name no sender or are for another number.", code="other_account"
        )
    return found


def read_receipts(body: bytes, *, phone_number_id: str) -> list[Receipt]:
    """Raises `UnreadablePayload`."""
    return [
        receipt
        for value in _values(body)
        if _is_ours(value, phone_number_id)
        for status in items(value.get("statuses"))
        if (receipt := _receipt(status)) is not None
    ]


def _values(body: bytes) -> Iterator[Fields]:
    whole = parse(body, TITLE)
    if whole.get("object") != WHOLE or not isinstance(whole.get("entry"), list):
        raise errors.UnreadablePayload("The message is not one of WhatsApp's.")
    for entry in items(whole["entry"]):
        for change in items(entry.get("changes")):
            if change.get("field", "messages") == "messages":
                yield child(change.get("value"))


def _is_ours(value: Fields, phone_number_id: str) -> bool:
    return text(child(value.get("metadata")).get("phone_number_id")) == phone_number_id


def _message(
    item: Fields, contacts: Sequence[Fields], *, tenant: TenantId, account: str, phone_number_id: str,
    received_at: datetime,
) -> InboundMessage | None:  # fmt: skip
    contact = _contact(item, contacts)
    person = text(item.get("from_user_id")) or text(contact.get("user_id"))
    phone = text(item.get("from")) or text(contact.get("wa_id"))
    if not person and not phone:
        return None
    content = _content(item)
    name = text(child(contact.get("profile")).get("name"))
    if name:
        content["event_data"] = {**content.get("event_data", {}), "sender_name": name}
    wamid = text(item.get("id"))
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=person or phone,
        message_id=MessageId(digest(NAME, account, phone_number_id, person or phone, wamid or fingerprint(item))),
        sender=_sender(person, phone, phone_number_id),
        sent_at=moment(item.get("timestamp"), received_at),
        reply_context={
            name: value for name, value in (("message_id", wamid), ("to", phone)) if value
        },
        **content,
    )  # fmt: skip


def _contact(item: Fields, contacts: Sequence[Fields]) -> Fields:
    """Whose message it is, among the people of the call."""
    named = {value for name in ("from", "from_user_id") if (value := text(item.get(name)))}
    for contact in contacts:
        if named & {text(contact.get("wa_id")), text(contact.get("user_id"))}:
            return contact
    return contacts[0] if len(contacts) == 1 and not named else {}


def _sender(person: str, phone: str, phone_number_id: str) -> tuple[Identifier, ...]:
    """Strongest first: the id outlives a phone number that is not shown any more."""
    scope = f"{NAME}:{phone_number_id}"
    names = [Identifier(namespace=scope, value=value, proven=True) for value in (person, phone) if value]
    if phone.isascii() and phone.isdigit():
        names.append(Identifier(namespace="phone", value=f"+{phone}", proven=True))
    return tuple(names)


def _content(item: Fields) -> dict[str, Any]:
    kind = text(item.get("type"))
    inside = child(item.get(kind))
    if kind == "text":
        return {"kind": "text", "text": text(inside.get("body"))}
    if kind == "interactive":
        return _interactive(inside)
    if kind == "button":
        said, shown = text(inside.get("payload")), text(inside.get("text"))
        return {"kind": "text", "text": said or shown, "event_data": _label(shown)}
    if kind in _MEDIA:
        return _media(inside, _MEDIA[kind])
    if kind == "location":
        return {"kind": "location", "attachments": (_place(inside),)}
    if kind in _EVENTS:
        return {"kind": "event", "event": _EVENTS[kind], "event_data": plain(inside)}
    return {"kind": "unknown", "event_data": {"type": kind}}


def _interactive(inside: Fields) -> dict[str, Any]:
    """A tapped choice comes back as its value; a filled-in form of the business as an event."""
    for name in ("button_reply", "list_reply"):
        if chosen := child(inside.get(name)):
            said, shown = text(chosen.get("id")), text(chosen.get("title"))
            return {"kind": "text", "text": said or shown, "event_data": _label(shown)}
    if form := child(inside.get("nfm_reply")):
        return {"kind": "event", "event": "form", "event_data": plain(form)}
    return {"kind": "unknown", "event_data": {"type": text(inside.get("type")) or "interactive"}}


def _label(shown: str) -> dict[str, str]:
    return {"label": shown} if shown else {}


def _media(inside: Fields, kind: Literal["image", "voice", "video", "file"]) -> dict[str, Any]:
    attachment = Attachment(
        kind=kind,
        media_id=text(inside.get("id")),
        media_type=text(inside.get("mime_type")).split(";")[0].strip(),
        name=text(inside.get("filename")),
    )
    return {"kind": kind, "text": text(inside.get("caption")), "attachments": (attachment,)}


def _place(inside: Fields) -> Attachment:
    return Attachment(
        kind="location",
        latitude=number(inside.get("latitude"), 90),
        longitude=number(inside.get("longitude"), 180),
        name=text(inside.get("name")),
        description=text(inside.get("address")),
        url=text(inside.get("url")),
    )


def _receipt(status: Fields) -> Receipt | None:
    """`sent` says no more than the answer to our call did."""
    provider_id, state = text(status.get("id")), _STATES.get(text(status.get("status")))
    if not provider_id or state is None:
        return None
    if state != "failed":
        return Receipt(provider_id, state)
    problems = items(status.get("errors"))
    return Receipt(provider_id, state, f"{NAME}_{text(problems[0].get('code')) if problems else 'failed'}")
