"""Fits a model's weights without labels: records and a template model in, a fitted model out.

Fellegi–Sunter as Splink does it: how often strangers agree (u) from random pairs, how often one person's records agree
(m) by expectation maximisation within the pairs of each blocking rule, leaving out the comparisons that the rule
decides; then the prior, so that the pairs of all rules together hold as many matches as the model sees in them.

Guard rails: a level that was hardly seen weighs nothing, weights are clipped, neighbouring levels in the wrong order
are fitted as one. `scorer.check` still has the last word before a model is published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from customers.matching import batches, blocking
from customers.matching.batches import Pairs, Table
from customers.matching.models import PRIVATE_BELOW, Comparison, Level, Model
from foundation import errors

Columns = Mapping[str, str]
Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]

RANDOM_PAIRS = 300_000
FEWEST_SEEN = 5
"""Expected matches, or random pairs, below which a level is not believed."""

STRONGEST_FOR, STRONGEST_AGAINST = 24.0, -8.0
ROUNDS = 60
CLOSE_ENOUGH = 1e-5
FEWEST_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Options:
    random_pairs: int = RANDOM_PAIRS
    seed: int = 1
    private_below: int = PRIVATE_BELOW
    cap: int = blocking.CAP


def fit(
    template: Model, records: Sequence[Columns], *, split: int | None = None, options: Options | None = None
) -> Model:
    """With `split` the first so many records are the base and the rest come to it; without, all are one base.
    Raises `InvalidInput` (`too_few_records`, `nothing_to_learn`) where weights would be invented."""
    options = options or Options()
    base = len(records) if split is None else split
    if len(records) < FEWEST_RECORDS or not 0 < base <= len(records):
        raise errors.InvalidInput(
            f"Matching learns from {FEWEST_RECORDS} records or more.", code="too_few_records"
        )
    table = Table(records)
    model = _with_frequencies(template, table, options.private_below)
    strangers = _random_pairs(table, split, options)
    u = _shares(model, batches.levels_of(model, strangers))
    candidates = _Candidates(model, table, split, options)
    m, seen = _learn(model, candidates, u)
    fitted = replace(
        model,
        comparisons=tuple(
            _fitted(comparison, m[place], u[place], seen[place])
            for place, comparison in enumerate(model.comparisons)
        ),
        population=base,
        source="own",
    )
    return _with_prior(fitted, candidates, split)


class _Candidates:
    """The pairs of all rules, compared once; `rows` says by rule which of them it made."""

    def __init__(self, model: Model, table: Table, split: int | None, options: Options) -> None:
        by_rule = blocking.coded_pairs(table.records, model.blocking, split=split, cap=options.cap)
        coded = np.unique(np.concatenate(by_rule)) if by_rule else np.zeros(0, np.int64)
        self.pairs = Pairs(table, coded // len(table), coded % len(table))
        self.met = batches.levels_of(model, self.pairs)
        self.rows = [np.searchsorted(coded, one) for one in by_rule]


def weights_of(model: Model, pairs: Pairs, met: Numbers | None = None) -> Floats:
    """The evidence of each pair in bits, without prior; the same numbers as `Scorer.evidence`."""
    if met is None:
        met = batches.levels_of(model, pairs)
    total = batches.adjustments_of(model, pairs, met)
    for place, comparison in enumerate(model.comparisons):
        total += np.array([level.weight for level in comparison.levels])[met[:, place]]
    return np.asarray(total)


def _with_frequencies(template: Model, table: Table, private_below: int) -> Model:
    columns = {
        level.frequency.column
        for comparison in template.comparisons
        for level in comparison.levels
        if level.frequency is not None
    }
    frequencies, unlisted, bases = {}, {}, {}
    for column in sorted(columns):
        numbers, counts = np.unique(table.column(column), return_counts=True)
        counts, numbers = counts[numbers >= 0], numbers[numbers >= 0]
        total = max(int(counts.sum()), 1)
        bases[column] = float((counts / total) @ (counts / total)) or 1.0
        common = counts >= private_below
        frequencies[column] = {
            table.texts[number]: float(count / total)
            for number, count in zip(numbers[common], counts[common], strict=True)
        }
        rare = counts[~common]
        if len(rare):
            unlisted[column] = float((rare @ rare) / rare.sum() / total)
    compared = tuple(_with_bases(comparison, bases, table) for comparison in template.comparisons)
    return replace(template, comparisons=compared, frequencies=frequencies, unlisted=unlisted)


def _with_bases(comparison: Comparison, bases: Mapping[str, float], table: Table) -> Comparison:
    floor = 1.0 / len(table)
    levels = tuple(
        level
        if level.frequency is None
        else replace(
            level,
            frequency=replace(
                level.frequency,
                base=bases[level.frequency.column],
                floor=max(level.frequency.floor, floor),
            ),
        )
        for level in comparison.levels
    )
    return Comparison(comparison.name, levels)


def _random_pairs(table: Table, split: int | None, options: Options) -> Pairs:
    size = len(table)
    random = np.random.default_rng(options.seed)
    possible = size * (size - 1) // 2 if split is None else split * (size - split)
    if possible <= options.random_pairs:
        if split is None:
            left, right = np.triu_indices(size, 1)
            return Pairs(table, left, right)
        grid = np.arange(possible)
        return Pairs(table, grid // (size - split), split + grid % (size - split))
    left = random.integers(0, split or size, options.random_pairs)
    right = random.integers(split or 0, size, options.random_pairs)
    return Pairs(table, left, right).where(left != right)


def _shares(model: Model, met: Numbers) -> list[Floats]:
    """How often each level is met among pairs where the comparison says anything."""
    shares = []
    for place, comparison in enumerate(model.comparisons):
        counts = np.bincount(met[:, place], minlength=len(comparison.levels)).astype(float)
        counts[[number for number, level in enumerate(comparison.levels) if level.missing]] = 0
        shares.append((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    return shares


def _learn(model: Model, candidates: _Candidates, u: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """m by comparison, and how many expected matches it rests on by level: the sum over all rules that can tell."""
    totals = [np.zeros(len(comparison.levels)) for comparison in model.comparisons]
    for rule, rows in zip(model.blocking, candidates.rows, strict=True):
        open_places = [
            place for place, one in enumerate(model.comparisons) if not one.columns.intersection(rule)
        ]
        if len(rows) < FEWEST_SEEN or not open_places:
            continue
        for place, counts in _expect_and_maximise(model, candidates.met[rows], open_places, u).items():
            totals[place] += counts
    shares = []
    for comparison, counts in zip(model.comparisons, totals, strict=True):
        if counts.sum() < FEWEST_SEEN and len(comparison.levels) > 1:
            shares.append(np.full(len(counts), np.nan))
            continue
        shares.append((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    if all(np.isnan(share).all() for share in shares):
        raise errors.InvalidInput(
            "The records hold too few pairs that look alike to learn from.", code="nothing_to_learn"
        )
    return shares, totals


def _expect_and_maximise(
    model: Model, met: Numbers, places: Sequence[int], u: list[Floats]
) -> dict[int, Floats]:
    """Expected matches by level, for the comparisons that the blocking leaves open. Equal rows are worked once."""
    rows, times = np.unique(met[:, places], axis=0, return_counts=True)
    silent = [np.array([level.missing for level in model.comparisons[place].levels]) for place in places]
    m = [_first_guess(model.comparisons[place]) for place in places]
    share, expected = 0.3, np.zeros(len(rows))
    counts: list[Floats] = []
    for _ in range(ROUNDS):
        log_odds = np.full(len(rows), np.log(share / (1 - share)))
        for column, place in enumerate(places):
            ratio = np.where(silent[column], 0.0, np.log(m[column]) - np.log(u[place]))
            log_odds += ratio[rows[:, column]]
        expected = times / (1 + np.exp(-np.clip(log_odds, -700, 700)))
        share = float(np.clip(expected.sum() / times.sum(), 1e-6, 1 - 1e-6))
        counts, before = [], m
        for column, hidden in enumerate(silent):
            seen = np.bincount(rows[:, column], weights=expected, minlength=len(hidden)).astype(float)
            seen[hidden] = 0
            counts.append(seen)
        m = [(seen + 0.01) / (seen.sum() + 0.01 * len(seen)) for seen in counts]
        if max(float(np.abs(now - then).max()) for now, then in zip(m, before, strict=True)) < CLOSE_ENOUGH:
            break
    return dict(zip(places, counts, strict=True))


def _first_guess(comparison: Comparison) -> Floats:
    """Most pairs of one person agree best; each further level is a third as likely."""
    guess = 3.0 ** -np.arange(len(comparison.levels))
    return np.asarray(guess / guess.sum())


def _fitted(comparison: Comparison, m: Floats, u: Floats, seen: Floats) -> Comparison:
    known = [number for number, level in enumerate(comparison.levels) if not level.missing]
    if np.isnan(m).any():
        return Comparison(comparison.name, tuple(replace(one, m=None, u=None) for one in comparison.levels))
    groups = _in_order([(float(m[number]), float(u[number]), [number]) for number in known])
    levels: list[Level] = list(comparison.levels)
    for together_m, together_u, numbers in groups:
        if sum(seen[number] for number in numbers) < FEWEST_SEEN and together_u * RANDOM_PAIRS < FEWEST_SEEN:
            continue
        ratio = float(np.clip(np.log2(together_m / together_u), STRONGEST_AGAINST, STRONGEST_FOR))
        for number in numbers:
            levels[number] = replace(levels[number], m=float(u[number]) * 2.0**ratio, u=float(u[number]))
    return Comparison(comparison.name, tuple(levels))


def _in_order(groups: list[tuple[float, float, list[int]]]) -> list[tuple[float, float, list[int]]]:
    """Neighbours whose weights would rise with less likeness become one (pool adjacent violators)."""
    ordered: list[tuple[float, float, list[int]]] = []
    for group in groups:
        ordered.append(group)
        while len(ordered) > 1 and ordered[-1][0] / ordered[-1][1] > ordered[-2][0] / ordered[-2][1]:
            m, u, numbers = ordered.pop()
            before_m, before_u, before = ordered.pop()
            ordered.append((before_m + m, before_u + u, before + numbers))
    return ordered


def _with_prior(model: Model, candidates: _Candidates, split: int | None) -> Model:
    """The prior at which the blocked pairs hold as many matches as it says; pairs outside every block hold none."""
    evidence = weights_of(model, candidates.pairs, candidates.met) * np.log(2)
    size = len(candidates.pairs.table)
    base = size if split is None else split
    possible = size * (size - 1) / 2 if split is None else split * (size - split)
    prior = min(0.5, 1.0 / max(base, 2))
    for _ in range(ROUNDS):
        log_odds = np.log(prior / (1 - prior)) + evidence
        matches = float((1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))).sum())
        now = float(np.clip(matches / possible, 1e-12, 0.5))
        close = abs(now / prior - 1) < CLOSE_ENOUGH
        prior = now
        if close:
            break
    return replace(model, prior=prior, match_share=prior * base)
