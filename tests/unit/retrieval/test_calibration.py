"""What a knowledge base learns about itself: the cone's axis is taken out, its own questions teach what it can answer."""

from __future__ import annotations

import numpy as np

from retrieval import calibration, chunking, lexical, ranking, search
from retrieval.front_matter import Document
from retrieval.passages import Passage, Vector
from tests.unit.retrieval.conftest import BigramEmbedder

TOPICS = [
    "退货运费",
    "电子发票",
    "会员积分",
    "快递时效",
    "保修期限",
    "优惠券",
    "修改地址",
    "取消订单",
    "付款方式",
    "尺码选择",
]


def base() -> list[Passage]:
    return [
        passage
        for number, topic in enumerate(TOPICS)
        for passage in chunking.cut(
            Document(
                f"a{number}",
                "zh",
                topic,
                f"{topic}的规定在这里说明，{topic}以本文为准。",
                tuple(
                    f"{ask}{topic}{end}"
                    for ask, end in (("请问", "怎么算"), ("想知道", "的规定"), ("我的", "在哪里看"))
                ),
            ),
            1,
        )
    ]


async def learned() -> tuple[list[Passage], calibration.Calibration, Vector]:
    passages = base()
    model, centred = calibration.fit(passages, await search.embed(BigramEmbedder(), passages))
    return passages, model, centred


async def test_centred_vectors_of_one_kind_point_in_all_directions() -> None:
    passages, _, centred = await learned()
    rows = [at for at, passage in enumerate(passages) if passage.kind == "question"]
    raw = (await search.embed(BigramEmbedder(), passages))[rows]
    assert np.linalg.norm(centred[rows].mean(axis=0)) < 0.5 * np.linalg.norm(raw.mean(axis=0))
    assert np.allclose(np.linalg.norm(centred, axis=1), 1.0, atol=1e-5)


async def test_question_with_its_article_is_likelier_answered_than_without() -> None:
    passages, model, centred = await learned()
    assert model.answering != ranking.DEFAULT_ANSWERING
    words = lexical.LexicalIndex()
    words.add({passage.id: passage.context for passage in passages})
    text = "快递时效是多久"
    vector = model.centre_query((await BigramEmbedder().embed_queries([text]))[0], "zh")

    def probability(hidden: str) -> float:
        scores = dict(words.search(text, 100))
        candidates = [
            ranking.Candidate(one, one.heading, float(centred[at] @ vector), scores.get(one.id))
            for at, one in enumerate(passages)
            if one.article != hidden
        ]
        ranked = ranking.rank(candidates, model.weights, language="zh")
        terms = words.weights(lexical.words(text))
        covered = words.covered(terms, [one.passage.id for one in ranked[0].candidates])
        return model.answering.probability(ranking.signals(ranked, terms, covered))

    with_article, without = probability(hidden="nothing"), probability(hidden="a3")
    assert 1 - with_article < (1 - without) / 2, "at least half of the doubt is gone"


async def test_too_few_questions_leave_the_defaults() -> None:
    passages = base()[:8]
    model, _ = calibration.fit(passages, await search.embed(BigramEmbedder(), passages))
    assert model.weights == ranking.DEFAULT_WEIGHTS
    assert model.answering == ranking.DEFAULT_ANSWERING


async def test_language_without_a_mean_of_its_own_takes_the_others() -> None:
    _, model, _ = await learned()
    vector = (await BigramEmbedder().embed_queries(["unknown tongue"]))[0]
    assert np.allclose(model.centre_query(vector, "fr"), model.centre_query(vector, "zh"))


def test_empty_base_calibrates_to_nothing_and_survives_storage() -> None:
    model, centred = calibration.fit([], np.zeros((0, 4), dtype=np.float32))
    assert centred.shape == (0, 4)
    assert calibration.load(model.dump()).means == {}
