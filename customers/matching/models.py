"""A matching model: comparisons with their weights, how common values are, what it was fitted on; and its JSON forms.

`scorer.py` computes with it, trainers make it, `records.py` keeps its JSON. Two forms are read: our own, and the JSON
that Splink 4 and 5 save. Only our own is written.

What would surprise you: a model keeps how often common values occur (张伟), and never a value that fewer than
`PRIVATE_BELOW` records share, so that no model holds a person.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from customers.matching import comparisons
from foundation import errors

FORMAT = "huiliu-match/1"
PRIVATE_BELOW = 10
SPLINK_FLOOR = 1e-300
SPLINK_UNSEEN = 1e-6
_SPLINK_UNSEEN_TEXT = "level not observed in training dataset"


@dataclass(frozen=True, slots=True)
class Frequency:
    """Agreement on a rare value says more. `base` is the chance that two random records agree on `column`; the floor
    keeps one odd value from deciding alone."""

    column: str
    base: float
    weight: float = 1.0
    floor: float = 0.0


@dataclass(frozen=True)
class Level:
    """`when` is a condition or ELSE. `m` and `u` are how often the level is met among pairs of one person and of two;
    None for what training never saw: it then weighs nothing. `missing` levels weigh nothing by definition."""

    label: str
    when: str
    m: float | None = None
    u: float | None = None
    missing: bool = False
    frequency: Frequency | None = None

    @cached_property
    def weight(self) -> float:
        """Bits for (positive) or against."""
        if self.missing or self.m is None or self.u is None:
            return 0.0
        return math.log2(max(self.m, SPLINK_FLOOR) / max(self.u, SPLINK_FLOOR))


@dataclass(frozen=True)
class Comparison:
    name: str
    levels: tuple[Level, ...]

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset().union(
            *(comparisons.columns_of(level.when) for level in self.levels if level.when != "ELSE")
        )


@dataclass(frozen=True, slots=True)
class Offset:
    """A logistic layer over the weights: log odds = `intercept` + `slope` · bits + what the met levels add."""

    intercept: float
    slope: float
    levels: Mapping[str, float] = field(default_factory=dict)
    """By "comparison/number" for one level, "comparison/number+comparison/number" for two met together."""


@dataclass(frozen=True)
class Model:
    """`prior` is the chance that two random records of the fitted base are one person; `match_share` the expected
    number of partners a new record has in the base, from which the prior for another population follows."""

    comparisons: tuple[Comparison, ...]
    blocking: tuple[tuple[str, ...], ...]
    prior: float
    population: int
    match_share: float
    frequencies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unlisted: Mapping[str, float] = field(default_factory=dict)
    """By column, how common a value is that no list names; without an entry such a value is not adjusted."""
    offset: Offset | None = None
    source: str = "own"

    def prior_for(self, population: int) -> float:
        """A new record meets more strangers in a larger base; its own partners do not become more."""
        return min(max(self.match_share / max(population, 2), 1e-12), 0.5)

    def with_offset(self, offset: Offset | None) -> Model:
        return replace(self, offset=offset)

    def to_json(self) -> str:
        body = {
            "format": FORMAT,
            "source": self.source,
            "prior": self.prior,
            "population": self.population,
            "match_share": self.match_share,
            "blocking": [list(rule) for rule in self.blocking],
            "comparisons": [
                {"name": one.name, "levels": [_level_body(level) for level in one.levels]}
                for one in self.comparisons
            ],
            "frequencies": {column: dict(values) for column, values in self.frequencies.items()},
            "unlisted": dict(self.unlisted),
        }
        if self.offset is not None:
            body["offset"] = {
                "intercept": self.offset.intercept,
                "slope": self.offset.slope,
                "levels": dict(self.offset.levels),
            }
        return json.dumps(body, ensure_ascii=False)


def parse(text: str) -> Model:
    """Either form. Raises `InvalidInput` with what is wrong in it."""
    try:
        body = json.loads(text)
        if isinstance(body, dict) and body.get("format") == FORMAT:
            return _own(body)
        if isinstance(body, dict) and "probability_two_random_records_match" in body:
            return parse_splink(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.InvalidInput(f"This is no matching model: {error!r}.", code="bad_model") from error
    raise errors.InvalidInput("This is no matching model of a known form.", code="bad_model")


def parse_splink(
    body: Mapping[str, Any], *, frequencies: Mapping[str, Mapping[str, float]] | None = None, population: int = 0
) -> Model:  # fmt: skip
    """Splink keeps how common values are in tables beside its JSON; hand them over, or names are not adjusted."""
    prior = float(body["probability_two_random_records_match"])
    return Model(
        comparisons=tuple(_splink_comparison(one) for one in body["comparisons"]),
        blocking=(),
        prior=prior,
        population=population,
        match_share=prior * max(population, 2),
        frequencies=dict(frequencies or {}),
        source="splink",
    )


def _splink_comparison(body: Mapping[str, Any]) -> Comparison:
    levels = [_splink_level(level) for level in body["comparison_levels"]]
    exact = {
        next(iter(comparisons.columns_of(level.when))): level.u
        for level in levels
        if _is_one_equality(level.when)
    }
    return Comparison(
        str(body["output_column_name"]),
        tuple(
            level
            if level.frequency is None
            else replace(
                level, frequency=replace(level.frequency, base=_base_of(exact, level.frequency.column))
            )
            for level in levels
        ),
    )


def _splink_level(body: Mapping[str, Any]) -> Level:
    when = str(body["sql_condition"]).strip()
    missing = bool(body.get("is_null_level", False))
    column = body.get("tf_adjustment_column")
    weight = float(body.get("tf_adjustment_weight", 1.0 if column else 0.0))
    frequency = (
        Frequency(str(column), 1.0, weight, float(body.get("tf_minimum_u_value", 0.0)))
        if column and weight and when.upper() != "ELSE"
        else None
    )
    return Level(
        label=str(body.get("label_for_charts", when)),
        when="ELSE" if when.upper() == "ELSE" else when,
        m=None if missing else _splink_probability(body.get("m_probability")),
        u=None if missing else _splink_probability(body.get("u_probability")),
        missing=missing,
        frequency=frequency,
    )


def _splink_probability(value: object) -> float | None:
    if value is None:
        return None
    return SPLINK_UNSEEN if value == _SPLINK_UNSEEN_TEXT else float(value)  # type: ignore[arg-type]  # JSON


def _base_of(exact: Mapping[str, float | None], column: str) -> float:
    base = exact.get(column)
    if base is None:
        raise ValueError(f"no trained level of equal values for the frequencies of {column}")
    return base


def _is_one_equality(when: str) -> bool:
    return when.count("=") == 1 and not any(sign in when for sign in "<>!(") and len(when.split()) == 3


def _level_body(level: Level) -> dict[str, Any]:
    body: dict[str, Any] = {"label": level.label, "when": level.when}
    if level.missing:
        return {**body, "missing": True}
    body.update(m=level.m, u=level.u)
    if level.frequency is not None:
        body["frequency"] = {
            "column": level.frequency.column,
            "base": level.frequency.base,
            "weight": level.frequency.weight,
            "floor": level.frequency.floor,
        }
    return body


def _own(body: Mapping[str, Any]) -> Model:
    offset = body.get("offset")
    model = Model(
        comparisons=tuple(
            Comparison(str(one["name"]), tuple(_own_level(level) for level in one["levels"]))
            for one in body["comparisons"]
        ),
        blocking=tuple(tuple(map(str, rule)) for rule in body["blocking"]),
        prior=float(body["prior"]),
        population=int(body["population"]),
        match_share=float(body["match_share"]),
        frequencies=body.get("frequencies", {}),
        unlisted=body.get("unlisted", {}),
        offset=None if offset is None else Offset(
            float(offset["intercept"]), float(offset["slope"]),
            {str(key): float(value) for key, value in offset["levels"].items()},
        ),
        source=str(body.get("source", "own")),
    )  # fmt: skip
    if not model.comparisons or not 0 < model.prior < 1:
        raise ValueError("no comparisons, or a prior outside 0 to 1")
    return model


def _own_level(body: Mapping[str, Any]) -> Level:
    frequency = body.get("frequency")
    return Level(
        label=str(body["label"]),
        when=str(body["when"]),
        m=body.get("m"),
        u=body.get("u"),
        missing=bool(body.get("missing", False)),
        frequency=None if frequency is None else Frequency(
            str(frequency["column"]), float(frequency.get("base", 1.0)),
            float(frequency.get("weight", 1.0)), float(frequency.get("floor", 0.0)),
        ),
    )  # fmt: skip
