"""Aliyun's batches to our messages and receipts, and a text to the parameters of SendSms; pure.

Two reports come as arrays to the same address: SmsUp (what customers wrote) and SmsReport (what became of ours). Nothing is
signed, so each item must look like what it claims; one that does not is left out and the others are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from channels.adapters.sms_aliyun.settings import NAME
from channels.contract import BODY_LIMIT, Receipt
from channels.families.sms import Keywords, e164
from foundation import errors
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId

ITEM_LIMIT = 1000
WORD_LIMIT = 200
ACKNOWLEDGED = b'{"code":0,"msg":"ok"}'
_PHONE = re.compile(r"\+?[0-9]{5,20}")

Item = Mapping[str, Any]


def parse_items(body: bytes) -> list[Item]:
    """Raises `UnreadablePayload` when it is no array of objects; one object alone is taken as well."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The message is not the JSON that Aliyun sends.") from error
    items = content if isinstance(content, list) else [content]
    found: list[Item] = [item for item in items[:ITEM_LIMIT] if isinstance(item, dict) and _phone(item)]
    if not found:
        raise errors.UnreadablePayload("No item of the message says whose it is.")
    return found


def parse_messages(
    items: Sequence[Item], *, tenant: TenantId, account: str, scope: str, keywords: Keywords, utc_offset_hours: int,
    received_at: datetime,
) -> list[InboundMessage]:  # fmt: skip
    """`scope`: under what name Aliyun knows the customers."""
    zone = timezone(timedelta(hours=utc_offset_hours))
    return [
        InboundMessage(
            tenant=tenant,
            channel=NAME,
            account=account,
            thread=f"{_word(item, 'dest_code')}|{_phone(item)}",
            message_id=_message_id(item, account),
            sender=_names(_phone(item), scope),
            sent_at=_moment(_word(item, "send_time"), zone, received_at),
            event_data=_data(item),
            **_content(item, keywords),
        )
        for item in items
        if not is_report(item)
    ]


def is_report(item: Item) -> bool:
    """SmsReport, which tells of a message of ours."""
    return "content" not in item and any(name in item for name in ("biz_id", "report_time", "err_code"))


def parse_receipts(items: Sequence[Item]) -> list[Receipt]:
    found = []
    for item in items:
        identity = _word(item, "biz_id")
        if not is_report(item) or not identity:
            continue
        delivered = item.get("success") is True or str(item.get("success")).lower() == "true"
        code = "" if delivered else f"{NAME}_{slug(_word(item, 'err_code')) or 'undelivered'}"
        found.append(Receipt(identity, "delivered" if delivered else "failed", code))
    return found


def render_send(
    recipient: str, text: str, *, sign_name: str, template_code: str, variable: str, extend_code: str, out_id: str
) -> dict[str, str]:  # fmt: skip
    """The parameters of SendSms; `out_id` comes back in the report."""
    parameters = {
        "PhoneNumbers": recipient,
        "SignName": sign_name,
        "TemplateCode": template_code,
        "TemplateParam": json.dumps({variable: text}, ensure_ascii=False),
        "OutId": out_id,
    }
    return {**parameters, "SmsUpExtendCode": extend_code} if extend_code else parameters


def slug(text: str) -> str:
    return "".join(mark if mark.isascii() and mark.isalnum() else "_" for mark in text.lower())[:60].strip(
        "_"
    )


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _content(item: Item, keywords: Keywords) -> dict[str, Any]:
    text = item.get("content")
    if not isinstance(text, str):
        return {"kind": "unknown"}
    event = keywords.event_of(text)
    return {"kind": "event", "event": event, "text": text} if event else {"kind": "text", "text": text}


def _data(item: Item) -> dict[str, str]:
    named = {name: _word(item, name) for name in ("dest_code", "sign_name")}
    return {name: value for name, value in named.items() if value}


def _names(phone: str, scope: str) -> tuple[Identifier, ...]:
    own = Identifier(namespace=f"{NAME}:{scope}", value=phone, proven=True)
    plain = e164(phone, "86")
    return (own, Identifier(namespace="phone", value=plain, proven=True)) if plain else (own,)


def _message_id(item: Item, account: str) -> MessageId:
    """`sequence_id` was a number in older reports and is a string in newer ones."""
    sequence = _word(item, "sequence_id")
    named = [sequence] if sequence else [f"{name}={item[name]!r}" for name in sorted(item)]
    return MessageId(digest(account, _phone(item), *named))


def _phone(item: Item) -> str:
    phone = _word(item, "phone_number")
    return phone if _PHONE.fullmatch(phone) else ""


def _word(item: Item, name: str) -> str:
    """A number or short text as text; "" for everything else."""
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        text = str(value).strip()
    except ValueError:  # more digits than Python writes out
        return ""
    return "" if len(text) > WORD_LIMIT else text.encode("utf-8", "replace").decode()


def _moment(text: str, zone: timezone, received_at: datetime) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return received_at
