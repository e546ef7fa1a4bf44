"""The retrieval suites of the demo shop measure honestly: enough cases, real targets, no question copied from an article."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SUITES = {"shop_retrieval": "zh", "shop_retrieval_en": "en"}


def _cases(name: str) -> list[dict[str, Any]]:
    text = (ROOT / "evals" / "suites" / name / "cases.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _heads(name: str) -> list[dict[str, Any]]:
    folder = ROOT / "evals" / "suites" / name
    suite = yaml.safe_load((folder / "suite.yaml").read_text(encoding="utf-8"))
    paths = sorted((folder / suite["articles"]).resolve().glob("*/*.md"))
    return [yaml.safe_load(path.read_text(encoding="utf-8").split("---\n", 2)[1]) for path in paths]


def _bare(question: str) -> str:
    return re.sub(r"\W+", "", question).casefold()


def test_there_are_enough_cases_of_every_sort_when_counted() -> None:
    chinese, english = _cases("shop_retrieval"), _cases("shop_retrieval_en")
    tags = Counter(tag for case in chinese if case["relevant"] for tag in case["tags"])
    assert sum(bool(case["relevant"]) for case in chinese) >= 120
    assert sum(bool(case["relevant"]) for case in english) >= 60
    assert (tags["cantonese"] >= 15, tags["mixed"] >= 10) == (True, True)
    for cases in (chinese, english):
        assert sum(not case["relevant"] for case in cases) >= 20


@pytest.mark.parametrize("name", SUITES)
def test_cases_are_well_formed_when_read(name: str) -> None:
    cases = _cases(name)
    public = {head["id"] for head in _heads(name) if head.get("audience", "public") == "public"}
    assert (
        len({case["id"] for case in cases}) == len({_bare(case["question"]) for case in cases}) == len(cases)
    )
    for case in cases:
        assert set(case) == {"id", "question", "relevant", "language", "tags"}
        assert set(case["relevant"]) <= public
        assert (case["relevant"] == []) == ("unanswerable" in case["tags"])


@pytest.mark.parametrize("name", SUITES)
def test_every_public_topic_is_asked_for_when_cases_are_collected(name: str) -> None:
    public = {head["id"] for head in _heads(name) if head.get("audience", "public") == "public"}
    assert public == {article for case in _cases(name) for article in case["relevant"]}


@pytest.mark.parametrize("name", SUITES)
def test_no_case_copies_a_question_when_compared_with_the_articles(name: str) -> None:
    written = {_bare(question) for head in _heads(name) for question in head["questions"]}
    assert written
    copied = [case["id"] for case in _cases(name) if _bare(case["question"]) in written]
    assert copied == []
