"""The written form of an article: what can be read is read back, what cannot is named by place, line and remedy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import InvalidInput
from retrieval import front_matter
from retrieval.front_matter import Document

LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"),
    min_size=1,
    max_size=40,
).map(str.strip)


@settings(max_examples=80, deadline=None)
@given(
    title=LINE.filter(bool),
    questions=st.lists(LINE.filter(bool), max_size=4, unique=True),
    body=LINE.filter(bool),
)
def test_what_is_rendered_is_parsed_to_the_same_document(title: str, questions: list[str], body: str) -> None:
    document = Document(
        "a-1", "zh", title, body, tuple(questions), "topic", "member", "2026-01-01", "2026-02-01"
    )
    assert front_matter.parse(front_matter.render(document).encode(), "a.md") == document


@pytest.mark.parametrize(
    ("raw", "line", "remedy"),
    [
        (b"---\ntitle: [1\n---\ntext", 3, "quotes"),
        (b"---\ntitle: a: b\n---\ntext", 2, "quotes"),
        (b"---\nlanguage: zh\n---\ntext", 1, "title"),
        (b"---\ntitle: t\nlanguage: zh\n", 1, "never closed"),
        (b"---\ntitle: t\nlanguage: zh\n---\n\xff\xfe", 5, "UTF-8"),
        (b"---\ntitle: t\nlanguage: zh\n---\n\n", 5, "empty"),
        (b"---\ntitle: t\nlanguage: zh\naudience: all\n---\ntext", 1, "public"),
        (b"---\ntitle: t\nlanguage: zh\nvalid_from: soon\n---\ntext", 4, "2026-01-31"),
        (b"---\ntitle: t\nlanguage: zh\nqestions: [a]\n---\ntext", 4, "questions"),
        (b"---\ntitle: t\nlanguage: zh\nquestions: how\n---\ntext", 4, "list"),
        (b"---\ntitle: t\nlanguage: zh\nquestions:\n- a: b\n---\ntext", 4, "quotes"),
        (b"---\ntitle: t\nlanguage: Chinese!\n---\ntext", 1, "language: zh"),
        (b"---\ntitle: t\nlanguage: zh\nid: ../etc\n---\ntext", 1, "id"),
        (
            b"---\ntitle: t\nlanguage: zh\nvalid_from: 2026-03-01\nvalid_until: 2026-02-01\n---\ntext",
            1,
            "Swap",
        ),
        (b"---\ntitle: t\nlanguage: zh\n---\nte\x00xt", 5, "NUL"),
        (b"---\n- a\n- b\n---\ntext", 2, "name: value"),
    ],
)
def test_wrong_article_is_named_by_file_line_and_remedy(raw: bytes, line: int, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        front_matter.parse(raw, "zh/a.md", default_id="a")
    assert caught.value.public_text.startswith(f"zh/a.md:{line}:")
    assert remedy in caught.value.public_text


def test_too_large_article_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        front_matter.parse(b"# t\n" + b"x" * 5_000_000, "big.md")


def test_plain_markdown_takes_title_from_its_heading_and_id_from_its_name() -> None:
    found = front_matter.parse(
        "# 怎么退货\n\n七天内。".encode(), "a.md", default_id="a", default_language="zh"
    )
    assert (found.id, found.title, found.body) == ("a", "怎么退货", "七天内。")


def test_alias_bomb_in_the_head_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x,x]"] + [f"a{n}: &a{n} [*a{n - 1},*a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(InvalidInput, match="title"):
        front_matter.parse(("---\n" + "\n".join(lines) + "\n---\ntext").encode(), "bomb.md")


def test_field_of_another_system_is_passed_over() -> None:
    raw = b"---\ntitle: t\nlanguage: en\ntags: [a]\nauthor: {name: x}\n---\ntext"
    assert front_matter.parse(raw, "a.md", default_id="a").title == "t"
