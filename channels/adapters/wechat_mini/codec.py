"""A mini program's XML or JSON to our message and our reply to WeChat's JSON; pure.

The form is chosen in the platform's console, and told here by the first byte. Kinds and names of messages are the
family's: `channels.families.wechat.codec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from channels.adapters.wechat_mini.settings import NAME
from channels.families.wechat import codec as wechat_codec
from foundation import errors
from foundation.messages import Identifier, InboundMessage, TenantId

_ENTERED = "user_enter_tempsession"


def parse_message(
    body: bytes, *, tenant: TenantId, account: str, app_id: str, received_at: datetime, original_id: str = ""
) -> InboundMessage:
    """Raises `UnreadablePayload` when it is neither form, does not say who wrote to whom, or is for another account than
    `original_id` where that is given."""
    fields = wechat_codec.parse_either(body)
    wechat_codec.check_parties(fields)
    if original_id not in ("", fields["ToUserName"]):
        raise errors.UnreadablePayload("The message is for another mini program.", code="other_account")
    sender = fields["FromUserName"]
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=sender,
        message_id=wechat_codec.message_id(fields),
        sender=(Identifier(namespace=f"{NAME}:{app_id}", value=sender, proven=True),),
        sent_at=wechat_codec.moment(fields.get("CreateTime", ""), received_at),
        **_content(fields),
    )


def identify(body: bytes) -> str:
    """The same for every repetition of one message, also of one that cannot be read; never raises."""
    try:
        fields = wechat_codec.parse_either(body)
    except errors.UnreadablePayload:
        return wechat_codec.digest(body.hex())
    return wechat_codec.message_id(fields)


def render_send(recipient: str, text: str) -> bytes:
    """The body of custom/send."""
    return wechat_codec.render_json({"touser": recipient, "msgtype": "text", "text": {"content": text}})


def render_typing(recipient: str, command: Literal["Typing", "CancelTyping"] = "Typing") -> bytes:
    return wechat_codec.render_json({"touser": recipient, "command": command})


def _content(fields: Mapping[str, str]) -> dict[str, Any]:
    content = wechat_codec.content_of(fields)
    if content.get("event") == _ENTERED:
        content["event"] = "enter"
    return content
