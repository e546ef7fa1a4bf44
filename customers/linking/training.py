"""Models of a tenant's own records: learned at night or when a person asks, held against the live one, made live, taken back.

`service/customer_side.py` calls `night`, the staff's pages and API the rest. Labels cost nobody work: pairs that were proven
later, and pairs that somebody has kept apart. A fifth of them is held back; a model that does worse on it than the live one
is not published by itself, nor is one for which there are too few held-back labels to tell.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa
import structlog

from customers.linking import known_pairs
from customers.linking.linker import MATCHER, Linker
from customers.matching import lifecycle, models, online, records, scorer
from customers.matching.lifecycle import Labelled
from customers.matching.models import Model
from customers.matching.online import Matcher, Thresholds
from customers.matching.records import StoredModel, match_model_table
from customers.matching.scorer import Scorer
from customers.privacy.consents import TRAINING, Objectors, nobody
from foundation import errors
from foundation.clock import Clock, from_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database

HELD_BACK = 5
"""One label of so many is not learned from but judged by."""
LEAST_HELD = 10
"""Labels of each kind that a comparison needs; with fewer, only a person publishes."""
SHOWN = 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A learned model against the live one on held-back labels. `loss` is the mean log loss, `wrong` how many pairs of two
    people it would have linked by itself; both None while there are too few labels to compare by."""

    records: int
    labels: int
    held_back: int
    loss: float | None
    live_loss: float | None
    wrong: int | None
    live_wrong: int | None
    problems: tuple[str, ...] = ()
    """What forbids publishing it, whoever asks."""

    @property
    def may_publish_itself(self) -> bool:
        if self.problems or self.loss is None or self.live_loss is None:
            return False
        return self.loss <= self.live_loss and (self.wrong or 0) <= (self.live_wrong or 0)


@dataclass(frozen=True, slots=True)
class Version:
    """`verdict` is None for a model that came from elsewhere."""

    number: int
    made_at: datetime
    made_by: str
    source: str
    population: int
    live: bool
    verdict: Verdict | None


class Training:
    def __init__(
        self,
        database: Database,
        matcher: Matcher,
        linker: Linker,
        *,
        clock: Clock,
        objectors: Objectors = nobody,
    ) -> None:
        self._database = database
        self._objectors = objectors
        self._matcher = matcher
        self._linker = linker
        self._clock = clock
        self._learning: set[TenantId] = set()

    async def night(self, tenant: TenantId) -> Version | None:
        """None where there is too little to learn from."""
        try:
            learned = await self.learn(tenant, actor=MATCHER)
        except (errors.InvalidInput, errors.Conflict) as error:
            _log.info("no matching model was learned", tenant=tenant, code=error.code)
            return None
        if learned.verdict is not None and learned.verdict.may_publish_itself:
            await self.publish(tenant, learned.number)
        return learned

    async def learn(self, tenant: TenantId, *, actor: str) -> Version:
        """A new version that is not live. Raises `InvalidInput` where there is too little to learn from, `Conflict` while
        this process learns already."""
        if tenant in self._learning:
            raise errors.Conflict("A model is being learned already.", code="learning")
        self._learning.add(tenant)
        try:
            learned, verdict = await self._database.read(lambda c: self._learn(c, tenant))
        finally:
            self._learning.discard(tenant)
        now, note = self._clock(), json.dumps(asdict(verdict))
        stored = StoredModel(
            0, learned.to_json(), json.dumps(asdict(Thresholds())), learned.population, note, now, actor
        )
        number = await self._database.write(lambda c: records.add_model(c, tenant, stored))
        return Version(number, now, actor, learned.source, learned.population, False, verdict)

    async def publish(self, tenant: TenantId, number: int) -> None:
        """Raises `NotFound`, and `InvalidInput` (`model_refused`) for a model whose weights contradict themselves."""
        before, after = await self._database.write(lambda c: self.switch(c, tenant, number))
        await self.follow(tenant, before, after)

    def switch(self, connection: sa.Connection, tenant: TenantId, number: int | None) -> tuple[Model, Model]:
        """For callers with a transaction of their own, who call `follow` after it: the model before and the one after. None is the
        model that we ship. A rollback is the same as a publication: a pointer moves."""
        before, _ = self._matcher.live_model(connection, tenant)
        if number is None:
            after = online.starting_model()
        else:
            after = models.parse(records.get_model(connection, tenant, number).model)
            if problems := scorer.check(after):
                sentence = "This model is not published: " + "; ".join(problems)
                raise errors.InvalidInput(sentence, code="model_refused")
        lifecycle.roll_back(connection, tenant, number, self._clock())
        return before.model, after

    async def follow(self, tenant: TenantId, before: Model, after: Model) -> None:
        """Records are indexed anew where the new model looks for candidates by other rules."""
        if before.blocking != after.blocking:
            await self._linker.reindex(tenant)

    def versions(self, connection: sa.Connection, tenant: TenantId) -> list[Version]:
        """Newest first."""
        state, table = records.find_state(connection, tenant), match_model_table.c
        live = state.version if state else None
        query = sa.select(match_model_table).where(table.tenant == tenant)
        return [
            Version(
                row.version, from_milliseconds(row.made_at), row.made_by, models.parse(row.model).source, row.population,
                row.version == live, _verdict(row.note),
            )
            for row in connection.execute(query.order_by(table.version.desc()).limit(SHOWN))
        ]  # fmt: skip

    def _learn(self, connection: sa.Connection, tenant: TenantId) -> tuple[Model, Verdict]:
        without = self._objectors(connection, tenant, TRAINING)
        labelled = known_pairs.labels(connection, tenant, without=without)
        held = [one for one in labelled if is_held_back(one)]
        learned = lifecycle.learn(
            connection, tenant, labelled=[one for one in labelled if not is_held_back(one)], without=without
        )
        live, thresholds = self._matcher.live_model(connection, tenant)
        judge = partial(_judge, connection, tenant, held, thresholds)
        enough = all(sum(one[2] is kind for one in held) >= LEAST_HELD for kind in (True, False))
        loss, wrong = judge(Scorer(learned.model, live.population)) if enough else (None, None)
        live_loss, live_wrong = judge(live) if enough else (None, None)
        return learned.model, Verdict(
            learned.records, learned.labels, len(held), loss, live_loss, wrong, live_wrong, learned.problems
        )


def is_held_back(label: Labelled) -> bool:
    """The same pairs every night, whatever else is known by then."""
    return hashlib.sha256(f"{label[0]} {label[1]}".encode()).digest()[0] % HELD_BACK == 0


def _judge(
    connection: sa.Connection,
    tenant: TenantId,
    held: Sequence[Labelled],
    thresholds: Thresholds,
    model: Scorer,
) -> tuple[float, int]:
    known = records.load_records(connection, tenant, sorted({one for a, b, _ in held for one in (a, b)}))
    loss, wrong = 0.0, 0
    for a, b, same in held:
        likely = model.probability(known[a].trusted, known[b].trusted)
        likely = min(max(likely, 1e-9), 1 - 1e-9)
        loss -= math.log(likely if same else 1 - likely)
        wrong += not same and likely >= thresholds.auto
    return round(loss / len(held), 6), wrong


def _verdict(note: str) -> Verdict | None:
    try:
        told = json.loads(note)
    except ValueError:
        return None
    return Verdict(**{**told, "problems": tuple(told["problems"])}) if isinstance(told, dict) else None
