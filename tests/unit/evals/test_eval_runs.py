"""Whole runs by the command: a perfect subject scores 1, a broken one 0; exit codes; records, pages and baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals import commands
from evals.record import RunRecord
from tests.unit.evals.conftest import WriteSuite
from tests.unit.evals.stages import OracleStage

INTENTS = [
    {"id": "1", "text": "hello", "intent": "greeting", "language": "en"},
    {"id": "2", "text": "你好", "intent": "greeting", "language": "zh", "tags": ["short"]},
    {"id": "3", "text": "refund", "intent": "refund", "language": "en"},
    {"id": "4", "text": "weather", "intent": "out_of_scope", "language": "en"},
]
RIGHT = {"hello": "greeting", "你好": "greeting", "refund": "refund", "weather": "out_of_scope"}
RETURN = {
    "id": "return",
    "persona": "Wants to return a lamp and does not know the price.",
    "known": {"order_no": "HL7"},
    "unknown": ["price"],
    "world": {"account": "demo1"},
    "turns": [
        {"say": "I want to return my lamp", "expect": {"intent_is": "return_request", "offers": "Yes"}},
        {"say": "yes", "expect": {"tool_called": "return_request"}},
    ],
    "answers": [{"asked": "order number", "say": "{order_no}"}],
    "expect": {
        "end_state": {"returns": [{"order_no": "HL7"}]},
        "not_handed_over": True,
        "says_no_numbers_beyond": ["189", "5"],
    },
}


def measured(
    capsys: pytest.CaptureFixture[str], folder: Path, stage: OracleStage, **options: Any
) -> tuple[int, RunRecord]:
    code = commands.run([str(folder)], stage, as_json=True, **options)
    return code, RunRecord.model_validate_json(capsys.readouterr().out)


def test_perfect_subject_scores_one_when_intents_are_measured(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "thresholds: {accuracy: 1, out_of_scope_recall: 1, coverage_at_risk_3: 0.7, ece: 0.2}\n"
    code, run = measured(capsys, write_suite("intent", INTENTS, head=head), OracleStage(RIGHT))
    numbers = run.suites[0].metrics
    assert code == commands.PASSED
    assert [numbers[name] for name in ("accuracy", "macro_f1", "mcc", "out_of_scope_recall")] == [1, 1, 1, 1]
    assert numbers["coverage_at_risk_3"] == 0.75
    assert {group.name for group in run.suites[0].groups} == {"language en", "language zh", "tag short"}


def test_broken_subject_scores_zero_and_fails_when_intents_are_measured(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_suite("intent", INTENTS, head="thresholds: {accuracy: 0.5}\n")
    code, run = measured(capsys, folder, OracleStage({}))
    assert code == commands.MISSED
    assert run.suites[0].metrics["accuracy"] == 0
    assert run.suites[0].missed[0].metric == "accuracy"


def test_other_cases_go_on_when_one_falls_through_the_fence(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_suite("intent", [*INTENTS, {"id": "5", "text": "crash", "intent": "greeting"}])
    code, run = measured(capsys, folder, OracleStage(RIGHT))
    assert [case.score for case in run.suites[0].cases] == [1, 1, 1, 1, 0]
    assert "RuntimeError: the subject is broken" in run.suites[0].cases[-1].error
    assert code == commands.PASSED


@pytest.mark.parametrize(
    ("kind", "case", "answers", "metric"),
    [
        ("emotion", {"id": "1", "text": "x", "label": "angry", "valence": -0.9}, {"x": "angry"}, "accuracy"),
        ("language", {"id": "1", "text": "x", "language": "yue", "tags": ["t"]}, {"x": "yue"}, "accuracy_t"),
    ],
)
def test_perfect_scores_one_and_broken_zero_when_other_kinds_are_measured(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str], kind: str, case: dict[str, Any],
    answers: dict[str, str], metric: str,
) -> None:  # fmt: skip
    folder = write_suite(kind, [case])
    assert measured(capsys, folder, OracleStage(answers))[1].suites[0].metrics[metric] == 1
    assert measured(capsys, folder, OracleStage({}))[1].suites[0].metrics[metric] == 0


def test_ranking_and_refusal_are_measured_when_articles_are_searched(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [
        {"id": "1", "question": "fee?", "relevant": ["fees"]},
        {"id": "2", "question": "return?", "relevant": ["returns"]},
        {"id": "3", "question": "moon?", "relevant": []},
    ]
    stage = OracleStage({}, {"fee?": ["fees", "returns"], "return?": ["fees", "returns"]})
    _code, run = measured(capsys, write_suite("retrieval", cases), stage)
    numbers = run.suites[0].metrics
    assert (numbers["recall_at_1"], numbers["recall_at_5"], numbers["mrr"]) == (0.5, 1, 0.75)
    assert (numbers["refusal_recall"], numbers["answerable_auroc"]) == (1, 1)


def test_classifier_is_learned_from_the_suite_when_it_has_examples_or_titles(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [{"id": "1", "text": "zzzy", "intent": "zed"}, {"id": "2", "text": "qqqr", "intent": "none"}]
    stage = OracleStage({})
    folder = write_suite(
        "intent", cases, head="out_of_scope: none\nthresholds: {accuracy: 1}\n",
        train=[{"text": "zzzx", "intent": "zed"}, {"text": "qqqs", "intent": "none"}, {"text": "aaa", "intent": "a"}],
    )  # fmt: skip
    assert measured(capsys, folder, stage)[0] == commands.PASSED
    titles = write_suite(
        "intent",
        cases[:1],
        name="titles",
        labels=[{"intent": "zed", "title": "ZZZ"}, {"intent": "a", "title": "AAA"}],
    )
    assert measured(capsys, titles, stage)[1].suites[0].metrics["accuracy"] == 1


def test_journey_passes_when_the_customer_gets_what_they_came_for(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = OracleStage({})
    folder = write_suite(
        "journey", [RETURN], head="trials: 2\nthresholds: {pass_rate: 1, pass_all_trials: 1}\n"
    )
    code, run = measured(capsys, folder, stage)
    assert code == commands.PASSED
    assert [case.note for case in run.suites[0].cases] == ["", ""]
    said = [line["customer"] for line in run.suites[0].cases[0].transcript if "customer" in line]
    assert said == ["I want to return my lamp", "HL7", "yes"]
    assert stage.worlds_open == 0


def test_journey_fails_with_all_complaints_when_the_end_is_wrong(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    visitor = {**RETURN, "world": {}}
    folder = write_suite("journey", [visitor], head="thresholds: {pass_rate: 1}\n")
    code, run = measured(capsys, folder, OracleStage({}))
    assert code == commands.MISSED
    note = run.suites[0].cases[0].note
    assert "step 1: offers" in note
    assert "step 2: tool_called" in note
    assert "end: end_state: returns: no change fits" in note


def test_steps_of_staff_and_sign_in_are_taken_when_a_journey_has_them(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    journey = {
        "id": "x", "persona": "p",
        "turns": [
            {"sign_in": "demo2", "expect": {"contains": "Welcome demo2"}},
            {"staff": {"approve": False, "note": "too late"}, "expect": {"contains": "too late"}},
            {"say": "This is the worst!!!", "expect": {"handed_over": "anger", "emotion_is": "angry"}},
        ],
    }  # fmt: skip
    code, run = measured(
        capsys, write_suite("journey", [journey], head="thresholds: {pass_rate: 1}\n"), OracleStage({})
    )
    assert (code, run.suites[0].cases[0].note) == (commands.PASSED, "")


def test_nothing_runs_and_every_fault_is_told_when_a_suite_is_unreadable(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_suite("intent", INTENTS)
    bad = write_suite("intent", [{"id": "1"}], name="bad")
    code = commands.run([str(good), str(bad), "nowhere"], OracleStage(RIGHT))
    output = capsys.readouterr()
    assert code == commands.UNREADABLE
    assert output.out == ""
    assert "cases.jsonl:1: the key text is missing" in output.err
    assert "nowhere" in output.err


def test_suite_is_unreadable_when_a_threshold_names_no_metric(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_suite("intent", INTENTS, head="thresholds: {beauty: 1}\n")
    assert commands.run([str(folder)], OracleStage(RIGHT)) == commands.UNREADABLE
    assert "has no metric 'beauty'" in capsys.readouterr().err


def test_threshold_is_missed_when_no_case_could_show_it(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_suite("intent", INTENTS[:3], head="thresholds: {out_of_scope_recall: 0.5}\n")
    assert measured(capsys, folder, OracleStage(RIGHT))[0] == commands.MISSED


def test_run_fails_against_the_baseline_when_it_got_worse(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cases = [{"id": str(place), "text": f"t{place}", "intent": "a"} for place in range(12)]
    folder = write_suite("intent", cases)
    perfect = OracleStage({str(case["text"]): "a" for case in cases})
    saved = tmp_path / "baseline.json"
    assert measured(capsys, folder, perfect, save=saved)[0] == commands.PASSED
    code, run = measured(capsys, folder, OracleStage({"t0": "a"}), baseline=saved)
    assert code == commands.MISSED
    assert run.comparisons[0].regression
    assert measured(capsys, folder, perfect, baseline=saved)[0] == commands.PASSED


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"format": 2}'])
def test_baseline_is_refused_with_a_sentence_when_it_is_no_record(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    assert commands.run([str(write_suite("intent", INTENTS))], OracleStage(RIGHT), baseline=path) == 2
    assert "The baseline" in capsys.readouterr().err


def test_record_and_page_are_written_when_saved(
    write_suite: WriteSuite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cases = [{"id": "1", "text": "<script>alert(1)</script>", "intent": "<b>bold</b>"}]
    commands.run([str(write_suite("intent", cases))], OracleStage({}), save=tmp_path / "out" / "run")
    page = (tmp_path / "out" / "run.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    assert "http" not in page.replace("http-equiv", "")
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["seed"] == 0
    assert record["versions"]["python"]
    assert record["about"] == {"stage": "oracle"}
    assert record["suites"][0]["digest"]
    assert "accuracy" in capsys.readouterr().out
