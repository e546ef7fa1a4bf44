"""Kuaishou's envelope to our message; pure.

Only the envelope and the events of authorisation are public. What a partner's event carries is found by the field names in
the settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels.adapters.kuaishou.settings import NAME, KuaishouSettings
from channels.platforms.payloads import at, canonical, digest, moment, nested, parse, plain, words
from foundation import errors
from foundation.messages import Identifier, InboundMessage, TenantId

TITLE = "Kuaishou"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call arrived."""

    tenant: TenantId
    account: str
    settings: KuaishouSettings
    received_at: datetime


def sign(body: bytes, secret: str) -> str:
    """MD5 over the raw body and the secret; MD5 is the platform's choice."""
    return hashlib.md5(body + secret.encode()).hexdigest()  # noqa: S324  # fixed by the protocol


def parse_call(body: bytes, place: Place) -> list[InboundMessage]:
    """Nothing for an event that names no person (the platform's test). Raises `UnreadablePayload`."""
    call = parse(body, TITLE)
    event, app_id = words(call, "event"), words(call, "app_id")
    if not event:
        raise errors.UnreadablePayload("The call does not say which event it is.")
    if app_id not in ("", place.settings.app_id):
        raise errors.UnreadablePayload("The event is for another app.", code="other_account")
    data = nested(at(call, "data"), TITLE)
    person = words(data, place.settings.user_field)
    if not person:
        return []
    return [
        InboundMessage(
            tenant=place.tenant, channel=NAME, account=place.account,
            thread=words(data, place.settings.conversation_field) or person,
            message_id=digest(NAME, place.account, person, words(call, "message_id") or canonical(call)),
            sender=(Identifier(namespace=f"{NAME}:{place.settings.app_id}", value=person, proven=True),),
            sent_at=moment(words(call, "timestamp"), place.received_at, per_second=1000),
            **_content(data, event, place.settings),
        )
    ]  # fmt: skip


def repeated_id(body: bytes) -> str:
    """What the acknowledgement has to name; "" where the call cannot be read."""
    try:
        return words(parse(body, TITLE), "message_id")
    except errors.UnreadablePayload:
        return ""


def _content(data: Mapping[str, Any], event: str, settings: KuaishouSettings) -> dict[str, Any]:
    if isinstance(text := at(data, settings.text_field), str):
        return {"kind": "text", "text": text}
    return {"kind": "event", "event": event.lower(), "event_data": plain(data)}
