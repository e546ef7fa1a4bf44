"""Which names are one person: nodes and evidence in, two labels for each node out; pure.

`area.py` calls `divide` with every node and edge that a change can touch. The labels are a function of the *set* of
evidence, never of the order it came in: edges are taken strongest first (Kruskal) and one that would break a rule stays
in the books as suppressed, with the reason.

Two partitions come out of one pass. Proven edges are taken first; what stands then is who may *see* what (`access`).
Everything else is taken after them and decides only who staff see as one customer. So no guess and no click reaches
`access`, and `access` always refines `customer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

ACCOUNT = "account"
"""Namespace of the shop's own account ids; a channel gives it only from a user token it has checked."""

EdgeKey = tuple[str, str, str]
"""Both nodes in order, and the evidence."""


class Strength(IntEnum):
    """What kind of evidence an edge is; the numbers are stored."""

    LIKELY = 1
    """A score of the matcher, or an account that was used on a device."""
    BOUND = 2
    """A platform says that two of its names are one person."""
    PROVEN = 3
    """Both ends were proven in one session."""
    STATED = 4
    """A member of staff says so."""


_RANK = {Strength.PROVEN: 0, Strength.BOUND: 1, Strength.STATED: 2, Strength.LIKELY: 3}
"""Proof comes before a person's word: otherwise a click could undo what two people may see of each other."""


@dataclass(frozen=True, slots=True)
class Rules:
    unique: frozenset[str] = frozenset({ACCOUNT})
    """Namespaces of which one person has one value."""
    accounts: int = 8
    """A name proven together with more accounts than this is shared (a hotline, a kiosk) and joins nobody."""
    device_accounts: int = 1
    members: int = 60
    """Names of one person at most."""


@dataclass(frozen=True, slots=True)
class Node:
    """`first_seen` in milliseconds: the earliest event, not the first that arrived. `device`: a thing, not a person."""

    id: str
    namespace: str
    first_seen: int
    device: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`a` < `b`. `evidence` names where it comes from, so that the same event again is the same edge."""

    a: str
    b: str
    evidence: str
    strength: Strength
    at: int
    score: float = 1.0

    @property
    def key(self) -> EdgeKey:
        return (self.a, self.b, self.evidence)

    def other(self, node_id: str) -> str:
        return self.b if node_id == self.a else self.a


@dataclass(frozen=True, slots=True)
class Labels:
    """Each is the id of the oldest node in its group, so a split gives back exactly the label from before."""

    customer: str
    access: str


@dataclass(frozen=True, slots=True)
class Division:
    labels: Mapping[str, Labels]
    suppressed: Mapping[EdgeKey, str]
    """Why an edge joins nobody: `shared`, `apart`, `unique` or `size`."""


def divide(
    nodes: Iterable[Node], edges: Iterable[Edge], apart: Iterable[tuple[str, str]], rules: Rules
) -> Division:
    """`apart`: pairs that are known to be two people. Edges to nodes that are not given are not looked at."""
    known = {node.id: node for node in nodes}
    groups = _Groups(known, apart, rules)
    suppressed: dict[EdgeKey, str] = {}
    inside = [edge for edge in edges if edge.a in known and edge.b in known]
    proven = [edge for edge in inside if is_proven(edge, known)]
    rest = [edge for edge in inside if not is_proven(edge, known)]

    def take(some: Sequence[Edge]) -> None:
        for edge in sorted(some, key=lambda edge: _order(edge, known)):
            if reason := groups.join(edge):
                suppressed[edge.key] = reason

    take(proven)
    access = groups.labels()
    take(rest)
    customer = groups.labels()
    return Division({name: Labels(customer[name], access[name]) for name in known}, suppressed)


def is_proven(edge: Edge, nodes: Mapping[str, Node]) -> bool:
    """A device proves nothing about who sits before it, whatever the edge says of itself."""
    strong = edge.strength in (Strength.BOUND, Strength.PROVEN)
    return strong and not (nodes[edge.a].device or nodes[edge.b].device)


def is_shared(node: Node, edges: Iterable[Edge], neighbours: Mapping[str, Node], rules: Rules) -> bool:
    """`edges`: all of the node, suppressed ones as well. People's names are judged by proven edges alone, otherwise a
    guess could change `access`; a device by everything, because nothing about it is proven."""
    if node.namespace in rules.unique:
        return False
    both = {**neighbours, node.id: node}
    accounts = {
        edge.other(node.id)
        for edge in edges
        if both[edge.other(node.id)].namespace in rules.unique and (node.device or is_proven(edge, both))
    }
    return len(accounts) > (rules.device_accounts if node.device else rules.accounts)


def fingerprint(members: Iterable[str]) -> str:
    """Of exactly these nodes together. Text that was generated about a person is kept under it: a merge, a split or an
    erasure makes it unreachable, because it would mix two people."""
    return hashlib.sha256("\0".join(sorted(members)).encode()).hexdigest()[:32]


def _order(edge: Edge, nodes: Mapping[str, Node]) -> tuple[int, float, int, str, str, str]:
    strength = edge.strength
    if (nodes[edge.a].device or nodes[edge.b].device) and strength in (Strength.BOUND, Strength.PROVEN):
        strength = Strength.LIKELY
    return (_RANK[strength], -edge.score, edge.at, edge.evidence, edge.a, edge.b)


@dataclass(slots=True)
class _Group:
    members: list[str]
    unique: dict[str, str]
    """The one value of each unique namespace."""
    enemies: set[str]


@dataclass(slots=True)
class _Groups:
    nodes: Mapping[str, Node]
    apart: Iterable[tuple[str, str]]
    rules: Rules
    of: dict[str, _Group] = field(init=False)

    def __post_init__(self) -> None:
        self.of = {
            node.id: _Group([node.id], {node.namespace: node.id} if self._is_unique(node) else {}, set())
            for node in self.nodes.values()
        }
        for a, b in self.apart:
            for one, other in ((a, b), (b, a)):
                if one in self.of:
                    self.of[one].enemies.add(other)

    def join(self, edge: Edge) -> str:
        """The reason when the edge may not unite its ends, otherwise ""."""
        one, other = self.of[edge.a], self.of[edge.b]
        if one is other:
            return ""
        if self.nodes[edge.a].shared or self.nodes[edge.b].shared:
            return "shared"
        if not one.enemies.isdisjoint(other.members):
            return "apart"
        if not one.unique.keys().isdisjoint(other.unique):
            return "unique"
        if len(one.members) + len(other.members) > self.rules.members:
            return "size"
        if len(one.members) < len(other.members):
            one, other = other, one
        one.members += other.members
        one.unique |= other.unique
        one.enemies |= other.enemies
        self.of.update(dict.fromkeys(other.members, one))
        return ""

    def labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for group in {id(group): group for group in self.of.values()}.values():
            oldest = min(group.members, key=lambda name: (self.nodes[name].first_seen, name))
            found.update(dict.fromkeys(group.members, oldest))
        return found

    def _is_unique(self, node: Node) -> bool:
        return node.namespace in self.rules.unique
