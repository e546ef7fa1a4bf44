"""The numbers against values worked out by hand and against scikit-learn, and the statistics of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from evals import compare, metrics
from evals.record import CaseRecord, RunRecord, SuiteRecord

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40)
SCORED = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40)


@given(LABELS)
def test_numbers_are_those_of_the_textbook_when_labels_are_compared(pairs: list[tuple[str, str]]) -> None:
    expected, got = [a for a, _ in pairs], [b for _, b in pairs]
    labels = sorted(set(expected))
    f1 = reference.f1_score(expected, got, average="macro", labels=labels, zero_division=0)
    assert metrics.macro_f1(expected, got) == pytest.approx(f1)
    assert metrics.accuracy(expected, got) == pytest.approx(reference.accuracy_score(expected, got))
    assert metrics.mcc(expected, got) == pytest.approx(reference.matthews_corrcoef(expected, got))


@given(SCORED)
def test_auroc_is_that_of_the_textbook_when_scores_tie(pairs: list[tuple[int, bool]]) -> None:
    scores, marks = [float(a) for a, _ in pairs], [b for _, b in pairs]
    found = metrics.auroc(scores, marks)
    if len(set(marks)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(reference.roc_auc_score(marks, scores))


def test_coverage_is_the_share_of_surest_answers_when_a_risk_is_allowed() -> None:
    confidence = [0.9, 0.8, 0.7, 0.6, 0.5]
    right = [True, True, False, True, False]
    assert metrics.coverage_at_risk(confidence, right, 0.0) == 0.4
    assert metrics.coverage_at_risk(confidence, right, 0.25) == 0.8
    assert metrics.coverage_at_risk(confidence, right, 0.4) == 1.0
    assert metrics.coverage_at_risk([0.9, 0.9], [True, False], 0.1) == 0.0
    assert metrics.coverage_at_risk([], [], 0.05) == 0.0


def test_calibration_error_is_zero_when_confidence_is_honest() -> None:
    assert metrics.calibration_error([1.0, 1.0], [True, True]) == 0
    assert metrics.calibration_error([0.75] * 4, [True, True, True, False]) == pytest.approx(0)
    assert metrics.calibration_error([0.95] * 4, [False] * 4) == pytest.approx(0.95)


def test_ranking_numbers_are_as_by_hand_when_articles_are_found() -> None:
    assert metrics.reciprocal_rank(["x", "a", "b"], ["a", "b"]) == 0.5
    assert metrics.reciprocal_rank([], ["a"]) == 0
    assert metrics.ndcg(["a", "b"], ["a", "b"]) == pytest.approx(1)
    assert metrics.ndcg(["x", "a"], ["a"]) == pytest.approx(1 / np.log2(3))


@pytest.mark.parametrize(
    ("losses", "wins", "chance"), [(5, 0, 1 / 32), (1, 1, 0.75), (0, 0, 1.0), (8, 2, 0.0546875)]
)
def test_mcnemar_gives_the_exact_chance_when_cases_change(losses: int, wins: int, chance: float) -> None:
    assert compare.mcnemar(losses, wins) == pytest.approx(chance)


def test_loss_is_a_regression_when_it_is_not_luck() -> None:
    before, after = [1.0] * 40, [1.0] * 30 + [0.0] * 10
    (found,) = compare.compare(run(before), run(after))
    assert (found.regression, found.method, len(found.newly_wrong)) == (True, "mcnemar", 10)


def test_loss_is_no_regression_when_it_may_be_luck() -> None:
    (found,) = compare.compare(run([1.0, 1.0, 0.0, 1.0]), run([1.0, 0.0, 1.0, 0.0]))
    assert (found.regression, len(found.newly_wrong), len(found.newly_right)) == (False, 2, 1)


def test_gain_is_no_regression_when_everything_improves() -> None:
    (found,) = compare.compare(run([0.0] * 20), run([1.0] * 20))
    assert not found.regression
    assert found.metrics == {"accuracy": 1.0}


def test_graded_scores_are_bootstrapped_when_they_are_compared() -> None:
    (worse,) = compare.compare(run([0.9, 0.8] * 20), run([0.7, 0.6] * 20))
    (same,) = compare.compare(run([0.9, 0.8] * 20), run([0.8, 0.9] * 20))
    assert (worse.method, worse.regression, same.regression) == ("bootstrap", True, False)


def test_one_lost_journey_is_a_regression() -> None:
    (found,) = compare.compare(run([1.0, 1.0, 0.0], "journey"), run([1.0, 0.0, 1.0], "journey"))
    assert (found.regression, found.method, found.newly_wrong) == (True, "every_case", ["1"])


def test_nothing_is_compared_when_no_case_is_shared() -> None:
    other = run([1.0])
    renamed = other.suites[0].model_copy(update={"cases": [case("other", 1.0)]})
    assert compare.compare(other.model_copy(update={"suites": [renamed]}), other) == []


def run(scores: list[float], kind: str = "intent") -> RunRecord:
    suite = SuiteRecord.model_validate(
        {
            "name": "s", "kind": kind, "title": "S", "digest": "d", "trials": 1, "seconds": 1,
            "metrics": {"accuracy": sum(scores) / len(scores)}, "thresholds": [], "groups": [],
            "cases": [case(str(place), score) for place, score in enumerate(scores)],
        }
    )  # fmt: skip
    return RunRecord(started_at="now", seconds=1, commit="", seed=0, versions={}, about={}, suites=[suite])


def case(name: str, score: float) -> CaseRecord:
    return CaseRecord(id=name, trial=1, score=score, expected="a", got="b", seconds=0)
