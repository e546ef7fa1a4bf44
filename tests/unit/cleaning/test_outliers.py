"""Numbers and profiles that fall out of the rest, measured on made-up people whose seed is drawn anew each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median

import pytest

from customers.cleaning import outliers
from tests.unit.cleaning import odd_people
from tests.unit.cleaning.odd_people import People

COUNT = 10_000


@pytest.fixture(scope="module")
def seed() -> int:
    return random.SystemRandom().randrange(2**32)


@pytest.fixture(scope="module")
def people(seed: int) -> People:
    return odd_people.make(COUNT, seed)


def test_far_numbers_are_found_without_accusing_good_customers(people: People, seed: int) -> None:
    """§6 of the design: precision 1.00 and recall .675 on its people; a quarter of the spoilt are odd only jointly."""
    precision, recall = _measured(outliers.far(_sums(people)), people)
    assert precision >= 0.82, seed
    assert 0.6 <= recall <= 0.8, seed


def test_forest_finds_what_is_odd_only_jointly(people: People, seed: int) -> None:
    sums = _sums(people)
    alone = outliers.far(sums)
    both = [one or other for one, other in zip(alone, outliers.isolated(sums, alone), strict=True)]
    precision, recall = _measured(both, people)
    assert precision >= 0.8, seed
    assert recall >= _measured(alone, people)[1] + 0.04, seed


def test_ratios_find_what_the_sums_let_pass(people: People, seed: int) -> None:
    ratios = [row[5:] for row in people.rows]
    precision, recall = _measured(outliers.odd_ones(_sums(people), ratios), people)
    assert precision >= 0.84, seed
    assert recall >= 0.97, seed


def test_the_same_measure_on_raw_numbers_accuses_many_good_customers(people: People, seed: int) -> None:
    flagged = [False] * COUNT
    for column in zip(*_sums(people), strict=True):
        middle = median(column)
        width = median(abs(value - middle) for value in column)
        for at, value in enumerate(column):
            flagged[at] |= 0.6745 * abs(value - middle) / width > 3.5
    precision, recall = _measured(flagged, people)
    assert precision < 0.2, seed
    assert recall > 0.9, seed


def test_nothing_is_flagged_while_too_little_is_known() -> None:
    assert outliers.spread([1.0] * (outliers.LEAST - 1)) is None
    assert outliers.odd_ones([[1.0, 2.0]] * 10 + [[9e9, 0.0]]) == [False] * 11


def test_quartiles_measure_where_most_numbers_are_the_same() -> None:
    values = [10.0] * 60 + [float(at) for at in range(11, 41)] + [float(at) for at in range(1, 11)]
    measured = outliers.spread(values)
    assert measured is not None
    assert measured.is_far(1e9)
    assert not measured.is_far(20)
    assert outliers.spread([10.0] * 1000) is None
    assert outliers.load(outliers.dump({"order": measured})) == {"order": measured}


def _sums(people: People) -> list[list[float]]:
    return [row[:5] for row in people.rows]


def _measured(flagged: Sequence[bool], people: People) -> tuple[float, float]:
    hits = sum(found and bool(kind) for found, kind in zip(flagged, people.spoilt, strict=True))
    return hits / max(1, sum(flagged)), hits / sum(bool(kind) for kind in people.spoilt)
