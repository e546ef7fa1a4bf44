"""Everything about one customer for whoever serves them, read in one stroke: identities with their badges, conversations over all
channels, open matters, claims, profile, and what was done to them.

The customer's page, the desk's side panel and the API ask `PersonReading`. Personal data is masked here already: what a page
does not get it cannot show by mistake. `names.py` opens single values, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from agent import records as agent_records
from customers.directory import Directory
from customers.graph.claims import Claim
from customers.graph.graph import Component
from customers.graph.history import Operation
from customers.graph.records import Evidence
from customers.linking import known_pairs
from customers.matching.online import Matcher
from customers.matching.scorer import Explanation
from customers.profile.profile import Profile, Profiles
from foundation import conversations, errors
from foundation.conversations import Conversation
from foundation.messages import ConversationId, CustomerId, TenantId
from operations.identities import badges, masks
from operations.identities.badges import Badge, Standing

TALKS_SHOWN = 40
LINE_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Named:
    """One identity as it is shown. `score` and `explanation` are the matcher's, for what is likely; `op` is the operation that
    has linked it and can be undone; `by` who did."""

    id: str
    namespace: str
    value: str
    is_masked: bool
    badge: Badge
    shared: bool
    first_seen: datetime
    last_seen: datetime
    talks: int
    pair: tuple[str, str] | None = None
    score: float | None = None
    explanation: Explanation | None = None
    op: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What they said of themselves and nobody has proven."""

    id: str
    namespace: str
    value: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in the timeline. `identity_id` is what it came in through."""

    conversation: Conversation
    identity_id: str
    last_text: str
    last_kind: str
    last_role: str
    approvals: int

    @property
    def is_open_matter(self) -> bool:
        return self.conversation.holder in ("queue", "human") or self.approvals > 0


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of the history."""

    operation: Operation
    undone: bool

    @property
    def can_be_undone(self) -> bool:
        return not self.undone and self.operation.kind not in ("undo", "epoch", "erase")


@dataclass(frozen=True, slots=True)
class Whole:
    """`account` is the shop's id, "" while none belongs to them."""

    customer_id: CustomerId
    name: str
    account: str
    identities: tuple[Named, ...]
    claims: tuple[Claimed, ...]
    conflicts: tuple[Evidence, ...]
    talks: tuple[Talk, ...]
    profile: Profile
    history: tuple[Step, ...]

    @property
    def has_likely(self) -> bool:
        return bool(likely_ids(self.identities))

    @property
    def open_matters(self) -> tuple[Talk, ...]:
        return tuple(one for one in self.talks if one.is_open_matter)


class PersonReading:
    def __init__(self, directory: Directory, profiles: Profiles, matcher: Matcher) -> None:
        self.directory = directory
        self._graph = directory.graph
        self._profiles = profiles
        self._matcher = matcher

    def whole(self, connection: sa.Connection, tenant: TenantId, name: str) -> Whole:
        """`name`: an identity, or a customer id of any time. Raises `NotFound`."""
        found = self.component(connection, tenant, name)
        standings = badges.standings(found, name)
        ids = [one.id for one in found.members]
        history = known_pairs.operations_about(connection, tenant, ids)
        account = next((one.identity for one in standings if one.identity.namespace == "account"), None)
        sure = {one.identity.id for one in standings if one.why is None}
        profile = self._profiles.view(connection, tenant, ids, preferred=sure)
        name_known = (account.display_name if account else "") or profile.fact("name")
        return Whole(
            customer_id=found.customer_id, name=name_known, account=account.value if account else "",
            identities=self._named(connection, tenant, found, standings),
            claims=tuple(_claimed(one) for one in found.claims), conflicts=found.conflicts,
            talks=tuple(_talks(connection, tenant, found.conversations)), profile=profile,
            history=tuple(Step(one, undone) for one, undone in history),
        )  # fmt: skip

    def identities(self, connection: sa.Connection, tenant: TenantId, name: str) -> tuple[Named, ...]:
        """For the desk, which shows the rest by itself."""
        found = self.component(connection, tenant, name)
        return self._named(connection, tenant, found, badges.standings(found, name))

    def component(self, connection: sa.Connection, tenant: TenantId, name: str) -> Component:
        try:
            return self._graph.component(connection, tenant, name)
        except errors.NotFound as error:
            raise errors.NotFound("There is no such customer.", code="unknown_customer") from error

    def _named(
        self, connection: sa.Connection, tenant: TenantId, found: Component, standings: list[Standing]
    ) -> tuple[Named, ...]:
        talks = [identity_id for identity_id, _ in found.conversations]
        shown = []
        for one in standings:
            identity, why = one.identity, one.why
            explanation = None
            if why is not None and one.badge == "likely":
                explanation = self._matcher.explain(connection, tenant, why.edge.a, why.edge.b)
            shown.append(Named(
                identity.id, identity.namespace, masks.mask(identity.namespace, identity.value),
                masks.is_masked(identity.namespace, identity.value), one.badge, identity.shared, identity.first_seen,
                identity.last_seen, talks.count(identity.id), None if why is None else (why.edge.a, why.edge.b),
                None if why is None else why.edge.score, explanation, None if why is None else why.made_by,
                "" if why is None else why.actor,
            ))  # fmt: skip
        return tuple(shown)


def likely_ids(identities: Iterable[Named]) -> frozenset[str]:
    """Of those that hang on the customer by less than a proof."""
    return frozenset(one.id for one in identities if one.pair is not None)


def _claimed(one: Claim) -> Claimed:
    return Claimed(one.id, one.namespace, masks.mask(one.namespace, one.value), one.at)


def _talks(
    connection: sa.Connection, tenant: TenantId, found: tuple[tuple[str, ConversationId], ...]
) -> list[Talk]:
    """Newest first."""
    through = {conversation_id: identity_id for identity_id, conversation_id in found}
    known = [conversations.find(connection, tenant, one) for one in through]
    newest = sorted((one for one in known if one is not None), key=lambda one: one.updated_at, reverse=True)
    waiting = [one.conversation_id for one in agent_records.waiting_approvals(connection, tenant)]
    shown = []
    for one in newest[:TALKS_SHOWN]:
        last = conversations.read(connection, tenant, one.id, before_seq=one.last_seq + 1, limit=1)
        text, kind, role = (last[-1].text, last[-1].kind, last[-1].role) if last else ("", "", "")
        shown.append(Talk(one, through[one.id], text[:LINE_LIMIT], kind, role, waiting.count(one.id)))
    return shown
