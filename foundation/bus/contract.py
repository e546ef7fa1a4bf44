"""The promise of a bus: nothing accepted is lost, one lane is worked in order, one finish happens once.

`channels.intake`, the desk and the content pages accept; `service.worker` takes, finishes, retries and buries.
A lane is the unit of order: a conversation, or the knowledge base of a tenant. Every method that changes something
is one transaction, and `writes` of the caller commit in it or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from foundation.events import Event
from foundation.messages import OutboundMessage, TenantId

Write = Callable[[sa.Connection], Any]
"""SQL of the caller inside the bus's transaction. It may run more than once (a batch that failed is repeated one by
one), so it has no effect but its SQL."""


AcceptWrites = Callable[[sa.Connection, int], Event | Any]
"""The caller's SQL for a new entry, with its `seq`; the same holds for it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to work on. (tenant, source, key) is the deduplication key; `key` must be deterministic.

    A lane belongs to one tenant, so its name must be unique over all of them: a conversation id is, others carry the
    tenant in the name. `trace` is the trace id of the log; empty means the one of the caller's context.
    """

    tenant: TenantId
    source: str
    key: str
    lane: str
    event: Event
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """`seq` is dense per lane and is the order of work; `new` is False for a repeat, with the first one's `seq`
    (or the place a redrive gave it)."""

    seq: int
    new: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """An entry in work. Each claim of a lane has its own `fence`: a finish with an older one changes nothing."""

    entry: Entry
    seq: int
    attempt: int
    fence: int
    lease_until: datetime
    received_at: datetime

    @property
    def idempotency_key(self) -> str:
        """The same over all attempts; prefix of the keys of everything this turn does outside."""
        return f"{self.entry.lane}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler wants to happen, all in the one transaction that finishes its turn."""

    replies: Sequence[OutboundMessage] = ()
    writes: Sequence[Write] = ()
    entries: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reply in work. `idempotency_key` = lane/seq/part stays the same over all attempts."""

    id: int
    lane: str
    message: OutboundMessage
    idempotency_key: str
    attempt: int
    trace: str = ""
    fence: int = 0
    """The embedded machine's claim; nobody else reads it."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Buried work, kept until an operator redrives it. `id` grows over both kinds, so one cursor pages through both."""

    id: int
    kind: Literal["entry", "reply"]
    tenant: TenantId
    lane: str
    error: str
    attempts: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Depth:
    """Entries that wait, are in work, or wait for their next attempt; buried entries and replies; unsent replies."""

    waiting: int = 0
    running: int = 0
    backing_off: int = 0
    dead: int = 0
    replies_waiting: int = 0
    oldest_age_seconds: float = 0.0


class Bus(Protocol):
    """Two machines keep this promise, one suite checks both: `tests/contracts/test_buses.py`."""

    lease_seconds: float
    """A turn that is neither extended nor finished for so long is given to the next who takes."""

    async def open(self) -> None:
        """Recover what a crash left; call after `Database.open`."""
        ...

    async def close(self) -> None: ...

    async def accept(self, entry: Entry, writes: AcceptWrites | None = None) -> Receipt:
        """Durable when it returns. `writes(connection, seq)` run only for a new entry, in the same transaction; an event
        that they return (it knows what only they could find out) is what is stored in place of `entry.event`.
        An exception means "unknown": the sender must send again, and deduplication absorbs it.
        Raises `Overloaded` when the queue of uncommitted work is full, `Conflict` for another tenant's lane."""
        ...

    async def take(self, limit: int) -> list[Turn]:
        """At most one turn per lane, the head only; lanes in backoff or already held are skipped."""
        ...

    async def extend(self, turns: Sequence[Turn]) -> set[str]:
        """Renew leases; returns the lanes that are lost, whose handlers must be cancelled."""
        ...

    async def finish(self, turn: Turn, outcome: Outcome) -> bool:
        """False: no longer the owner; everything was rolled back and the caller says nothing."""
        ...

    async def retry(self, turn: Turn, delay_seconds: float, error: str) -> bool:
        """Counts as an attempt and holds back this lane only."""
        ...

    async def release(self, turn: Turn) -> bool:
        """Give an unfinished turn back at once, without counting an attempt: the process stops."""
        ...

    async def bury(self, turn: Turn, error: str, outcome: Outcome = Outcome()) -> bool:
        """Move the entry to the dead and let the lane go on; `outcome` commits with it."""
        ...

    async def take_replies(self, limit: int) -> list[Outgoing]:
        """Per lane in order, the earliest open reply only; a reply in backoff holds back its own lane.
        Not settled within `lease_seconds`, it is handed out again: at least once, with the same key."""
        ...

    async def sent(self, outgoing: Outgoing, provider_id: str = "", writes: Sequence[Write] = ()) -> None:
        """Repeatable; `writes` run the first time only."""
        ...

    async def retry_reply(self, outgoing: Outgoing, delay_seconds: float, error: str) -> None: ...

    async def bury_reply(self, outgoing: Outgoing, error: str, entries: Sequence[Entry] = ()) -> None: ...

    async def changed(self, timeout_seconds: float) -> None:
        """Wait for a hint that there is work; may return early or late, never not at all."""
        ...

    async def dead(self, tenant: TenantId, *, after: int = 0, limit: int = 50) -> list[Dead]: ...

    async def find_dead_reply(self, tenant: TenantId, lane: str, message_id: str) -> int | None:
        """The id to `redrive` this message's reply by; None when it is not dead."""
        ...

    async def redrive(self, tenant: TenantId, kind: Literal["entry", "reply"], dead_id: int) -> None:
        """An entry is appended as a new turn at the end of its lane; a reply becomes open again, in its old place.
        Raises `NotFound` when it is not dead, or is another tenant's."""
        ...

    async def depth(self) -> Depth: ...

    async def purge(self, *, entries_before: datetime, replies_before: datetime) -> int:
        """Forget finished work; the deduplication horizon is `entries_before` (30 days in production)."""
        ...
