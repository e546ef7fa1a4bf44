"""Who writes in a conversation, and what they have proven: a message in, a `Person` out.

The turn asks `resolve` for each message, routes that have checked a sign-in call `prove`, the console asks `person`.
Three questions stay apart: which identity a conversation came in through (never changes), which customer that
identity is shown as (moves only with a proof), which account is proven right now (ends by the clock).

What would surprise you: nothing a customer types is looked at here. An identifier the channel does not vouch for
counts within its own conversation only, and can never meet a vouched one of the same name. The newest proof decides
for its conversation, even when it has expired and an older one has not: the last to sign in on a shared device is
who sat there last. Two accounts proven on one device stay two customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import sqlalchemy as sa

from customers import records, sign_in
from foundation import conversations, errors
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, CustomerId, Identifier, InboundMessage, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

ACCOUNT = "account"
"""Namespace of the shop's own account ids; a channel gives it only from a user token it has checked."""

MESSAGE_PROOF_SECONDS = 1800
"""How long an account that came with a message stays proven: a session's idle time, renewed by each message."""

LONGEST_PROOF_SECONDS = 86_400
NAME_LIMIT = 200


class Proof(IntEnum):
    ANONYMOUS = 0
    CHANNEL = 1
    ACCOUNT = 2


@dataclass(frozen=True, slots=True)
class Person:
    """`account` is the shop's id of the customer, only while it is proven."""

    customer_id: CustomerId
    identity_id: str
    display_name: str
    account: str | None
    proof: Proof
    language: str


class Directory:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def resolve(
        self,
        connection: sa.Connection,
        tenant: TenantId,
        message: InboundMessage,
        conversation_id: ConversationId,
    ) -> Person:
        """Repeatable: the same message again changes nothing, and proves nothing for longer."""
        if message.tenant != tenant:
            raise errors.NotPermitted("This message belongs to another tenant.", code="other_tenant")
        name = _entrance_of(message.sender)
        key = self._key(tenant, name, conversation_id)
        writer = records.ensure_identity(
            connection, tenant, key, namespace=name.namespace, value=name.value,
            proven=name.proven, seen_at=message.sent_at,
        )  # fmt: skip
        records.set_entrance(connection, tenant, conversation_id, key)
        account = next((name for name in message.sender if name.namespace == ACCOUNT and name.proven), None)
        if account is not None:
            self._assure(
                connection, tenant, conversation_id, account=account.value, method=message.channel,
                proven_at=min(message.sent_at, self._clock()), valid_seconds=MESSAGE_PROOF_SECONDS,
            )  # fmt: skip
            return self._settle(connection, tenant, conversation_id)
        entrance = records.find_entrance(connection, tenant, conversation_id)
        if entrance is not None and entrance.id != writer.id:
            return self._stranger(connection, tenant, conversation_id, writer)
        return self._settle(connection, tenant, conversation_id)

    def prove(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, account: str,
        method: str, valid_seconds: int, display_name: str = "",
    ) -> Person:  # fmt: skip
        """For callers that have checked a sign-in themselves. Also before the conversation's first message."""
        if not account.strip() or len(account) > NAME_LIMIT or len(display_name) > NAME_LIMIT:
            raise errors.InvalidInput("The account's name is empty or too long.", code="bad_account")
        if not 0 < valid_seconds <= LONGEST_PROOF_SECONDS:
            raise errors.InvalidInput("A proof is valid for one second to one day.", code="bad_validity")
        identity_id = self._assure(
            connection, tenant, conversation_id, account=account, method=method,
            proven_at=self._clock(), valid_seconds=valid_seconds,
        )  # fmt: skip
        if display_name:
            records.change_identity(connection, tenant, identity_id, display_name=display_name)
        return self._settle(connection, tenant, conversation_id)

    def person(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Person:
        """Raises `NotFound` for a conversation in which nobody has been seen yet."""
        entrance = records.find_entrance(connection, tenant, conversation_id)
        account = self._proven_account(connection, tenant, conversation_id)
        seen = account or entrance
        if seen is None:
            raise errors.NotFound("Nobody is known in this conversation.")
        conversation = conversations.find(connection, tenant, conversation_id)
        return Person(
            customer_id=seen.customer_id,
            identity_id=(entrance or seen).id,
            display_name=(account.display_name or account.value) if account else "",
            account=account.value if account else None,
            proof=_proof(entrance, account),
            language=conversation.language if conversation else "zh",
        )

    def find_others(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> list[ConversationId]:
        """Conversations on whose channel the platform vouches for a sender who is this same customer; empty unless this
        conversation's own sender is vouched for, or has an account proven now. What one browser once proved leads nowhere:
        somebody else may sit there."""
        try:
            person = self.person(connection, tenant, conversation_id)
        except errors.NotFound:
            return []
        if person.proof == Proof.ANONYMOUS:
            return []
        return records.find_vouched_conversations(
            connection, tenant, person.customer_id, besides=conversation_id, account_namespace=ACCOUNT
        )

    async def find_person(self, tenant: TenantId, conversation_id: ConversationId) -> Person | None:
        """For pages, which have no connection of their own."""
        return await self._database.read(lambda c: self.find(c, tenant, conversation_id))

    def find(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> Person | None:
        try:
            return self.person(connection, tenant, conversation_id)
        except errors.NotFound:
            return None

    def make_sign_in_link(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> str:
        """A new token for `{public_url}/sign-in?token=…`, for this conversation only, once, for 15 minutes. Raises
        `NotFound` for a conversation that is not this tenant's."""
        conversations.get(connection, tenant, conversation_id)
        now = self._clock()
        records.drop_links(connection, tenant, expired_before=now - timedelta(days=1))
        link = records.Link(
            id=sign_in.new_id(), tenant=tenant, conversation_id=conversation_id, created_at=now,
            expires_at=now + timedelta(seconds=sign_in.VALID_SECONDS), used_at=None,
        )  # fmt: skip
        records.add_link(connection, link)
        return sign_in.render_token(self._vault, link)

    def check_sign_in_link(self, connection: sa.Connection, token: str) -> records.Link:
        """For the page, before and after signing in; uses nothing up. Raises `NotAuthentic`.

        Whoever opens a link gives their account to the conversation it came from. The page must therefore say which
        channel and when it was asked for, and let a person confirm: a link can be sent to somebody else as bait."""
        tenant, link_id = sign_in.parse_token(token)
        link = records.find_link(connection, tenant, link_id)
        if link is None:
            raise sign_in.refused("link_invalid")
        sign_in.check_token(self._vault, token, link)
        if link.used_at is not None:
            raise sign_in.refused("link_used")
        if link.expires_at <= self._clock():
            raise sign_in.refused("link_expired")
        return link

    def redeem_sign_in_link(
        self, connection: sa.Connection, token: str, *, account: str, display_name: str = ""
    ) -> tuple[records.Link, Person]:
        """The caller has just checked that the visitor of the page is signed in as `account`. Exactly one of all
        who try succeeds; the others get `NotAuthentic` and prove nothing."""
        link = self.check_sign_in_link(connection, token)
        if not records.claim_link(connection, link, self._clock()):
            raise sign_in.refused("link_used")
        person = self.prove(
            connection, link.tenant, link.conversation_id, account=account, method="sign_in_link",
            valid_seconds=sign_in.PROOF_SECONDS, display_name=display_name,
        )  # fmt: skip
        return link, person

    def _settle(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Person:
        """A vouched identity is shown as the customer whose account it has proven last."""
        entrance = records.find_entrance(connection, tenant, conversation_id)
        account = self._proven_account(connection, tenant, conversation_id)
        if entrance and account and entrance.proven and entrance.customer_id != account.customer_id:
            records.change_identity(connection, tenant, entrance.id, customer_id=account.customer_id)
        person = self.person(connection, tenant, conversation_id)
        conversation = conversations.find(connection, tenant, conversation_id)
        if conversation and conversation.customer_id != person.customer_id:
            conversations.change(
                connection, tenant, conversation_id, self._clock(), customer_id=person.customer_id
            )
        return person

    def _assure(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, account: str,
        method: str, proven_at: datetime, valid_seconds: int,
    ) -> str:  # fmt: skip
        name = Identifier(namespace=ACCOUNT, value=account, proven=True)
        identity_id = self._key(tenant, name, conversation_id)
        records.ensure_identity(
            connection, tenant, identity_id, namespace=ACCOUNT, value=account, proven=True, seen_at=proven_at
        )
        proven_at = from_milliseconds(to_milliseconds(proven_at))  # as stored, or the newest could look older
        expires_at = proven_at + timedelta(seconds=valid_seconds)
        proof = records.Assurance(identity_id, method, proven_at, expires_at)
        newest = records.find_newest_assurance(connection, tenant, conversation_id)
        if newest is None or newest.proven_at <= proven_at:
            if newest and newest.account_identity_id == identity_id and newest.expires_at > proven_at:
                records.renew_assurance(connection, tenant, newest, proof)
            else:
                records.add_assurance(connection, tenant, conversation_id, proof)
        return identity_id

    def _stranger(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId,
        writer: records.Identity,
    ) -> Person:  # fmt: skip
        """Somebody else than who opened this conversation: what it has proven is not theirs."""
        conversation = conversations.find(connection, tenant, conversation_id)
        return Person(
            customer_id=writer.customer_id,
            identity_id=writer.id,
            display_name="",
            account=None,
            proof=_proof(writer, None),
            language=conversation.language if conversation else "zh",
        )

    def _proven_account(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> records.Identity | None:
        newest = records.find_newest_assurance(connection, tenant, conversation_id)
        if newest is None or newest.expires_at <= self._clock():
            return None
        return records.get_identity(connection, tenant, newest.account_identity_id)

    def _key(self, tenant: TenantId, name: Identifier, conversation_id: ConversationId) -> str:
        scope = ("vouched",) if name.proven else ("claimed", conversation_id)
        return self._vault.lookup_key("identity", tenant, *scope, name.namespace, name.value)


def _entrance_of(sender: tuple[Identifier, ...]) -> Identifier:
    """What the channel itself calls the sender, vouched for if anything is; an account only when alone."""
    names = [name for name in sender if name.namespace != ACCOUNT]
    return next((name for name in names if name.proven), names[0] if names else sender[0])


def _proof(entrance: records.Identity | None, account: records.Identity | None) -> Proof:
    if account is not None:
        return Proof.ACCOUNT
    return Proof.CHANNEL if entrance is not None and entrance.proven else Proof.ANONYMOUS
