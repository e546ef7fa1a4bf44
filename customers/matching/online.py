"""One new record against everybody known: an identity and what is known about it in, a proposal out.

The identity graph calls `observe` when something new is known about an identity, and may link what `auto` proposes with
the weakest strength, for staff to see; what lies in the review band waits for a person; `forget` belongs to erasure.
Nothing here is ever a proof, and no proposal reaches what a conversation may be told.

What would surprise you: attributes that a person only typed can bring a pair to a reviewer but never link it. The model
that we ship proposes reviews only: weights that nobody fitted on this base must not link anybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa

from customers.matching import blocking, features, models, records, vocabulary
from customers.matching.features import Derived, Record
from customers.matching.models import Model
from customers.matching.scorer import Explanation, Reason, Scorer, probability_of
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault

Decision = Literal["auto", "review", "none"]
Labels = Callable[[sa.Connection, TenantId, Sequence[str]], Mapping[str, str]]
"""To which customer each identity belongs now; identities of one customer do not compete with each other."""

RECOUNT = timedelta(minutes=10)
SMALL = 1000
"""Below so many records they are counted each time: early on the number changes quickly and counting is cheap."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`margin_bits`: how far the best must be ahead of the second customer to be linked without a person."""

    auto: float = 0.999
    review: float = 0.9
    margin_bits: float = 3.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """`other` is the identity that looks most alike, "" where none was found; `customer` whose it is. `margin_bits` is
    the lead over the second customer, None where there is none. `reasons` hold no value of anybody."""

    decision: Decision
    identity_id: str
    other: str = ""
    customer: str = ""
    probability: float = 0.0
    bits: float = 0.0
    margin_bits: float | None = None
    reasons: tuple[Reason, ...] = ()
    compared: int = 0
    model_version: int | None = None


@dataclass(frozen=True, slots=True)
class _Live:
    version: int | None
    scorer: Scorer
    thresholds: Thresholds

    @property
    def links(self) -> bool:
        return self.version is not None and self.scorer.model.source != "start"


class Matcher:
    """`region` is where numbers without a country belong. Without `labels` each identity is its own customer."""

    def __init__(
        self, vault: Vault, clock: Clock, *, labels: Labels | None = None, region: str = "CN"
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._labels = labels or _each_alone
        self._region = region
        self._live: dict[TenantId, _Live] = {}

    def observe(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, record: Record, *,
        excluded: Collection[str] = (),
    ) -> Proposal:  # fmt: skip
        """Keeps the record and proposes; a pair for a person is put in the queue. Repeatable. `excluded` are
        identities that are the same customer already, or known not to be."""
        proposal = self.propose(connection, tenant, identity_id, record, excluded=excluded)
        self.index(connection, tenant, {identity_id: record})
        if proposal.decision == "review":
            self.ask(connection, tenant, proposal)
        return proposal

    def ask(self, connection: sa.Connection, tenant: TenantId, proposal: Proposal) -> None:
        """Puts the pair into the queue of those that a person decides about; one that is decided stays so."""
        a, b = sorted((proposal.identity_id, proposal.other))
        item = records.ReviewItem(
            a, b, proposal.probability, proposal.reasons, proposal.model_version, "open", self._clock()
        )
        records.save_review(connection, tenant, item)

    def explain(
        self, connection: sa.Connection, tenant: TenantId, one: str, other: str
    ) -> Explanation | None:
        """Why two known records look like one person, by the live model; None where one of them has no record."""
        known = records.load_records(connection, tenant, [one, other])
        if len(known) < 2:
            return None
        live = self._get_live(connection, tenant)
        return live.scorer.explain(known[one].columns, known[other].columns)

    def live_model(self, connection: sa.Connection, tenant: TenantId) -> tuple[Scorer, Thresholds]:
        live = self._get_live(connection, tenant)
        return live.scorer, live.thresholds

    def propose(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, record: Record, *,
        excluded: Collection[str] = (),
    ) -> Proposal:  # fmt: skip
        """Reads only."""
        derived = features.derive(record, self._region)
        live = self._get_live(connection, tenant)
        keys = blocking.every_block_key(self._vault, tenant, derived.columns, live.scorer.model.blocking)
        found = records.find_by_keys(connection, tenant, keys, cap=blocking.CAP)
        if not found.keys() - {identity_id, *excluded}:
            return Proposal("none", identity_id, model_version=live.version)
        left_out = {identity_id, *excluded, *records.find_rejected(connection, tenant, identity_id)}
        candidates = records.load_records(connection, tenant, [one for one in found if one not in left_out])
        if not candidates:
            return Proposal("none", identity_id, model_version=live.version)
        labels = self._labels(connection, tenant, list(candidates))
        return _decide(live, identity_id, derived, candidates, labels)

    def index(self, connection: sa.Connection, tenant: TenantId, found: Mapping[str, Record]) -> None:
        """Only keeps records, by identity; for imports, a few hundred a call. Their proposals come from `propose` when
        all rows are in."""
        derived = {one: features.derive(record, self._region) for one, record in found.items()}
        records.save_records(connection, tenant, derived, self._clock())
        self._index_keys(connection, tenant, derived)
        self._count_now_and_then(connection, tenant)

    def reindex(
        self, connection: sa.Connection, tenant: TenantId, *, after: str = "", limit: int = 500
    ) -> str | None:
        """Makes the block keys of the live model for the next `limit` records; returns where to go on, None at the
        end. For a model with other rules, and for a new key; may be stopped and taken up again at any place."""
        derived = dict(records.walk_records(connection, tenant, after=after, limit=limit))
        self._index_keys(connection, tenant, derived)
        return max(derived, default=None)

    def recount(self, connection: sa.Connection, tenant: TenantId) -> int:
        """Bases the prior on how many records there are now; for the end of an import."""
        population = records.count_records(connection, tenant)
        records.set_population(connection, tenant, population, self._clock())
        return population

    def forget(self, connection: sa.Connection, tenant: TenantId, identity_id: str) -> None:
        records.forget(connection, tenant, identity_id)

    def _index_keys(
        self, connection: sa.Connection, tenant: TenantId, derived: Mapping[str, Derived]
    ) -> None:
        rules = self._get_live(connection, tenant).scorer.model.blocking
        keys = {
            one: blocking.block_keys(self._vault, tenant, two.columns, rules) for one, two in derived.items()
        }
        records.replace_keys(connection, tenant, keys)

    def _count_now_and_then(self, connection: sa.Connection, tenant: TenantId) -> None:
        state = records.find_state(connection, tenant)
        if state is None or state.population < SMALL or self._clock() - state.counted_at > RECOUNT:
            self.recount(connection, tenant)

    def _get_live(self, connection: sa.Connection, tenant: TenantId) -> _Live:
        """Compiled once for a version and a population."""
        state = records.find_state(connection, tenant)
        version = state.version if state else None
        population = max(state.population if state else 0, 2)
        known = self._live.get(tenant)
        if known and known.version == version:
            if known.scorer.population != population:
                known = replace(known, scorer=known.scorer.for_population(population))
                self._live[tenant] = known
            return known
        model, thresholds = _load(connection, tenant, version)
        self._live[tenant] = _Live(version, Scorer(model, population), thresholds)
        return self._live[tenant]


def starting_model() -> Model:
    """What is scored with until a model was fitted: weights set by hand, good enough to fill a review queue."""
    return models.parse((vocabulary.DATA / "person.json").read_text(encoding="utf-8"))


def _load(connection: sa.Connection, tenant: TenantId, version: int | None) -> tuple[Model, Thresholds]:
    if version is None:
        return starting_model(), Thresholds()
    stored = records.get_model(connection, tenant, version)
    return models.parse(stored.model), Thresholds(**json.loads(stored.thresholds))


def _decide(
    live: _Live, identity_id: str, derived: Derived, candidates: Mapping[str, Derived], labels: Mapping[str, str]
) -> Proposal:  # fmt: skip
    """The best identity of each customer, then the best against the second."""
    best: dict[str, tuple[float, str]] = {}
    for other, columns in candidates.items():
        bits = live.scorer.bits(derived.columns, columns.columns)
        customer = labels.get(other, other)
        if customer not in best or (bits, other) > best[customer]:
            best[customer] = (bits, other)
    ranked = sorted(((bits, other, customer) for customer, (bits, other) in best.items()), reverse=True)
    bits, other, customer = ranked[0]
    second = ranked[1][0] if len(ranked) > 1 else None
    stored = candidates[other]
    decision: Decision = "none"
    compared = (derived.columns, stored.columns)
    if probability_of(bits) >= live.thresholds.review:
        decision = "review"
        trusted = (derived.trusted, stored.trusted)
        if live.links and _is_certain(live, live.scorer.bits(*trusted), second):
            decision, compared = "auto", trusted
    explanation = live.scorer.explain(*compared)
    return Proposal(
        decision, identity_id, other, customer, explanation.probability, explanation.bits,
        None if second is None else explanation.bits - second, explanation.reasons, len(candidates),
        live.version,
    )  # fmt: skip


def _is_certain(live: _Live, trusted_bits: float, second: float | None) -> bool:
    if probability_of(trusted_bits) < live.thresholds.auto:
        return False
    return second is None or trusted_bits - second >= live.thresholds.margin_bits


def _each_alone(
    _connection: sa.Connection, _tenant: TenantId, identity_ids: Sequence[str]
) -> Mapping[str, str]:
    return {identity_id: identity_id for identity_id in identity_ids}
