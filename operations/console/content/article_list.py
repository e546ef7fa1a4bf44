"""The list of articles beside the editor: search, badges, what is chosen, what was written and not saved.

Drawn by `knowledge`. Only rows that changed are drawn again, so that it does not flicker under a reader.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from foundation.storage.database import Database
from operations.console import frame
from operations.console.content.article_form import language_name
from operations.console.words import Words
from retrieval import versions
from retrieval.articles import Articles
from retrieval.passages import simplified
from retrieval.versions import Summary

Place = tuple[str, str]
"""An article's id and its language."""

Shown = tuple[Summary, bool, bool]
"""A row, whether it is the chosen one, whether it has a text that was not saved."""


class ArticleList:
    def __init__(
        self,
        visit: frame.Visit,
        articles: Articles,
        database: Database,
        *,
        on_choose: Callable[[Place], Awaitable[None]],
        on_new: Callable[[], Awaitable[None]],
    ) -> None:
        self._tenant = visit.member.tenant
        self._visit, self._words = visit, visit.words
        self._articles = articles
        self._database = database
        self._on_choose = on_choose
        self._on_new = on_new
        self._rows: list[Summary] = []
        self._listed: object = None

    def draw(self, refresh: Callable[[], Awaitable[None]]) -> None:
        with ui.element("div").classes("row find no-wrap"):
            self._find = ui.input(placeholder=self._words("knowledge.search"), on_change=refresh)
            self._find.props("outlined dense clearable debounce=250").classes("grow dark-input").mark(
                "search"
            )
            frame.icon("add", self._words("knowledge.new"), self._on_new)
        self._head = ui.element("div")
        self._nothing = ui.label().classes("quiet nothing")
        self._keyed = frame.Keyed[Shown](ui.element("div"), self._draw_row)

    def find(self, place: Place | None) -> Summary | None:
        """As the catalogue stood at the last refresh."""
        return next((row for row in self._rows if (row.id, row.language) == place), None)

    async def refresh(self, *, chosen: Place | None, unsaved: set[Place | None]) -> bool:
        """Whether anything is drawn anew."""
        self._rows = await self._articles.catalogue(self._tenant)
        shown = await self._matching(str(self._find.value or "").strip())
        listed = (self._rows, shown, chosen, unsaved)
        if listed == self._listed:
            return False
        self._listed = listed
        self._head.clear()
        with self._head:
            frame.section(self._words("nav.knowledge"), len(shown))
        self._nothing.set_text(self._words("knowledge.not_found" if self._rows else "knowledge.empty"))
        self._nothing.set_visibility(not shown)
        self._keyed.show(
            [
                (f"{row.language} {row.id}", (row, place == chosen, place in unsaved))
                for row in shown
                for place in ((row.id, row.language),)
            ]
        )
        return True

    async def _matching(self, wanted: str) -> list[Summary]:
        """Every word stands in the title, the id or the text, in Traditional or Simplified characters."""
        if not wanted:
            return self._rows
        served = await self._database.read(
            lambda connection: versions.documents_to_serve(connection, self._tenant)
        )
        texts = {(one.id, one.language): f"{one.body} {' '.join(one.questions)}" for one, _ in served}
        words = simplified(wanted).casefold().split()

        def matches(row: Summary) -> bool:
            text = f"{row.title} {row.id} {texts.get((row.id, row.language), '')}"
            return all(word in simplified(text).casefold() for word in words)

        return [row for row in self._rows if matches(row)]

    def _draw_row(self, _key: str, shown: Shown) -> None:
        row, is_chosen, is_unsaved = shown
        choose = frame.attempt(self._visit, self._on_choose, (row.id, row.language))
        item = ui.element("button").classes("item on" if is_chosen else "item").on("click", choose)
        with item.mark(f"article-{row.language}-{row.id}"):
            with ui.element("div").classes("item-top"):
                ui.label(row.title).classes("item-name").props("dir=auto")
            with ui.element("div").classes("row"):
                draw_badges(self._words, row)
                if is_unsaved:
                    frame.badge(self._words("knowledge.unsaved"), "bad")


def draw_badges(words: Words, row: Summary) -> None:
    frame.badge(language_name(words, row.language), "accent")
    if row.audience != "public":
        frame.badge(words(f"audience.{row.audience}"))
    if row.live_version is not None:
        frame.badge(f"{words('knowledge.live')} v{row.live_version}", "good")
    if row.wanted_version is not None:
        frame.badge(words("knowledge.on_its_way"), "warn")
    elif row.live_version != row.last_version:
        frame.badge(f"{words('knowledge.draft')} v{row.last_version}", "warn")
