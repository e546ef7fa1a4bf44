"""Who writes in a conversation, and what they have proven: a message in, a `Person` out.

The turn asks `resolve` for each message, routes that have checked a sign-in call `prove`, the console asks `person`.
Three questions stay apart: which identity a conversation came in through (never changes), which customer that
identity is shown as (`graph/` decides, by all evidence), which account is proven right now (ends by the clock).

What would surprise you: nothing a customer types is looked at here. An identifier the channel does not vouch for
counts within its own conversation only, and can never meet a vouched one of the same name. The newest proof decides
for its conversation, even when it has expired and an older one has not: the last to sign in on a shared device is
who sat there last. Two accounts proven on one device stay two customers.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from customers import changed, records, recycled, sign_in
from customers.graph import evidence
from customers.graph.graph import Graph
from customers.graph.operations import Operations
from customers.graph.partition import ACCOUNT
from customers.graph.records import Identity, change_identity, touch
from customers.person import Person, Proof, Seen, standing_of
from customers.privacy import suppression
from customers.proof import levels
from customers.proof.levels import Level
from foundation import conversations, errors
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, Identifier, InboundMessage, TenantId
from foundation.outward import outbox
from foundation.security import Vault
from foundation.storage.database import Database

__all__ = ["ACCOUNT", "Directory", "Person", "Proof"]

MESSAGE_PROOF_SECONDS = 1800
"""How long an account that came with a message stays proven: a session's idle time, renewed by each message."""

LONGEST_PROOF_SECONDS = 86_400
NAME_LIMIT = 200


class Directory:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, graph: Graph | None = None, *,
        fresh_days: int = recycled.FRESH_DAYS,
    ) -> None:  # fmt: skip
        self._database = database
        self._vault = vault
        self._clock = clock
        self.graph = graph or Graph(vault, clock)
        self._operations = Operations(self.graph, vault, clock)
        self._fresh = timedelta(days=fresh_days)

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
        seen_at = min(message.sent_at, self._clock())
        recycled.renew_stale(
            connection, tenant, self._operations, message.sender, seen_at=seen_at, fresh=self._fresh
        )  # fmt: skip
        writer = self.graph.observe(
            connection, tenant, message.sender, conversation_id=conversation_id, seen_at=seen_at
        )
        begins = records.set_entrance(connection, tenant, conversation_id, writer.id)
        if begins:  # who was erased has no conversation left: by writing they have come back
            own = [(name.namespace, name.value) for name in message.sender if name.proven and not name.device]
            suppression.lift(connection, self._vault, tenant, own)
        account = evidence.account_of(message.sender)
        if account is not None:
            self._assure(
                connection, tenant, conversation_id, account=account.value, method=message.channel,
                proven_at=seen_at, valid_seconds=MESSAGE_PROOF_SECONDS,
            )  # fmt: skip
        elif begins:  # an account may have been proven before anybody was seen here
            self._tie(connection, tenant, conversation_id)
        seen = self._look(connection, tenant, conversation_id)
        if seen.entrance is not None and seen.entrance.id != writer.id and account is None:
            return self._describe(connection, tenant, conversation_id, Seen(writer, None))
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
        name = Identifier(namespace=ACCOUNT, value=account, proven=True)
        now = self._clock()
        suppression.lift(connection, self._vault, tenant, [(ACCOUNT, account)])
        identity = self.graph.observe(
            connection, tenant, [name], conversation_id=conversation_id, seen_at=now
        )
        self._assure(
            connection, tenant, conversation_id, account=account, method=method, proven_at=now,
            valid_seconds=valid_seconds,
        )  # fmt: skip
        self._tie(connection, tenant, conversation_id)
        if display_name:
            change_identity(connection, tenant, [identity.id], display_name=display_name)
            changed.mark(connection, tenant, identity.id)
        return self._settle(connection, tenant, conversation_id)

    def prove_contact(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, contact: str,
        account: str, purpose: str,
    ) -> Person:  # fmt: skip
        """For the caller that has checked a code which went to `contact`, an identity that has proven to be of `account`'s
        owner: who came in here is that person. On a browser, which several people may use, only likely."""
        now = self._clock()
        self._assure(
            connection, tenant, conversation_id, account=account, method=evidence.CODE, proven_at=now,
            valid_seconds=levels.seconds(Level.CODE) or 0, purpose=purpose,
        )  # fmt: skip
        touch(connection, tenant, [contact], now)
        seen = self._look(connection, tenant, conversation_id)
        known = self.graph.get(connection, tenant, contact)
        if seen.entrance is not None and seen.entrance.id != contact:
            tie = evidence.tie_contact(_name_of(seen.entrance), _name_of(known))
            if tie is not None:
                self.graph.tie(
                    connection, tenant, seen.entrance.id, contact, strength=tie.strength, evidence=tie.evidence, at=now
                )  # fmt: skip
        return self._settle(connection, tenant, conversation_id)

    def person(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Person:
        """Raises `NotFound` for a conversation in which nobody has been seen yet."""
        return self._describe(
            connection, tenant, conversation_id, self._look(connection, tenant, conversation_id)
        )

    def find_others(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> list[ConversationId]:
        """Conversations on whose channel the platform vouches for a sender who has proven to be this same person; empty
        unless this conversation's own sender is vouched for, or has an account proven now. What one browser once proved
        leads nowhere: somebody else may sit there."""
        seen = self._look(connection, tenant, conversation_id).shown
        if seen is None or not seen.proven or seen.device:
            return []
        vouched = [
            one.id
            for one in self.graph.find_access(connection, tenant, seen.access_id)
            if one.proven and not one.device and one.namespace != ACCOUNT
        ]
        found = records.find_conversations(connection, tenant, vouched)
        return [conversation for _, conversation in found if conversation != conversation_id]

    def find_threads(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> list[ConversationId]:
        """The other conversations of who has proven an account here: those listed under a name that has proven to be the
        same person's, whether a platform vouches for it or an account was proven there. Empty without a proof that is
        valid now."""
        account = self._look(connection, tenant, conversation_id).account
        if account is None:
            return []
        own = [
            one.id for one in self.graph.find_access(connection, tenant, account.access_id) if _is_own(one)
        ]
        found = records.find_shown(connection, tenant, own)
        return [other for other in found if other != conversation_id]

    def is_one_person(
        self, connection: sa.Connection, tenant: TenantId, one: ConversationId, other: ConversationId
    ) -> bool:
        """Are these two listed under names that have proven to be one person's, whether or not a proof is valid now?"""
        labels = [self._listed(connection, tenant, each) for each in (one, other)]
        return labels[0] is not None and labels[0] == labels[1]

    def _listed(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId
    ) -> str | None:
        entrance = records.find_entrance(connection, tenant, conversation_id)
        if entrance is None:
            return None
        identity = self.graph.get(connection, tenant, entrance.shown_identity_id)
        return identity.access_id if _is_own(identity) else None

    def speaks_for(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> str:
        """The identity on which it counts what somebody says of themselves here: the account while it is proven, else who came
        in. Raises `NotFound`."""
        seen = self._look(connection, tenant, conversation_id).shown
        if seen is None:
            raise errors.NotFound("Nobody is known in this conversation.")
        return seen.id

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
        """The conversation is listed under who came in; where that is only a device or a name nobody vouches for, under
        the account that is proven there."""
        seen = self._look(connection, tenant, conversation_id)
        personal = seen.entrance is not None and seen.entrance.proven and not seen.entrance.device
        listed = seen.entrance if personal else seen.shown
        if listed is not None:
            self.graph.list_conversation(connection, tenant, conversation_id, listed)
        return self._describe(connection, tenant, conversation_id, seen)

    def _look(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> Seen:
        """Of a recycled number the new person; what was proven before they got it was somebody else's."""
        entrance = records.find_entrance(connection, tenant, conversation_id)
        holder = (
            self.graph.find_holder(connection, tenant, entrance.identity_id) if entrance is not None else None
        )
        now, begins_at = self._clock(), holder.begins_at if holder is not None else None
        valid = tuple(
            one
            for one in records.find_assurances(connection, tenant, conversation_id)
            if one.expires_at > now and (begins_at is None or one.proven_at >= begins_at)
        )
        if not valid:
            return Seen(holder, None)
        return Seen(holder, self.graph.get(connection, tenant, valid[0].account_identity_id), valid)

    def _describe(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, seen: Seen
    ) -> Person:
        if seen.shown is None:
            raise errors.NotFound("Nobody is known in this conversation.")
        account = seen.account
        conversation = conversations.find(connection, tenant, conversation_id)
        return Person(
            customer_id=seen.shown.customer_id,
            access_id=seen.shown.access_id,
            identity_id=(seen.entrance or seen.shown).id,
            display_name=(account.display_name or account.value) if account else "",
            account=account.value if account else None,
            standing=standing_of(seen, self._clock()),
            language=conversation.language if conversation else "zh",
            since=seen.entrance.begins_at if seen.entrance is not None and seen.entrance.epoch else None,
        )

    def _assure(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, account: str,
        method: str, proven_at: datetime, valid_seconds: int, purpose: str = "",
    ) -> None:  # fmt: skip
        """With a `purpose` by a code, without one by a sign-in."""
        name = Identifier(namespace=ACCOUNT, value=account, proven=True)
        label = self.graph.find_label(connection, tenant, name, conversation_id)
        assert label is not None, "an account is observed before it is assured"
        identity_id, customer_id, _ = label
        proven_at = from_milliseconds(to_milliseconds(proven_at))  # as stored, or the newest could look older
        expires_at = proven_at + timedelta(seconds=valid_seconds)
        level = Level.CODE if purpose else Level.ACCOUNT
        proof = records.Assurance(identity_id, method, proven_at, expires_at, level, purpose)
        known = records.find_assurances(connection, tenant, conversation_id)
        if not known or known[0].proven_at <= proven_at:
            if same := next((one for one in known if _goes_on(one, proof)), None):
                records.renew_assurance(connection, tenant, same, proof)
            else:
                records.add_assurance(connection, tenant, conversation_id, proof)
                told = {
                    "conversation_id": conversation_id, "identity_id": identity_id, "customer_id": customer_id,
                    "method": method,
                }  # fmt: skip
                outbox.tell(connection, tenant, "identity.proven", told, now=proven_at)

    def _tie(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> None:
        """The account that is proven here now, and who came in here, were proven in one session."""
        seen = self._look(connection, tenant, conversation_id)
        if seen.entrance is None or seen.account is None or seen.entrance.id == seen.account.id:
            return
        tie = evidence.tie_account(_name_of(seen.entrance), _name_of(seen.account))
        if tie is not None and seen.proven_at is not None:
            self.graph.tie(
                connection, tenant, seen.entrance.id, seen.account.id, strength=tie.strength,
                evidence=tie.evidence, at=seen.proven_at,
            )  # fmt: skip


def _is_own(identity: Identity) -> bool:
    return identity.proven and not identity.device


def _name_of(identity: Identity) -> Identifier:
    return Identifier(
        namespace=identity.namespace, value=identity.value, proven=identity.proven, device=identity.device
    )


def _goes_on(known: records.Assurance, proof: records.Assurance) -> bool:
    """The same proof again while it lasts."""
    alike = (known.account_identity_id, known.level, known.purpose) == (
        proof.account_identity_id, proof.level, proof.purpose,
    )  # fmt: skip
    return alike and known.expires_at > proof.proven_at
