"""Does it hear how a customer feels: the label, how strongly (valence), and above all anger?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from evals import forms, metrics
from evals.kinds import learning
from evals.kinds.contract import Judge, Judged, Result, Tick
from evals.suite import Suite
from evals.world import Stage

ANGER = frozenset({"angry", "anger"})


class EmotionKind:
    at_once = 4
    less_is_better = frozenset({"valence_mae"})

    def knows(self, metric: str) -> bool:
        return metric in {"accuracy", "macro_f1", "mcc", "valence_mae", "anger_auc", "anger_recall"}

    @asynccontextmanager
    async def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Judge]:
        async with learning.understanding(suite, stage, tick) as understand:

            async def judge(case: forms.Case) -> Judged:
                assert isinstance(case, forms.EmotionCase)
                found = await understand(case.text)
                # A head learned from the suite names labels as its intents would be named.
                got = found.likeliest if suite.is_trained_here else found.emotion
                signals = {"anger": found.anger}
                if case.valence is not None and not suite.is_trained_here:
                    signals["valence_error"] = abs(found.valence - case.valence)
                return Judged(float(got == case.label), case.label, got, "", signals)

            yield judge

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]:
        judged = [result.judged for result in results]
        expected, got = [one.expected for one in judged], [one.got for one in judged]
        gaps = [one.signals["valence_error"] for one in judged if "valence_error" in one.signals]
        anger = [one.signals.get("anger", 0.0) for one in judged]
        recalls = [metrics.recall(expected, got, name) for name in ANGER]
        numbers: dict[str, float | None] = {
            "accuracy": metrics.accuracy(expected, got),
            "macro_f1": metrics.macro_f1(expected, got),
            "mcc": metrics.mcc(expected, got),
            "valence_mae": sum(gaps) / len(gaps) if gaps else None,
            "anger_auc": metrics.auroc(anger, [name in ANGER for name in expected]),
            "anger_recall": max((value for value in recalls if value is not None), default=None),
        }
        return {name: value for name, value in numbers.items() if value is not None}
