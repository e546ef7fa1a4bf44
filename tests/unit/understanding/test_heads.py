"""Heads on intents that a user brings: any labels, few examples, strangers, storage, repeatability."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.understanding.fitting import Examples, fit_head
from agent.understanding.heads import FloatMatrix, TextHead
from agent.understanding.intent import IntentModel
from agent.understanding.trained import Models
from foundation.embedders.contract import Embedder
from foundation.errors import ConfigurationError, InvalidInput

BANK = {
    "Karte gesperrt?": [
        "my card is blocked",
        "the machine swallowed my card",
        "card refused at the till",
        "unblock card",
    ],
    "开户/open": [
        "open a savings account",
        "I'd like to become a client",
        "new account please",
        "start an account for my son",
    ],
    "loan 💰": [
        "how much can I borrow",
        "I need a mortgage",
        "interest on a car loan",
        "lend me money for a house",
    ],
    "fx_rate": [
        "euro exchange rate",
        "how many yen for a dollar",
        "buy foreign currency",
        "rate for pounds today",
    ],
    "branch-hours": [
        "when is the branch open",
        "are you open on saturday",
        "closing time",
        "opening hours of the office",
    ],
    "pin": ["I forgot my PIN", "change the pin code", "new secret number for my card", "pin not accepted"],
    "transfer": [
        "send money to my sister",
        "wire 200 abroad",
        "make a payment to an iban",
        "my transfer has not arrived",
    ],
    "fraud": [
        "I did not make this payment",
        "someone stole from my account",
        "unknown debit",
        "I was scammed",
    ],
}
STRANGERS = [
    "what's the weather", "tell me a joke", "best pizza in town", "who won the match", "how to boil an egg", "play a song",
    "translate hello", "capital of Peru", "fix my bike", "train to Rome", "buy shoes online", "what is love",
]  # fmt: skip


async def bank(embedder: Embedder, *, strangers: bool = False) -> Examples:
    texts = [text for group in BANK.values() for text in group]
    labels: list[str | None] = [label for label, group in BANK.items() for _ in group]
    if strangers:
        texts, labels = texts + STRANGERS, labels + [None] * len(STRANGERS)
    return Examples(texts, await embedder.embed_queries(texts), labels)


async def test_unseen_wordings_are_recognised_when_labels_are_arbitrary(embedder: Embedder) -> None:
    head = fit_head(await bank(embedder))
    asked = [
        "the ATM kept my card",
        "can I get credit for a flat",
        "which days is the office open",
        "I don't recognise a debit",
    ]
    found = head.predict_proba(asked, await embedder.embed_queries(asked))
    assert [head.labels[row] for row in found.argmax(axis=1)] == [
        "Karte gesperrt?",
        "loan 💰",
        "branch-hours",
        "fraud",
    ]
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


async def test_another_language_is_served_when_all_examples_are_english(
    embedder: Embedder, built: Models
) -> None:
    head = fit_head(await bank(embedder), clouds=built.clouds)
    asked = ["我的卡被机器吞了", "我想贷款买房", "你们几点关门", "我忘了密码"]
    found = head.predict_proba(asked, await embedder.embed_queries(asked))
    assert [head.labels[row] for row in found.argmax(axis=1)] == [
        "Karte gesperrt?",
        "loan 💰",
        "branch-hours",
        "pin",
    ]


@pytest.mark.parametrize("strangers", [False, True])
async def test_strangers_look_stranger_than_customers(embedder: Embedder, strangers: bool) -> None:
    head = fit_head(await bank(embedder, strangers=strangers))
    own = [
        "is the branch open on monday",
        "borrow money for a car",
        "reset my pin",
        "send cash to my brother",
    ]
    other = ["how do I train a puppy", "recipe for pancakes", "is it raining outside", "sing happy birthday"]
    inside = head.predict(own, await embedder.embed_queries(own)).out_of_scope
    outside = head.predict(other, await embedder.embed_queries(other)).out_of_scope
    assert inside.max() < outside.min()
    assert 0 < head.novelty.threshold < 1


async def test_titles_alone_name_the_likely_intents_when_there_are_no_examples(embedder: Embedder) -> None:
    titles = [
        "open an account",
        "card blocked",
        "exchange rate",
        "opening hours",
        "money transfer",
        "forgotten pin",
    ]
    model = IntentModel(fit_head(Examples(titles, await embedder.embed_queries(titles), titles)))
    asked = "I can't remember my PIN"
    found = model.predict(asked, (await embedder.embed_queries([asked]))[0])
    assert found.scores[0].intent == "forgotten pin"
    assert len(found.scores) == 5
    assert found.status != "out_of_scope"


async def test_a_stored_head_answers_the_same_when_loaded_again(embedder: Embedder, tmp_path: Path) -> None:
    head = fit_head(await bank(embedder, strangers=True), about={"made by": "测试"})
    head.save(tmp_path / "head.npz")
    again = TextHead.load(tmp_path / "head.npz")
    asked = ["unblock my card", "天气怎么样", ""]
    vectors = await embedder.embed_queries(asked)
    assert again.labels == head.labels
    assert again.about["made by"] == "测试"
    for name in ("probabilities", "out_of_scope"):
        assert np.allclose(
            getattr(again.predict(asked, vectors), name),
            getattr(head.predict(asked, vectors), name),
            atol=1e-3,
        )


async def test_the_same_examples_give_the_same_bytes(embedder: Embedder, tmp_path: Path) -> None:
    examples = await bank(embedder, strangers=True)
    for name in ("one.npz", "two.npz"):
        fit_head(examples).save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("broken", [b"", b"not a model", b"PK\x03\x04 half a file"])
def test_a_broken_file_is_named_with_the_way_to_mend_it(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "intent.npz"
    path.write_bytes(broken)
    with pytest.raises(ConfigurationError, match=r"intent\.npz.*make models"):
        TextHead.load(path)


def test_one_label_is_refused_because_there_is_nothing_to_tell_apart() -> None:
    with pytest.raises(InvalidInput, match="at least two labels"):
        Examples(["a", "b"], vectors(2), ["same", "same"])


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one length"):
        Examples(["a", "b"], vectors(3), ["x", "y"])


def test_a_label_with_one_example_is_kept_beside_larger_ones() -> None:
    rows = vectors(31)
    labels = ["many"] * 15 + ["more"] * 15 + ["single"]
    head = fit_head(Examples([f"text {row}" for row in range(31)], rows, labels))
    assert head.labels == ("many", "more", "single")
    assert head.labels[int(head.predict_proba(["text 30"], rows[30:])[0].argmax())] == "single"


def test_serving_needs_no_scikit_learn() -> None:
    code = "import sys, agent.understanding.understand; print([name for name in sys.modules if name in ('sklearn', 'scipy', 'torch')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def vectors(count: int) -> FloatMatrix:
    rows = np.random.default_rng(5).normal(size=(count, 384)).astype(np.float32)
    lengths: FloatMatrix = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatMatrix = rows / lengths
    return unit
