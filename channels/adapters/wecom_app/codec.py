"""A self-built app's XML to our message and our reply to its JSON; pure.

The sender is a member of the corporation, whom WeCom signs for. Their user id is told apart without regard to case, as
WeCom does it; the form that WeCom wrote travels in the reply context.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from channels.adapters.wecom_app.settings import NAME
from channels.families.wechat import codec as wechat_codec
from foundation import errors
from foundation.messages import Identifier, InboundMessage, TenantId

_ENTERED = "enter_agent"


def parse_message(
    body: bytes, *, tenant: TenantId, account: str, corp_id: str, agent_id: str, received_at: datetime
) -> InboundMessage | None:
    """None for callbacks about nobody in particular (changes of contacts, bells of other products). Raises
    `UnreadablePayload` when it is not XML, says nothing, or is for another app."""
    fields = wechat_codec.parse_fields(body)
    if not fields.get("MsgType"):
        raise errors.UnreadablePayload("The message does not say what it is.")
    if not fields.get("FromUserName"):
        return None
    if fields.get("AgentID", agent_id) not in ("", agent_id):
        raise errors.UnreadablePayload("The message is for another app.", code="other_account")
    member = fields["FromUserName"]
    known = {**fields, "ToUserName": corp_id, "FromUserName": member.lower()}
    return InboundMessage(
        tenant=tenant,
        channel=NAME,
        account=account,
        thread=member.lower(),
        message_id=wechat_codec.message_id(known),
        sender=(Identifier(namespace=f"{NAME}:{corp_id}", value=member.lower(), proven=True),),
        sent_at=wechat_codec.moment(fields.get("CreateTime", ""), received_at),
        reply_context={"touser": member},
        **_content(fields),
    )


def identify(body: bytes) -> str:
    """The same for every repetition of one message; never raises."""
    try:
        fields = wechat_codec.parse_fields(body)
    except errors.UnreadablePayload:
        return wechat_codec.digest(body.hex())
    return wechat_codec.message_id(fields)


def render_send(recipient: str, text: str, *, agent_id: str, confidential: bool = False) -> bytes:
    """The body of message/send. The platform's check against doubles is left off: it compares texts, and would swallow a
    second answer that rightly says the same as the first."""
    return wechat_codec.render_json(
        {
            "touser": recipient, "msgtype": "text", "agentid": int(agent_id), "text": {"content": text},
            "safe": int(confidential), "enable_duplicate_check": 0,
        }
    )  # fmt: skip


def _content(fields: dict[str, str]) -> dict[str, Any]:
    content = wechat_codec.content_of(fields)
    if content.get("event") == _ENTERED:
        content["event"] = "enter"
    return content
