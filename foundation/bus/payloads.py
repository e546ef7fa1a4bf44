"""Between what the bus carries and its rows: entries and replies to row values, rows back to turns and outgoing replies.

Used by `ledger.py` and the two machines. A row that this version cannot read never stops the loop: it comes back with
the problem, and `set_aside` buries it, or waits where only the key is wrong (then nothing is wrong with the entry).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from foundation import errors
from foundation.bus.contract import Bus, Entry, Outcome, Outgoing, Turn, Write
from foundation.bus.schedule import Claim
from foundation.clock import from_milliseconds
from foundation.events import EVENTS, Event
from foundation.messages import OutboundMessage
from foundation.security import Vault, random_token

log = structlog.get_logger(__name__)

WRONG_KEY_PAUSE_SECONDS = 60.0

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everything that commits together when a turn ends, ready for SQL."""

    state: int
    error: str | None
    replies: Sequence[Values]
    entries: Sequence[Values]
    writes: Sequence[Write]


class Head(NamedTuple):
    turn: Turn
    problem: errors.ServiceError | None


class Unreadable(Event):
    """Stands in for an event that this version cannot read; never serialised."""

    name = "Unreadable"


def settlement(turn: Turn, outcome: Outcome, state: int, error: str | None = None) -> Settlement:
    return Settlement(
        state=state,
        error=error,
        replies=[_reply_values(turn, part, reply) for part, reply in enumerate(outcome.replies)],
        entries=[entry_values(entry, turn.entry.trace) for entry in outcome.entries],
        writes=outcome.writes,
    )


def entry_values(entry: Entry, trace: str = "") -> Values:
    return {
        "tenant": entry.tenant,
        "source": entry.source,
        "key": entry.key,
        "lane": entry.lane,
        "event": entry.event.name,
        "payload": entry.event.model_dump_json(),
        "trace": entry.trace or trace or _trace_of_context(),
    }


def head(vault: Vault, row: sa.Row[Any], claim: Claim) -> Head:
    event: Event
    problem = None
    try:
        event = _event(row.event, vault.unseal(bytes(row.payload)))
    except (errors.NotAuthentic, errors.UnreadablePayload) as error:
        event, problem = Unreadable(tenant=row.tenant), error
    turn = Turn(
        entry=Entry(row.tenant, row.source, row.key, row.lane, event, row.trace),
        seq=row.seq,
        attempt=row.attempts + 1,
        fence=claim.fence,
        lease_until=from_milliseconds(claim.lease_until),
        received_at=from_milliseconds(row.received_at),
    )
    return Head(turn, problem)


async def set_aside(bus: Bus, heads: Sequence[Head]) -> list[Turn]:
    """The turns that can be worked; the others are dealt with here."""
    for turn, problem in heads:
        if problem is None:
            continue
        log.error("an entry cannot be read", code=problem.code, lane=turn.entry.lane, seq=turn.seq)
        if isinstance(problem, errors.NotAuthentic):
            await bus.retry(turn, WRONG_KEY_PAUSE_SECONDS, problem.public_text)
        else:
            await bus.bury(turn, problem.public_text)
    return [turn for turn, problem in heads if problem is None]


def outgoing(row: sa.Row[Any], fence: int = 0) -> Outgoing:
    return Outgoing(
        id=row.id,
        lane=row.lane,
        message=OutboundMessage.model_validate_json(row.payload),
        idempotency_key=row.idempotency_key,
        attempt=row.attempts + 1,
        trace=row.trace,
        fence=fence,
    )


def _reply_values(turn: Turn, part: int, reply: OutboundMessage) -> Values:
    return {
        "tenant": reply.tenant,
        "lane": turn.entry.lane,
        "seq": turn.seq,
        "part": part,
        "idempotency_key": f"{turn.idempotency_key}/{part}",
        "payload": reply.model_dump_json(),
        "trace": turn.entry.trace,
    }


def _event(name: str, text: str) -> Event:
    known = EVENTS.get(name)
    if known is None:
        raise errors.UnreadablePayload(f"No event is called {name!r} in this version.", code="unknown_event")
    try:
        return known.model_validate_json(text)
    except ValidationError as error:
        places = ", ".join(
            ".".join(str(part) for part in problem["loc"])
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise errors.UnreadablePayload(
            f"This version cannot read {name}: {places}.", code="unknown_event_version"
        ) from error


def _trace_of_context() -> str:
    trace = structlog.contextvars.get_contextvars().get("trace")
    return trace if isinstance(trace, str) else random_token(9)
