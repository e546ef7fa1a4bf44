"""A model's life: learned from a tenant's own records, checked, made live, taken back; and what people decide.

The nightly job and the console call these. `learn` only computes; nothing scores with a model until `publish` has found
nothing against it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from customers.matching import blocking, calibration, online, records, scorer, trainer
from customers.matching.features import Columns
from customers.matching.models import Model
from foundation import errors
from foundation.messages import TenantId

MOST_RECORDS = 200_000
MOST_ANCHORS = 20_000

Labelled = tuple[str, str, bool]
"""Two identities, and whether they are known to be one person (proven) or two (a cannot-link)."""


@dataclass(frozen=True, slots=True)
class Learned:
    model: Model
    records: int
    labels: int
    problems: tuple[str, ...]
    """What forbids publishing it; empty when nothing does."""


def learn(
    connection: sa.Connection, tenant: TenantId, *, labelled: Sequence[Labelled] = (), without: Collection[str] = (),
    seed: int = 1,
) -> Learned:  # fmt: skip
    """Takes seconds to minutes; for a thread. Learns from trusted columns only: what people type about themselves must
    not move the weights; and from nobody who is in `without`. Raises `InvalidInput` where there is too little to learn from."""
    walked = records.walk_records(connection, tenant, limit=MOST_RECORDS)
    known = {identity: derived for identity, derived in walked if identity not in without}
    columns = [derived.trusted for derived in known.values()]
    model = trainer.fit(online.starting_model(), columns, options=trainer.Options(seed=seed))
    pairs = [(known[a].trusted, known[b].trusted) for a, b, _ in labelled if a in known and b in known]
    labels = [one for a, b, one in labelled if a in known and b in known]
    if pairs:
        anchors = _anchors(columns, model, seed)
        model = model.with_offset(calibration.fit_offset(model, pairs, labels, candidates=anchors, seed=seed))
    return Learned(model, len(known), len(labels), tuple(scorer.check(model)))


def _anchors(columns: Sequence[Columns], model: Model, seed: int) -> list[calibration.Pair]:
    left, right = blocking.pairs_of(columns, model.blocking)
    chosen = calibration.sample(len(left), MOST_ANCHORS, seed)
    return [(columns[left[place]], columns[right[place]]) for place in chosen]


def publish(
    connection: sa.Connection, tenant: TenantId, model: Model, *, actor: str, now: datetime, note: str = "",
    thresholds: online.Thresholds | None = None,
) -> int:  # fmt: skip
    """Its version, live from now on. Raises `InvalidInput` (`model_refused`) with everything that speaks against it.
    A model with other blocking rules needs `Matcher.reindex` afterwards."""
    thresholds = thresholds or online.Thresholds()
    problems = [*scorer.check(model), *_odd_thresholds(thresholds)]
    if problems:
        raise errors.InvalidInput("This model is not published: " + "; ".join(problems), code="model_refused")
    scorer.Scorer(model)  # every condition compiles
    stored = records.StoredModel(
        0, model.to_json(), json.dumps(asdict(thresholds)), model.population, note, now, actor
    )
    version = records.add_model(connection, tenant, stored)
    records.set_live(connection, tenant, version, now)
    return version


def roll_back(connection: sa.Connection, tenant: TenantId, version: int | None, now: datetime) -> None:
    """To a version that was live before, or None for the model that we ship. Raises `NotFound`."""
    if version is not None:
        records.get_model(connection, tenant, version)
    records.set_live(connection, tenant, version, now)


def decide(
    connection: sa.Connection, tenant: TenantId, a: str, b: str, *, same: bool, actor: str, reason: str,
    now: datetime,
) -> records.ReviewItem:  # fmt: skip
    """What a person found about a pair; the graph links or keeps apart, this only closes the item. A rejected pair is
    not proposed again. Raises `NotFound`, `Conflict` when somebody was faster, `InvalidInput` without a reason."""
    if not reason.strip():
        raise errors.InvalidInput("Say why these are one person or two.", code="no_reason")
    a, b = sorted((a, b))
    records.get_review(connection, tenant, a, b)
    status: Literal["accepted", "rejected"] = "accepted" if same else "rejected"
    if not records.close_review(
        connection, tenant, a, b, status=status, actor=actor, reason=reason.strip(), now=now
    ):
        raise errors.Conflict("Somebody has decided about this pair already.", code="already_decided")
    return records.get_review(connection, tenant, a, b)


def _odd_thresholds(thresholds: online.Thresholds) -> list[str]:
    """People may be asked more often than we would; linking by itself has a floor that no tenant lowers."""
    least = online.Thresholds()
    found = []
    if thresholds.auto < least.auto or thresholds.margin_bits < least.margin_bits:
        found.append(
            f"links need a probability of {least.auto} and a lead of {least.margin_bits:g} bits at least"
        )
    if not 0.5 <= thresholds.review <= thresholds.auto <= 1:
        found.append("the review threshold lies between 0.5 and the one for links")
    return found
