"""Does it know the language of a single message, down to Cantonese and the two scripts of Chinese?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from evals import forms, metrics
from evals.kinds.contract import Judge, Judged, Result, Tick
from evals.suite import Suite
from evals.world import Stage


class LanguageKind:
    at_once = 4
    less_is_better: frozenset[str] = frozenset()

    def knows(self, metric: str) -> bool:
        return metric in {"accuracy", "macro_f1"} or metric.startswith("accuracy_")

    @asynccontextmanager
    async def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Judge]:
        async with stage.mind() as mind:

            async def judge(case: forms.Case) -> Judged:
                assert isinstance(case, forms.LanguageCase)
                got = (await mind.understand(case.text)).language
                return Judged(float(got == case.language), case.language, got)

            yield judge

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]:
        expected = [result.judged.expected for result in results]
        got = [result.judged.got for result in results]
        numbers = {"accuracy": metrics.accuracy(expected, got), "macro_f1": metrics.macro_f1(expected, got)}
        for tag in sorted({tag for result in results for tag in result.case.tags}):
            scores = [result.judged.score for result in results if tag in result.case.tags]
            numbers[f"accuracy_{tag}"] = sum(scores) / len(scores)
        return numbers
