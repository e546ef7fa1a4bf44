"""Tencent's calls to our messages and receipts, and a text to the body of SendSms; pure.

An incoming message comes as one object, reports on ours as an array, to the same address. Nothing is signed, so each item
must look like what it claims. A message has no id: it is known by all it says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from channels.adapters.sms_tencent.settings import NAME
from channels.contract import BODY_LIMIT, Receipt
from channels.families.sms import Keywords, e164
from foundation import errors
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId

ITEM_LIMIT = 1000
WORD_LIMIT = 200
ACKNOWLEDGED = b'{"result":0,"errmsg":"OK"}'
_PHONE = re.compile(r"\+?[0-9]{5,20}")
_NAMED_BY = ("nationcode", "mobile", "extend", "sign", "time")
_LATEST = 253_402_300_799
"""Unix seconds of the last moment that a datetime can hold."""

Item = Mapping[str, Any]


def parse_items(body: bytes) -> list[Item]:
    """Raises `UnreadablePayload` when no object in it says whose it is."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The message is not the JSON that Tencent sends.") from error
    items = content if isinstance(content, list) else [content]
    found: list[Item] = [item for item in items[:ITEM_LIMIT] if isinstance(item, dict) and phone_of(item)]
    if not found:
        raise errors.UnreadablePayload("No item of the message says whose it is.")
    return found


def parse_messages(
    items: Sequence[Item], *, tenant: TenantId, account: str, app_id: str, keywords: Keywords, received_at: datetime
) -> list[InboundMessage]:  # fmt: skip
    """A customer is known by the number in its international form, which is also how we write to them."""
    found = []
    for item in items:
        if is_report(item):
            continue
        phone, extend = phone_of(item), _word(item, "extend")
        found.append(
            InboundMessage(
                tenant=tenant,
                channel=NAME,
                account=account,
                thread=f"{extend}|{phone}",
                message_id=_message_id(item, account),
                sender=(
                    Identifier(namespace=f"{NAME}:{app_id}", value=phone, proven=True),
                    Identifier(namespace="phone", value=phone, proven=True),
                ),
                sent_at=_moment(item.get("time"), received_at),
                reply_context={"extend": extend} if extend else {},
                **_content(item, keywords),
            )
        )
    return found


def is_report(item: Item) -> bool:
    """A status callback about a message of ours."""
    return "report_status" in item


def parse_receipts(items: Sequence[Item]) -> list[Receipt]:
    found = []
    for item in items:
        identity = _word(item, "sid")
        if not is_report(item) or not identity:
            continue
        delivered = _word(item, "report_status").upper() == "SUCCESS"
        code = "" if delivered else f"{NAME}_{slug(_word(item, 'errmsg')) or 'undelivered'}"
        found.append(Receipt(identity, "delivered" if delivered else "failed", code))
    return found


def render_send(
    recipient: str, text: str, *, app_id: str, template_id: str, sign_name: str, extend: str, context: str
) -> bytes:  # fmt: skip
    content = {
        "PhoneNumberSet": [recipient],
        "SmsSdkAppId": app_id,
        "TemplateId": template_id,
        "SignName": sign_name,
        "TemplateParamSet": [text],
        "SessionContext": context,
    }
    if extend:
        content["ExtendCode"] = extend
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def phone_of(item: Item) -> str:
    """+8613800000000; "" where there is none."""
    mobile, nation = _word(item, "mobile"), _word(item, "nationcode").lstrip("+")
    if not _PHONE.fullmatch(mobile):
        return ""
    return e164(mobile, nation if nation.isascii() and nation.isdigit() else "86")


def slug(text: str) -> str:
    return "".join(mark if mark.isascii() and mark.isalnum() else "_" for mark in text.lower())[:60].strip(
        "_"
    )


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _content(item: Item, keywords: Keywords) -> dict[str, Any]:
    text = item.get("text")
    if not isinstance(text, str):
        return {"kind": "unknown"}
    event = keywords.event_of(text)
    return {"kind": "event", "event": event, "text": text} if event else {"kind": "text", "text": text}


def _message_id(item: Item, account: str) -> MessageId:
    text = item.get("text")
    named = [_word(item, name) for name in _NAMED_BY]
    return MessageId(digest(account, *named, text if isinstance(text, str) else ""))


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


def _moment(value: object, received_at: datetime) -> datetime:
    """Unix seconds."""
    text = _word({"time": value}, "time")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _LATEST else received_at
