"""Chunking: nothing is lost, nothing is too long, and an edit touches only its own section."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import chunking
from retrieval.front_matter import Document

SENTENCES = st.sampled_from(
    [
        "签收后七天内可以退货。",
        "运费由顾客承担；会员免运费！",
        "Points expire after 2 years.",
        "Is it free? Yes, it is.",
        "没有标点的一句话" * 50,
        "word " * 200 + "end.",
        "- 第一条\n- 第二条",
        "| 档位 | 价格 |\n| --- | --- |\n| 金卡 | 10 |\n| 铂金 | 20 |",
        "```\n# not a heading\ncode\n```",
        "混合 mixed 文本 with English，逗号、顿号。",
    ]
)
SECTIONS = st.lists(st.lists(SENTENCES, min_size=1, max_size=5), min_size=1, max_size=5)


def document(sections: list[list[str]]) -> Document:
    body = "\n\n".join(f"## 第{number}节\n" + "\n\n".join(parts) for number, parts in enumerate(sections))
    return Document(id="a", language="zh", title="标题", body=body, questions=("问一", "问二"))


def ink(text: str) -> str:
    return re.sub(r"\s", "", text)


@settings(max_examples=60, deadline=None)
@given(SECTIONS)
def test_every_character_of_a_body_is_in_order_in_its_passages(sections: list[list[str]]) -> None:
    passages = [passage for passage in chunking.cut(document(sections), 1) if passage.kind == "body"]
    assert ink("".join(passage.text for passage in passages)) == ink(
        "".join("".join(parts) for parts in sections)
    )


@settings(max_examples=60, deadline=None)
@given(SECTIONS)
def test_no_passage_is_longer_than_the_limit_and_no_id_occurs_twice(sections: list[list[str]]) -> None:
    passages = chunking.cut(document(sections), 1)
    assert max(chunking.length(passage.text) for passage in passages) <= chunking.CHINESE_LIMIT
    assert len({passage.id for passage in passages}) == len(passages)


@settings(max_examples=60, deadline=None)
@given(SECTIONS, st.integers(0, 4), SENTENCES)
def test_other_sections_keep_their_ids_when_one_is_edited(
    sections: list[list[str]], which: int, sentence: str
) -> None:
    edited = which % len(sections)
    changed = [[*parts, sentence] if at == edited else parts for at, parts in enumerate(sections)]
    heading = f"标题 › 第{edited}节"
    before = {p.id for p in chunking.cut(document(sections), 1) if p.heading != heading}
    after = {p.id for p in chunking.cut(document(changed), 2) if p.heading != heading}
    assert before == after


def test_same_text_gives_same_ids_in_every_version() -> None:
    text = document([["一。"], ["二。"]])
    assert [p.id for p in chunking.cut(text, 1)] == [p.id for p in chunking.cut(text, 7)]


def test_question_points_to_the_lead_and_keeps_its_id_when_the_lead_changes() -> None:
    old = document([["旧的说法。"]])
    new = replace(old, body="## 第0节\n新的说法。")
    questions = [[p for p in chunking.cut(text, 1) if p.kind == "question"] for text in (old, new)]
    assert [p.text for p in questions[0]] == ["标题", "问一", "问二"]
    assert {p.answer for p in questions[0]} == {"旧的说法。"}
    assert {p.answer for p in questions[1]} == {"新的说法。"}
    assert [p.id for p in questions[0]] == [p.id for p in questions[1]]


def test_long_table_goes_by_rows_under_its_header() -> None:
    rows = "\n".join(
        f"| 商品{number:03} | 需要在签收之后的第{number}天以内提出申请并寄回 |" for number in range(40)
    )
    passages = chunking.cut(document([[f"| 商品 | 期限 |\n| --- | --- |\n{rows}"]]), 1)
    tables = [p.text for p in passages if p.kind == "body"]
    assert len(tables) > 1
    assert all(text.startswith("| 商品 | 期限 |\n| --- | --- |\n| 商品0") for text in tables)


def test_headings_above_a_passage_are_its_context() -> None:
    text = Document(
        id="a", language="en", title="Returns", body="Lead.\n\n# Fees\n\n### Cards\nGold pays nothing."
    )
    assert [p.heading for p in chunking.cut(text, 1) if p.kind == "body"] == [
        "Returns",
        "Returns › Fees › Cards",
    ]


def test_hash_in_a_fenced_block_is_no_heading() -> None:
    text = Document(id="a", language="en", title="Set up", body="```\n# comment\nrun\n```")
    assert [p.heading for p in chunking.cut(text, 1)] == ["Set up", "Set up"]
