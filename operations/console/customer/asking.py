"""One dialog for everything that needs a reason: what will happen, the reason, yes or no. Enter says yes, Escape says no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from operations.console import frame

Do = Callable[[str], Awaitable[object]]
After = Callable[[], Awaitable[None]]


class Asking:
    """`draw_more` puts something between the sentence and the reason: a preview, a choice."""

    def __init__(self, visit: frame.Visit, title: str, text: str) -> None:
        self._visit = visit
        self._words = visit.words
        self._title, self._text = title, text

    def open(
        self, do: Do, after: After, *, reason: str = "", draw_more: Callable[[], None] | None = None, wide: bool = False
    ) -> None:  # fmt: skip
        """When `do` raises, the dialog stays with what was written. `after` runs when it is gone, so that the next key a quick
        reader presses is not written into it."""
        words = self._words
        with (
            ui.dialog().props("transition-duration=0") as dialog,
            ui.card().classes("h-dialog asking wide" if wide else "h-dialog asking"),
        ):
            ui.label(self._title).classes("work-title")
            ui.label(self._text).classes("quiet")
            if draw_more is not None:
                draw_more()
            box = ui.input(placeholder=words("customer.reason"), value=reason).props(
                "dense outlined autofocus"
            )
            box.classes("dark-input w-full").mark("asked-reason")

            async def yes() -> None:
                await do(str(box.value or "").strip())
                dialog.close()
                await after()

            box.on("keydown.enter", frame.attempt(self._visit, yes))
            with ui.element("div").classes("row gap end"):
                refuse = ui.button(words("customer.cancel"), on_click=dialog.close, color=None)
                refuse.props("unelevated no-caps dense").classes("btn btn-soft")
                frame.button(self._visit, words("customer.ok"), "", yes, soft=False).mark("asked-yes")
        dialog.on("hide", dialog.delete)
        dialog.open()


def say_done(visit: frame.Visit, text: str) -> None:
    ui.notify(text, type="positive", position="top")
