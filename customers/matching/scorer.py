"""How much two records speak for one person, in bits, and why: a model and two records' columns in, a score out.

`online.py` scores a new record's candidates, training and benchmarks score whole files. The scorer of a model that
Splink trained gives Splink's own weights (tested to 1e-9 bits).

What would surprise you: the probability depends on how many people there are to be confused with, so it is asked for a
population; the weight of the evidence alone does not change with it.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from customers.matching import comparisons
from customers.matching.models import Comparison, Level, Model, Offset
from foundation import errors

Columns = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One comparison's part. `label` names a sentence in the console's words; no value of anybody is in it."""

    comparison: str
    label: str
    bits: float


@dataclass(frozen=True, slots=True)
class Explanation:
    probability: float
    bits: float
    """Evidence and prior together: the log2 odds."""
    reasons: tuple[Reason, ...]
    """The strongest first, for or against; what both records say nothing about is left out."""


class Scorer:
    """Compiled once for a model. `population` None takes the prior that the model was fitted with."""

    def __init__(self, model: Model, population: int | None = None) -> None:
        self.model = model
        self._compared = [_Compared(model, comparison) for comparison in model.comparisons]
        self._set_population(population)

    def for_population(self, population: int) -> Scorer:
        """The same model among more or fewer people."""
        scorer = copy.copy(self)
        scorer._set_population(population)
        return scorer

    def _set_population(self, population: int | None) -> None:
        self.population = population
        prior = self.model.prior if population is None else self.model.prior_for(population)
        self.prior_bits = math.log2(prior / (1 - prior))
        # Fitted log odds contain the fitted prior; the shift is what another population changes.
        self._shift = self.prior_bits - math.log2(self.model.prior / (1 - self.model.prior))

    def levels(self, left: Columns, right: Columns) -> list[int]:
        """The number of the level met in each comparison."""
        return [compared.level(left, right) for compared in self._compared]

    def evidence(self, left: Columns, right: Columns) -> float:
        """Bits from the comparisons alone, without prior and without the logistic layer."""
        return sum(compared.bits(left, right)[1] for compared in self._compared)

    def bits(self, left: Columns, right: Columns) -> float:
        """The log2 odds that both are one person."""
        met = [compared.bits(left, right) for compared in self._compared]
        return self._total([number for number, _ in met], sum(bits for _, bits in met))

    def probability(self, left: Columns, right: Columns) -> float:
        return probability_of(self.bits(left, right))

    def explain(self, left: Columns, right: Columns) -> Explanation:
        met = [compared.bits(left, right) for compared in self._compared]
        numbers = [number for number, _ in met]
        total = self._total(numbers, sum(bits for _, bits in met))
        reasons = [
            Reason(compared.name, compared.levels[number].label, bits)
            for compared, (number, bits) in zip(self._compared, met, strict=True)
            if not compared.levels[number].missing
        ]
        plain = self.prior_bits + sum(bits for _, bits in met)
        if self.model.offset is not None:
            reasons.append(Reason("learned", "learned", total - plain))
        reasons.sort(key=lambda reason: (-abs(reason.bits), reason.comparison))
        return Explanation(probability_of(total), total, tuple(reasons))

    def _total(self, numbers: list[int], evidence: float) -> float:
        offset = self.model.offset
        if offset is None:
            return self.prior_bits + evidence
        fitted = self.prior_bits - self._shift + evidence
        return log_odds(offset, [c.name for c in self._compared], numbers, fitted) / math.log(2) + self._shift


class _Compared:
    """One comparison, with its conditions compiled."""

    def __init__(self, model: Model, comparison: Comparison) -> None:
        self.name = comparison.name
        self.levels = comparison.levels
        self._weights = [level.weight for level in comparison.levels]
        self._conditions = [
            None if level.when == "ELSE" else comparisons.compile_condition(level.when)
            for level in comparison.levels
        ]
        self._adjust = [_adjustment(model, level) for level in comparison.levels]
        if self._conditions[-1] is not None:
            raise errors.InvalidInput(
                f"The comparison {self.name!r} does not end with ELSE.", code="bad_model"
            )

    def level(self, left: Columns, right: Columns) -> int:
        for number, condition in enumerate(self._conditions):
            if condition is None or condition(left, right):
                return number
        raise AssertionError("the last level takes everything")

    def bits(self, left: Columns, right: Columns) -> tuple[int, float]:
        number = self.level(left, right)
        adjust = self._adjust[number]
        if adjust is None:
            return number, self._weights[number]
        return number, self._weights[number] + adjust(left, right)


def _adjustment(model: Model, level: Level) -> Callable[[Columns, Columns], float] | None:
    """Splink's formula: the commoner of the two values stands for the chance agreement."""
    frequency = level.frequency
    if frequency is None:
        return None
    values = model.frequencies.get(frequency.column, {})
    unlisted = model.unlisted.get(frequency.column)
    column, base, weight, floor = frequency.column, frequency.base, frequency.weight, frequency.floor

    def adjust(left: Columns, right: Columns) -> float:
        one, two = _common(left.get(column), values, unlisted), _common(right.get(column), values, unlisted)
        if one is None and two is None:
            return 0.0
        return weight * (math.log2(base) - math.log2(max(one or 0.0, two or 0.0, floor)))

    return adjust


def _common(value: str | None, values: Mapping[str, float], unlisted: float | None) -> float | None:
    return None if value is None else values.get(value, unlisted)


def log_odds(offset: Offset, names: list[str], numbers: list[int], bits: float) -> float:
    """The logistic layer in plain Python: natural log odds."""
    met = [f"{name}/{number}" for name, number in zip(names, numbers, strict=True)]
    total = offset.intercept + offset.slope * bits
    for place, one in enumerate(met):
        total += offset.levels.get(one, 0.0)
        for two in met[place + 1 :]:
            total += offset.levels.get(f"{one}+{two}", 0.0)
    return total


def probability_of(bits: float) -> float:
    """Without overflow for any weight."""
    if bits >= 0:
        return 1.0 / (1.0 + math.pow(2.0, -min(bits, 1000.0)))
    odds = math.pow(2.0, max(bits, -1000.0))
    return odds / (1.0 + odds)


def check(model: Model) -> list[str]:
    """What forbids publishing a model, in sentences; empty when nothing does.

    The order of a comparison's levels is from most to least alike, so their weights may not rise along it."""
    found = []
    for comparison in model.comparisons:
        weights = [
            (level.label, level.weight)
            for level in comparison.levels
            if not level.missing and level.m is not None
        ]
        for (label, weight), (after, lower) in itertools.pairwise(weights):
            if lower > weight + 1e-9:
                found.append(
                    f"{comparison.name}: {after!r} weighs {lower:.2f} bits, more than the closer {label!r} with {weight:.2f}"
                )
        if weights and weights[0][1] <= 0:
            found.append(
                f"{comparison.name}: the closest level {weights[0][0]!r} speaks against ({weights[0][1]:.2f} bits)"
            )
    if model.offset is not None and model.offset.slope <= 0:
        found.append(f"the learned layer turns the evidence round (slope {model.offset.slope:.3f})")
    return found
