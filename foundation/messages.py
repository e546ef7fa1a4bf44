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
    """Something that is not text. `media_id` is the platform's handle, `url` where it can be fetched. The last four are
    ours, once we have looked at it: empty as it comes from a channel."""

    kind: Literal["image", "voice", "video", "file", "location", "link"]
    url: str = ""
    media_id: str = ""
    media_type: str = ""
    name: str = ""
    description: str = ""
    latitude: float | None = None
    longitude: float | None = None
    stored: str = ""
    """Our id of the stored file."""
    size: int = 0
    """Bytes of the stored file."""
    problem: str = ""
    """Why there is no stored file: a stable code."""
    reading: str = ""
    """What a model made of it: the words of a voice message, the description of a picture. Never an instruction."""

    def as_sent(self) -> Attachment:
        """Without what is ours: the same for every repetition of the message that brought it."""
        return self.model_copy(update={"stored": "", "size": 0, "problem": "", "reading": ""})


FILES = frozenset({"image", "voice", "video", "file"})
"""The kinds of attachments that have a file behind them."""


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


class Observation(Frozen):
    """Something that a customer did beside writing to us: looked at a page, stayed on it, clicked, searched. Told by the
    shop's own page or app, so it is a hint for whoever helps them and proves nothing."""

    id: str = Field(min_length=1, max_length=64)
    type: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """page_view, dwell, click, search, or the shop's own word."""
    at: datetime
    page: str = Field("", max_length=200)
    url: str = Field("", max_length=2000)
    title: str = Field("", max_length=300)
    product: str = Field("", max_length=100)
    query: str = Field("", max_length=200)
    target: str = Field("", max_length=200)
    seconds: float = Field(0, ge=0, le=86_400)


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
