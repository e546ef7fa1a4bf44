"""What makes two values alike: conditions over the columns of two records, in the subset of SQL that Splink models use.

`scorer.py` compiles a condition to a plain function of two records' columns, `batches.py` to one of many pairs at once;
the parser is the same and knows neither. The same text runs in DuckDB when Splink trains, so both sides mean the same by it: Jaro-Winkler and Damerau-Levenshtein are computed by
characters, Damerau-Levenshtein is the unrestricted one, and a missing value makes every comparison untrue.

What would surprise you: there is no NOT. Without it "unknown" and "untrue" cannot be told apart from outside, which is
what allows plain booleans here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein

from foundation import errors

Columns = Mapping[str, str]
Condition = Callable[[Columns, Columns], bool]
Operand = Callable[[Columns, Columns], Any]


def _by_characters(metric: Callable[[str, str], float]) -> Callable[[str, str], float]:
    """DuckDB finds two empty texts unlike, rapidfuzz equal."""
    return lambda left, right: metric(left, right) if left and right else 0.0


def _jaccard(left: str, right: str) -> float:
    union = set(left) | set(right)
    return len(set(left) & set(right)) / len(union) if union else 0.0


METRICS: dict[str, Callable[[str, str], float]] = {
    "jaro_winkler_similarity": _by_characters(JaroWinkler.similarity),
    "jaro_similarity": _by_characters(Jaro.similarity),
    "damerau_levenshtein": DamerauLevenshtein.distance,
    "levenshtein": Levenshtein.distance,
    "jaccard": _jaccard,
}
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|'(?P<text>(?:[^']|'')*)'|"(?P<quoted>[^"]+)"|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign>>=|<=|<>|!=|[=<>(),]))"""
)


class Builder(Protocol):
    """What a condition is made into. Conditions and operands are opaque to the parser."""

    def column(self, name: str, *, left_side: bool) -> Any: ...
    def constant(self, value: float | str) -> Any: ...
    def metric(self, name: str, first: Any, second: Any) -> Any: ...
    def equal(self, name: str, other: str) -> Any: ...
    def related(self, relation: Callable[[Any, Any], Any], first: Any, second: Any) -> Any: ...
    def missing(self, operand: Any, *, negated: bool) -> Any: ...
    def all_of(self, parts: Sequence[Any]) -> Any: ...
    def any_of(self, parts: Sequence[Any]) -> Any: ...


def compile_condition(text: str) -> Condition:
    """For one pair. Raises `InvalidInput` (`bad_condition`) for anything outside the subset: a condition that is half
    understood would score silently wrong."""
    condition: Condition = parse_condition(text, OnePair())
    return condition


def parse_condition(text: str, builder: Builder) -> Any:
    parser = _Parser(text, builder)
    condition = parser.either()
    if parser.position != len(parser.tokens):
        raise parser.refused()
    return condition


def columns_of(text: str) -> set[str]:
    """Which columns a condition looks at, on either side."""
    names = [value for kind, value in _tokens(text) if kind in {"quoted", "word"}]
    return {name[:-2] for name in names if name.endswith(("_l", "_r"))}


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str, builder: Builder) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0
        self._build = builder

    def either(self) -> Any:
        parts = [self._both()]
        while self._take_word("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else self._build.any_of(parts)

    def _both(self) -> Any:
        parts = [self._single()]
        while self._take_word("AND"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else self._build.all_of(parts)

    def _single(self) -> Any:
        if self._take("("):
            condition = self.either()
            self._need(")")
            return condition
        left, column = self._operand()
        if self._take_word("IS"):
            negated = self._take_word("NOT")
            if not self._take_word("NULL"):
                raise self.refused()
            return self._build.missing(left, negated=negated)
        kind, relation = self._next()
        if kind != "sign" or relation not in _RELATIONS:
            raise self.refused()
        right, other = self._operand()
        if relation == "=" and column[-2:] == "_l" and other[-2:] == "_r":
            return self._build.equal(column[:-2], other[:-2])
        return self._build.related(_RELATIONS[relation], left, right)

    def _operand(self) -> tuple[Any, str]:
        """The second part is the column's name where the operand is one."""
        kind, value = self._next()
        if kind == "number":
            return self._build.constant(float(value)), ""
        if kind == "text":
            return self._build.constant(value.replace("''", "'")), ""
        if kind == "word" and value.lower() in METRICS and self._take("("):
            first, _ = self._operand()
            self._need(",")
            second, _ = self._operand()
            self._need(")")
            return self._build.metric(value.lower(), first, second), ""
        if kind in {"word", "quoted"} and value.endswith(("_l", "_r")) and len(value) > 2:
            return self._build.column(value[:-2], left_side=value.endswith("_l")), value
        raise self.refused()

    def _next(self) -> tuple[str, str]:
        if self.position >= len(self.tokens):
            raise self.refused()
        self.position += 1
        return self.tokens[self.position - 1]

    def _take(self, sign: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position] == ("sign", sign):
            self.position += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        if self.position < len(self.tokens):
            kind, value = self.tokens[self.position]
            if kind == "word" and value.upper() == word:
                self.position += 1
                return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self.refused()

    def refused(self) -> errors.InvalidInput:
        return errors.InvalidInput(
            f"The condition {self.text!r} is not one that can be computed here.", code="bad_condition"
        )


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    position = 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise errors.InvalidInput(
                f"The condition {text!r} is not one that can be computed here.", code="bad_condition"
            )
        tokens.append((found.lastgroup, found[found.lastgroup]))
        position = found.end()
    return tokens


class OnePair:
    """Closures over the columns of two records; a missing value is None and makes every relation untrue."""

    def column(self, name: str, *, left_side: bool) -> Operand:
        if left_side:
            return lambda left, _right: left.get(name)
        return lambda _left, right: right.get(name)

    def constant(self, value: float | str) -> Operand:
        return lambda _left, _right: value

    def metric(self, name: str, first: Operand, second: Operand) -> Operand:
        measure = METRICS[name]

        def measured(left: Columns, right: Columns) -> float | None:
            one, two = first(left, right), second(left, right)
            return None if one is None or two is None else measure(one, two)

        return measured

    def equal(self, name: str, other: str) -> Condition:
        def equal(left: Columns, right: Columns) -> bool:
            value = left.get(name)
            return value is not None and value == right.get(other)

        return equal

    def related(self, relation: Callable[[Any, Any], Any], first: Operand, second: Operand) -> Condition:
        def related(left: Columns, right: Columns) -> bool:
            one, two = first(left, right), second(left, right)
            return one is not None and two is not None and bool(relation(one, two))

        return related

    def missing(self, operand: Operand, *, negated: bool) -> Condition:
        return lambda left, right: (operand(left, right) is None) is not negated

    def all_of(self, parts: Sequence[Condition]) -> Condition:
        return lambda left, right: all(part(left, right) for part in parts)

    def any_of(self, parts: Sequence[Condition]) -> Condition:
        return lambda left, right: any(part(left, right) for part in parts)
