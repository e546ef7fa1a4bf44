"""WeCom customer service's items to our messages and our reply to its JSON; pure.

`channel.py` reads the callback with it, which names an account and brings a token, and `puller.py` the items that are
fetched then. Of these, only origin 3 is the customer; 4 is the platform's word about them, 5 a colleague who answers
inside WeCom. The message id is a digest of corporation, account, customer and the item's own id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from channels.adapters.wecom_kf.settings import NAME
from channels.contract import Receipt
from channels.families.wechat import codec as wechat_codec
from channels.families.wechat.codec import render_json
from foundation import errors
from foundation.messages import (
    Attachment,
    Choice,
    Identifier,
    InboundMessage,
    MessageId,
    TenantId,
)

BELL = "kf_msg_or_event"
MENU_HEAD_BYTES = 1024
MENU_ITEM_BYTES = 128
_CUSTOMER, _SYSTEM = 3, 4
_SESSION_ENDED = "3"
_NOT_OF_CUSTOMERS = frozenset({"msg_send_fail", "servicer_status_change", "servicer_recall_msg"})


@dataclass(frozen=True, slots=True)
class Bell:
    """A callback: something lies there for this account. `token` opens the next look, for ten minutes."""

    open_kfid: str
    token: str


@dataclass(frozen=True, slots=True)
class Place:
    """Whose inbox is read, and who reads it."""

    tenant: TenantId
    account: str
    corp_id: str


def parse_bell(body: bytes) -> Bell | None:
    """None for other callbacks. Raises `UnreadablePayload`."""
    fields = wechat_codec.parse_fields(body)
    if not fields:
        raise errors.UnreadablePayload("The callback says nothing.")
    if fields.get("Event", "") != BELL or not fields.get("OpenKfId"):
        return None
    return Bell(fields["OpenKfId"], fields.get("Token", ""))


def identify(body: bytes) -> str:
    """A callback names no message; repetitions of one have equal bytes."""
    return wechat_codec.digest(body.hex())


def read_item(item: Any, place: Place, *, received_at: datetime) -> InboundMessage | None:
    """None for what is no act of a customer. Raises `UnreadablePayload` for an item that does not say whose it is."""
    if not isinstance(item, Mapping):
        raise errors.UnreadablePayload("An item is no object.")
    inside = _object(item, "event")
    origin, event = _number(item.get("origin")), _text(inside, "event_type")
    if origin not in (_CUSTOMER, _SYSTEM) or event in _NOT_OF_CUSTOMERS:
        return None
    open_kfid = _text(item, "open_kfid") or _text(inside, "open_kfid")
    customer = _text(item, "external_userid") or _text(inside, "external_userid")
    msgid = _text(item, "msgid")
    if not (open_kfid and customer and msgid):
        raise errors.UnreadablePayload("An item does not say whose it is.")
    content = _event(event, inside) if _text(item, "msgtype") == "event" else _content(item)
    if origin == _SYSTEM and content["kind"] != "event":
        return None
    return InboundMessage(
        tenant=place.tenant,
        channel=NAME,
        account=place.account,
        thread=f"{open_kfid}:{customer}",
        message_id=MessageId(wechat_codec.digest(place.corp_id, open_kfid, customer, msgid)),
        sender=(Identifier(namespace=f"{NAME}:{place.corp_id}", value=customer, proven=True),),
        sent_at=wechat_codec.moment(_text(item, "send_time"), received_at),
        reply_context=_reply_context(open_kfid, inside),
        **content,
    )


def send_failure(item: Any) -> Receipt | None:
    """That a message of ours did not arrive, and the number of the reason; None for every other item."""
    inside = _object(item, "event") if isinstance(item, Mapping) else {}
    if _text(inside, "event_type") != "msg_send_fail":
        return None
    return Receipt(_text(inside, "fail_msgid"), "failed", f"{NAME}_fail_{_text(inside, 'fail_type') or '0'}")


def render_text(text: str) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": text}}


def render_menu(text: str, choices: Sequence[Choice]) -> dict[str, Any]:
    """`text` fits the head; see `MENU_HEAD_BYTES`."""
    items = [
        {"type": "click", "click": {"id": _cut(choice.value), "content": _cut(choice.label)}}
        for choice in choices
    ]
    return {"msgtype": "msgmenu", "msgmenu": {"head_content": text, "list": items}}


def render_send(content: Mapping[str, Any], *, recipient: str, open_kfid: str, msgid: str) -> bytes:
    """The body of kf/send_msg."""
    return render_json({"touser": recipient, "open_kfid": open_kfid, "msgid": msgid, **content})


def render_welcome(content: Mapping[str, Any], *, code: str, msgid: str) -> bytes:
    """The body of kf/send_msg_on_event."""
    return render_json({"code": code, "msgid": msgid, **content})


def msgid_of(idempotency_key: str, number: int = 0) -> str:
    """Ours for a message, in the platform's 32 letters; the same whenever the same part is sent."""
    return wechat_codec.digest("kf", idempotency_key, str(number))


def raw(item: Any) -> bytes:
    return json.dumps(item, ensure_ascii=False).encode("utf-8", "replace")


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = _text(item, "msgtype")
    inside = _object(item, kind)
    if kind == "text":
        return {"kind": "text", "text": _text(inside, "content") or _text(inside, "menu_id")}
    if kind in _MEDIA:
        shown = _MEDIA[kind]
        return {"kind": shown, "attachments": (Attachment(kind=shown, media_id=_text(inside, "media_id")),)}
    if kind == "location":
        return {"kind": "location", "attachments": (_location(inside),)}
    if kind in ("link", "miniprogram"):
        link = Attachment(
            kind="link", url=_text(inside, "url"), name=_text(inside, "title"), description=_text(inside, "desc"),
            media_id=_text(inside, "pagepath"),
        )  # fmt: skip
        return {"kind": "link", "attachments": (link,)}
    return {"kind": "unknown", "event_data": {"type": kind}}


_MEDIA: Mapping[str, Literal["image", "voice", "video", "file"]] = {
    "image": "image",
    "voice": "voice",
    "video": "video",
    "file": "file",
}


def _location(inside: Mapping[str, Any]) -> Attachment:
    return Attachment(
        kind="location",
        latitude=wechat_codec.degrees(_text(inside, "latitude"), 90),
        longitude=wechat_codec.degrees(_text(inside, "longitude"), 180),
        name=_text(inside, "name"),
        description=_text(inside, "address"),
    )


def _event(name: str, inside: Mapping[str, Any]) -> dict[str, Any]:
    """Without a code the platform has greeted already, or would refuse a greeting: then nothing may be said."""
    data = {key: _text(inside, key) for key in sorted(inside) if key not in _PRIVATE}
    event = name or "unknown"
    if name == "enter_session":
        event = "enter" if _text(inside, "welcome_code") else "reenter"
    elif name == "session_status_change" and data.get("change_type") == _SESSION_ENDED:
        event = "end"
    return {"kind": "event", "event": event, "event_data": data}


_PRIVATE = frozenset({"event_type", "open_kfid", "external_userid", "welcome_code", "msg_code"})


def _reply_context(open_kfid: str, inside: Mapping[str, Any]) -> dict[str, str]:
    code = _text(inside, "welcome_code")
    return {"open_kfid": open_kfid, "welcome_code": code} if code else {"open_kfid": open_kfid}


def _object(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _cut(text: str) -> str:
    return text.encode()[:MENU_ITEM_BYTES].decode("utf-8", "ignore")
