"""The promise of a kind of suite: it judges one case at a time, and makes the suite's numbers of all judgements.

`registry` lists the kinds; `runner` calls them inside the case fence, so a kind raises whatever goes wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from evals import forms
from evals.suite import Suite
from evals.world import Stage

Tick = Callable[[str, int, int], None]
"""Shows progress: what, done, of how many."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`score` is 1 for right and 0 for wrong, or a grade between; it is what two runs are compared by."""

    score: float
    expected: str
    got: str
    note: str = ""
    signals: Mapping[str, float] = field(default_factory=dict)
    transcript: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Result:
    case: forms.Case
    trial: int
    judged: Judged
    seconds: float
    error: str = ""


Judge = Callable[[forms.Case], Awaitable[Judged]]


class Kind(Protocol):
    at_once: int
    """Cases judged at the same time."""
    less_is_better: frozenset[str]

    def knows(self, metric: str) -> bool:
        """Whether a threshold may name it."""
        ...

    def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AbstractAsyncContextManager[Judge]:
        """Whatever has to be loaded, trained or opened first happens on entering."""
        ...

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]: ...
