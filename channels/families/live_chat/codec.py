"""The words on the wire: what a client may send, and how a line of the transcript looks to it. Pure.

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
from channels.families.live_chat.tokens import Pass
from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.conversations import Message
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, Observation

UPLOADS_PER_MESSAGE = 6
SEQ_LIMIT = 2**53
MOMENT_LIMIT = 253_402_300_799_999
"""The last millisecond that a date can name."""
EVENTS_AT_ONCE = 100
_TOLD = ("page", "url", "title", "product", "query", "target")


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


class Seen(Strict):
    """One thing that the customer did in the shop."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    type: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    at: int = Field(0, ge=0, le=MOMENT_LIMIT)
    """Unix milliseconds by the client's clock; 0 or later than now: now."""
    page: str = Field("", max_length=200)
    url: str = Field("", max_length=2000)
    title: str = Field("", max_length=300)
    product: str = Field("", max_length=100)
    query: str = Field("", max_length=200)
    target: str = Field("", max_length=200)
    seconds: float = Field(0, ge=0, le=86_400)


class EventsForm(Strict):
    events: tuple[Seen, ...] = Field(min_length=1, max_length=EVENTS_AT_ONCE, strict=False)


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
    form: SendForm, who: Pass, *, channel: str, account: str, device: bool, attachments: tuple[Attachment, ...],
    now: datetime,
) -> InboundMessage:  # fmt: skip
    return InboundMessage(
        tenant=who.tenant,
        channel=channel,
        account=account,
        thread=who.visitor,
        message_id=message_id(who.conversation_id, form.client_msg_id),
        sender=identifiers(channel, account, who.visitor, who.account, device=device),
        kind=_kind(form.text, attachments),
        text=form.text,
        attachments=attachments,
        sent_at=now,
    )


def identifiers(
    channel: str, account: str, visitor: str, shop_account: str, *, device: bool
) -> tuple[Identifier, ...]:
    """The visitor's id stands in a token that we signed, so it is proven. `device`: it proves no more than "the same
    browser"."""
    own = Identifier(namespace=f"{channel}:{account}", value=visitor, proven=True, device=device)
    if not shop_account:
        return (own,)
    return (own, Identifier(namespace="account", value=shop_account, proven=True))


def to_observations(form: EventsForm, now: datetime) -> list[Observation]:
    """Text is cleaned as that of messages is."""
    return [
        Observation(
            id=seen.id,
            type=seen.type,
            at=min(from_milliseconds(seen.at), now) if seen.at else now,
            seconds=seen.seconds,
            **{name: texts.clean(getattr(seen, name))[0] for name in _TOLD},
        )
        for seen in form.events
    ]


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
    given = attachment.as_sent().model_dump(exclude_defaults=True, exclude={"media_id"})
    return {"kind": attachment.kind, **given}


def _kind(text: str, attachments: tuple[Attachment, ...]) -> Any:
    return attachments[0].kind if attachments and not text.strip() else "text"
