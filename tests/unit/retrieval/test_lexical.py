"""Words and BM25: Chinese, English and traditional characters meet; the index follows additions and removals."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import lexical
from retrieval.lexical import LexicalIndex

TEXTS = {
    "return": "七天无理由退货，运费由顾客承担",
    "invoice": "电子发票发到邮箱，公司抬头需要税号",
    "points": "Points expire after two years; you earn points when shopping",
}


def filled() -> LexicalIndex:
    index = LexicalIndex()
    index.add(TEXTS)
    return index


def test_traditional_question_finds_simplified_text() -> None:
    assert filled().search("電子發票抬頭", 5)[0][0] == "invoice"


def test_english_endings_are_cut() -> None:
    assert filled().search("my point expired, shop", 5)[0][0] == "points"
    assert lexical.stem("shopping") == lexical.stem("shops") == "shop"
    assert lexical.stem("deliveries") == lexical.stem("delivery")


def test_nothing_is_found_when_no_word_is_shared() -> None:
    assert filled().search("xylophone 🎺 \u202e", 5) == []
    assert filled().search("", 5) == []


def test_removed_passage_is_not_found_and_unknown_ids_are_ignored() -> None:
    index = filled()
    index.remove(["invoice", "never-there"])
    assert [identity for identity, _ in index.search("发票", 5)] == []
    assert len(index) == 2


def test_hidden_passage_is_left_out_of_one_search_only() -> None:
    index = filled()
    assert index.search("发票", 5, without=["invoice"]) == []
    assert index.search("发票", 5)[0][0] == "invoice"


def test_rare_word_weighs_more_than_a_common_one() -> None:
    index = LexicalIndex()
    index.add({str(number): "melon pear" if number else "melon plum" for number in range(20)})
    weights = index.weights(["melon", "plum", "kiwi"])
    assert weights["melon"] < weights["plum"] < weights["kiwi"]
    assert index.covered(["melon", "plum", "kiwi"], ["0", "unknown"]) == {"melon", "plum"}


def test_score_of_a_text_outside_equals_its_score_inside() -> None:
    index = filled()
    inside = dict(index.search("公司发票", 5))["invoice"]
    assert abs(index.score("公司发票", [TEXTS["invoice"]])[0] - inside) < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200))
def test_index_finds_exactly_what_was_added_and_not_removed(steps: list[tuple[bool, int]]) -> None:
    index, expected = LexicalIndex(), set()
    for is_added, number in steps:
        if is_added:
            index.add({f"p{number}": f"same word{number}"})
            expected.add(f"p{number}")
        else:
            index.remove([f"p{number}"])
            expected.discard(f"p{number}")
    assert {identity for identity, _ in index.search("same", 100)} == expected == index.ids()


def test_searches_go_on_while_passages_come_and_go_until_the_index_is_written_anew() -> None:
    index = LexicalIndex()
    index.add({f"fixed{number}": f"anchor text {number}" for number in range(50)})
    errors: list[BaseException] = []
    done = threading.Event()

    def hammer() -> None:
        try:
            while not done.is_set():
                found = {identity for identity, _ in index.search("anchor", 1000)}
                assert {f"fixed{number}" for number in range(50)} <= found
        except BaseException as error:  # carried to the test's own thread
            errors.append(error)

    thread = threading.Thread(target=hammer)
    thread.start()
    for round_ in range(10):
        ids = {f"r{round_}-{number}": "anchor passing by" for number in range(60)}
        index.add(ids)
        index.remove(ids)
    done.set()
    thread.join()
    assert errors == []
    assert len(index) == 50
