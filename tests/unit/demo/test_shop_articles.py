"""The knowledge base of the demo shop: readable, in pairs, complete, and in step with what the order system enforces."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.shop.order_server import SHOP
from demo.shop.return_policy import load_policy

ARTICLES = SHOP / "articles"
LANGUAGES = ("zh", "en")
KNOWN_KEYS = {"id", "title", "language", "topic", "questions", "valid_from", "audience"}
CANTONESE = re.compile("[嘅喺咗唔哋嚟啲冇㗎佢俾咁點係邊撳攞啱]")


@dataclass(frozen=True)
class Article:
    path: Path
    head: dict[str, Any]
    body: str


def _read(path: Path) -> Article:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return Article(path, yaml.safe_load(head), body.strip())


ALL = [_read(path) for path in sorted(ARTICLES.glob("*/*.md"))]
BY_NAME = {(article.path.parent.name, article.path.stem): article for article in ALL}


def _text(language: str, name: str) -> str:
    return BY_NAME[language, name].body


def test_there_are_enough_topics_in_both_languages_when_counted() -> None:
    names = {language: {path.stem for path in (ARTICLES / language).glob("*.md")} for language in LANGUAGES}
    assert names["zh"] == names["en"]
    assert len(names["zh"]) >= 44


@pytest.mark.parametrize("article", ALL, ids=lambda a: f"{a.path.parent.name}-{a.path.stem}")
def test_article_is_well_formed_when_read(article: Article) -> None:
    assert set(article.head) <= KNOWN_KEYS
    assert article.head["id"] == article.path.stem
    assert article.head["language"] == article.path.parent.name
    assert 3 <= len(article.head["questions"]) <= 6
    assert all(isinstance(question, str) and question.strip() for question in article.head["questions"])
    assert 1 <= len(re.findall(r"^## ", article.body, flags=re.MULTILINE)) <= 4
    assert article.head.get("audience", "public") in {"public", "internal"}


@pytest.mark.parametrize("article", ALL, ids=lambda a: f"{a.path.parent.name}-{a.path.stem}")
def test_first_paragraph_answers_briefly_when_quoted(article: Article) -> None:
    first = article.body.split("\n\n")[0]
    assert not first.startswith(("#", "|", "-", "1."))
    assert len(first) <= (130 if article.head["language"] == "zh" else 330)


@pytest.mark.parametrize("name", sorted({article.path.stem for article in ALL}))
def test_both_languages_agree_on_heads_and_sections_when_compared(name: str) -> None:
    zh, en = BY_NAME["zh", name], BY_NAME["en", name]
    for key in ("topic", "valid_from", "audience"):
        assert zh.head.get(key) == en.head.get(key)
    assert zh.body.count("\n## ") == en.body.count("\n## ")
    assert zh.body.count("\n|") == en.body.count("\n|")


@pytest.mark.parametrize("name", sorted({article.path.stem for article in ALL}))
def test_both_languages_state_the_same_figures_when_compared(name: str) -> None:
    assert _figures(_text("zh", name)) == _figures(_text("en", name))


def test_two_articles_are_internal_when_audiences_are_read() -> None:
    internal = {article.path.stem for article in ALL if article.head.get("audience") == "internal"}
    assert internal == {"staff-compensation", "staff-return-review"}


def test_enough_topics_carry_a_cantonese_phrasing_when_read() -> None:
    spoken = [a.path.stem for a in ALL if any(CANTONESE.search(question) for question in a.head["questions"])]
    assert len(spoken) >= 10


def test_no_question_stands_in_two_articles_when_collected() -> None:
    questions = [question for article in ALL for question in article.head["questions"]]
    assert len(questions) == len(set(questions))


def test_articles_lead_to_no_real_company_when_searched_for_addresses() -> None:
    found = [
        article.path.name
        for article in ALL
        if re.search(r"https?://|www\.|@(?!titmouse\.example)", article.body)
    ]
    assert found == []


def test_articles_state_the_enforced_numbers_when_compared_with_the_policy() -> None:
    policy = load_policy(SHOP / "policy.yaml")
    no_reason, shop_fault = policy.windows["no_reason"], policy.windows["shop_fault"]
    assert f"签收后 {no_reason.days} 天内" in _text("zh", "return-7-days")
    assert f"第 {no_reason.days + 1}–{no_reason.exception_until_day} 天" in _text(
        "zh", "late-return-exception"
    )
    assert f"签收 {shop_fault.days} 天内" in _text("zh", "quality-issue-30-days")
    assert f"第 {shop_fault.days + 1}–{shop_fault.exception_until_day} 天" in _text(
        "zh", "late-return-exception"
    )
    assert f"超过 {policy.approval_above:.0f} 元" in _text("zh", "return-process")
    assert f"满 {policy.custom_made_cancel_hours} 小时" in _text("zh", "cancel-order")
    assert f"{policy.invoice_hours_after_signing} 小时内开出" in _text("zh", "invoice-electronic")


def _figures(text: str) -> set[str]:
    """Numbers of two and more digits; small ones and months are words in one of the languages."""
    plain = re.sub(r"\d+ 月", "", text.replace(",", ""))
    return {number for number in re.findall(r"\d+(?:\.\d+)?", plain) if len(number) > 1}
