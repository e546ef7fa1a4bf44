"""The promise of a channel: is it authentic, what does it say, send this. One folder in `adapters/` keeps it.

`intake` calls `handshake`, `verify`, `read`, `acknowledge` in this order for the webhook of a platform; `delivery`
calls `send` for each part that `degrade` made. An adapter never sees intake or delivery; one that needs routes of
its own (the web chat) gets the `Door`.

What only some platforms need are promises of their own, which an adapter keeps by having the method: `Answering` (the
reply stands in the answer to the webhook: voice), `Transferring` (a call can be put through to a person), `Pulling` (we
fetch: mail, a queue with a cursor), `Reporting` (delivery and read receipts), `Remembering` (what a message changes for
the channel itself), `Preparing` (fetches what the check needs), `Fetching` (media behind the platform's own doors), `Testing`
(a look whether the credentials work), `Reopening` (a template after the window), `Companioned` (where to write what a voice
cannot say), `HandingOver` (the platform has people of its own), `Mailing` (a mailbox), `Visited` (its customers have tokens
of ours), `Addressed` (the address that the platform is given is a
secret, or there is none), `Hosting` (its accounts are not all ours).
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
from foundation.messages import (
    ContentKind,
    ConversationId,
    InboundMessage,
    Observation,
    OutboundMessage,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database

MAIN = "main"
"""The account of a channel that the environment configures."""
BODY_LIMIT = 1_048_576
"""Bytes of a webhook's body; every platform we know stays far below it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A platform's request as it came. Header names are lower-case; `body` is raw: verify before parsing."""

    method: Literal["GET", "POST", "HEAD"]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    account: str = ""
    """What stood behind the channel's name in the address; for platforms that sign nothing but know a path."""
    path: str = ""
    """Of the address as it was called, for signatures that cover it."""
    query_string: str = ""
    """As it was called, undecoded, for signatures that cover it."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the platform gets at once."""

    body: bytes = b""
    status: int = 200
    media_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages in so many seconds, and as many at once."""

    count: int
    seconds: float


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
    rate: Rate | None = None
    """Of all messages of one account."""
    rate_per_customer: Rate | None = None
    repeats: Literal["again", "ask"] = "again"
    """What follows a send whose outcome nobody knows: sent again, with the same key, because the platform drops a repeat or
    it harms little; or a person is asked, because it costs money or annoys."""
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
    links_went: str = ""
    """On a channel that is `Companioned`: the name, for people, of the channel where the links of the reply were written to."""


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

    async def observe(
        self, tenant: TenantId, conversation_id: ConversationId, observations: Sequence[Observation]
    ) -> None:
        """What the customer of this conversation did on the shop's pages, whether the conversation has begun or not. Starts
        no turn. Repeatable: an observation counts once by its id."""
        ...

    async def report(self, tenant: TenantId, channel: str, receipt: Receipt | Watermark) -> None:
        """What became of a part, for channels that learn it by fetching. Repeatable; lets go what is not ours."""
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
    account: str = MAIN
    """Our name for this account of the channel; what `read` puts into `InboundMessage.account`."""

    def hook(self, channel: str) -> str:
        """The address to enter at the platform."""
        tail = "" if self.account == MAIN else f"/{self.account}"
        return f"{self.public_url}/v1/hooks/{self.tenant}/{channel}{tail}"

    def secret_hook(self, channel: str, secret: str, *, parameter: str = "key") -> str:
        """For platforms that sign nothing: the secret is the last part. Where that names an account, a parameter has it."""
        plain = self.hook(channel)
        return f"{plain}/{secret}" if self.account == MAIN else f"{plain}?{parameter}={secret}"


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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a part that was sent. `provider_id` is what `send` returned."""

    provider_id: str
    state: Literal["delivered", "read", "failed"]
    code: str = ""
    """Of a failure: the platform's own, prefixed by the channel's name."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything of ours in the conversation of this account and thread that was sent up to this moment, by the platform's
    clock; for platforms that say how far somebody has read instead of naming messages."""

    account: str
    thread: str
    until: datetime
    state: Literal["delivered", "read"]


class ChannelFactory(Protocol):
    def __call__(self, settings: BaseModel, surroundings: Surroundings) -> Channel: ...


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One line of `registry.py`. `settings` is read from HUILIU_<NAME>_… only when the channel is enabled, or from an account
    that was added; a form is made from it, so each field has a description. All fields have defaults."""

    name: str
    settings: type[BaseModel]
    build: ChannelFactory
    title: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    """What customers call it, by language; empty: as `title`, which tells staff the provider as well."""
    fetches_token: bool = False
    """Calls need an access token that the platform gives for some time; it lies on the account's shelf."""
    closed: str = ""
    """Why this channel cannot be opened at all (a platform without an interface for it); `huiliu doctor` says it."""
