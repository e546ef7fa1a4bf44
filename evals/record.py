"""The record of a run: everything that is needed to repeat it and to compare it with another one. Written as JSON.

`runner` builds it, `report` shows it, `compare` reads an earlier one as the baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from evals.forms import Form, Kind
from foundation import errors


class CaseRecord(Form):
    id: str
    trial: int
    score: float
    expected: str
    got: str
    note: str = ""
    error: str = ""
    seconds: float
    language: str = ""
    tags: list[str] = Field(default_factory=list)
    signals: dict[str, float] = Field(default_factory=dict)
    transcript: list[dict[str, Any]] = Field(default_factory=list)


class Threshold(Form):
    metric: str
    wanted: float
    got: float | None
    """None: the suite has no case that the metric looks at."""
    met: bool
    at_most: bool = False


class Group(Form):
    name: str
    cases: int
    score: float


class SuiteRecord(Form):
    name: str
    kind: Kind
    title: str
    digest: str
    trials: int
    seconds: float
    metrics: dict[str, float]
    thresholds: list[Threshold]
    groups: list[Group]
    cases: list[CaseRecord]

    @property
    def missed(self) -> list[Threshold]:
        return [threshold for threshold in self.thresholds if not threshold.met]


class Comparison(Form):
    """One suite against the same suite of the baseline; `chance` is the probability that such a loss is luck."""

    suite: str
    before: float
    after: float
    cases: int
    newly_wrong: list[str]
    newly_right: list[str]
    method: Literal["mcnemar", "bootstrap", "every_case"]
    chance: float
    regression: bool
    metrics: dict[str, float]
    """Change of each metric that both have."""
    same_cases: bool


class RunRecord(Form):
    format: Literal[1] = 1
    started_at: str
    seconds: float
    commit: str
    seed: int
    versions: dict[str, str]
    about: dict[str, Any]
    """Of the product: language models, prompts' digests, embedding engine."""
    suites: list[SuiteRecord]
    comparisons: list[Comparison] = Field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not any(suite.missed for suite in self.suites) and not any(
            comparison.regression for comparison in self.comparisons
        )


def load(path: Path) -> RunRecord:
    """Raises `InvalidInput` saying what is wrong with the file."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise errors.InvalidInput(
            f"The baseline {path} cannot be read: {error.strerror}.", code="baseline"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise errors.InvalidInput(
            f"The baseline {path} is not a record of `huiliu evals run --save`: {place}: {first['msg']}.",
            code="baseline",
        ) from error
