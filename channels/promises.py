"""What only some platforms need: promises that an adapter keeps by having the method, beside `contract.Channel`.

Intake and delivery look whether a channel keeps one and go another way where it does not; `tests/contracts/test_channels.py`
checks each where it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from channels.contract import Acknowledgement, Door, Part, Receipt, Watermark, Webhook
from foundation.conversations import Conversation
from foundation.messages import Attachment, ConversationId, InboundMessage


@runtime_checkable
class Answering(Protocol):
    """A channel whose reply stands in the answer to the webhook. `capabilities.synchronous_deadline_seconds` says how long
    the platform waits; `send` is never called."""

    def listens(self, webhook: Webhook) -> InboundMessage | None:
        """For a call that says nothing and only fetches what is ready (a phone that was told to hold the line): names
        its conversation by a message that is not stored. Its event "idle" says that no reply is owed, so what is ready is
        fetched without waiting. None for every other call."""
        ...

    def respond(self, webhook: Webhook, parts: Sequence[Part], *, waiting: bool) -> Acknowledgement:
        """`parts` is what there is to say, possibly nothing; `waiting`: the reply was not ready in time and will come."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A channel whose check needs something that may have to be fetched first: a certificate that the call names."""

    async def prepare(self, webhook: Webhook) -> None:
        """Awaited before `verify`; the call is not authentic yet, so the channel bounds what a stranger can make it fetch.
        Raises `NotAuthentic`, `UpstreamUnavailable`."""
        ...


@runtime_checkable
class Transferring(Protocol):
    """A channel that is `Answering` and can put the customer through to a person within the call."""

    @property
    def transfers(self) -> bool:
        """Whether this account names somebody to put through to."""
        ...

    def transfer(self, webhook: Webhook, parts: Sequence[Part]) -> Acknowledgement:
        """In place of `respond`, when the conversation waits for a person or a person holds it."""
        ...


@runtime_checkable
class Pulling(Protocol):
    """A channel that fetches its messages itself."""

    async def pull(self, door: Door) -> None:
        """Runs until it is cancelled, beside the service. What was accepted must stay accepted after a crash at any
        point: store how far it came only after `door.accept`. Raises nothing for a platform that is away."""
        ...


@runtime_checkable
class Reporting(Protocol):
    def receipts(self, webhook: Webhook) -> Sequence[Receipt | Watermark]:
        """In a call that was verified. Pure; tolerates what it does not know."""
        ...


@runtime_checkable
class Remembering(Protocol):
    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        """What was read from a verified call, before it is accepted: the channel keeps what it must know later, in every
        process (who asked it to stop). Repeatable, because the platform repeats what was not accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Media:
    content: bytes
    media_type: str = ""
    """As the platform names it; whoever stores it looks at the bytes."""


@runtime_checkable
class Fetching(Protocol):
    async def fetch(self, attachment: Attachment) -> Media:
        """Raises `UpstreamUnavailable`, `UpstreamRefused` (gone, not ours), `InvalidInput` with code too_large."""
        ...


@runtime_checkable
class Reopening(Protocol):
    """A channel whose platform takes approved templates after the window."""

    @property
    def reopens(self) -> bool:
        """Whether this account names a template."""
        ...

    async def reopen(self, part: Part, *, idempotency_key: str) -> str:
        """In place of `send`, and promises the same."""
        ...


@dataclass(frozen=True, slots=True)
class Companion:
    """Where the same person can read: a number, on a channel that is `Reaching`, `name` or `name:account`."""

    place: str
    phone: str


@dataclass(frozen=True, slots=True)
class Reach:
    """A conversation that the customer need not have begun, as the channel's own messages name it."""

    thread: str
    recipient: str
    reply_context: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Reaching(Protocol):
    """A channel on which a phone number can be written to first (SMS)."""

    def reach(self, phone: str) -> Reach:
        """`phone` in E.164."""
        ...


@runtime_checkable
class Mailing(Protocol):
    """A mailbox: who has written to it can be written to again."""

    name: str

    @property
    def mailbox(self) -> str:
        """Its own address, behind which its customers' addresses are their names."""
        ...


@runtime_checkable
class Companioned(Protocol):
    """A channel that cannot show links (voice) and knows where to write them, or leaves that to what is proven of the
    customer."""

    def companion(self, conversation: Conversation) -> Companion | None: ...


@runtime_checkable
class HandingOver(Protocol):
    """A platform with people of its own, whom a conversation can be given to. While they have it nothing of ours may be said
    there; the event "end" gives it back."""

    @property
    def hands_over(self) -> bool:
        """Whether this account names anybody."""
        ...

    async def hand_over(self, conversation: Conversation) -> None:
        """Raises `UpstreamUnavailable` and `UpstreamRefused` (nobody is there)."""
        ...


@runtime_checkable
class Visited(Protocol):
    """A channel that gives its customers a token for their session (the web chat, the app)."""

    def visited(self, token: str) -> ConversationId:
        """The one conversation that the token is for. Raises `NotAuthentic`."""
        ...


@runtime_checkable
class Testing(Protocol):
    async def test(self) -> str:
        """One harmless call with the account's credentials; a sentence on what answered, e.g. the bot's name. Raises
        `UpstreamUnavailable` or `UpstreamRefused` with the sentence that mends it."""
        ...


@runtime_checkable
class Hosting(Protocol):
    """A channel whose conversations belong to places that are no accounts of ours (the sites that embed the web chat): its
    main account answers for all of them."""

    @property
    def hosts(self) -> str:
        """What such a place is, in a word."""
        ...


@runtime_checkable
class Addressed(Protocol):
    """A channel that does not simply listen at `Surroundings.hook`."""

    @property
    def address(self) -> str:
        """To enter at the platform, its secret included: shown to those who manage channels, never logged. "" where nothing
        is to be entered, because messages are fetched or come by routes of the channel's own."""
        ...
