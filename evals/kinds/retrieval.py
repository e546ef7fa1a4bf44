"""Does the knowledge base find the article that answers, and does it say so when there is none?

The ranking numbers are over the questions that have an answer; `refusal_recall` and `answerable_auroc` look at those without.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from evals import forms, metrics
from evals.kinds.contract import Judge, Judged, Result, Tick
from evals.suite import Suite
from evals.world import Stage

_METRICS = (
    "recall_at_1", "recall_at_5", "mrr", "ndcg_at_10", "answerable_auroc", "refusal_recall", "answer_rate",
    "answer_precision",
)  # fmt: skip


class RetrievalKind:
    at_once = 4
    less_is_better: frozenset[str] = frozenset()

    def knows(self, metric: str) -> bool:
        return metric in _METRICS

    @asynccontextmanager
    async def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Judge]:
        tick("reading articles", 0, 1)
        async with stage.shelf(suite.articles) as shelf:
            tick("reading articles", 1, 1)

            async def judge(case: forms.Case) -> Judged:
                assert isinstance(case, forms.RetrievalCase)
                found = await shelf.search(case.question, language=case.language or suite.head.language)
                relevant, articles = case.relevant, found.articles
                signals = {"answerable": found.answerable, "refused": float(found.refused)}
                if relevant:
                    signals |= {
                        "recall_at_1": float(any(one in relevant for one in articles[:1])),
                        "recall_at_5": float(any(one in relevant for one in articles[:5])),
                        "mrr": metrics.reciprocal_rank(articles, relevant),
                        "ndcg_at_10": metrics.ndcg(articles, relevant),
                    }
                score = signals["recall_at_1"] if relevant else signals["refused"]
                got = ", ".join(articles[:3]) or "nothing"
                note = "refused" if found.refused else "answered"
                return Judged(score, ", ".join(relevant) or "no answer", got, note, signals)

            yield judge

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]:
        pairs = [(result, result.judged.signals) for result in results]
        has = [signals for result, signals in pairs if getattr(result.case, "relevant", [])]
        lacks = [signals for result, signals in pairs if not getattr(result.case, "relevant", [])]
        answered = [signals for signals in has if not signals.get("refused", 1.0)]
        numbers = {name: _mean(has, name) for name in ("recall_at_1", "recall_at_5", "mrr", "ndcg_at_10")}
        numbers["refusal_recall"] = _mean(lacks, "refused")
        numbers["answer_rate"] = len(answered) / len(has) if has else None
        numbers["answer_precision"] = _mean(answered, "recall_at_1")
        numbers["answerable_auroc"] = metrics.auroc(
            [one.get("answerable", 0.0) for one in [*has, *lacks]], [True] * len(has) + [False] * len(lacks)
        )
        return {name: value for name, value in numbers.items() if value is not None}


def _mean(signals: Sequence[object], name: str) -> float | None:
    values = [float(one.get(name, 0.0)) for one in signals if isinstance(one, dict)]
    return sum(values) / len(values) if values else None
