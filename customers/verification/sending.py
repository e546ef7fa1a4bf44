"""Decides, in the worker, whether somebody who asked for a one-time code is sent one; and sends it.

Only to a contact whose owner has written to us from it, or shown a code of it, within `fresh_days`; whose person has exactly
one account; by another channel than the one talked on; within the limits. What is decided is counted and stored, and told to
nobody: the asking side has been answered long ago.

What would surprise you: the code is nowhere but in the message that is on its way. It passes no queue; an attempt that
failed makes a new one, and the transcript of the contact's conversation has dots in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import sqlalchemy as sa
import structlog

from customers import records as places
from customers.directory import Directory
from customers.graph.partition import ACCOUNT
from customers.graph.records import Identity
from customers.verification import codes, limits, records
from customers.verification.codes import Contact
from customers.verification.records import Challenge
from foundation import conversations, errors
from foundation.bus.contract import Outcome, Turn
from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.events import CodeWanted
from foundation.messages import Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

log = structlog.get_logger(__name__)


class Couriers(Protocol):
    """The ways to a contact; the service puts channels behind it."""

    def names_of(self, contact: Contact, *, apart_from: Conversation) -> Sequence[Identifier]:
        """By which names open channels would know its owner; none of the channel that is talked on."""
        ...

    def find_way(
        self, connection: sa.Connection, identity_id: str, contact: Contact, *, apart_from: Conversation
    ) -> Conversation | None:
        """The conversation in which a code reaches it, begun where the channel can."""
        ...

    def was_sent(self, connection: sa.Connection, way: Conversation, challenge_id: str) -> bool: ...

    async def send(self, way: Conversation, asking: Conversation, challenge: Challenge, code: str) -> None:
        """Raises `UpstreamUnavailable` and `Exhausted` (try again), `UpstreamRefused` and `InvalidInput` (never)."""
        ...


@dataclass(frozen=True, slots=True)
class _Decided:
    """`way` only where a code has been made and has to go out."""

    outcome: str
    challenge: Challenge | None = None
    way: Conversation | None = None
    asking: Conversation | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    identity: Identity
    account: str


@dataclass(frozen=True, slots=True)
class Sending:
    database: Database
    directory: Directory
    vault: Vault
    clock: Clock
    couriers: Couriers
    fresh_days: int
    count: Callable[[str], None]
    """Told what became of each challenge."""

    async def handle_wanted(self, event: CodeWanted, turn: Turn) -> Outcome:
        decided = await self.database.write(lambda c: self._decide(c, event.tenant, event.challenge_id))
        if decided.challenge is None:
            return Outcome()
        outcome, challenge = decided.outcome, decided.challenge
        if decided.way is not None and decided.asking is not None:
            try:
                await self.couriers.send(decided.way, decided.asking, challenge, decided.code)
            except (errors.UpstreamRefused, errors.InvalidInput) as error:
                outcome = "refused"
                log.warning("a code was not taken", channel=decided.way.channel, code=error.code)
        self.count(outcome)
        log.info("a code was asked for", challenge=challenge.id, outcome=outcome)
        return Outcome(writes=[lambda connection: records.change(connection, challenge, outcome=outcome)])

    def _decide(self, connection: sa.Connection, tenant: TenantId, challenge_id: str) -> _Decided:
        challenge = records.find(connection, tenant, challenge_id)
        if challenge is None or challenge.outcome:
            return _Decided("")
        now = self.clock()
        if challenge.expires_at <= now:
            return _Decided("late", challenge)
        if records.find_stop(connection, tenant, now) is not None:
            return _Decided("stopped", challenge)
        asked = records.count_asked(connection, challenge, since=challenge.created_at - limits.WINDOW)
        if reason := limits.reason_against(asked):
            return _Decided(reason, challenge)
        asking = conversations.get(connection, tenant, challenge.conversation_id)
        known = self._find_known(connection, challenge, asking)
        if isinstance(known, str):
            return _Decided(known, challenge)
        way = self.couriers.find_way(connection, known.identity.id, challenge.contact, apart_from=asking)
        if way is None:
            return _Decided("no_way", challenge)
        if self.couriers.was_sent(connection, way, challenge.id):
            return _Decided("sent", challenge)
        return self._make(connection, challenge, known, way=way, asking=asking)

    def _find_known(
        self, connection: sa.Connection, challenge: Challenge, asking: Conversation
    ) -> _Known | str:
        """Whose contact it is, or why no code goes there."""
        tenant, graph = challenge.tenant, self.directory.graph
        names = self.couriers.names_of(challenge.contact, apart_from=asking)
        if not names:
            return "same_channel"
        found = [one for name in names if (one := graph.find_vouched(connection, tenant, name)) is not None]
        here = places.find_entrance(connection, tenant, asking.id)
        others = [one for one in found if here is None or one.id != here.identity_id]
        if not others:
            return "unknown"
        oldest = self.clock() - timedelta(days=self.fresh_days)
        fresh = [one for one in others if one.last_seen >= oldest and not one.shared and not one.device]
        if not fresh:
            return "stale"
        identity = max(fresh, key=lambda one: one.last_seen)
        accounts = [
            one.value
            for one in graph.find_access(connection, tenant, identity.access_id)
            if one.namespace == ACCOUNT and one.proven
        ]
        return _Known(identity, accounts[0]) if len(accounts) == 1 else "no_account"

    def _make(
        self, connection: sa.Connection, challenge: Challenge, known: _Known, *, way: Conversation, asking: Conversation
    ) -> _Decided:  # fmt: skip
        """A code of an earlier attempt is worth nothing from now on."""
        code = codes.make()
        digest = codes.digest(
            self.vault, challenge.tenant, challenge.id, code, conversation_id=challenge.conversation_id,
            purpose=challenge.purpose,
        )  # fmt: skip
        records.change(
            connection, challenge, code_digest=digest, identity_id=known.identity.id, account=known.account
        )
        return _Decided("sent", challenge, way, asking, code)
