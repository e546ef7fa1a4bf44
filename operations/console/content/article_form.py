"""The fields of an article as an editor sees them, and the document they make. Drawn by `knowledge`.

What the form has no field for (topic, days of validity) is carried over from the document it was made with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast, get_args

from nicegui import ui

from operations.console.words import Words
from retrieval.front_matter import Document
from retrieval.passages import Audience

_LANGUAGES = ("zh", "en")


class ArticleForm:
    def __init__(
        self, words: Words, document: Document, *, is_new: bool, on_change: Callable[[], None]
    ) -> None:
        self._words = words
        self._document = document
        self._is_new = is_new
        self._on_change = on_change

    def draw(self) -> None:
        document = self._document
        codes = sorted({*_LANGUAGES, document.language})
        with ui.element("div").classes("fields"):
            self._title = self._field("title", document.title)
            self._id = self._field("id", document.id)
            languages = {code: language_name(self._words, code) for code in codes}
            self._language = self._choice("language", document.language, languages)
            audiences = {name: self._words(f"audience.{name}") for name in get_args(Audience)}
            self._audience = self._choice("audience", document.audience, audiences)
        if not self._is_new:
            self.settle()
        ui.label(self._words("knowledge.body")).classes("field-name")
        self._body = ui.codemirror(
            document.body, on_change=self._on_change, language="Markdown", line_wrapping=True
        )
        self._body.classes("editor tall").mark("body")
        self._questions = ui.textarea(
            self._words("knowledge.questions"), value="\n".join(document.questions), on_change=self._on_change
        ).props("outlined dense autogrow")
        self._questions.classes("w-full dark-input").mark("questions")

    def settle(self) -> None:
        """Once stored, an article keeps its id and its language: they are what its versions hang on."""
        self._id.set_enabled(False)
        self._language.set_enabled(False)

    def written(self) -> Document:
        lines = str(self._questions.value or "").splitlines()
        return replace(
            self._document,
            id=str(self._id.value or "").strip(),
            language=str(self._language.value),
            title=str(self._title.value or "").strip(),
            body=str(self._body.value or "").strip("\n"),
            questions=tuple(line.strip() for line in lines if line.strip()),
            audience=cast("Audience", self._audience.value),
        )

    def _field(self, name: str, value: str) -> ui.input:
        field = ui.input(self._words(f"knowledge.{name}"), value=value, on_change=self._on_change)
        field.props("outlined dense")
        return field.classes("dark-input").mark(name)

    def _choice(self, name: str, value: str, options: dict[str, str]) -> ui.select:
        choice = ui.select(
            options, label=self._words(f"knowledge.{name}"), value=value, on_change=self._on_change
        )
        return choice.props("outlined dense").mark(name)


def language_name(words: Words, code: str) -> str:
    return words(f"language.{code}") if code in _LANGUAGES else code
