"""Labels that somebody brings take the same way in when they are learnt and when they are asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.understanding.intent import IntentModel
from agent.understanding.learning import Labelled, classify, learn
from agent.understanding.normalise import traditionalise
from agent.understanding.trained import Models
from foundation.embedders.contract import Embedder
from foundation.errors import InvalidInput

SUITE = Path(__file__).parents[3] / "evals" / "suites" / "shop_intent" / "cases.jsonl"


async def test_messages_in_another_script_are_recognised_when_learnt_in_one(
    embedder: Embedder, built: Models
) -> None:
    taught = {
        "订房": ["我想订一间房", "还有空房吗", "预订两晚"],
        "退房": ["几点退房", "我要退房", "晚点退房可以吗"],
    }
    labelled = [Labelled(text, label) for label, texts in taught.items() for text in texts]
    model = IntentModel(await learn(labelled, embedder, clouds=built.clouds))
    found = await classify(["我想訂兩間房", "幾多點要退房", "晚啲退房得唔得", "book a room"], model, embedder)
    assert [one.scores[0].intent for one in found] == ["订房", "退房", "退房", "订房"]


async def test_one_label_cannot_be_learnt(embedder: Embedder) -> None:
    with pytest.raises(InvalidInput):
        await learn([Labelled("a", "only"), Labelled("b", None)], embedder)


async def test_doubled_lines_change_nothing(embedder: Embedder) -> None:
    labelled = [
        Labelled(f"{verb} {noun}", noun) for noun in ("room", "table") for verb in ("book", "change", "pay")
    ]
    once, twice = await learn(labelled, embedder), await learn([*labelled, *labelled], embedder)
    assert once.about == twice.about


@pytest.mark.parametrize("change", ["traditional", "pictures", "full width", "invisible"])
async def test_the_answer_hardly_moves_when_the_writing_changes(
    embedder: Embedder, built: Models, change: str
) -> None:
    cases = [json.loads(line) for line in SUITE.read_text(encoding="utf-8").splitlines()]
    texts = [case["text"] for case in cases if case["language"] == "zh-Hans"][::2]
    model = IntentModel(built.intent)
    plain = await classify(texts, model, embedder)
    changed = await classify([_changed(text, change) for text in texts], model, embedder)
    moved = [text for text, a, b in zip(texts, plain, changed, strict=True) if a.intent != b.intent]
    assert len(moved) <= 0.03 * len(texts), moved


def _changed(text: str, change: str) -> str:
    if change == "traditional":
        return traditionalise(text)
    if change == "pictures":
        return f"{text}😊🙏"
    if change == "invisible":
        return "\u200b".join(text)
    return "".join(chr(ord(one) + 0xFEE0) if one.isascii() and one.isalnum() else one for one in text)
