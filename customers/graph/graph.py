"""The graph's door: evidence in from messages and proofs, and what staff see of a person.

`Directory` calls `observe` for each message and `tie` for each proof; pages ask `component`. What people and the matcher
link on purpose goes through `operations.py`. A message that says nothing new costs two reads and one update.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from customers import changed, search
from customers import records as places
from customers.graph import area, claims, evidence, labels, records
from customers.graph.area import Hold
from customers.graph.claims import Claim
from customers.graph.partition import ACCOUNT, Edge, Rules, Strength, fingerprint
from customers.graph.records import Evidence, Identity, Naming
from foundation import conversations, errors
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.messages import ConversationId, CustomerId, Identifier, TenantId
from foundation.security import Vault

SHOWN_EDGES = 200
"""Of a shared name, which may have thousands."""


@dataclass(frozen=True, slots=True)
class Component:
    """One customer as staff see them: who belongs to it, by which evidence, and what contradicts it."""

    customer_id: CustomerId
    members: tuple[Identity, ...]
    """Oldest first. Those with one `access_id` have proven to be one person."""
    evidence: tuple[Evidence, ...]
    """All that touches a member; where `suppressed` says why, it unites nobody."""
    claims: tuple[Claim, ...]
    conversations: tuple[tuple[str, ConversationId], ...]
    """With the identity that each came in through."""

    @property
    def conflicts(self) -> tuple[Evidence, ...]:
        return tuple(one for one in self.evidence if one.suppressed)

    @property
    def fingerprint(self) -> str:
        return fingerprint(member.id for member in self.members)


class Graph:
    def __init__(self, vault: Vault, clock: Clock, rules: Rules | None = None) -> None:
        self._vault = vault
        self._clock = clock
        self.rules = rules or Rules()

    def observe(
        self, connection: sa.Connection, tenant: TenantId, sender: Sequence[Identifier], *,
        conversation_id: ConversationId, seen_at: datetime,
    ) -> Identity:  # fmt: skip
        """The identity that the message came in through. Repeatable, and in any order."""
        sighting = evidence.read(sender)
        keys = {name: self._lookups(tenant, name, conversation_id) for name in sighting.names}
        every = {key for lookups in keys.values() for key in lookups}
        known = records.find_by_lookup(connection, tenant, every, seen_at)
        # A name that is new has its id from its key, so that two who meet it at once mean the same. Ids stay when keys rotate.
        ids = {
            name: next((known[key].id for key in lookups if key in known), lookups[-1])
            for name, lookups in keys.items()
        }
        edges = [
            make_edge(ids[tie.one], ids[tie.other], tie.strength, evidence=tie.evidence, at=seen_at)
            for tie in sighting.ties
        ]
        before = {one.id: one for one in known.values()}
        news = [name for name in ids if _is_news(name, before.get(ids[name]), seen_at)]
        if news or self._find_fresh(connection, tenant, edges):
            hold = Hold(tenant)
            hold.take_those_of(connection, set(ids.values()))
            before = records.find_many(connection, tenant, set(ids.values()))
            for name in news:
                records.add_identity(
                    connection, tenant, Naming(ids[name], keys[name][0], name.namespace, name.value, name.proven, name.device),
                    seen_at=seen_at,
                )  # fmt: skip
                if search.kind_of(name.namespace):
                    changed.mark(connection, tenant, ids[name])
            moved = {ids[name] for name in news if ids[name] in before}
            self.join(
                connection, hold, self._find_fresh(connection, tenant, edges), seeds=moved,
                new=set(ids.values()) - before.keys(),
            )  # fmt: skip
        records.touch(connection, tenant, set(ids.values()), seen_at)
        entrance = ids[sighting.names[0]]
        for name in sighting.claims:
            self.claim(connection, tenant, entrance, name, conversation_id=conversation_id, at=seen_at)
        return self.get(connection, tenant, entrance)

    def tie(
        self, connection: sa.Connection, tenant: TenantId, one: str, other: str, *, strength: Strength,
        evidence: str, at: datetime,
    ) -> None:  # fmt: skip
        """Evidence about two names that are known, from whoever has checked a proof. Repeatable."""
        edge = make_edge(one, other, strength, evidence=evidence, at=at)
        if self._find_fresh(connection, tenant, [edge]):
            hold = Hold(tenant)
            hold.take_those_of(connection, {one, other})
            self.join(connection, hold, self._find_fresh(connection, tenant, [edge]))

    def claim(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, name: Identifier, *,
        conversation_id: ConversationId, at: datetime,
    ) -> None:  # fmt: skip
        """Somebody says that this is their name. Repeatable; a claim is forgotten after a month."""
        key = self._vault.lookup_key(
            "claim", tenant, identity_id, conversation_id, name.namespace, name.value
        )
        claim = Claim(
            id=key, identity_id=identity_id, conversation_id=conversation_id, namespace=name.namespace,
            value=name.value, at=at, expires_at=at + timedelta(days=claims.VALID_DAYS), status="open",
        )  # fmt: skip
        vouched = name.model_copy(update={"proven": True})
        claims.add(connection, tenant, claim, lookup=self._lookups(tenant, vouched, conversation_id)[0])

    def list_conversation(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, identity: Identity
    ) -> None:
        """Under this identity; the conversation follows it from customer to customer. Held while it is written: a merge
        that runs at the same moment does not see it yet and would leave it behind."""
        entrance = places.find_entrance(connection, tenant, conversation_id)
        conversation = conversations.find(connection, tenant, conversation_id)
        if (
            conversation is None
            or entrance is None
            or (
                entrance.shown_identity_id == identity.id and conversation.customer_id == identity.customer_id
            )
        ):
            return
        Hold(tenant).take_those_of(connection, {identity.id})
        customer_id = self.get(connection, tenant, identity.id).customer_id
        places.list_conversation(connection, tenant, conversation_id, identity.id, customer_id)

    def get(self, connection: sa.Connection, tenant: TenantId, identity_id: str) -> Identity:
        found = records.find_many(connection, tenant, [identity_id])
        if identity_id not in found:
            raise errors.NotFound("This identity does not exist.", code="unknown_identity")
        return found[identity_id]

    def find_holder(self, connection: sa.Connection, tenant: TenantId, identity_id: str) -> Identity:
        """Who has this name now: somebody else than before, when a number was given to a new person."""
        found = records.find_holder(connection, tenant, identity_id, self._clock())
        return found or self.get(connection, tenant, identity_id)

    def find_account(self, connection: sa.Connection, tenant: TenantId, account: str) -> Identity | None:
        return self.find_vouched(
            connection, tenant, Identifier(namespace=ACCOUNT, value=account, proven=True)
        )

    def find_vouched(self, connection: sa.Connection, tenant: TenantId, name: Identifier) -> Identity | None:
        """Who has this name now, of those for whom a channel or a login has vouched."""
        keys = self._lookups(tenant, name, ConversationId(""))
        found = records.find_by_lookup(connection, tenant, keys, self._clock())
        return next((found[key] for key in keys if key in found), None)

    def find_label(
        self, connection: sa.Connection, tenant: TenantId, name: Identifier, conversation_id: ConversationId
    ) -> tuple[str, CustomerId, str] | None:
        """Whose name this is now: identity, customer, access group; the quickest way for whoever needs no more."""
        for lookup in self._lookups(tenant, name, conversation_id):
            if (found := labels.find_label(connection, tenant, lookup, self._clock())) is not None:
                return found
        return None

    def component(self, connection: sa.Connection, tenant: TenantId, name: str) -> Component:
        """`name`: an identity, or a customer id from any time: it leads on to the customer of today, because a customer
        id is the id of one of their identities. Raises `NotFound`."""
        customer_id = self.get(connection, tenant, name).customer_id
        members = records.find_members(connection, tenant, label=records.of_customer(customer_id))
        ids = [member.id for member in members]
        found = records.find_edges(connection, tenant, ids, limit=SHOWN_EDGES if members[0].shared else None)
        return Component(
            customer_id=customer_id, members=tuple(members),
            evidence=tuple(sorted(found.values(), key=lambda one: (one.edge.at, one.edge.key))),
            claims=tuple(claims.find(connection, tenant, ids, now=self._clock())),
            conversations=tuple(places.find_conversations(connection, tenant, ids)),
        )  # fmt: skip

    def find_access(self, connection: sa.Connection, tenant: TenantId, access_id: str) -> list[Identity]:
        """Those who have proven to be one person; what the bot may disclose hangs on them and nobody else."""
        return records.find_members(connection, tenant, label=records.of_access(access_id))

    def find_conflicts(
        self, connection: sa.Connection, tenant: TenantId, *, limit: int = 100
    ) -> list[Evidence]:
        """Newest first: evidence that was refused because it contradicts something, for a person to look at."""
        return records.find_suppressed(connection, tenant, limit=limit)

    def join(
        self, connection: sa.Connection, hold: Hold, edges: Collection[Edge], *, seeds: Collection[str] = (),
        new: Collection[str] = (), actor: str = "", model_version: str = "", op: int | None = None,
    ) -> None:  # fmt: skip
        """For this package: stores edges whose ends are held, and divides anew what they and `seeds` touch."""
        for edge in edges:
            records.add_edge(
                connection, hold.tenant, edge, actor=actor, model_version=model_version, made_by=op
            )
        touched = {*seeds, *(end for edge in edges for end in (edge.a, edge.b))}
        if touched:
            area.recompute(connection, hold, touched, rules=self.rules, now=self._clock(), op=op, new=new)

    def _find_fresh(self, connection: sa.Connection, tenant: TenantId, edges: Collection[Edge]) -> list[Edge]:
        """Those that are new, or older than was known. What was taken back stays known."""
        times: Mapping[tuple[str, str, str], int] = (
            records.find_times(connection, tenant, [edge.key for edge in edges]) if edges else {}
        )
        return [edge for edge in edges if edge.key not in times or edge.at < times[edge.key]]

    def _lookups(self, tenant: TenantId, name: Identifier, conversation_id: ConversationId) -> list[str]:
        return self._vault.index_keys(*lookup_parts(tenant, name, conversation_id))


def lookup_parts(tenant: TenantId, name: Identifier, conversation_id: ConversationId) -> tuple[str, ...]:
    """What a name is found by. One that nobody vouches for counts within its own conversation, and never meets a vouched one."""
    scope = ("vouched",) if name.proven else ("claimed", conversation_id)
    return ("identity", tenant, *scope, name.namespace, name.value)


def make_edge(
    one: str, other: str, strength: Strength, *, evidence: str, at: datetime, score: float = 1.0
) -> Edge:
    a, b = sorted((one, other))
    return Edge(a, b, evidence, strength, to_milliseconds(at), score)


def _is_news(name: Identifier, known: Identity | None, seen_at: datetime) -> bool:
    """In milliseconds, as stored: otherwise the same moment could look earlier."""
    if known is None:
        return True
    return from_milliseconds(to_milliseconds(seen_at)) < known.first_seen or (
        name.device and not known.device
    )
