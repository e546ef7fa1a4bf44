"""What the data page shows before anything is chosen: how an import goes, and a sample to try it with."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from customers.importing import files
from operations.console import frame

SAMPLES = Path(files.__file__).parent / "samples"
_STEPS = (("upload_file", "drop"), ("fact_check", "check"), ("play_circle", "start"))


def draw(visit: frame.Visit) -> None:
    words = visit.words
    with ui.element("div").classes("teach"):
        ui.label(words("data.teach")).classes("work-title")
        with ui.element("div").classes("steps"):
            for at, (symbol, name) in enumerate(_STEPS, 1):
                with ui.element("div"):
                    ui.icon(symbol)
                    ui.label(f"{at}. {words(f'teach.{name}')}").classes("card-title")
                    ui.label(words(f"teach.{name}_help")).classes("quiet")
        with ui.element("div").classes("row"):
            frame.button(visit, words("data.sample"), "download", _fetch, visit).mark("sample")
            ui.label(words("data.sample_help")).classes("quiet")


async def _fetch(visit: frame.Visit) -> None:
    """With the mark by which spreadsheets know UTF-8."""
    name = f"customers-{visit.words.language}.csv"
    ui.download.content(b"\xef\xbb\xbf" + (SAMPLES / name).read_bytes(), name, "text/csv")
