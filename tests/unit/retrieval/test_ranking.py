"""Ranking: an article's parts add up, languages are preferred, probabilities follow their signals."""

from __future__ import annotations

import numpy as np

from retrieval import calibration, ranking
from retrieval.passages import Kind, Passage
from retrieval.ranking import Candidate, Weights


def candidate(
    article: str,
    kind: Kind = "body",
    *,
    dense: float | None = None,
    words: float | None = None,
    language: str = "zh",
) -> Candidate:
    identity = f"{article}/{language}/{kind}/{dense}/{words}"
    return Candidate(Passage(identity, article, language, 1, 0, kind, "h", "t", "a"), article, dense, words)


def test_article_needs_both_a_body_and_a_question_to_be_first() -> None:
    ranked = ranking.rank(
        [
            candidate("both", dense=0.7),
            candidate("both", "question", dense=0.7),
            candidate("body", dense=0.9),
            candidate("other", dense=0.2),
        ],
        Weights(body=0.5, lexical=0.0),
        language="zh",
    )
    assert [entry.article for entry in ranked] == ["both", "body", "other"]
    assert ranked[1].parts == (0.9, 0.2, 0.0), "a part that was not proposed counts as the lowest of all"


def test_words_decide_between_equals() -> None:
    ranked = ranking.rank(
        [candidate("a", dense=0.5, words=1.0), candidate("b", dense=0.5, words=4.0)], Weights(), language="zh"
    )
    assert [entry.article for entry in ranked] == ["b", "a"]
    assert ranked[0].parts[2] == 1.0


def test_readers_language_is_shown_even_when_the_other_matched_better() -> None:
    both = [candidate("a", dense=0.9, language="en"), candidate("a", dense=0.4, language="zh-Hant")]
    shown = ranking.rank(both, Weights(), language="yue")[0]
    assert (shown.best.passage.language, shown.other_language) == ("zh-Hant", False)
    only = ranking.rank(both[:1], Weights(), language="yue")[0]
    assert (only.best.passage.language, only.other_language) == ("en", True)


def test_words_alone_rank_when_nothing_dense_was_proposed() -> None:
    ranked = ranking.rank(
        [candidate("a", words=1.0), candidate("b", words=3.0)], ranking.LEXICAL_ONLY, language="zh"
    )
    assert [entry.article for entry in ranked] == ["b", "a"]


def test_no_candidates_give_no_ranking() -> None:
    assert ranking.rank([], Weights(), language="zh") == []


def test_logistic_learns_what_separates_and_is_the_same_after_storage() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0.0, 1.0], 200)
    rows = np.column_stack([labels + rng.normal(0, 0.7, 400), rng.normal(0, 1, 400)])
    model = ranking.fit_logistic(("telling", "noise"), rows, labels)
    assert model.coefficients[0] > 5 * abs(model.coefficients[1])
    assert (
        model.probability({"telling": 2.0, "noise": 0.0})
        > 0.95
        > model.probability({"telling": -1.0, "noise": 0.0})
    )
    stored = calibration.Calibration({"zh/body": np.ones(3, dtype=np.float32)}, Weights(0.3, 0.2), model)
    loaded = calibration.load(stored.dump())
    assert loaded.answering == model
    assert loaded.weights == Weights(0.3, 0.2)
    assert loaded.means["zh/body"].tolist() == [1, 1, 1]


def test_chosen_weights_leave_the_default_when_lessons_speak_against_it() -> None:
    def lessons(*, by_words: bool) -> list[tuple[list[Candidate], str]]:
        right, wrong = (0.1, 9.0) if by_words else (0.9, 0.0), (0.9, 0.0) if by_words else (0.1, 9.0)
        return [
            (
                [
                    candidate("right", dense=right[0], words=right[1]),
                    candidate("wrong", dense=wrong[0], words=wrong[1]),
                ],
                "right",
            )
        ] * 40

    assert calibration.choose_weights(lessons(by_words=True)).lexical > ranking.DEFAULT_WEIGHTS.lexical
    assert calibration.choose_weights(lessons(by_words=False)) == ranking.DEFAULT_WEIGHTS
