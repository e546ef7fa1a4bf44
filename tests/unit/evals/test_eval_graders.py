"""Each grader with what it must accept and what it must refuse."""

from __future__ import annotations

from typing import Any

import pytest

from evals.graders.end_state import changed_rows
from evals.graders.registry import GRADERS, grade
from evals.graders.seen import Rows, Seen, main_language

CITED = ({"article": "fees", "title": "Fees", "version": 1, "quote": "Delivery costs 8 yuan below 99."},)
DONE = ({"name": "return_request", "ok": True}, {"name": "order_status", "ok": False})
SEEN = Seen(
    said="I bought 2 lamps, order SQ2026010002",
    reply="You get 358.00 back. Delivery costs 8 yuan.",
    intent="return_request",
    language="en",
    emotion="neutral",
    citations=CITED,
    tools=DONE,
    handoff="anger",
    choices=("Yes, return it", "No"),
    changes={"returns": [{"id": 1, "order_no": "SQ2", "skus": ["A", "B"], "refund": "358.00"}]},
)
PLAIN = Seen(said="hi", reply="你好")

CASES: list[tuple[str, Any, Seen, bool]] = [
    ("contains", ["358", "DELIVERY"], SEEN, True),
    ("contains", ["358", "kettle"], SEEN, False),
    ("contains_any", ["kettle", "back"], SEEN, True),
    ("contains_any", ["kettle", "pot"], SEEN, False),
    ("excludes", ["kettle"], SEEN, True),
    ("excludes", ["kettle", "yuan"], SEEN, False),
    ("matches", r"\d+\.00 back", SEEN, True),
    ("matches", r"^Delivery", SEEN, False),
    ("language_is", "en", SEEN, True),
    ("language_is", "zh", SEEN, False),
    ("language_is", "zh", PLAIN, True),
    ("says_no_numbers_beyond", ["358"], SEEN, True),
    ("says_no_numbers_beyond", [], SEEN, False),
    ("says_no_numbers_beyond", [], Seen(said="order 77", reply="77 is on its way"), True),
    ("says_no_numbers_beyond", [], Seen(said="", reply="about 5,000.50"), False),
    ("says_no_numbers_beyond", ["5000.5"], Seen(said="", reply="about 5,000.50"), True),
    ("says_something", True, SEEN, True),
    ("says_something", True, Seen(said="", reply=" "), False),
    ("says_something", False, Seen(said="", reply=""), True),
    ("says_something", False, SEEN, False),
    ("offers", ["return"], SEEN, True),
    ("offers", ["exchange"], SEEN, False),
    ("intent_is", ["refund", "return_request"], SEEN, True),
    ("intent_is", ["refund"], SEEN, False),
    ("emotion_is", ["neutral"], SEEN, True),
    ("emotion_is", ["angry"], SEEN, False),
    ("understood_language_is", ["en"], SEEN, True),
    ("understood_language_is", ["yue"], SEEN, False),
    ("tool_called", ["return_request"], SEEN, True),
    ("tool_called", ["order_status"], SEEN, False),
    ("no_tool_called", ["address_change"], SEEN, True),
    ("no_tool_called", ["order_status"], SEEN, False),
    ("no_tool_called", [], PLAIN, True),
    ("no_tool_called", [], SEEN, False),
    ("handed_over", "anger", SEEN, True),
    ("handed_over", "any", SEEN, True),
    ("handed_over", "wants_human", SEEN, False),
    ("handed_over", "any", PLAIN, False),
    ("not_handed_over", True, PLAIN, True),
    ("not_handed_over", True, SEEN, False),
    ("cites", ["fees", "returns"], SEEN, True),
    ("cites", ["returns"], SEEN, False),
    ("cites", ["fees"], PLAIN, False),
    ("cites", ["fees"], Seen(said="", reply="8", citations=({"article": "fees", "quote": " "},)), False),
    ("cites_nothing", True, PLAIN, True),
    ("cites_nothing", True, SEEN, False),
    ("end_state", {"returns": [{"order_no": "SQ2", "skus": ["B", "A"], "refund": 358}]}, SEEN, True),
    ("end_state", {}, PLAIN, True),
    ("end_state", {}, SEEN, False),
    ("end_state", {"returns": [{"order_no": "SQ3"}]}, SEEN, False),
    ("end_state", {"returns": [{"order_no": "SQ2"}, {"order_no": "SQ2"}]}, SEEN, False),
    ("end_state", {"returns": [{"order_no": "SQ2", "colour": "red"}]}, SEEN, False),
    ("end_state", {"returns": [{"order_no": "SQ2"}], "orders": [{"order_no": "SQ2"}]}, SEEN, False),
]


@pytest.mark.parametrize(("name", "argument", "seen", "content"), CASES)
def test_grader_judges_as_written_when_it_looks(name: str, argument: Any, seen: Seen, content: bool) -> None:
    complaint = GRADERS[name](argument, seen)
    assert (complaint is None) == content, complaint


@pytest.mark.parametrize("name", list(GRADERS))
def test_every_grader_has_a_good_and_a_bad_case(name: str) -> None:
    assert {content for other, _argument, _seen, content in CASES if other == name} == {True, False}


def test_complaints_name_their_grader_when_several_are_asked() -> None:
    complaints = grade({"contains": ["kettle"], "not_handed_over": True, "language_is": "en"}, SEEN)
    assert [complaint.split(":")[0] for complaint in complaints] == ["contains", "not_handed_over"]


def test_changes_are_new_different_and_vanished_rows_when_two_states_are_compared() -> None:
    before: Rows = {
        "orders": [{"no": 1, "state": "paid"}, {"no": 2, "state": "paid"}, {"no": 3, "state": "x"}]
    }
    after: Rows = {
        "orders": [{"no": 1, "state": "paid"}, {"no": 2, "state": "cancelled"}],
        "returns": [{"id": 1}],
    }
    assert changed_rows(before, after) == {
        "orders": [{"no": 2, "state": "cancelled"}, {"no": 3, "state": "x", "gone": True}],
        "returns": [{"id": 1}],
    }
    assert changed_rows(after, after) == {}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("您好", "zh"),
        ("Hello there", "en"),
        ("订单 SQ1 OK 了", "zh"),
        ("12 3", ""),
        ("Your 台灯 has arrived now", "en"),
    ],
)
def test_main_language_is_told_when_a_reply_mixes(text: str, language: str) -> None:
    assert main_language(text) == language
