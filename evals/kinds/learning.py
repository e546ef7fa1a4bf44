"""Fits a suite's own classifier: its examples, its titles, the product's embedder and trainer. Used by intent and emotion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from evals.kinds.contract import Tick
from evals.suite import Suite
from evals.world import Mind, Stage, Trainer, Understood
from foundation.embedders.contract import Embedder

TEXTS_AT_ONCE = 64
Understand = Callable[[str], Awaitable[Understood]]


@asynccontextmanager
async def understanding(suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Understand]:
    """The product's own understanding, or one learned from the suite's `train.jsonl` and `labels.jsonl`."""
    async with stage.mind() as mind:
        if suite.is_trained_here:
            yield await _learned(suite, mind, stage.trainer(), tick)
        else:
            yield mind.understand


async def _learned(suite: Suite, mind: Mind, trainer: Trainer, tick: Tick) -> Understand:
    """Embedding is nearly all of the time; it is done first, in small steps, and everything after finds it remembered."""
    pairs = _examples(suite)
    texts = [trainer.prepare(text) for text, _label in pairs]
    texts += [trainer.prepare(str(getattr(case, "text", ""))) for case in suite.cases]
    await _embed(mind.embedder, list(dict.fromkeys(texts)), tick)
    tick("training", 0, 1)
    classifier = await trainer.learn(pairs, mind.embedder)
    tick("training", 1, 1)
    return classifier.understand


def _examples(suite: Suite) -> list[tuple[str, str | None]]:
    """Titles are examples like any other."""
    pairs = [(line.text, line.name) for line in suite.train]
    pairs += [(line.title, line.intent) for line in suite.labels]
    return [(text, None if name == suite.head.out_of_scope else name) for text, name in pairs]


async def _embed(embedder: Embedder, texts: Sequence[str], tick: Tick) -> None:
    tick("embedding", 0, len(texts))
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        await embedder.embed_queries(texts[start : start + TEXTS_AT_ONCE])
        tick("embedding", min(start + TEXTS_AT_ONCE, len(texts)), len(texts))
