"""The one message form that every channel is translated into and out of.

Channels' codecs build `InboundMessage` and read `OutboundMessage`; the agent and the desk know nothing else.
All models are frozen and serialise to JSON with `model_dump_json`, which is what travels on the bus.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NewType

from pydantic import BaseModel, ConfigDict, Field

TenantId = NewType("TenantId", str)
ConversationId = NewType("ConversationId", str)
CustomerId = NewType("CustomerId", str)
MessageId = NewType("MessageId", str)

Role = Literal["customer", "bot", "agent", "system"]
ContentKind = Literal["text", "image", "voice", "video", "file", "location", "link", "event", "unknown"]

TEXT_LIMIT = 10_000
"""Characters of one customer message that we read; the rest is cut by intake, which says so to the customer."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identifier(Frozen):
    """One name of the sender, e.g. ("wechat_oa:wx01", "oAbC-123").

    `proven` is set by a channel only when it verified the name itself (a platform's signed callback for its own
    user id, a signed user token for an account); what a person types is never an identifier. `device` says that it
    names a thing which several people may use (a browser, a loudspeaker, the account of a household).
    """

    namespace: str
    value: str
    proven: bool = False
    device: bool = False


class Attachment(Frozen):
    """Something that is not text. `media_id` is the platform's handle, `url` where it can be fetched."""

    kind: Literal["image", "voice", "video", "file", "location", "link"]
    url: str = ""
    media_id: str = ""
    media_type: str = ""
    name: str = ""
    description: str = ""
    latitude: float | None = None
    longitude: float | None = None


class InboundMessage(Frozen):
    """What a customer, or a platform on their behalf, sent. `message_id` is the deduplication key: deterministic."""

    tenant: TenantId
    channel: str
    account: str
    thread: str
    message_id: MessageId
    sender: tuple[Identifier, ...] = Field(min_length=1)
    kind: ContentKind = "text"
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    event: str = ""
    event_data: dict[str, str] = Field(default_factory=dict)
    sent_at: datetime
    reply_context: dict[str, str] = Field(default_factory=dict)
    """Opaque to everybody but the channel: what it needs later to answer (a reply token, a service address …)."""


class Choice(Frozen):
    """A button, or where the channel has none a numbered line; `value` is what comes back as text when chosen."""

    label: str
    value: str


class Citation(Frozen):
    """The passage a statement rests on; `quote` stands verbatim in that version of the article."""

    article: str
    title: str
    version: int
    quote: str


class Reply(Frozen):
    """What we say, before any channel fits it to its limits."""

    text: str
    language: str = "zh"
    choices: tuple[Choice, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    citations: tuple[Citation, ...] = ()


class OutboundMessage(Frozen):
    """A reply on its way to a channel. `recipient` and `reply_context` are the channel's own, from the last inbound."""

    tenant: TenantId
    channel: str
    account: str
    conversation_id: ConversationId
    message_id: MessageId
    recipient: str
    role: Role
    reply: Reply
    reply_context: dict[str, str] = Field(default_factory=dict)
