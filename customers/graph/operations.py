"""What is done to the graph on purpose: link, split, keep apart, a new holder of a name, and taking each of these back.

Pages of the staff call these after they have checked who may, and the matcher calls `link` with its score. Each is one
entry in `history` with actor and reason, in the caller's transaction, and touches no more than the customers it names.
Nothing here adds to what the bot may disclose: a link on purpose never counts as a proof. The surprise: a split holds
against evidence that comes later, until it is undone; what contradicts it is shown as a conflict.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from customers import records as places
from customers.graph import area, history, records
from customers.graph.area import Hold
from customers.graph.graph import Graph, make_edge
from customers.graph.partition import Edge, Strength, divide, is_shared
from customers.graph.records import Evidence, Identity, Naming
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import ConversationId, CustomerId, TenantId
from foundation.security import Vault

REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a link rests on: the word of staff, or a score (0 to 1) of that version of the matcher. `evidence` names it."""

    strength: Strength = Strength.STATED
    score: float = 1.0
    evidence: str = ""
    model_version: str = ""


STATED = Grounds()


@dataclass(frozen=True, slots=True)
class Linked:
    """`op` is None when the same evidence was there before. `refused`: why it unites nobody (`unique`: they are two
    accounts; `apart`: somebody has split them; `shared`; `size`), "" when it does."""

    op: int | None
    customer_id: CustomerId
    refused: str


@dataclass(frozen=True, slots=True)
class Side:
    """One customer as they would be."""

    members: tuple[Identity, ...]
    conversations: tuple[tuple[str, ConversationId], ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be, without doing it. A link changes nothing of what customers may see, so there is nothing to show."""

    sides: tuple[Side, ...]
    refused: str
    conflicts: tuple[Evidence, ...]


class Operations:
    def __init__(self, graph: Graph, vault: Vault, clock: Clock) -> None:
        self.graph = graph
        self._vault = vault
        self._clock = clock

    def link(
        self, connection: sa.Connection, tenant: TenantId, one: str, other: str, *, actor: str, reason: str,
        grounds: Grounds = STATED,
    ) -> Linked:  # fmt: skip
        """The same evidence again changes nothing, also after it was undone; without a name for it each call is evidence
        of its own. Raises `InvalidInput`, `NotFound`."""
        strength, score, evidence = grounds.strength, grounds.score, grounds.evidence
        if strength not in (Strength.STATED, Strength.LIKELY):
            raise errors.InvalidInput("Only a proof makes a proof.", code="bad_strength")
        if one == other:
            raise errors.InvalidInput("These two are the same identity.", code="same_identity")
        if not 0 <= score <= 1:
            raise errors.InvalidInput("A score is between 0 and 1.", code="bad_score")
        self._check(actor, reason)
        self._get_all(connection, tenant, {one, other})
        history.lock(connection, tenant)
        hold = Hold(tenant)
        hold.take_those_of(connection, {one, other})
        edge = make_edge(one, other, strength, evidence=evidence, at=self._clock(), score=score)
        op = None
        if not evidence or records.find_edge(connection, tenant, edge.key) is None:
            op = history.record(
                connection, tenant, kind="link", actor=actor, reason=reason, now=self._clock(),
                payload={"identities": [edge.a, edge.b], "strength": int(strength), "score": score},
            )  # fmt: skip
            edge = replace(edge, evidence=evidence or f"op:{op}")
            self.graph.join(connection, hold, [edge], actor=actor, model_version=grounds.model_version, op=op)
        kept = records.find_edges(connection, tenant, [one]).get(edge.key)
        refused = kept.suppressed if kept else "undone"
        return Linked(op, self.graph.get(connection, tenant, one).customer_id, refused)

    def split(
        self, connection: sa.Connection, tenant: TenantId, names: Collection[str], *, actor: str, reason: str
    ) -> int:
        """Makes these identities another customer than the rest of theirs; the number of the operation."""
        self._check(actor, reason)
        history.lock(connection, tenant)
        hold = Hold(tenant)
        hold.take_those_of(connection, names)
        side, rest = self._sides(connection, tenant, names)
        op = history.record(
            connection, tenant, kind="split", actor=actor, reason=reason, now=self._clock(),
            payload={"identities": sorted(side), "rest": sorted(rest)},
        )  # fmt: skip
        for key in _crossing(records.find_edges(connection, tenant, side), side, rest):
            records.change_edge(connection, tenant, key, split_by=op, suppressed="")
        records.keep_apart(connection, tenant, _pairs(side, rest), op)
        self.graph.join(connection, hold, [], seeds=side | rest, op=op)
        return op

    def keep_apart(
        self, connection: sa.Connection, tenant: TenantId, one: str, other: str, *, actor: str, reason: str
    ) -> int:
        """These two are not one person: what a review decides, or "not me". Unites nobody and cuts as little as it can."""
        if one == other:
            raise errors.InvalidInput("These two are the same identity.", code="same_identity")
        self._check(actor, reason)
        self._get_all(connection, tenant, {one, other})
        history.lock(connection, tenant)
        hold = Hold(tenant)
        hold.take_those_of(connection, {one, other})
        op = history.record(
            connection, tenant, kind="apart", actor=actor, reason=reason, now=self._clock(),
            payload={"identities": sorted((one, other))},
        )  # fmt: skip
        records.keep_apart(connection, tenant, _pairs({one}, {other}), op)
        self.graph.join(connection, hold, [], seeds={one, other}, op=op)
        return op

    def begin_epoch(
        self, connection: sa.Connection, tenant: TenantId, name: str, *, actor: str, reason: str,
        at: datetime | None = None,
    ) -> Identity:  # fmt: skip
        """From now on, or from `at` on, this name belongs to somebody else (a recycled number): a new identity without any
        history. The old one stays with the old customer. Cannot be undone, only linked."""
        self._check(actor, reason)
        history.lock(connection, tenant)
        old = self.graph.get(connection, tenant, name)
        if self.graph.find_holder(connection, tenant, old.id).id != old.id:
            raise errors.Conflict("This name has a newer holder already.", code="not_newest")
        now, epoch = at or self._clock(), old.epoch + 1
        new_id = self._vault.lookup_key("identity epoch", tenant, old.lookup, str(epoch))
        history.record(
            connection, tenant, kind="epoch", actor=actor, reason=reason, now=now,
            payload={"identities": [old.id, new_id], "epoch": epoch},
        )  # fmt: skip
        naming = Naming(
            new_id, old.lookup, old.namespace, old.value, old.proven, old.device, epoch, to_milliseconds(now)
        )
        records.add_identity(connection, tenant, naming, seen_at=now)
        return self.graph.get(connection, tenant, new_id)

    def undo(
        self, connection: sa.Connection, tenant: TenantId, number: int, *, actor: str, reason: str
    ) -> int:
        """Takes back what that operation did, and nothing else; in any order. Raises `NotFound`, `Conflict`."""
        self._check(actor, reason)
        history.lock(connection, tenant)
        done = history.find(connection, tenant, number)
        if done is None:
            raise errors.NotFound("This operation does not exist.", code="unknown_operation")
        if done.kind in ("undo", "epoch", "erase"):
            raise errors.Conflict("This operation cannot be undone.", code="not_undoable")
        if history.is_undone(connection, tenant, number):
            raise errors.Conflict("This operation was undone already.", code="already_undone")
        hold = Hold(tenant)
        names = {*done.payload["identities"], *done.payload.get("rest", ())}
        hold.take_those_of(connection, names)
        op = history.record(
            connection, tenant, kind="undo", actor=actor, reason=reason, now=self._clock(),
            payload={"identities": sorted(names)}, undoes=number,
        )  # fmt: skip
        for key in records.find_edges_of(connection, tenant, number):
            column = "undone_by" if done.kind == "link" else "split_by"
            value = op if done.kind == "link" else None
            records.change_edge(connection, tenant, key, **{column: value, "suppressed": ""})
        records.lift(connection, tenant, number, by=op)
        self.graph.join(connection, hold, [], seeds=names, op=op)
        return op

    def preview_link(
        self, connection: sa.Connection, tenant: TenantId, one: str, other: str, *,
        strength: Strength = Strength.STATED,
    ) -> Preview:  # fmt: skip
        self._get_all(connection, tenant, {one, other})
        edge = make_edge(one, other, strength, evidence="preview", at=self._clock())
        return self._preview(connection, tenant, {one, other}, add=edge)

    def preview_split(self, connection: sa.Connection, tenant: TenantId, names: Collection[str]) -> Preview:
        side, rest = self._sides(connection, tenant, names)
        return self._preview(connection, tenant, side | rest, cut=(side, rest))

    def _preview(
        self, connection: sa.Connection, tenant: TenantId, seeds: set[str], *, add: Edge | None = None,
        cut: tuple[set[str], set[str]] | None = None,
    ) -> Preview:  # fmt: skip
        found = area.load(connection, tenant, seeds)
        edges = {key: one.edge for key, one in found.edges.items()}
        apart = records.find_apart(connection, tenant, found.members)
        if cut is not None:
            for key in _crossing(found.edges, *cut):
                del edges[key]
            apart |= set(_pairs(*cut))
        if add is not None:
            edges[add.key] = add
        nodes = {one.id: one.node for one in found.members.values()}
        for name in seeds:
            touching = [edge for edge in edges.values() if name in (edge.a, edge.b)]
            if not nodes[name].shared and is_shared(nodes[name], touching, nodes, self.graph.rules):
                nodes[name] = replace(nodes[name], shared=True)
        division = divide(nodes.values(), edges.values(), apart, self.graph.rules)
        sides: dict[str, list[Identity]] = {}
        for member in sorted(found.members.values(), key=lambda one: (one.first_seen, one.id)):
            sides.setdefault(division.labels[member.id].customer, []).append(member)
        shown = {division.labels[name].customer for name in seeds}
        return Preview(
            sides=tuple(
                Side(tuple(members), tuple(places.find_conversations(connection, tenant, [m.id for m in members])))
                for label, members in sides.items() if label in shown
            ),
            refused=division.suppressed.get(add.key, "") if add else "",
            conflicts=tuple(
                replace(one, suppressed=division.suppressed[key])
                for key, one in found.edges.items() if key in division.suppressed
            ),
        )  # fmt: skip

    def _sides(
        self, connection: sa.Connection, tenant: TenantId, names: Collection[str]
    ) -> tuple[set[str], set[str]]:
        side = set(names)
        customers = {one.customer_id for one in self._get_all(connection, tenant, side).values()}
        if len(customers) != 1:
            raise errors.InvalidInput("Choose identities of one customer.", code="not_one_customer")
        [customer_id] = customers
        members = records.find_members(connection, tenant, label=records.of_customer(customer_id))
        rest = {member.id for member in members} - side
        if not rest:
            raise errors.InvalidInput("At least one identity must stay.", code="nothing_stays")
        return side, rest

    def _get_all(
        self, connection: sa.Connection, tenant: TenantId, names: Collection[str]
    ) -> dict[str, Identity]:
        found = records.find_many(connection, tenant, names)
        if len(found) != len(set(names)):
            raise errors.NotFound("This identity does not exist.", code="unknown_identity")
        return found

    def _check(self, actor: str, reason: str) -> None:
        if not actor.strip():
            raise errors.InvalidInput("Somebody must have done this.", code="actor_missing")
        if not reason.strip() or len(reason) > REASON_LIMIT:
            raise errors.InvalidInput(
                f"Give a reason, of at most {REASON_LIMIT} characters.", code="reason_missing"
            )


def _pairs(side: Collection[str], rest: Collection[str]) -> list[tuple[str, str]]:
    return [(min(one, other), max(one, other)) for one in sorted(side) for other in sorted(rest)]


def _crossing(
    edges: Collection[tuple[str, str, str]], side: Collection[str], rest: Collection[str]
) -> list[tuple[str, str, str]]:
    return [
        key for key in edges if (key[0] in side and key[1] in rest) or (key[1] in side and key[0] in rest)
    ]
