"""One-time codes: asked for and answered in a conversation, or over the API for the same conversation.

Whoever asks gets the same answer after the same work: a challenge is stored and the worker (`sending.py`) decides whether a
code goes out. Whoever answers has one try for each answer, five for a challenge; the right code proves, in one transaction
with the event by which the conversation goes on, that who came in here is the owner of the contact.

What would surprise you: an answer for a contact that nobody knows is counted and refused like a wrong one. While guessing
has stopped a tenant's codes, the right code is refused as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from customers.directory import Directory
from customers.verification import codes, limits, records
from customers.verification.codes import Checked, Contact
from customers.verification.limits import Answers
from customers.verification.records import Challenge
from foundation import conversations
from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock
from foundation.conversations import Conversation
from foundation.events import CodeWanted, IdentityProven
from foundation.messages import ConversationId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

KEPT = timedelta(days=2)
"""Longer than any limit looks back."""
AWAITED = timedelta(hours=1)
"""A code may be typed long after it has expired."""

Alarm = Callable[[sa.Connection, TenantId, Answers], None]
"""Writes down, in the same transaction, that a tenant's codes were stopped."""
CanReach = Callable[[Conversation], bool]
"""Whether anybody could be sent a code apart from where this conversation is held."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verification:
    """Keeps `agent.tools.verification.Proves`. `stopped` is told when guessing has stopped a tenant's codes."""

    database: Database
    bus: Bus
    directory: Directory
    vault: Vault
    clock: Clock
    can_reach: CanReach
    alarm: Alarm
    stopped: Callable[[], None] = field(default=lambda: None)

    async def is_possible(self, tenant: TenantId, conversation_id: ConversationId) -> bool:
        conversation = await self.database.read(lambda c: conversations.get(c, tenant, conversation_id))
        return self.can_reach(conversation)

    async def start(
        self, tenant: TenantId, conversation_id: ConversationId, contact: Contact, *, purpose: str, language: str,
        key: str, network: str = "",
    ) -> str:  # fmt: skip
        """`key` makes a repeat the same challenge; `network`: a digest of its address, where it is known."""
        now = self.clock()
        challenge = Challenge(
            id=self.vault.lookup_key("challenge", tenant, key), tenant=tenant, conversation_id=conversation_id,
            purpose=purpose, contact=contact, language=language, created_at=now,
            contact_key=self.vault.lookup_key("challenge contact", tenant, contact.kind, contact.value),
            address_key=network,
            expires_at=now + timedelta(seconds=codes.VALID_SECONDS),
        )  # fmt: skip

        def write(connection: sa.Connection, _seq: int) -> None:
            records.drop(connection, tenant, before=now - KEPT)
            records.add(connection, challenge)

        wanted = CodeWanted(tenant=tenant, challenge_id=challenge.id)
        await self.bus.accept(Entry(tenant, "code", challenge.id, f"code:{conversation_id}", wanted), write)
        return challenge.id

    async def check(
        self, tenant: TenantId, conversation_id: ConversationId, challenge: str, code: str, *, key: str
    ) -> Checked:
        """The same answer for the same `key`."""
        now = self.clock()
        judged, found, begun = await self.database.write(
            lambda c: self._judge(c, tenant, conversation_id, challenge, code=code, key=key, now=now)
        )
        if begun:
            self.stopped()
            log.error("one-time codes are stopped: too many wrong answers", tenant=tenant)
        if judged.state == "right" and found is not None:
            await self._prove(found)
        return judged

    def is_awaited(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> bool:
        """Whether six digits in this conversation are likely to be a code, which nobody but us should read."""
        return records.is_awaited(connection, tenant, conversation_id, since=self.clock() - AWAITED)

    async def is_stopped(self, tenant: TenantId) -> bool:
        now = self.clock()
        return await self.database.read(lambda c: records.find_stop(c, tenant, now)) is not None

    def _judge(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, challenge_id: str, *,
        code: str, key: str, now: datetime,
    ) -> tuple[Checked, Challenge | None, bool]:  # fmt: skip
        """Also whether this answer has stopped the tenant's codes."""
        found = records.find(connection, tenant, challenge_id)
        if found is None or found.conversation_id != conversation_id:
            return Checked("expired"), None, False
        answer_key = self.vault.lookup_key("challenge answer", tenant, challenge_id, key)
        if found.answer_key == answer_key:
            return _repeated(found), found, False
        if not records.spend_try(connection, found, answer_key=answer_key, now=now):
            return (
                Checked("expired" if found.used_at is None and found.expires_at <= now else "spent"),
                found,
                False,
            )
        given = codes.digest(
            self.vault, tenant, found.id, code, conversation_id=conversation_id, purpose=found.purpose
        )
        right = codes.fits(found.code_digest, given)
        if (
            right
            and records.find_stop(connection, tenant, now) is None
            and records.use(connection, found, now)
        ):
            return Checked("right"), found, False
        spent = records.find(connection, tenant, challenge_id)
        assert spent is not None
        return _wrong(spent), found, self._stop_if_attacked(connection, tenant, now)

    def _stop_if_attacked(self, connection: sa.Connection, tenant: TenantId, now: datetime) -> bool:
        since = now - limits.FAILURE_WINDOW
        ended = records.last_stop(connection, tenant)
        answers = records.count_answers(connection, tenant, since=max(since, ended) if ended else since)
        if not limits.is_attack(answers):
            return False
        begun = records.stop(connection, tenant, now=now, until=now + limits.STOPPED_FOR)
        if begun:
            self.alarm(connection, tenant, answers)
        return begun

    async def _prove(self, challenge: Challenge) -> None:
        """Repeatable; the conversation goes on once."""
        tenant, here = challenge.tenant, challenge.conversation_id

        def write(connection: sa.Connection, _seq: int) -> None:
            self.directory.prove_contact(
                connection, tenant, here, contact=challenge.identity_id, account=challenge.account,
                purpose=challenge.purpose,
            )  # fmt: skip

        event = IdentityProven(tenant=tenant, conversation_id=here)
        await self.bus.accept(Entry(tenant, "code", f"{challenge.id}:proven", here, event), write)


def _repeated(found: Challenge) -> Checked:
    return Checked("right") if found.answer == "right" else _wrong(found)


def _wrong(found: Challenge) -> Checked:
    left = codes.TRIES - found.tries
    return Checked("wrong", left) if left > 0 else Checked("spent")
