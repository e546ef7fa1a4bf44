"""The labelled lines themselves: enough of each kind, no series from one pattern, nothing shared with the suites."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.understanding.normalise import fold, normalise_query
from agent.understanding.train import DATA

SUITES = Path(__file__).parents[3] / "evals" / "suites"
SHORT = 6
"""Texts below this length differ by a character or are the same word; only equality is compared."""
LANGUAGES = {"zh-Hans", "zh-Hant", "yue", "en", "mixed"}
SHOP_INTENTS = set(
    [
        "order_status",
        "delivery_time",
        "shipping_fee",
        "delivery_problem",
        "return_request",
        "return_policy",
        "exchange_request",
        "refund_status",
        "cancel_order",
        "address_change",
        "invoice_request",
        "invoice_policy",
        "payment",
        "coupon",
        "membership",
        "warranty_repair",
        "product_question",
        "account",
        "complaint",
        "human",
        "greeting",
        "thanks",
        "goodbye",
        "bot_identity",
        "chitchat",
    ]
)
ACTS = {"affirm", "deny", "cancel", "correction", "repetition"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_intent_has_many_lines_in_several_languages() -> None:
    rows = lines(DATA / "intents.jsonl")
    count = Counter(row["intent"] for row in rows)
    assert set(count) == SHOP_INTENTS | {"out_of_scope"}
    assert min(count[name] for name in SHOP_INTENTS) >= 45
    assert count["out_of_scope"] >= 150
    for intent in SHOP_INTENTS:
        assert {row["language"] for row in rows if row["intent"] == intent} == LANGUAGES


def test_acts_emotions_and_wishes_have_enough_lines() -> None:
    acts = Counter(row["act"] for row in lines(DATA / "acts.jsonl"))
    assert min(acts[name] for name in ACTS) >= 45
    emotions = Counter(row["label"] for row in lines(DATA / "emotions.jsonl"))
    assert emotions.total() >= 500
    assert min(emotions.values()) >= 75
    wishes = Counter(row["wants_human"] for row in lines(DATA / "wants_human.jsonl"))
    assert wishes[True] >= 150
    assert wishes[False] >= 250


@pytest.mark.parametrize("name", ["intents", "acts", "emotions", "wants_human"])
def test_no_line_is_nearly_another_one(name: str) -> None:
    texts = [bare(fold(row["text"])) for row in lines(DATA / f"{name}.jsonl")]
    assert list(alike(texts, texts, 0.9)) == []


@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("intents", "shop_intent"),
        ("acts", "shop_intent"),
        ("wants_human", "shop_intent"),
        ("emotions", "shop_emotion"),
    ],
)
def test_no_suite_case_is_nearly_a_training_line(name: str, suite: str) -> None:
    cases = [bare(normalise_query(row["text"])) for row in lines(SUITES / suite / "cases.jsonl")]
    known = [bare(normalise_query(row["text"])) for row in lines(DATA / f"{name}.jsonl")]
    assert list(alike(cases, known, 0.85)) == []


def test_suites_are_large_enough_and_their_ids_unique() -> None:
    intent = lines(SUITES / "shop_intent" / "cases.jsonl")
    per_intent = Counter(case["intent"] for case in intent)
    assert set(per_intent) == SHOP_INTENTS | ACTS | {"out_of_scope"}
    assert min(per_intent.values()) >= 12
    emotion = lines(SUITES / "shop_emotion" / "cases.jsonl")
    assert len(emotion) >= 150
    assert all(-1 <= case["valence"] <= 1 for case in emotion)
    for cases in (intent, emotion, lines(SUITES / "shop_language" / "cases.jsonl")):
        assert max(Counter(case["id"] for case in cases).values()) == 1


def bare(text: str) -> str:
    return re.sub(r"\W", "", text.lower()) or text


def alike(these: list[str], those: list[str], limit: float) -> Iterator[tuple[str, str]]:
    """Pairs whose similarity reaches the limit; a list compared with itself leaves each with itself out."""
    itself = these is those
    known = Counter(those)
    yield from ((text, text) for text in these if known[text] > itself)
    for position, text in enumerate(these):
        if len(text) < SHORT:
            continue
        matcher = difflib.SequenceMatcher(None, "", text, autojunk=False)
        for other in those[:position] if itself else those:
            if len(other) < SHORT or not 0.8 <= len(other) / len(text) <= 1.25:
                continue
            matcher.set_seq1(other)
            if (
                matcher.real_quick_ratio() >= limit
                and matcher.quick_ratio() >= limit
                and matcher.ratio() >= limit
            ):
                yield text, other
