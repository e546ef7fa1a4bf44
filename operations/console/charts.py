"""Small pictures of numbers that pages share: a stacked bar, bars, days side by side, a share. Every number also stands in words.

Boxes and our own style, so that they follow light and dark and cost no chart library. `style` once a page, after `frame.draw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nicegui import ui

_STYLE = Path(__file__).parent / "pages" / "charts.css"
_LEAST_SHARE = 1.5
"""Percent: what is there at all can be seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """`tone`: good, accent, warn, bad, or "" for what needs no look."""

    name: str
    number: int
    tone: str = ""


def style() -> None:
    ui.add_css(_STYLE.read_text(encoding="utf-8"))


def stacked(parts: Sequence[Part], *, legend: bool = True) -> None:
    """What became of all, in one line; the legend has the numbers, also those that are 0."""
    total = sum(part.number for part in parts)
    told = ", ".join(f"{part.name} {part.number}" for part in parts)
    with _image("stack", told):
        for part in parts:
            if part.number:
                share = max(_LEAST_SHARE, 100 * part.number / total)
                ui.element("div").classes(f"fill {part.tone}").style(f"flex: {share:.2f} 0 0")
    if legend:
        with ui.element("div").classes("legend"):
            for part in parts:
                with ui.element("div").classes("key" if part.number else "key none"):
                    ui.element("i").classes(f"fill {part.tone}")
                    ui.label(f"{part.name} {part.number:,}")


def bars(parts: Sequence[Part]) -> None:
    """One line each: what, a bar against the largest, the number."""
    most = max((part.number for part in parts), default=0)
    with ui.element("div").classes("bars"):
        for part in parts:
            ui.label(part.name).classes("bar-name")
            with ui.element("div").classes("bar-line"):
                width = max(_LEAST_SHARE, 100 * part.number / most) if part.number else 0
                ui.element("div").classes(f"fill {part.tone}").style(f"width: {width:.2f}%")
            ui.label(f"{part.number:,}").classes("bar-number")


def days(values: Sequence[tuple[str, int]], *, tone: str = "accent") -> None:
    """A column a day, oldest first; the words of a day show when it is pointed at."""
    most = max((number for _, number in values), default=0)
    with _image("days", ", ".join(f"{day}: {number}" for day, number in values if number)):
        for day, number in values:
            height = max(4.0, 100 * number / most) if number else 0
            with ui.element("div").classes("day").tooltip(f"{day} · {number:,}"):
                ui.element("div").classes(f"fill {tone}").style(f"height: {height:.1f}%")


def share(name: str, part: int, whole: int, *, tone: str = "good", nothing: str = "–") -> None:
    """A number as a part of another one, large, with its bar; `nothing` where there is nothing to compare with."""
    percent = f"{100 * part / whole:.0f} %" if whole else nothing
    with ui.element("div").classes("share"):
        ui.label(percent).classes("share-number")
        ui.label(name).classes("quiet")
        with ui.element("div").classes("bar-line"):
            ui.element("div").classes(f"fill {tone}").style(
                f"width: {100 * part / whole if whole else 0:.2f}%"
            )
        ui.label(f"{part:,} / {whole:,}").classes("quiet small")


def number(name: str, value: int, *, tone: str = "") -> None:
    with ui.element("div").classes("share"):
        ui.label(f"{value:,}").classes(f"share-number {tone if value else ''}")
        ui.label(name).classes("quiet")


def _image(classes: str, told: str) -> ui.element:
    made = ui.element("div").classes(classes).props("role=img")
    made.props["aria-label"] = told
    return made
