"""Makes and asks classifiers for labels that somebody brings: normalise, embed, fit; normalise, embed, judge.

Called by `train` for the shop's own models, by the training of operations, and by eval suites with a `train.jsonl`. Both
directions stand side by side, because a text must take the same way into the classifier when it is learnt and when it
is asked. A text that belongs to no label is labelled None; for a cold start, give each label its title as the one example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.understanding.fitting import Examples, fit_head
from agent.understanding.heads import FloatMatrix, TextHead
from agent.understanding.intent import IntentModel, IntentResult
from agent.understanding.normalise import normalise_query
from foundation.embedders.contract import Embedder


@dataclass(frozen=True)
class Labelled:
    text: str
    label: str | None


async def learn(
    labelled: Sequence[Labelled],
    embedder: Embedder,
    *,
    clouds: Mapping[str, FloatMatrix] | None = None,
    closed: bool = False,
    buckets: int = 2**15,
) -> TextHead:
    """`clouds` of `trained.Models` let examples of one language serve others. Raises InvalidInput below two labels."""
    texts, labels = _unique(labelled)
    vectors = await embedder.embed_queries(texts)
    return fit_head(Examples(texts, vectors, labels), clouds=clouds, closed=closed, buckets=buckets)


async def classify(texts: Sequence[str], model: IntentModel, embedder: Embedder) -> list[IntentResult]:
    normalised = [normalise_query(text) for text in texts]
    return model.predict_many(normalised, await embedder.embed_queries(normalised))


def _unique(labelled: Sequence[Labelled]) -> tuple[list[str], list[str | None]]:
    """The first label of a text counts; two messages that differ in nothing but script are one."""
    first: dict[str, str | None] = {}
    for one in labelled:
        first.setdefault(normalise_query(one.text), one.label)
    return list(first), list(first.values())
