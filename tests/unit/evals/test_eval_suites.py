"""Suites written by people: what reads, and how each fault is named by file, line and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evals import forms, suite
from evals.graders.registry import GRADERS
from tests.unit.evals.conftest import WriteSuite

CASE = {"id": "a", "text": "hello", "intent": "greeting"}
JOURNEY = {"id": "a", "persona": "A customer.", "turns": [{"say": "hello"}]}


def faults(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(suite.UnreadableSuite) as caught:
        suite.load(folder)
    assert all(str(fault) in caught.value.public_text for fault in caught.value.faults)
    return [(fault.file, fault.line, fault.reason) for fault in caught.value.faults]


def test_suite_is_read_when_a_newcomer_writes_the_least(write_suite: WriteSuite) -> None:
    loaded = suite.load(write_suite("intent", [CASE]))
    assert (loaded.name, loaded.head.trials, loaded.head.thresholds) == ("mine", 1, {})
    assert loaded.cases == (forms.IntentCase(id="a", text="hello", intent="greeting"),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'id': 'b'}", "not JSON at character 2"),
        ("[1, 2]", "not a JSON object"),
        ('{"id": "b", "text": "x"}', "the key intent is missing"),
        ('{"id": "b", "text": "x", "intent": "y", "colour": 1}', "unknown key colour"),
        ('{"id": "b", "text": "x", "text": "z", "intent": "y"}', "the key text stands twice"),
        ('{"id": "a", "text": "x", "intent": "y"}', "the id 'a' stands in line 1 already"),
        ('{"id": "b", "text": 7, "intent": "y"}', "text: "),
        ('{"id": "", "text": "x", "intent": "y"}', "id: "),
        ("[" * 100_000, ""),
    ],
)
def test_line_is_named_with_its_reason_when_it_is_wrong(
    write_suite: WriteSuite, line: str, reason: str
) -> None:
    folder = write_suite("intent", [CASE])
    with (folder / "cases.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    ((name, number, found),) = faults(folder)
    assert (name, number) == ("cases.jsonl", 3)
    assert found.startswith(reason)


def test_all_faults_are_named_at_once_when_several_files_are_wrong(write_suite: WriteSuite) -> None:
    folder = write_suite("intent", [CASE, {"id": "b"}, {"id": "c"}], train=[{"text": "x"}])
    found = faults(folder)
    assert [(name, line) for name, line, _reason in found].count(("cases.jsonl", 2)) == 2
    assert ("train.jsonl", 1) in [(name, line) for name, line, _reason in found]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("kind: intent\n", 1, "the key title is missing"),
        ("kind: songs\ntitle: Mine\n", 1, "kind: "),
        ("title: Mine\nkind: intent\ncolour: red\n", 3, "unknown key colour"),
        ("kind: intent\ntitle: [\n", 3, "not YAML"),
        ("kind: intent\ntitle: Mine\ntrials: 0\n", 3, "trials: "),
        ("kind: intent\ntitle: Mine\nthresholds:\n  accuracy: high\n", 4, "thresholds.accuracy: "),
        ("", 1, "the key kind is missing"),
        ("- a\n", 1, ""),
    ],
)
def test_head_is_named_with_line_when_it_is_wrong(
    write_suite: WriteSuite, text: str, line: int, reason: str
) -> None:
    folder = write_suite("intent", [CASE])
    (folder / "suite.yaml").write_text(text)
    name, number, found = faults(folder)[0]
    assert (name, number) == ("suite.yaml", line)
    assert found.startswith(reason)


def test_files_are_named_when_they_are_missing_or_empty_or_not_text(write_suite: WriteSuite) -> None:
    folder = write_suite("intent", [])
    assert faults(folder) == [("cases.jsonl", 0, "the file is missing")]
    (folder / "cases.jsonl").write_text("\n\n")
    assert faults(folder) == [("cases.jsonl", 0, "the file has no lines")]
    (folder / "cases.jsonl").write_bytes(b'{"id": "a"\n\xff\xfe')
    assert faults(folder)[0][:2] == ("cases.jsonl", 2)
    (folder / "suite.yaml").unlink()
    assert faults(folder) == [("suite.yaml", 0, "the file is missing")]


def test_folder_of_articles_is_asked_for_when_a_retrieval_suite_has_none(write_suite: WriteSuite) -> None:
    folder = write_suite(
        "retrieval", [{"id": "a", "question": "?", "relevant": []}], head="articles: ../nowhere\n"
    )
    assert faults(folder) == [("suite.yaml", 0, "articles: there is no folder ../nowhere")]


def test_training_is_refused_when_the_kind_learns_nothing(write_suite: WriteSuite) -> None:
    folder = write_suite(
        "language", [{"id": "a", "text": "x", "language": "en"}], train=[{"text": "x", "label": "y"}]
    )
    assert faults(folder)[0][0] == "train.jsonl"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"turns": [{"say": "my order {order_no}"}]}, "{order_no} is not one of the known facts"),
        ({"turns": [{"say": "hi", "sign_in": "demo1"}]}, "turns.0: a turn is one of"),
        ({"turns": []}, "turns: "),
        ({"turns": [{"say": "hi", "expect": {"smells": "nice"}}]}, "unknown key turns.0.expect.smells"),
        ({"expect": {"matches": "("}}, "expect.matches: not a regular expression"),
        ({"known": {"a": "1"}, "unknown": ["a"]}, "a cannot be known and unknown"),
        ({"answers": [{"asked": "[", "say": "x"}]}, "answers.0.asked: not a regular expression"),
    ],
)
def test_journey_is_named_with_reason_when_it_is_wrong(
    write_suite: WriteSuite, change: dict[str, Any], reason: str
) -> None:
    ((name, line, found),) = faults(write_suite("journey", [{**JOURNEY, **change}]))
    assert (name, line) == ("cases.jsonl", 1)
    assert found.startswith(reason)


def test_name_finds_our_suite_and_path_finds_any_when_asked(write_suite: WriteSuite) -> None:
    folder = write_suite("intent", [CASE])
    assert suite.find(str(folder)) == folder
    assert suite.find(suite.ours()[0].name) == suite.ours()[0]
    with pytest.raises(suite.UnreadableSuite, match="not one of ours"):
        suite.find("no-such-suite")


def test_byte_order_mark_and_windows_ends_are_read_when_a_spreadsheet_wrote_them(
    write_suite: WriteSuite,
) -> None:
    folder = write_suite("intent", [CASE])
    (folder / "cases.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(CASE).encode() + b"\r\n")
    assert len(suite.load(folder).cases) == 1


@pytest.mark.parametrize("folder", suite.ours(), ids=lambda folder: folder.name)
def test_our_suites_are_read(folder: Path) -> None:
    assert suite.load(folder).cases


def test_schemas_are_those_of_the_forms() -> None:
    assert suite.main(["--check"]) == 0
    assert {path.name for path in suite.SCHEMAS.glob("*.json")} == set(suite.schemas())


def test_schema_agrees_with_the_form_when_a_case_is_checked_by_an_editor() -> None:
    schema = json.loads(suite.schemas()["journey_case.json"])
    jsonschema.validate(JOURNEY, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**JOURNEY, "colour": 1}, schema)


def test_every_grader_is_a_field_of_the_form() -> None:
    assert set(forms.Expect.model_fields) == set(GRADERS)
