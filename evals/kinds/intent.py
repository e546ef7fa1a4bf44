"""Does it know what a message wants, and does it know when it does not know?

The given name is the likeliest intent, or out of scope where the status says so: an unsure name still counts as the
name it would have been, and `answered` says how often the product would have acted on it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from evals import forms, metrics
from evals.kinds import learning
from evals.kinds.contract import Judge, Judged, Result, Tick
from evals.suite import Suite
from evals.world import Stage

_COVERAGE = re.compile(r"coverage_at_risk_(\d{1,2})")
_RISKS = (1, 5, 10)
_PLAIN = frozenset(
    {"accuracy", "accuracy_in_scope", "macro_f1", "mcc", "ece", "answered", "precision_answered"}
)
_OUT_OF_SCOPE = frozenset({"out_of_scope_recall", "out_of_scope_precision", "out_of_scope_auroc"})


class IntentKind:
    at_once = 4
    less_is_better = frozenset({"ece"})

    def knows(self, metric: str) -> bool:
        return metric in _PLAIN | _OUT_OF_SCOPE or _COVERAGE.fullmatch(metric) is not None

    @asynccontextmanager
    async def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Judge]:
        outside = suite.head.out_of_scope
        async with learning.understanding(suite, stage, tick) as understand:

            async def judge(case: forms.Case) -> Judged:
                assert isinstance(case, forms.IntentCase)
                found = await understand(case.text)
                got = outside if found.status == "out_of_scope" else found.likeliest
                signals = {
                    "confidence": found.confidence,
                    "out_of_scope": found.out_of_scope,
                    "sure": float(found.status == "sure"),
                    "likeliest_right": float(found.likeliest == case.intent),
                }
                return Judged(float(got == case.intent), case.intent, got, found.status, signals)

            yield judge

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]:
        outside = suite.head.out_of_scope
        judged = [result.judged for result in results]
        expected, got = [one.expected for one in judged], [one.got for one in judged]
        confidence = [one.signals.get("confidence", 0.0) for one in judged]
        right = [one.signals.get("likeliest_right", 0.0) == 1.0 for one in judged]
        within = [place for place, name in enumerate(expected) if name != outside]
        sure = [one for one in judged if one.signals.get("sure", 0.0)]
        numbers: dict[str, float | None] = {
            "accuracy": metrics.accuracy(expected, got),
            "accuracy_in_scope": sum(right[place] for place in within) / len(within) if within else None,
            "macro_f1": metrics.macro_f1(expected, got),
            "mcc": metrics.mcc(expected, got),
            "out_of_scope_recall": metrics.recall(expected, got, outside),
            "out_of_scope_precision": metrics.precision(expected, got, outside)
            if outside in expected
            else None,
            "out_of_scope_auroc": metrics.auroc(
                [one.signals.get("out_of_scope", 0.0) for one in judged],
                [name == outside for name in expected],
            ),
            "answered": len(sure) / len(judged) if judged else 0.0,
            "precision_answered": sum(one.score for one in sure) / len(sure) if sure else None,
            "ece": metrics.calibration_error(confidence, right),
        }
        for risk in sorted({*_RISKS, *_named_risks(suite)}):
            numbers[f"coverage_at_risk_{risk}"] = metrics.coverage_at_risk(confidence, right, risk / 100)
        return {name: value for name, value in numbers.items() if value is not None}


def _named_risks(suite: Suite) -> list[int]:
    found = [_COVERAGE.fullmatch(name) for name in suite.head.thresholds]
    return [int(match.group(1)) for match in found if match]
