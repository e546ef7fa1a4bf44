"""What a change can touch: loaded, divided anew, and written back where a label moved.

`graph.py` and `operations.py` change evidence and then call `recompute` with the ends of what they changed. The area is
everything that evidence leads to, whether it unites or is suppressed, but not through a shared name: so a hotline with
thousands of accounts costs as much as any other name. The outcome is what a division of the whole graph would give.

On Postgres whoever changes something holds the labels it touches (advisory locks, in order) and reads again after it has
got them. The embedded database has one writer and needs none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from customers import records as places
from customers.graph import history, records
from customers.graph.partition import EdgeKey, Labels, Rules, divide
from customers.graph.records import Evidence, Identity
from foundation.messages import CustomerId, TenantId


@dataclass(slots=True)
class Area:
    members: dict[str, Identity] = field(default_factory=dict)
    edges: dict[EdgeKey, Evidence] = field(default_factory=dict)


@dataclass(slots=True)
class Hold:
    """The labels that this transaction holds."""

    tenant: TenantId
    labels: set[str] = field(default_factory=set)

    def take(self, connection: sa.Connection, labels: Collection[str]) -> bool:
        """True when one was new: what was read before may have changed."""
        if connection.dialect.name != "postgresql":
            return False
        missing = sorted(set(labels) - self.labels)
        self.labels.update(missing)
        for label in missing:
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
                {"key": f"identity {self.tenant} {label}"},
            )
        return bool(missing)

    def take_those_of(self, connection: sa.Connection, ids: Collection[str]) -> None:
        """With all that their evidence leads to, in one go: whoever takes locks one by one waits in circles. A name that
        does not exist yet counts under its own id, which will be its label."""
        while connection.dialect.name == "postgresql":
            found = load(connection, self.tenant, ids).members.values()
            if not self.take(connection, {*ids, *(one.customer_id for one in found if not one.shared)}):
                return


def load(connection: sa.Connection, tenant: TenantId, seeds: Collection[str]) -> Area:
    area, seen, frontier = Area(), set(seeds), set(seeds)
    while frontier:
        found = records.find_many(connection, tenant, frontier)
        area.members |= found
        edges = records.find_edges(connection, tenant, [one.id for one in found.values() if not one.shared])
        area.edges |= edges
        frontier = {end for key in edges for end in key[:2]} - seen
        seen |= frontier
    return area


def recompute(
    connection: sa.Connection, hold: Hold, seeds: Collection[str], *, rules: Rules, now: datetime,
    op: int | None = None, new: Collection[str] = (),
) -> None:  # fmt: skip
    """`seeds` are held already. Of `new` names nobody outside knows a label yet."""
    tenant = hold.tenant
    seeds = _settle_shared(connection, tenant, seeds, rules)
    area = load(connection, tenant, seeds)
    while hold.take(connection, {one.customer_id for one in area.members.values() if not one.shared}):
        area = load(connection, tenant, seeds)
    division = divide(
        [one.node for one in area.members.values()],
        [one.edge for one in area.edges.values()],
        records.find_apart(connection, tenant, area.members),
        rules,
    )
    moved: dict[Labels, list[str]] = {}
    for member in area.members.values():
        after = division.labels[member.id]
        if after != labels_of(member):
            moved.setdefault(after, []).append(member.id)
    for key, evidence in area.edges.items():
        reason = division.suppressed.get(key, "")
        if reason != evidence.suppressed:
            records.change_edge(connection, tenant, key, suppressed=reason)
    for after, ids in moved.items():
        records.change_identity(connection, tenant, ids, customer_id=after.customer, access_id=after.access)
        for some in records.chunks(ids):
            places.relabel_conversations(connection, tenant, some, CustomerId(after.customer))
        told = [(one, labels_of(area.members[one]), after) for one in ids if one not in new]
        history.note_relabelling(connection, tenant, told, at=now, op=op)


def _settle_shared(
    connection: sa.Connection, tenant: TenantId, seeds: Collection[str], rules: Rules
) -> set[str]:
    """Of names that begin or cease to be shared the neighbours are divided anew as well."""
    all_seeds = set(seeds)
    for member in records.find_many(connection, tenant, seeds).values():
        limit = rules.device_accounts if member.device else rules.accounts
        shared = member.namespace not in rules.unique and (
            records.count_accounts(connection, tenant, member, rules.unique, limit + 1) > limit
        )
        if shared == member.shared:
            continue
        records.change_identity(connection, tenant, [member.id], shared=shared)
        all_seeds |= {end for key in records.find_edges(connection, tenant, [member.id]) for end in key[:2]}
    return all_seeds


def labels_of(member: Identity) -> Labels:
    return Labels(member.customer_id, member.access_id)
