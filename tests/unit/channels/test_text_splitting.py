"""Splitting and cleaning text: limits hold, nothing is lost, no character is torn."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import text as texts
from foundation.messages import TEXT_LIMIT

UNITS = st.sampled_from(["bytes", "characters", "utf16"])
PIECES = st.sampled_from(
    [
        "你好。",
        "退货流程是这样的，",
        "word ",
        "a",
        "\n",
        "\n\n",
        "👩‍👩‍👧‍👦",
        "🇨🇳",
        "é",
        "각",
        "1️⃣",
        "https://shop.cn/a?b=1 ",
        "．",
    ]
)


@given(text=st.text(max_size=400), limit=st.integers(4, 90), unit=UNITS)
def test_parts_fit_and_join_to_the_text_when_anything_is_split(
    text: str, limit: int, unit: texts.Unit
) -> None:
    parts = texts.split(text, limit, unit)
    assert "".join(parts) == text
    assert all(0 < texts.size(part, unit) <= limit for part in parts)


@given(pieces=st.lists(PIECES, max_size=60), limit=st.integers(26, 120), unit=UNITS)
@settings(max_examples=60)
def test_no_cluster_and_no_url_is_torn_when_each_fits(
    pieces: list[str], limit: int, unit: texts.Unit
) -> None:
    text = "".join(pieces)
    parts = texts.split(text, limit, unit)
    assert [cluster for part in parts for cluster in texts.graphemes(part)] == list(texts.graphemes(text))
    assert sum(part.count("https://shop.cn/a?b=1") for part in parts) == text.count("https://shop.cn/a?b=1")


@pytest.mark.parametrize(
    ("text", "count"),
    [("👩‍👩‍👧‍👦", 1), ("🇨🇳🇭🇰", 2), ("🇨🇳🇭", 2), ("e\u0301a", 2), ("각", 1), ("1️⃣", 1), ("👍🏽", 1), ("\r\n", 1), ("\n\u0301", 2), ("", 0)],
)  # fmt: skip
def test_graphemes_are_what_a_person_counts(text: str, count: int) -> None:
    assert len(list(texts.graphemes(text))) == count


@given(text=st.text(max_size=60))
@settings(max_examples=150)
def test_graphemes_agree_with_the_unicode_rules(text: str) -> None:
    """Never a border where UAX #29 has none, for the classes that chats contain."""
    regex = pytest.importorskip("regex")
    ours = _borders(list(texts.graphemes(text)))
    theirs = _borders(regex.findall(r"\X", text))
    rare = regex.compile(r"[\p{GCB=Prepend}\p{GCB=SpacingMark}\p{GCB=Extend}\p{InCB=Consonant}]")
    if not rare.search(text):
        assert ours == theirs


@pytest.mark.parametrize(
    ("text", "limit", "first"),
    [
        ("第一句。第二句很长很长。", 9, "第一句。"),
        ("One sentence. Another one here", 20, "One sentence. "),
        ("line one\nline two is longer", 14, "line one\n"),
        ("hello wonderful world", 17, "hello wonderful "),
        ("数字3.14是圆周率", 6, "数字3.14"),
        ("abcdefghij", 4, "abcd"),
    ],
)
def test_cut_falls_at_the_best_border(text: str, limit: int, first: str) -> None:
    assert texts.split(text, limit, "characters")[0] == first


def test_url_longer_than_a_part_is_cut_when_there_is_no_other_way() -> None:
    url = "https://example.com/" + "x" * 60
    parts = texts.split(url, 30, "characters")
    assert "".join(parts) == url
    assert max(map(len, parts)) <= 30


def test_text_is_cut_and_says_so_when_it_is_too_long() -> None:
    cleaned, cut = texts.clean("字" * (TEXT_LIMIT + 1))
    assert (len(cleaned), cut) == (TEXT_LIMIT, True)
    assert texts.clean("字" * TEXT_LIMIT) == ("字" * TEXT_LIMIT, False)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_cleaned_text_can_be_stored(text: str) -> None:
    cleaned, _ = texts.clean(text + "\x00\ud800")
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")


def _borders(clusters: list[str]) -> set[int]:
    borders, position = set(), 0
    for cluster in clusters:
        position += len(cluster)
        borders.add(position)
    return borders
