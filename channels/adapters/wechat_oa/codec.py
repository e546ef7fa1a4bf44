"""The Official Account's XML to our message and our reply to WeChat's JSON and XML; pure.

`channel.py` calls it on both ways. The kinds of messages and what names one are the family's: `channels.families.wechat.codec`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from channels.adapters.wechat_oa.settings import NAME
from channels.families.wechat import codec as wechat_codec
from foundation import errors
from foundation.messages import Choice, Identifier, InboundMessage, TenantId


def parse_message(
    body: bytes, *, tenant: TenantId, account: str, app_id: str, received_at: datetime, original_id: str = ""
) -> InboundMessage:
    """Raises `UnreadablePayload` when it is not XML, does not say who wrote to whom, or is for another account than
    `original_id` where that is given."""
    fields = wechat_codec.parse_fields(body)
    wechat_codec.check_parties(fields)
    if original_id not in ("", fields["ToUserName"]):
        raise errors.UnreadablePayload("The message is for another account.", code="other_account")
    sender = fields["FromUserName"]
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=sender,
        message_id=wechat_codec.message_id(fields),
        sender=(Identifier(namespace=f"{NAME}:{app_id}", value=sender, proven=True),),
        sent_at=wechat_codec.moment(fields.get("CreateTime", ""), received_at),
        **wechat_codec.content_of(fields),
    )


def identify(body: bytes) -> str:
    """The same for every repetition of one message, also of one that cannot be read; never raises."""
    try:
        fields = wechat_codec.parse_fields(body)
    except errors.UnreadablePayload:
        return wechat_codec.digest(body.hex())
    return wechat_codec.message_id(fields)


def render_custom_send(recipient: str, text: str, choices: Sequence[Choice] = ()) -> bytes:
    """The body of custom/send."""
    content: dict[str, Any] = {"touser": recipient}
    if choices:
        items = [{"id": choice.value, "content": choice.label} for choice in choices]
        content |= {
            "msgtype": "msgmenu",
            "msgmenu": {"head_content": text, "list": items, "tail_content": ""},
        }
    else:
        content |= {"msgtype": "text", "text": {"content": text}}
    return wechat_codec.render_json(content)


def render_typing(recipient: str, command: Literal["Typing", "CancelTyping"] = "Typing") -> bytes:
    return wechat_codec.render_json({"touser": recipient, "command": command})


def render_passive_reply(*, recipient: str, account: str, text: str, sent_at: datetime) -> bytes:
    """A text as the answer to the webhook itself, for accounts that may not call custom/send."""
    fields = {
        "ToUserName": recipient,
        "FromUserName": account,
        "CreateTime": str(int(sent_at.timestamp())),
        "MsgType": "text",
        "Content": text,
    }
    return wechat_codec.render_xml(fields)
