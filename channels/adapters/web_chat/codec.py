"""The web chat's words on the wire: what a client may send, and how a line of the transcript looks to it. Pure.

The same shapes serve REST, SSE and the socket. Ids of the client (`client_msg_id`) live inside our message ids:
`<conversation>:<client id>`, so that the deduplication key is deterministic and the echo can name it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from channels import text as texts
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.conversations import Message
from foundation.messages import Attachment, ConversationId, Identifier, InboundMessage, MessageId, TenantId

CHANNEL = "web_chat"
UPLOADS_PER_MESSAGE = 6
SEQ_LIMIT = 2**53


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UploadRef(Strict):
    """What an upload returned; nothing else about the file is believed."""

    upload_id: str = Field(min_length=1, max_length=64)


class SendForm(Strict):
    client_msg_id: Annotated[UUID, Field(strict=False)]
    text: str = Field("", max_length=200_000)
    attachments: tuple[UploadRef, ...] = Field((), max_length=UPLOADS_PER_MESSAGE, strict=False)


class SeqForm(Strict):
    seq: int = Field(ge=0, le=SEQ_LIMIT)


class StopForm(Strict):
    message_id: str = Field(min_length=1, max_length=200)


class SessionForm(Strict):
    site_key: str = Field("", max_length=200)
    identity_jwt: str = Field("", max_length=8_000)
    refresh_token: str = Field("", max_length=400)
    keep: Literal["cookie", "storage"] = "cookie"
    """storage: the page cannot keep our cookie and gets the refresh token in the body."""
    fresh: bool = False
    """Signed out: begin as a new visitor."""


class Hello(Strict):
    t: Literal["hello"]
    v: Literal[1]
    token: str = Field("", max_length=4_000)
    conversation_id: str = Field("", max_length=64)
    last_seq: int = Field(0, ge=0, le=SEQ_LIMIT)


class Send(SendForm):
    t: Literal["send"]


class Ack(SeqForm):
    t: Literal["ack"]


class Read(SeqForm):
    t: Literal["read"]


class Typing(Strict):
    t: Literal["typing"]


class Stop(StopForm):
    t: Literal["stop"]


class Auth(Strict):
    t: Literal["auth"]
    token: str = Field(max_length=4_000)


class Ping(Strict):
    t: Literal["ping"]


class Pong(Strict):
    t: Literal["pong"]


ClientFrame = Annotated[
    Hello | Send | Ack | Read | Typing | Stop | Auth | Ping | Pong, Field(discriminator="t")
]
_FRAMES: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)

Frame = dict[str, Any]


def parse_frame(text: str) -> ClientFrame:
    """Raises `InvalidInput` with code `bad_frame`."""
    try:
        return _FRAMES.validate_json(text)
    except ValidationError as error:
        mended = texts.mend_json(text)
        if mended is not None:
            return parse_frame(mended)
        raise errors.InvalidInput("This frame is not one of the protocol.", code="bad_frame") from error


def message_id(conversation_id: str, client_msg_id: UUID) -> MessageId:
    return MessageId(f"{conversation_id}:{client_msg_id}")


def client_message_id(conversation_id: str, stored_id: str) -> str | None:
    prefix = f"{conversation_id}:"
    return stored_id[len(prefix) :] if stored_id.startswith(prefix) else None


def to_inbound(
    form: SendForm, *, tenant: TenantId, account: str, visitor: str, shop_account: str,
    conversation_id: ConversationId, attachments: tuple[Attachment, ...], now: datetime,
) -> InboundMessage:  # fmt: skip
    """`shop_account` is "" unless a signed user token proved it."""
    return InboundMessage(
        tenant=tenant,
        channel=CHANNEL,
        account=account,
        thread=visitor,
        message_id=message_id(conversation_id, form.client_msg_id),
        sender=identifiers(account, visitor, shop_account),
        kind=_kind(form.text, attachments),
        text=form.text,
        attachments=attachments,
        sent_at=now,
    )


def identifiers(account: str, visitor: str, shop_account: str) -> tuple[Identifier, ...]:
    """The visitor's id is ours and signed, so it is proven; it proves no more than "the same browser"."""
    own = Identifier(namespace=f"{CHANNEL}:{account}", value=visitor, proven=True, device=True)
    if not shop_account:
        return (own,)
    return (own, Identifier(namespace="account", value=shop_account, proven=True))


def render_message(message: Message) -> Frame:
    """One line of the transcript as the page shows it."""
    shown: Frame = {
        "seq": message.seq,
        "id": message.id,
        "role": message.role,
        "kind": message.kind,
        "text": message.text,
        "ts": to_milliseconds(message.sent_at),
        "attachments": [_render_attachment(one) for one in message.attachments],
    }
    client_id = client_message_id(message.conversation_id, message.id)
    if client_id is not None:
        shown["client_msg_id"] = client_id
    if message.author:
        shown["author"] = message.author
    if message.language:
        shown["language"] = message.language
    if message.choices:
        shown["choices"] = [choice.model_dump() for choice in message.choices]
    if message.citations:
        shown["citations"] = [citation.model_dump() for citation in message.citations]
    return shown


def render_receipt(message: Message) -> Frame:
    """The answer to a send: the same for every repeat."""
    return {"id": message.id, "seq": message.seq, "ts": to_milliseconds(message.sent_at)}


def dump(frame: Mapping[str, Any]) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def _render_attachment(attachment: Attachment) -> Frame:
    given = attachment.model_dump(exclude_defaults=True, exclude={"media_id"})
    return {"kind": attachment.kind, **given}


def _kind(text: str, attachments: tuple[Attachment, ...]) -> Any:
    return attachments[0].kind if attachments and not text.strip() else "text"
