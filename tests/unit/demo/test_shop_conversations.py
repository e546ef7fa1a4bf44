"""The recorded example conversations: readable, varied, and about orders that exist."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from demo.shop.order_server import SHOP

PATHS = sorted((SHOP / "conversations").glob("*.jsonl"))
ORDERS = {
    json.loads(line)["order_no"]
    for line in (SHOP / "seed_data" / "orders.jsonl").read_text(encoding="utf-8").splitlines()
}


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head, *turns = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return head, turns


def test_all_languages_are_there_when_conversations_are_counted() -> None:
    languages = Counter(_read(path)[0]["language"] for path in PATHS)
    assert len(PATHS) == 30
    assert languages["zh"] >= 12
    assert languages["en"] >= 8
    assert languages["yue"] >= 4
    assert languages["mixed"] >= 1


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_conversation_is_well_formed_when_read(path: Path) -> None:
    head, turns = _read(path)
    assert set(head) == {"id", "title", "language", "outcome"}
    assert head["id"] == path.stem
    assert head["outcome"] in {"resolved", "handed_over", "refused", "abandoned", "approval_pending"}
    assert 4 <= len(turns) <= 14
    assert turns[0]["role"] == "customer"
    for turn in turns:
        assert turn["role"] in {"customer", "bot", "agent"}
        assert turn["text"].strip()
        assert ("intent" in turn) == (turn["role"] == "customer")
    assert ("agent" in {turn["role"] for turn in turns}) or head["outcome"] != "handed_over"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_orders_exist_when_a_conversation_names_them(path: Path) -> None:
    _, turns = _read(path)
    named = set(re.findall(r"SQ\d{10}", " ".join(turn["text"] for turn in turns)))
    assert named <= ORDERS
