"""Spelling: what a customer types becomes one plain form, and doing it twice changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.understanding.normalise import DIALECT_FILE, fold, normalise_query, read_table


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("點解仲未退錢畀我", "为什么还没有退钱给我"),
        ("我冇收到貨喎", "我没有收到货啊"),
        ("佢哋送錯咗嘢", "他们送错了东西"),
        ("請問運費怎麼計算", "请问运费怎么计算"),
        ("ＳＱ２０２４１１００３３", "SQ2024110033"),
        ("退\u200b货", "退货"),
        ("什么时候发货😡😡", "什么时候发货"),
        ("WHERE IS MY ORDER", "where is my order"),
        ("好好好好好好好", "好好好"),
        ("13800000000", "13800000000"),
    ],
)
def test_one_spelling_comes_out_when_forms_differ(typed: str, plain: str) -> None:
    assert normalise_query(typed) == plain


@pytest.mark.parametrize(
    "word", ["联系我", "关系", "系统故障", "食品保质期", "认识", "整个订单", "干净", "细节", "饮料", "惊喜"]
)
def test_mandarin_words_stay_when_they_hold_a_cantonese_character(word: str) -> None:
    assert normalise_query(word) == word


def test_ambiguous_words_are_replaced_when_the_text_is_cantonese() -> None:
    assert normalise_query("我系會員,聯絡唔到你哋,系統話錯").startswith("我是会员")
    assert "系统" in normalise_query("個系統成日出錯,你哋快啲整返佢")


def test_a_message_of_pictures_keeps_them_when_nothing_else_is_there() -> None:
    assert normalise_query("😡😡") == "😡😡"


def test_the_dialect_file_is_rich_and_without_contradictions() -> None:
    rows = read_table(DIALECT_FILE)
    meanings: dict[str, set[str]] = {}
    for word, mandarin, when in rows:
        assert when in ("always", "cantonese")
        meanings.setdefault(word, set()).add(mandarin)
    assert len(meanings) >= 120
    assert [word for word, found in meanings.items() if len(found) > 1] == []
    assert len(rows) == len(meanings)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives_and_folding_is_repeatable(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    normalise_query(text).encode("utf-8")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="我要退货唔係點解嘅嘢訂單系统買咗佢哋abc 12,。!", max_size=25))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_query(text)
    assert normalise_query(once) == once
