"""Is this run worse than that one, or is it luck? Pairs the cases of two records by id. Pure; `commands` calls it.

Right-or-wrong cases are judged by McNemar's exact test, graded ones by a paired bootstrap, one-sided, at 5 %. Journeys
are promises, not samples: one that held and no longer does is a regression by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Literal

import numpy as np

from evals.record import Comparison, RunRecord, SuiteRecord

ALPHA = 0.05
RESAMPLES = 10_000
SEED = 0
Method = Literal["mcnemar", "bootstrap", "every_case"]


def compare(before: RunRecord, after: RunRecord) -> list[Comparison]:
    """Suites that only one of the two has are left out."""
    earlier = {suite.name: suite for suite in before.suites}
    return [
        comparison
        for suite in after.suites
        if suite.name in earlier and (comparison := _compare(earlier[suite.name], suite)) is not None
    ]


def mcnemar(losses: int, wins: int) -> float:
    """The chance of at least so many losses among the cases that changed, were each as likely to go either way."""
    changed = losses + wins
    if not changed:
        return 1.0
    return float(sum(comb(changed, count) for count in range(losses, changed + 1)) / 2**changed)


def bootstrap(differences: Sequence[float]) -> float:
    """The share of resamples in which the mean difference is not a loss."""
    values = np.asarray(differences)
    chosen = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    return float((values[chosen].mean(axis=1) >= 0).mean())


def _compare(before: SuiteRecord, after: SuiteRecord) -> Comparison | None:
    old, new = _scores(before), _scores(after)
    shared = sorted(set(old) & set(new))
    if not shared:
        return None
    differences = [new[one] - old[one] for one in shared]
    worse = [one for one in shared if new[one] < old[one]]
    better = [one for one in shared if new[one] > old[one]]
    method, chance = _judge(after, worse, better, differences=differences)
    return Comparison(
        suite=after.name,
        before=float(np.mean([old[one] for one in shared])),
        after=float(np.mean([new[one] for one in shared])),
        cases=len(shared),
        newly_wrong=worse,
        newly_right=better,
        method=method,
        chance=chance,
        regression=bool(worse) and float(np.sum(differences)) < 0 and chance < ALPHA
        if method != "every_case"
        else bool(worse),
        metrics={
            name: after.metrics[name] - before.metrics[name]
            for name in after.metrics
            if name in before.metrics
        },
        same_cases=before.digest == after.digest,
    )


def _judge(
    suite: SuiteRecord, worse: Sequence[str], better: Sequence[str], *, differences: Sequence[float]
) -> tuple[Method, float]:
    if suite.kind == "journey":
        return "every_case", 0.0 if worse else 1.0
    if all(difference in (-1.0, 0.0, 1.0) for difference in differences):
        return "mcnemar", mcnemar(len(worse), len(better))
    return "bootstrap", bootstrap(differences)


def _scores(suite: SuiteRecord) -> Mapping[str, float]:
    """Mean over the trials."""
    found: dict[str, list[float]] = {}
    for case in suite.cases:
        found.setdefault(case.id, []).append(case.score)
    return {one: float(np.mean(scores)) for one, scores in found.items()}
