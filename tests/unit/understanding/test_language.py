"""Language of short messages, from the shop's own suite and the borders between the rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.understanding.language import detect_language

SUITE = Path(__file__).parents[3] / "evals" / "suites" / "shop_language" / "cases.jsonl"


def test_the_shop_suite_is_recognised() -> None:
    cases = [json.loads(line) for line in SUITE.read_text(encoding="utf-8").splitlines()]
    assert len(cases) >= 120
    missed = []
    for case in cases:
        found = detect_language(case["text"])
        if (found.code, found.mixed) != (case["language"], "mixed" in case["tags"]):
            missed.append((case["text"], found))
    assert len(missed) <= 0.03 * len(cases), missed


@pytest.mark.parametrize("text", ["", "   ", "😀👍", "13812345678", "SQ2024110033", "???", "ok"])
@pytest.mark.parametrize("previous", ["yue", "en", "zh-Hant", "fr"])
def test_the_language_stays_when_the_message_has_no_words_of_its_own(text: str, previous: str) -> None:
    assert detect_language(text, previous).code == previous


def test_the_shop_language_is_taken_when_nothing_is_known() -> None:
    assert detect_language("🙂").code == "zh-Hans"
    assert detect_language("🙂", "klingon").code == "zh-Hans"


def test_characters_common_to_both_scripts_keep_the_script_of_the_conversation() -> None:
    assert detect_language("你好", "zh-Hant").code == "zh-Hant"
    assert detect_language("你好", "en").code == "zh-Hans"


@pytest.mark.parametrize("text", ["这件T恤有XL吗", "iPhone15的壳有吗", "订单SQ2024110033呢", "我是VIP"])
def test_names_and_sizes_do_not_make_a_text_mixed(text: str) -> None:
    assert not detect_language(text).mixed


@pytest.mark.parametrize(
    ("text", "reply"),
    [("点样退货呀", "zh"), ("我要退貨", "zh"), ("Wo bleibt mein Paket?", "en"), ("送料はいくらですか", "en")],
)
def test_the_reply_comes_in_a_language_we_have_templates_for(text: str, reply: str) -> None:
    assert detect_language(text).reply == reply


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gets_a_language(text: str) -> None:
    assert detect_language(text, "yue").reply in ("zh", "en")
