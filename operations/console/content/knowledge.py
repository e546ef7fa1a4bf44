"""The knowledge page: articles on the left; on the right the editor, the look, the answers it leads to, its versions.

Called by `console.pages`. A text that was not saved stays in the page while its author looks at other articles, and
when somebody else saved first. Publishing only wishes: the page then watches until the version is live.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Literal

from nicegui import ui

from foundation import errors
from foundation.clock import Clock
from foundation.live import Hub, Signal
from foundation.storage.database import Database
from operations import audit
from operations.console import frame
from operations.console.content import article_list, difference
from operations.console.content.article_form import ArticleForm
from operations.console.content.article_list import ArticleList
from retrieval import articles as content
from retrieval import front_matter
from retrieval.articles import Articles
from retrieval.front_matter import Document
from retrieval.search import KnowledgeBase
from retrieval.versions import Summary

POLL_SECONDS = 5.0
WATCH_SECONDS, WATCH_EVERY = 30.0, 0.3
SUGGESTED_QUESTIONS = 5
MOST_QUESTIONS = 20
_TABS = (
    ("write", "edit_note"),
    ("look", "visibility"),
    ("answers", "question_answer"),
    ("versions", "history"),
)


@dataclass(frozen=True, slots=True)
class _Open:
    """What stands in the editor: the text as stored, and as it was written on over it. Version 0 is a new article."""

    stored: Document
    version: int
    written: Document

    @property
    def place(self) -> tuple[str, str] | None:
        return (self.stored.id, self.stored.language) if self.version else None


class KnowledgePage:
    def __init__(
        self,
        visit: frame.Visit,
        *,
        articles: Articles,
        knowledge: KnowledgeBase,
        database: Database,
        hub: Hub,
        clock: Clock,
    ) -> None:
        self._visit, self._words = visit, visit.words
        self._articles = articles
        self._knowledge = knowledge
        self._database = database
        self._hub = hub
        self._clock = clock
        self._topic = f"knowledge:{visit.member.tenant}"
        self._list = ArticleList(visit, articles, database, on_choose=self._choose, on_new=self._start_new)
        self._open: _Open | None = None
        self._unsaved: dict[tuple[str, str] | None, _Open] = {}
        self._is_guarded = False

    async def draw(self) -> None:
        frame.draw(self._visit, "knowledge")
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                self._list.draw(self._refresh)
            self._work = ui.element("div").classes("pane work")
        with self._work:
            frame.empty(self._words("knowledge.choose"), "menu_book")
        await self._refresh()
        frame.listen(self._visit, self._hub, [self._topic], self._heard, poll_seconds=POLL_SECONDS)

    async def _heard(self, _topics: set[str]) -> None:
        await self._refresh()

    async def _refresh(self) -> None:
        """After a change here, and when another page or process changed something."""
        if await self._list.refresh(
            chosen=self._open.place if self._open else None, unsaved=set(self._unsaved)
        ):
            self._draw_head()

    # The editor

    async def _choose(self, place: tuple[str, str]) -> None:
        self._keep()
        newest = await self._articles.get(self._visit.member.tenant, *place)
        await self._show(self._unsaved.get(place) or _Open(newest.document, newest.version, newest.document))

    async def _start_new(self) -> None:
        self._keep()
        blank = Document(id="", language=self._words.language, title="", body="")
        await self._show(self._unsaved.get(None) or _Open(blank, 0, blank))

    async def _show(self, chosen: _Open) -> None:
        self._open = chosen
        self._form = ArticleForm(
            self._words, chosen.written, is_new=chosen.version == 0, on_change=self._touched
        )
        self._work.clear()
        with self._work:
            self._head = ui.element("div").classes("row")
            with ui.element("div").classes("row work-bar"):
                with ui.tabs(on_change=self._turn).props("dense no-caps inline-label") as self._tabs:
                    for name, symbol in _TABS:
                        ui.tab(name, self._words(f"knowledge.tab_{name}"), symbol).mark(f"tab-{name}")
                ui.space()
                self._draw_actions()
            self._notice = ui.element("div").classes("w-full")
            for name, draw in (
                ("write", self._form.draw),
                ("look", self._draw_look),
                ("answers", self._draw_ask),
                ("versions", self._draw_versions_place),
            ):
                with ui.element("div").classes("sheet") as sheet:
                    draw()
                sheet.bind_visibility_from(self._tabs, "value", value=name)
            self._tabs.set_value("write")
        await self._refresh()
        self._draw_head()

    def _keep(self) -> None:
        """Remembers what was written and not saved."""
        if self._open is None:
            return
        written = self._form.written()
        if written == self._open.stored:
            self._unsaved.pop(self._open.place, None)
        else:
            self._unsaved[self._open.place] = replace(self._open, written=written)

    def _touched(self) -> None:
        """Tells the browser when there is something to lose, and when there no longer is."""
        if self._open is None:
            return
        is_unsaved = self._form.written() != self._open.stored or any(
            place != self._open.place for place in self._unsaved
        )
        if is_unsaved != self._is_guarded:
            self._is_guarded = is_unsaved
            frame.warn_before_leaving(is_unsaved)

    def _draw_head(self) -> None:
        if self._open is None:
            return
        row = self._list.find(self._open.place)
        self._withdraw_button.set_visibility(
            bool(row and row.live_version is not None) and self._visit.member.may("knowledge.publish")
        )
        self._head.clear()
        with self._head:
            ui.label(row.title if row else self._words("knowledge.new")).classes("work-title")
            if row:
                article_list.draw_badges(self._words, row)
                ui.label(row.id).classes("quiet")

    def _draw_actions(self) -> None:
        may_publish = self._visit.member.may("knowledge.publish")
        for name, symbol, action, is_allowed in (
            ("withdraw", "visibility_off", self._withdraw, may_publish),
            ("save", "save", self._save, self._visit.member.may("knowledge.edit")),
            ("publish", "publish", self._publish, may_publish),
        ):
            button = frame.button(
                self._visit, self._words(f"knowledge.{name}"), symbol, action, soft=name != "publish"
            )
            button.mark("save-draft" if name == "save" else name).set_visibility(is_allowed)
            if name == "withdraw":
                self._withdraw_button = button

    def _draw_look(self) -> None:
        self._look = ui.markdown().classes("written card page")

    def _draw_ask(self) -> None:
        assert self._open is not None
        ui.label(self._words("knowledge.preview_hint")).classes("quiet")
        suggested = "\n".join(self._open.written.questions[:SUGGESTED_QUESTIONS])
        self._ask = ui.textarea(value=suggested).props("outlined dense autogrow").classes("w-full dark-input")
        self._ask.mark("ask")
        frame.button(
            self._visit, self._words("knowledge.preview"), "compare_arrows", self._preview, soft=False
        ).mark("preview")
        self._answers = ui.element("div").classes("answers")

    def _draw_versions_place(self) -> None:
        self._past = ui.element("div").classes("w-full")

    async def _turn(self) -> None:
        if self._tabs.value == "look":
            written = self._form.written()
            self._look.set_content(f"# {written.title}\n\n{written.body}")
        elif self._tabs.value == "versions":
            await frame.attempt(self._visit, self._draw_versions)()

    # What the buttons do

    async def _save(self) -> None:
        if self._open is None:
            return
        self._visit.member.require("knowledge.edit")
        if await self._save_draft() is not None:
            self._say("knowledge.saved", version=self._open.version)

    async def _save_draft(self) -> int | None:
        """The version, or None when somebody else was quicker: then the page shows both texts and keeps ours."""
        assert self._open is not None
        written = self._form.written()
        try:
            version = await self._articles.save_draft(
                self._visit.member.tenant,
                written,
                author=self._visit.member.name,
                based_on=self._open.version,
            )
        except errors.Conflict:
            await self._show_conflict(written)
            return None
        await self._record("knowledge.saved", written, version)
        self._unsaved.pop(self._open.place, None)
        self._open = _Open(written, version, written)
        self._notice.clear()
        self._form.settle()
        self._touched()
        await self._changed()
        return version

    async def _show_conflict(self, written: Document) -> None:
        newest = await self._articles.get(self._visit.member.tenant, written.id, written.language)
        place = (written.id, written.language)

        async def keep_mine() -> None:
            self._open = _Open(newest.document, newest.version, self._form.written())
            await self._save()

        async def take_theirs() -> None:
            self._open = None
            self._unsaved.pop(place, None)
            await self._choose(place)

        is_new = self._open is not None and self._open.version == 0
        self._notice.clear()
        with self._notice, ui.element("div").classes("card call"):
            key = "knowledge.exists" if is_new else "knowledge.conflict"
            ui.label(self._words(key, version=newest.version, author=newest.author))
            unified = content.difference(newest.document, written, names=(newest.author, "…")).unified
            frame.show_diff(unified.splitlines(), self._words("knowledge.same"))
            with ui.element("div").classes("row"):
                for name, action in (("keep_mine", keep_mine), ("take_theirs", take_theirs)):
                    frame.button(self._visit, self._words(f"knowledge.{name}"), "", action).mark(name)

    async def _publish(self) -> None:
        if self._open is None:
            return
        self._visit.member.require("knowledge.publish")
        if self._open.version == 0 or self._form.written() != self._open.stored:
            self._visit.member.require("knowledge.edit")
            if await self._save_draft() is None:
                return
        document, version = self._open.stored, self._open.version
        started = time.perf_counter()
        await self._articles.publish(self._visit.member.tenant, document.id, document.language, version)
        await self._record("knowledge.published", document, version)
        await self._watch(document, version, started)

    async def _watch(self, document: Document, version: int, started: float) -> None:
        """The wish is stored already; this only tells the person when customers get the new text."""
        self._notice.clear()
        with self._notice, ui.element("div").classes("row card progress"):
            spinner = ui.spinner(size="sm")
            label = ui.label(self._words("knowledge.published", version=version))
        await self._changed()
        while (passed := time.perf_counter() - started) < WATCH_SECONDS and not label.is_deleted:
            row = await self._find_row(document)
            if row is not None and row.live_version == version:
                milliseconds = round((time.perf_counter() - started) * 1000)
                label.set_text(self._words("knowledge.live_now", version=version, milliseconds=milliseconds))
                break
            await asyncio.sleep(WATCH_EVERY if passed else 0)
        else:
            label.set_text(self._words("knowledge.slow"))
        spinner.set_visibility(False)
        await self._changed()

    async def _find_row(self, document: Document) -> Summary | None:
        rows = await self._articles.catalogue(self._visit.member.tenant)
        return next((row for row in rows if (row.id, row.language) == (document.id, document.language)), None)

    async def _withdraw(self) -> None:
        if self._open is None:
            return
        self._visit.member.require("knowledge.publish")
        document = self._open.stored
        await self._articles.withdraw(self._visit.member.tenant, document.id, document.language)
        await self._record("knowledge.withdrawn", document, self._open.version)
        self._say("knowledge.withdrawn")
        await self._changed()

    async def _preview(self) -> None:
        lines = [line.strip() for line in str(self._ask.value or "").splitlines()]
        questions = [line for line in lines if line][:MOST_QUESTIONS]
        if not questions:
            self._say("knowledge.preview_hint", kind="warning")
            return
        draft = front_matter.check(self._form.written(), self._form.written().id or "article")
        previews = await self._knowledge.preview(self._visit.member.tenant, draft, questions)
        self._answers.clear()
        with self._answers:
            difference.draw_answers(self._words, previews)

    async def _draw_versions(self) -> None:
        assert self._open is not None
        self._past.clear()
        tenant, place = self._visit.member.tenant, self._open.place
        found = await self._articles.history(tenant, *place) if place else []
        live = next((one.version for one in found if one.state == "live"), None)

        async def compare(version: int) -> list[str]:
            assert place is not None
            old = version if live is None else live
            return (await self._articles.compare(tenant, *place, old=old, new=version)).unified.splitlines()

        may = self._visit.member.may("knowledge.publish")
        past = [
            difference.Past(one.version, one.state, one.author, one.note, one.created_at) for one in found
        ]
        with self._past:
            difference.draw_history(
                self._visit, difference.History(past, compare, self._roll_back if may else None)
            )

    async def _roll_back(self, to: int) -> None:
        self._visit.member.require("knowledge.publish")
        if self._open is None or self._open.place is None:
            return
        if self._form.written() != self._open.stored and await self._save_draft() is None:
            return  # what was written is never lost to a roll back: it becomes a draft first
        member, place, started = self._visit.member, self._open.place, time.perf_counter()
        version = await self._articles.roll_back(member.tenant, *place, to=to, author=member.name)
        newest = await self._articles.get(member.tenant, *place, version)
        await self._record("knowledge.rolled_back", newest.document, version)
        await self._show(_Open(newest.document, version, newest.document))
        self._say("knowledge.rolled_back")
        await self._watch(newest.document, version, started)

    async def _changed(self) -> None:
        """Other open pages look again as well."""
        self._hub.tell(Signal("changed", self._topic))
        await self._refresh()
        self._draw_head()
        if self._tabs.value == "versions":
            await self._draw_versions()

    async def _record(self, action: str, document: Document, version: int) -> None:
        member, subject, now = self._visit.member, f"{document.id}|{document.language}", self._clock()
        await self._database.write(
            lambda connection: audit.write(
                connection, member.tenant, actor=member.id, action=action, subject=subject, now=now,
                detail={"version": version},
            )
        )  # fmt: skip

    def _say(self, key: str, *, kind: Literal["positive", "warning"] = "positive", **values: object) -> None:
        with self._work:
            ui.notify(self._words(key, **values), type=kind, position="top")
