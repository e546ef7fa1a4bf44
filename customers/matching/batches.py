"""Many pairs at once: which level of each comparison they meet, in numpy. For training and benchmarks only.

The conditions are those of the scorer, parsed by the same parser (a property test holds the two together); a metric is
computed once for each different pair of values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein

from customers.matching import comparisons
from customers.matching.models import Comparison, Model

Columns = Mapping[str, str]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SCORERS: dict[str, Callable[..., Any]] = {
    "jaro_winkler_similarity": JaroWinkler.similarity,
    "jaro_similarity": Jaro.similarity,
    "damerau_levenshtein": DamerauLevenshtein.distance,
    "levenshtein": Levenshtein.distance,
}


class Table:
    """Records by column: every different text has a number, the same in all columns, so that columns can be compared
    with each other; -1 is a missing value."""

    def __init__(self, records: Sequence[Columns]) -> None:
        self.records = records
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._columns: dict[str, Numbers] = {}

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str) -> Numbers:
        if name not in self._columns:
            self._columns[name] = np.fromiter(
                (self._number(record.get(name)) for record in self.records), np.int64, len(self.records)
            )
        return self._columns[name]

    def _number(self, text: str | None) -> int:
        if text is None:
            return -1
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


class Pairs:
    """Pairs of rows of one table."""

    def __init__(self, table: Table, left: Numbers, right: Numbers) -> None:
        self.table = table
        self.left = left
        self.right = right
        self.measured: dict[str, NDArray[np.float64]] = {}
        """What a metric gave, for the next level that asks for the same one with another bound."""

    def __len__(self) -> int:
        return len(self.left)

    def where(self, mask: Mask) -> Pairs:
        chosen = Pairs(self.table, self.left[mask], self.right[mask])
        chosen.measured = {key: values[mask] for key, values in self.measured.items()}
        return chosen


def levels_of(model: Model, pairs: Pairs) -> Numbers:
    """One column a comparison: the number of the level met."""
    if not model.comparisons:
        return np.zeros((len(pairs), 0), np.int64)
    return np.column_stack([_levels(comparison, pairs) for comparison in model.comparisons])


def _levels(comparison: Comparison, pairs: Pairs) -> Numbers:
    met = np.full(len(pairs), len(comparison.levels) - 1, np.int64)
    rows, left_over = np.arange(len(pairs)), pairs.where(np.ones(len(pairs), bool))
    for number, level in enumerate(comparison.levels[:-1]):
        hit = comparisons.parse_condition(level.when, ManyPairs())(left_over)
        met[rows[hit]] = number
        rows, left_over = rows[~hit], left_over.where(~hit)
    return met


def adjustments_of(model: Model, pairs: Pairs, met: Numbers) -> NDArray[np.float64]:
    """Bits that agreement on rare values adds, over all comparisons."""
    total = np.zeros(len(pairs))
    for place, comparison in enumerate(model.comparisons):
        for number, level in enumerate(comparison.levels):
            if level.frequency is None:
                continue
            rows = np.flatnonzero(met[:, place] == number)
            common = _commonness(model, level.frequency.column, pairs.table)
            column = pairs.table.column(level.frequency.column)
            one, two = common[column[pairs.left[rows]]], common[column[pairs.right[rows]]]
            known = ~(np.isnan(one) & np.isnan(two))
            largest = np.fmax(np.fmax(one, two), level.frequency.floor)
            bits = np.log2(level.frequency.base) - np.log2(np.where(known, largest, 1.0))
            total[rows] += np.where(known, level.frequency.weight * bits, 0.0)
    return total


def _commonness(model: Model, column: str, table: Table) -> NDArray[np.float64]:
    """By number of the text; the last entry is that of a missing value."""
    table.column(column)
    values, unlisted = model.frequencies.get(column, {}), model.unlisted.get(column, np.nan)
    return np.array([*(values.get(text, unlisted) for text in table.texts), np.nan])


class _Operand:
    def __init__(self, read: Callable[[Pairs], tuple[Any, Mask]], name: str = "") -> None:
        self.read = read
        self.name = name
        self.numbers: Callable[[Pairs], Numbers] | None = None


Condition = Callable[[Pairs], Mask]


class ManyPairs:
    """The same conditions as `comparisons.OnePair`, over arrays."""

    def column(self, name: str, *, left_side: bool) -> _Operand:
        def numbers(pairs: Pairs) -> Numbers:
            return pairs.table.column(name)[pairs.left if left_side else pairs.right]

        def read(pairs: Pairs) -> tuple[Any, Mask]:
            found = numbers(pairs)
            texts = np.array([*pairs.table.texts, ""], dtype=object)
            return texts[found], found >= 0

        operand = _Operand(read, f"{name}_{'l' if left_side else 'r'}")
        operand.numbers = numbers
        return operand

    def constant(self, value: float | str) -> _Operand:
        return _Operand(lambda pairs: (value, np.ones(len(pairs), bool)))

    def metric(self, name: str, first: _Operand, second: _Operand) -> _Operand:
        def read(pairs: Pairs) -> tuple[Any, Mask]:
            assert first.numbers is not None, "metrics are of columns"
            assert second.numbers is not None, "metrics are of columns"
            one, two = first.numbers(pairs), second.numbers(pairs)
            known = (one >= 0) & (two >= 0)
            key = f"{name}({first.name},{second.name})"
            if key not in pairs.measured:
                measured = np.zeros(len(pairs))
                measured[known] = _measure(name, pairs.table, one[known], two[known])
                pairs.measured[key] = measured
            return pairs.measured[key], known

        return _Operand(read)

    def equal(self, name: str, other: str) -> Condition:
        def equal(pairs: Pairs) -> Mask:
            one, two = pairs.table.column(name)[pairs.left], pairs.table.column(other)[pairs.right]
            return np.asarray((one == two) & (one >= 0))

        return equal

    def related(self, relation: Callable[[Any, Any], Any], first: _Operand, second: _Operand) -> Condition:
        def related(pairs: Pairs) -> Mask:
            (one, known_one), (two, known_two) = first.read(pairs), second.read(pairs)
            return np.asarray(relation(one, two), bool) & known_one & known_two

        return related

    def missing(self, operand: _Operand, *, negated: bool) -> Condition:
        if operand.numbers is None:
            return lambda pairs: operand.read(pairs)[1] if negated else ~operand.read(pairs)[1]
        numbers = operand.numbers
        return lambda pairs: np.asarray((numbers(pairs) >= 0) == negated)

    def all_of(self, parts: Sequence[Condition]) -> Condition:
        return lambda pairs: np.asarray(np.logical_and.reduce([part(pairs) for part in parts]))

    def any_of(self, parts: Sequence[Condition]) -> Condition:
        return lambda pairs: np.asarray(np.logical_or.reduce([part(pairs) for part in parts]))


def _measure(name: str, table: Table, one: Numbers, two: Numbers) -> NDArray[np.float64]:
    size = len(table.texts)
    different, back = np.unique(one * size + two, return_inverse=True)
    left = [table.texts[number] for number in different // size]
    right = [table.texts[number] for number in different % size]
    scorer = _SCORERS.get(name)
    if scorer is None:
        values = np.array([comparisons.METRICS[name](a, b) for a, b in zip(left, right, strict=True)])
    else:
        values = process.cpdist(left, right, scorer=scorer, dtype=np.float64)
        if name.startswith("jaro"):
            values[[not (a and b) for a, b in zip(left, right, strict=True)]] = 0.0
    return np.asarray(values, np.float64)[back] if len(different) else np.zeros(0)
