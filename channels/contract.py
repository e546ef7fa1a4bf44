"""The promise of a channel: is it authentic, what does it say, send this. One folder in `adapters/` keeps it.

`intake` calls `handshake`, `verify`, `read`, `acknowledge` in this order for the webhook of a platform; `delivery`
calls `send` for each part that `degrade` made. An adapter never sees intake or delivery; one that needs routes of
its own (the web chat) gets the `Door`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr
from starlette.routing import BaseRoute

from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.live import Hub
from foundation.messages import ContentKind, ConversationId, InboundMessage, OutboundMessage, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

BODY_LIMIT = 1_048_576
"""Bytes of a webhook's body; every platform we know stays far below it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A platform's request as it came. Header names are lower-case; `body` is raw: verify before parsing."""

    method: Literal["GET", "POST"]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    account: str = ""
    """What stood behind the channel's name in the address; for platforms that sign nothing but know a path."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the platform gets at once."""

    body: bytes = b""
    status: int = 200
    media_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the channel can show; `degrade` fits everything else to it, aloud."""

    text_limit: int
    text_unit: Literal["bytes", "characters", "utf16"] = "characters"
    buttons: int = 0
    markdown: bool = False
    streaming: bool = False
    typing: bool = False
    media: frozenset[ContentKind] = frozenset()
    citations: Literal["native", "text", "none"] = "text"
    reply_window_seconds: int | None = None
    reply_quota: int | None = None
    """Messages we may send per customer action; None = no limit."""
    synchronous_deadline_seconds: float | None = None
    sign_in: bool = False
    """The channel's own page signs customers in; elsewhere they get a link."""
    acknowledge_unreadable: bool = False
    """The platform repeats for ever, or closes the hook, when it is told that we cannot read something."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a reply, already inside the channel's limits."""

    message: OutboundMessage
    text: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The door's answer for one message."""

    conversation_id: ConversationId
    seq: int
    new: bool


class Door(Protocol):
    """Intake, as seen by an adapter with its own routes: store and publish in one transaction, then answer."""

    async def accept(self, message: InboundMessage, raw: bytes) -> Accepted: ...

    def conversation_id(self, message: InboundMessage) -> ConversationId: ...

    async def prove(self, message: InboundMessage, *, account: str, valid_seconds: int) -> None:
        """The sender of `message`, which itself is not stored, has proven an account: the conversation learns of it
        and goes on with what had to wait. Repeatable for the same `message_id`."""
        ...


class ProofWriter(Protocol):
    """Stores a proven account in the transaction that tells of it; `customers.directory.Directory.prove` keeps it."""

    def __call__(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, account: str,
        method: str, valid_seconds: int,
    ) -> object: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the wiring hands to every adapter."""

    tenant: TenantId
    public_url: str
    database: Database
    vault: Vault
    hub: Hub
    clock: Clock
    data_dir: Path = Path("var")
    """Where a channel may keep files, in a folder of its own name."""
    origins: tuple[str, ...] = ()
    """Sites that may embed us, exact origins; our own address always may."""
    identity_keys: Mapping[str, SecretStr] = field(default_factory=dict)
    """Key id → secret of the shop's signed user tokens (HS256)."""


class Channel(Protocol):
    name: str
    capabilities: Capabilities

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """The platform's check of our address; None when this is an ordinary call. Raises `NotAuthentic`."""
        ...

    def verify(self, webhook: Webhook) -> None:
        """On the raw bytes, constant-time. Raises `NotAuthentic`."""
        ...

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        """Pure. Unknown kinds become `unknown` messages; raises `UnreadablePayload` when nothing can be read."""
        ...

    def acknowledge(self, webhook: Webhook) -> Acknowledgement: ...

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """Returns the provider's id ("" where there is none). Raises `UpstreamUnavailable` (try again, with its
        retry-after), `UpstreamRefused` (never), `UnsupportedContent`."""
        ...

    async def show_typing(self, conversation: Conversation) -> None:
        """A passing sight; never raises for a provider's refusal."""
        ...

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        """Routes of its own beside the generic webhook; most channels have none."""
        ...


class ChannelFactory(Protocol):
    def __call__(self, settings: BaseModel, surroundings: Surroundings) -> Channel: ...


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One line of `registry.py`. `settings` is read from HUILIU_<NAME>_… only when the channel is enabled."""

    name: str
    settings: type[BaseModel]
    build: ChannelFactory
    title: Mapping[str, str] = field(default_factory=dict)
