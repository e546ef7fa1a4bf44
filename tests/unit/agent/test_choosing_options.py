"""Which option a customer means, by number, ending, name, "both" or "not that one"."""

from __future__ import annotations

import pytest

from agent.tools import slots
from agent.tools.contract import Option
from tests.unit.agent.shop_tools import WORDS, WRITING

ITEMS: list[Option] = [
    {"value": "RC-300", "zh": "山雀 IH 电饭煲 3L", "en": "Titmouse IH rice cooker 3 L"},
    {"value": "LP-010", "zh": "护眼台灯 L1", "en": "Desk lamp L1"},
]
ORDERS: list[Option] = [
    {
        "value": "SQ2026010002",
        "zh": "SQ2026010002 山雀 IH 电饭煲 3L、护眼台灯 L1",
        "en": "SQ2026010002 rice cooker, desk lamp",
    },
    {
        "value": "SQ2026010003",
        "zh": "SQ2026010003 纯棉四件套 1.5 米床",
        "en": "SQ2026010003 cotton bedding set",
    },
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2", ["LP-010"]),
        ("第二个", ["LP-010"]),
        ("the first one", ["RC-300"]),
        ("台灯", ["LP-010"]),
        ("嗰盞檯燈", ["LP-010"]),
        ("盞燈", ["LP-010"]),
        ("退那盏灯", ["LP-010"]),
        ("这个好", []),
        ("the rice cooker please", ["RC-300"]),
        ("都退", ["RC-300", "LP-010"]),
        ("both", ["RC-300", "LP-010"]),
        ("1和2", ["RC-300", "LP-010"]),
        ("台灯和电饭煲", ["RC-300", "LP-010"]),
        ("电饭煲不退,退台灯", ["LP-010"]),
        ("everything except the lamp", ["RC-300"]),
        ("Desk lamp L1", ["LP-010"]),
        ("3", []),
        ("0", []),
        ("随便", []),
        ("", []),
    ],
)
def test_items_are_found_when_they_are_named(text: str, meant: list[str]) -> None:
    assert slots.choose(WRITING.plain(text), ITEMS, words=WORDS, several=True) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("尾号 0003 那个", ["SQ2026010003"]),
        ("sq2026010002", ["SQ2026010002"]),
        ("那套床品", ["SQ2026010003"]),
        ("the bedding", ["SQ2026010003"]),
        ("买电饭煲的那单", ["SQ2026010002"]),
        ("都可以", []),
        ("电饭煲和四件套", []),
    ],
)
def test_one_order_is_found_when_only_one_may_be_chosen(text: str, meant: list[str]) -> None:
    assert slots.choose(WRITING.plain(text), ORDERS, words=WORDS, several=False) == meant
