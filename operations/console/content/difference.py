"""What an edit changes, for the eye: answers side by side, past versions with their difference from what is live.

The knowledge page and the prompts page call it. A difference is worked out when somebody asks to see it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nicegui import ui

from agent import policy
from operations.console import frame
from operations.console.words import Words
from retrieval.passages import Found
from retrieval.search import Preview

_TONES = {"live": "good", "draft": "warn"}
_VERDICTS = {"answer": "good", "offer": "warn", "no": "bad"}


@dataclass(frozen=True, slots=True)
class Past:
    """One version of a text; `state` is a key of texts.yaml below `version.`."""

    version: int
    state: str
    author: str
    note: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """`compare` returns the lines between the live version and that one; without `roll_back` nobody may."""

    past: Sequence[Past]
    compare: Callable[[int], Awaitable[list[str]]]
    roll_back: Callable[[int], Awaitable[None]] | None


def draw_history(visit: frame.Visit, history: History) -> None:
    if not history.past:
        frame.empty(visit.words("version.none"), "history")
    for one in history.past:
        with ui.element("div").classes("card version"):
            _draw_past(visit, one, history)


def draw_answers(words: Words, previews: Sequence[Preview]) -> None:
    changed = sum(is_changed(one) for one in previews)
    frame.badge(words("knowledge.changed_answers", n=changed), "warn" if changed else "")
    for one in previews:
        with ui.element("div").classes("row question"):
            ui.label(one.question).classes("text-weight-bold")
            key = "knowledge.changed" if is_changed(one) else "knowledge.unchanged"
            frame.badge(words(key), "warn" if is_changed(one) else "")
        with ui.element("div").classes("compare"):
            _draw_answer(words, words("knowledge.before"), one.before)
            _draw_answer(words, words("knowledge.after"), one.after)


def is_changed(preview: Preview) -> bool:
    """Whether a customer would read something else: another text, or an answer in place of none."""
    return _read(preview.before) != _read(preview.after)


def _read(found: Found) -> tuple[str, str, str]:
    verdict = policy.may_answer(found.answerable, policy.Rules())
    if found.best is None or verdict == "no":
        return ("no", "", "")
    return (verdict, found.best.title, found.best.answer)


def _draw_answer(words: Words, side: str, found: Found) -> None:
    verdict, title, answer = _read(found)
    with ui.element("div").classes("card answer"):
        with ui.element("div").classes("row"):
            ui.label(side).classes("quiet")
            frame.badge(words(f"verdict.{verdict}"), _VERDICTS[verdict])
            if title:
                frame.badge(title, "accent")
        if answer:
            ui.markdown(answer).classes("written")
        else:
            ui.label(words("knowledge.no_answer")).classes("quiet")


def _draw_past(visit: frame.Visit, one: Past, history: History) -> None:
    words = visit.words
    with ui.element("div").classes("row"):
        ui.label(f"v{one.version}").classes("text-weight-bold")
        frame.badge(words(f"version.{one.state}"), _TONES.get(one.state, ""))
        ui.label(one.author).classes("quiet")
        if one.at is not None:
            ui.label(f"{one.at.astimezone():%Y-%m-%d %H:%M}").classes("quiet")
        if one.note:
            ui.label(one.note).classes("quiet")
        ui.space()

        async def toggle() -> None:
            if below.default_slot.children:
                below.clear()
                return
            lines = await history.compare(one.version)
            with below:
                frame.show_diff(lines, words("knowledge.same"))

        frame.button(visit, words("version.compare"), "difference", toggle).mark(f"compare-{one.version}")
        if history.roll_back is not None and one.state not in ("live", "draft"):
            text, action = words("knowledge.rollback"), history.roll_back
            frame.button(visit, text, "restore", action, one.version).mark(f"rollback-{one.version}")
    below = ui.element("div")
