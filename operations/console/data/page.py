"""The data page: a table of customers is dropped in, its columns are looked at and mapped, what would happen is shown, then started.

Called by `console.pages`. Nothing is changed before the start; afterwards the page follows how far it is. Numbers stand as words
beside their colour. The rows that stay out come as a file with the reason of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nicegui import events, ui

from foundation.clock import Clock
from foundation.live import Hub
from operations.console import charts, frame
from operations.console.charts import Part
from operations.console.data import ready, teach
from operations.customer_data import tables
from operations.customer_data.desk import ImportDesk, Whole
from operations.customer_data.records import Import

POLL_SECONDS = 1.0
TONES = {
    "ready": "accent",
    "queued": "warn",
    "running": "warn",
    "done": "good",
    "partly": "bad",
    "failed": "bad",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """As it is listed; `when` changes with the minutes."""

    whole: Whole
    chosen: bool
    when: str


class DataPage:
    def __init__(self, visit: frame.Visit, desk: ImportDesk, *, hub: Hub, clock: Clock) -> None:
        self._visit, self._words = visit, visit.words
        self._member = visit.member
        self._desk = desk
        self._hub = hub
        self._clock = clock
        self._chosen = ""
        self._rows: list[Whole] = []
        self._state: frame.Keyed[Whole] | None = None

    async def draw(self) -> None:
        frame.draw(self._visit, "data")
        charts.style()
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                self._draw_drop()
                frame.section(self._words("data.past"))
                self._none = ui.label(self._words("data.past_none")).classes("quiet nothing")
                self._keyed = frame.Keyed[_Row](ui.element("div"), self._draw_row)
            self._work = ui.element("div").classes("pane work")
        with self._work:
            teach.draw(self._visit)
        await self._refresh(set())
        frame.listen(self._visit, self._hub, [], self._refresh, poll_seconds=POLL_SECONDS)

    def _draw_drop(self) -> None:
        upload = ui.upload(
            label=self._words("data.drop"), auto_upload=True, max_file_size=self._desk.largest,
            on_upload=self._bring, on_rejected=self._refuse,
        )  # fmt: skip
        hint = self._words("data.drop_help", n=self._desk.largest // 1_000_000)
        upload.props("flat accept=.csv,.tsv,.txt").classes("w-full drop").mark("drop")
        upload.style["--hint"] = f"'{hint}'"

    async def _refresh(self, _changed: set[str]) -> None:
        self._rows = await self._desk.newest(self._member.tenant)
        self._none.set_visibility(not self._rows)
        now = self._clock()
        self._keyed.show([
            (row.one.id, _Row(row, row.one.id == self._chosen, frame.ago(self._words, row.one.created_at, now)))
            for row in self._rows
        ])  # fmt: skip
        row = self._find()
        if row is not None and self._state is not None:
            self._state.show([("state", row)])

    def _find(self) -> Whole | None:
        return next((row for row in self._rows if row.one.id == self._chosen), None)

    def _draw_row(self, _key: str, row: _Row) -> None:
        one, done = row.whole.one, row.whole.progress
        choose = frame.attempt(self._visit, self._choose, one.id)
        item = ui.element("button").classes("item on" if row.chosen else "item").on("click", choose)
        with item.mark(f"import-{one.state}"):
            with ui.element("div").classes("item-top"):
                ui.label(one.name).classes("item-name")
                ui.label(row.when).classes("item-time")
            with ui.element("div").classes("row"):
                self._draw_state_badge(one)
                ui.label(self._words("data.rows", n=one.sheet["rows"])).classes("item-line")
            if one.state not in ("ready", "queued"):
                charts.stacked(self._outcomes(row.whole), legend=False)
            if done.aside:
                frame.badge(self._words.named("import_state", "partly"), "bad")

    def _draw_state_badge(self, one: Import) -> None:
        frame.badge(self._words.named("import_state", one.state), TONES[one.state])

    def _outcomes(self, row: Whole) -> list[Part]:
        done, words = row.progress, self._words
        waits = done.rows - done.done
        parts = [
            Part(words.named("preview", "new"), done.added, "good"),
            Part(words.named("preview", "updates"), done.updated, "accent"),
            Part(words.named("preview", "unchanged"), done.unchanged),
            Part(words.named("preview", "broken"), done.left_out, "bad"),
        ]
        return [*parts, Part(words("data.waiting"), waits, "warn")] if waits and done.aside else parts

    async def _bring(self, event: events.UploadEventArguments) -> None:
        content, name = await event.file.read(), event.file.name

        async def bring() -> None:
            made = await self._desk.bring(self._member, name, content)
            await self._choose(made.id)

        await frame.attempt(self._visit, bring)()
        event.sender.reset()  # type: ignore[attr-defined]  # the sender of an upload is one

    def _refuse(self) -> None:
        ui.notify(
            self._words("data.refused", n=self._desk.largest // 1_000_000), type="negative", position="top"
        )

    async def _choose(self, import_id: str) -> None:
        self._chosen, self._state = import_id, None
        self._work.clear()
        await self._refresh(set())
        row = self._find()
        with self._work:
            if row is None:
                teach.draw(self._visit)
            elif row.one.state == "ready":
                ready.ReadyCard(
                    self._visit, self._desk, row.one, start=self._start, discard=self._discard,
                    download=self._download,
                ).draw()  # fmt: skip
            else:
                self._state = frame.Keyed[Whole](ui.element("div").classes("sheet"), self._draw_progress)
        await self._refresh(set())

    def _draw_progress(self, _key: str, row: Whole) -> None:
        done, words, one = row.progress, self._words, row.one
        with ui.element("div").classes("row"):
            ui.label(one.name).classes("work-title")
            self._draw_state_badge(one)
        with ui.element("div").classes("card page gap"):
            ended = one.state == "done"
            share = done.done / done.rows if done.rows else float(ended)
            if not ended:
                ui.linear_progress(share, show_value=False).props("rounded size=10px").mark("bar")
            ui.label(words("data.progress", done=done.done, rows=done.rows)).classes("card-title gap")
            ui.label(_when(one)).classes("quiet small")
            with ui.element("div").classes("gap"):
                charts.stacked(self._outcomes(row))
            for batch in done.aside:
                ui.label(
                    words("data.aside", first=batch.first_row, last=batch.last_row, error=batch.error)
                ).classes("quiet gap")
            if done.aside or one.state == "failed":
                frame.button(self._visit, words("data.retry"), "replay", self._retry, one.id).classes("gap")
        if done.left_out:
            frame.section(words("data.broken"), done.left_out, hot=True)
            ready.draw_reasons(self._visit, one.preview)
            ready.draw_download(self._visit, done.left_out, self._download, one.id)
            ui.label(words("data.mend")).classes("quiet")

    # What is done

    async def _start(self, import_id: str) -> None:
        await self._desk.start(self._member, import_id, key=f"page-{import_id}")
        await self._choose(import_id)

    async def _discard(self, import_id: str) -> None:
        await self._desk.discard(self._member, import_id)
        await self._choose("")

    async def _retry(self, import_id: str) -> None:
        await self._desk.retry(self._member, import_id)
        await self._refresh(set())

    async def _download(self, import_id: str) -> None:
        self._member.require("customers.edit")
        found = await self._desk.get(self._member.tenant, import_id)
        lines = [tables.left_out_head(found.sheet["header"])]
        async for number, body in self._desk.left_out(self._member.tenant, import_id):
            lines.append(tables.left_out_line(number, body))
        ui.download.content("".join(lines).encode(), f"left-out-{import_id}.csv", tables.MEDIA_TYPE)


def _when(one: Import) -> str:
    def moment(value: datetime | None) -> str:
        return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"

    return " → ".join(filter(None, [moment(one.started_at), moment(one.ended_at)]))
