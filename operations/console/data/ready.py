"""An import before its start: what it would do, which rows stay out and why, what each column is. Any change is shown at once.

`page.py` draws it anew when another import is chosen; `do` is the page's way to the desk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui import ui

from customers.importing import columns
from foundation import errors
from operations.console import charts, frame
from operations.console.charts import Part
from operations.customer_data.desk import ImportDesk
from operations.customer_data.records import Import

OUTCOMES = (
    ("new", "good"), ("updates", "accent"), ("unchanged", ""), ("repeats", ""), ("broken", "bad"),
)  # fmt: skip
SHOWN_PROBLEMS = 10
Deed = Callable[[str], Awaitable[None]]


class ReadyCard:
    def __init__(
        self, visit: frame.Visit, desk: ImportDesk, one: Import, *, start: Deed, discard: Deed, download: Deed
    ) -> None:
        self._visit, self._words = visit, visit.words
        self._desk, self._one = desk, one
        self._start, self._discard, self._download = start, discard, download

    def draw(self) -> None:
        words, one = self._words, self._one
        with ui.element("div").classes("work-head"):
            with ui.element("div").classes("grow"):
                ui.label(one.name).classes("work-title")
                read = words("data.read_as", n=one.sheet["rows"], encoding=one.sheet["encoding"])
                ui.label(read).classes("quiet")
            frame.button(self._visit, words("data.discard"), "delete", self._discard, one.id).mark("discard")
            self._go = frame.button(
                self._visit, words("data.start"), "play_arrow", self._start, one.id, soft=False
            )
            self._go.mark("start")
        self._preview = ui.element("div").classes("sheet")
        self._show(one.preview)
        frame.section(words("data.columns"))
        ui.label(words("data.columns_help")).classes("quiet")
        self._draw_mapping()

    def _show(self, preview: Mapping[str, Any]) -> None:
        self._preview.clear()
        self._go.set_visibility("problem" not in preview)
        with self._preview:
            if "problem" in preview:
                with ui.element("div").classes("card call").mark("preview"):
                    ui.label(self._words.problem(preview["problem"], preview["message"]))
                return
            self._draw_preview(preview)

    def _draw_preview(self, preview: Mapping[str, Any]) -> None:
        words = self._words
        with ui.element("div").classes("card page").mark("preview"):
            charts.stacked([
                Part(words.named("preview", name), int(preview[name]), tone) for name, tone in OUTCOMES
            ])  # fmt: skip
            cleaned = sum(int(change["cells"]) for change in preview["changed"])
            ui.label(words("data.cleaned", n=cleaned)).classes("quiet gap")
            if preview["merges_proposed"]:
                ui.label(words("data.merges", n=preview["merges_proposed"])).classes("quiet")
        if preview["broken"]:
            self._draw_broken(preview)

    def _draw_broken(self, preview: Mapping[str, Any]) -> None:
        words = self._words
        frame.section(words("data.broken"), int(preview["broken"]), hot=True)
        draw_reasons(self._visit, preview)
        with ui.element("div").classes("told broken gap"):
            with ui.element("div").classes("told-head"):
                for name in ("row", "column", "why"):
                    ui.label(words(f"data_head.{name}"))
            for problem in preview["broken_sample"][:SHOWN_PROBLEMS]:
                with ui.element("div"):
                    ui.label(words("data.row", n=problem["row"]))
                    ui.label(problem["column"] or words("data.whole_row"))
                    ui.label(problem[words.language])
        with ui.element("div").classes("row gap"):
            draw_download(self._visit, int(preview["broken"]), self._download, self._one.id)
            if len(preview["broken_sample"]) > SHOWN_PROBLEMS or preview["broken"] > SHOWN_PROBLEMS:
                ui.label(words("data.broken_more", n=SHOWN_PROBLEMS)).classes("quiet")

    def _draw_mapping(self) -> None:
        words, one = self._words, self._one
        names = {"": words("data.left_out_column")} | {
            target.name: target.zh if words.language == "zh" else target.en for target in columns.known()
        }
        self._selects: list[ui.select] = []
        with ui.element("div").classes("told mapping").mark("mapping"):
            with ui.element("div").classes("told-head"):
                for name in ("file", "is", "sample"):
                    ui.label(words(f"data_head.{name}"))
            rows = zip(one.sheet["header"], one.targets, one.sheet["samples"], strict=True)
            for at, (header, target, samples) in enumerate(rows):
                own = columns.custom(header, at)
                options = (
                    names
                    | {own: words("data.custom", name=own)}
                    | ({} if target in names else {target: target})
                )
                with ui.element("div"):
                    ui.label(header).classes("card-title")
                    with ui.element("div"):
                        chosen = ui.select(
                            options, value=target, on_change=frame.attempt(self._visit, self._remap)
                        )
                        chosen.props(f'outlined dense aria-label="{words("data_head.is")} {at + 1}"').classes(
                            "dark-input"
                        )
                    self._selects.append(chosen)
                    ui.label(" · ".join(samples)).classes("quiet")

    async def _remap(self) -> None:
        targets = [str(select.value or "") for select in self._selects]
        try:
            changed = await self._desk.remap(self._visit.member, self._one.id, targets)
        except errors.InvalidInput as error:
            self._show({"problem": error.code, "message": error.public_text})
            return
        self._show(changed.preview)


def draw_reasons(visit: frame.Visit, preview: Mapping[str, Any]) -> None:
    """Why rows stay out, by how many."""
    parts = [
        Part(" · ".join(filter(None, [one["column"], one[visit.words.language]])), int(one["rows"]), "bad")
        for one in preview.get("broken_by", ())
    ]
    if parts:
        with ui.element("div").classes("card page").mark("reasons"):
            charts.bars(parts[:SHOWN_PROBLEMS])


def draw_download(visit: frame.Visit, count: int, download: Deed, import_id: str) -> None:
    if count:
        text = visit.words("data.download", n=count)
        frame.button(visit, text, "download", download, import_id).mark("download")
