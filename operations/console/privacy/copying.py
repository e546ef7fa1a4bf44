"""The card that makes a copy of a customer's data: with a reason, and then downloads as a page, as JSON, or with all files.

What is listed below is of all customers, because whoever handed a copy out is asked for it by its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from nicegui import ui

from customers.privacy.copy_records import Copy
from operations.console import frame
from operations.console.customer.asking import Asking, say_done
from operations.console.privacy.card import Card
from operations.console.privacy.erasing import grouped
from operations.privacy.copying import CopyDesk, Format

FORMATS: tuple[tuple[Format, str], ...] = (
    ("html", "article"),
    ("json", "data_object"),
    ("zip", "folder_zip"),
)


@dataclass(frozen=True, slots=True)
class _Row:
    copy: Copy
    by: str


class CopyCard(Card[CopyDesk]):
    def draw(self) -> None:
        frame.section(self._words("copy.title"))
        ui.label(self._words("copy.help")).classes("quiet")
        self._make = frame.button(self._visit, self._words("copy.make"), "file_copy", self._ask)
        self._make.classes("gap").mark("copy-make")
        self.forget()
        self._none = ui.label(self._words("copy.none")).classes("quiet nothing")
        self._list = frame.Keyed[_Row](ui.element("div").mark("copies"), self._draw_row)

    async def choose(self, customer: str) -> None:
        self._customer = customer
        self._make.enable()

    def forget(self) -> None:
        self._customer = ""
        self._make.disable()

    async def refresh(self) -> None:
        found = await self._desk.newest(self._visit.member)
        self._none.set_visibility(not found)
        self._list.show([(one.id, _Row(one, self._staff.get(one.actor, one.actor))) for one in found])

    async def _ask(self) -> None:
        async def do(reason: str) -> None:
            await self._desk.make(self._visit.member, self._customer, reason=reason)

        Asking(self._visit, self._words("copy.ask"), self._words("copy.ask_help")).open(do, self._done)

    async def _done(self) -> None:
        say_done(self._visit, self._words("copy.done"))
        await self.refresh()

    def _draw_row(self, _key: str, row: _Row) -> None:
        one, words = row.copy, self._words
        with ui.element("div").classes("card").mark("copy"):
            with ui.element("div").classes("row"):
                ui.icon("file_copy").style("font-size: 20px; color: var(--accent)")
                ui.label(one.id).classes("card-title")
                frame.badge(words("copy.until", day=f"{one.expires_at:%Y-%m-%d}"), "warn")
            ui.label(f"{one.made_at:%Y-%m-%d %H:%M} UTC · {row.by} · {one.reason}").classes("quiet").props(
                "dir=auto"
            )
            with ui.element("div").classes("row"):
                for group, rows in grouped(one.counts).items():
                    frame.badge(f"{words.named('erased', group)} {rows}")
            with ui.element("div").classes("row gap"):
                for format, symbol in FORMATS:
                    frame.button(
                        self._visit, words.named("copy_format", format), symbol, partial(self._download, one.id, format)
                    ).classes("small-btn").mark(f"copy-{format}")  # fmt: skip

    async def _download(self, copy_id: str, format: Format) -> None:
        found = await self._desk.download(
            self._visit.member, copy_id, format=format, language=self._words.language
        )
        ui.download.content(found.content, found.name, found.media_type)
