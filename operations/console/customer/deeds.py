"""What staff can do to a customer's identities, as dialogs: confirm, reject, link, split, undo, open a value. Each asks for a reason.

The desk's side panel and the customer's page open them. What a link or split would do is shown before it is done; the doing
is `operations/identities/desk.py`, which checks and writes the audit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from nicegui import ui

from customers.graph.operations import Preview
from foundation import errors
from operations.console import frame
from operations.console.customer.asking import Asking, say_done
from operations.console.customer.choice import Choice
from operations.console.reading import Titles
from operations.identities import masks
from operations.identities.names import Hit
from operations.identities.parts import Identities
from operations.identities.person import Named

Changed = Callable[[], Awaitable[None]]


class Deeds:
    """`on_changed` is called when something was done. `staff`: names of colleagues by id."""

    def __init__(
        self, visit: frame.Visit, parts: Identities, *, titles: Titles, staff: Mapping[str, str], on_changed: Changed
    ) -> None:  # fmt: skip
        self._visit = visit
        self._words = visit.words
        self._parts = parts
        self._titles = titles
        self.staff = staff
        self._on_changed = on_changed

    def confirm(self, pair: tuple[str, str]) -> None:
        async def do(reason: str) -> None:
            await self._parts.desk.link(self._visit.member, *pair, reason=reason)

        self._ask("confirm").open(do, self._done)

    def reject(self, pair: tuple[str, str]) -> None:
        async def do(reason: str) -> None:
            await self._parts.desk.keep_apart(self._visit.member, *pair, reason=reason)

        self._ask("reject").open(do, self._done)

    def undo(self, number: int) -> None:
        async def do(reason: str) -> None:
            await self._parts.desk.undo(self._visit.member, number, reason=reason)

        self._ask("undo").open(do, self._done)

    def open_value(self, customer: str, what: str) -> None:
        words = self._words

        found: list[str] = []

        async def do(reason: str) -> None:
            found.append(await self._parts.names.open(self._visit.member, customer, what, reason=reason))

        async def show() -> None:
            with ui.dialog() as shown, ui.card().classes("h-dialog"):
                ui.label(words("customer.opened")).classes("quiet")
                ui.label(found[-1]).classes("work-title opened").mark("opened-value")
            shown.open()

        Asking(self._visit, words("customer.open"), words("customer.open_help")).open(do, show)

    def split(self, identities: Sequence[Named]) -> None:
        choice = Choice(self._visit, self._parts.desk, self._titles, identities)

        async def do(reason: str) -> None:
            await self._parts.desk.split(self._visit.member, sorted(choice.chosen), reason=reason)

        self._ask("split").open(do, self._done, draw_more=choice.draw, wide=True)

    def new_holder(self, identity: str) -> None:
        async def do(reason: str) -> None:
            await self._parts.desk.new_holder(self._visit.member, identity, reason=reason)

        self._ask("new_holder").open(do, self._done)

    def link(self, customer: str) -> None:
        words = self._words
        found: dict[str, Any] = {"other": ""}

        def draw() -> None:
            search = ui.input(placeholder=words("customer.find")).props("dense outlined clearable")
            search.classes("dark-input w-full").mark("link-search")
            place = ui.element("div").classes("hits")

            async def look() -> None:
                hits = await self._parts.names.find(self._visit.member, str(search.value or ""))
                others = [one for one in hits if one.customer_id != customer]
                place.clear()
                with place:
                    if not others:
                        ui.label(words("customer.found_none")).classes("quiet")
                    for one in others:
                        draw_hit(words, one, frame.attempt(self._visit, choose, one, place))

            search.on("keydown.enter", frame.attempt(self._visit, look))

        async def choose(hit: Hit, place: ui.element) -> None:
            preview = await self._parts.desk.preview_link(self._visit.member, customer, hit.customer_id)
            found["other"] = hit.customer_id
            place.clear()
            with place:
                draw_hit(words, hit, None)
                self._draw_together(preview)

        async def do(reason: str) -> None:
            if not found["other"]:
                raise errors.InvalidInput("Choose the other customer first.", code="nobody_chosen")
            await self._parts.desk.link(self._visit.member, customer, found["other"], reason=reason)

        self._ask("link").open(do, self._done, draw_more=draw, wide=True)

    def _ask(self, deed: str) -> Asking:
        titles = {
            "confirm": ("customer.confirm_title", "customer.confirm_help"), "reject": ("customer.reject_title", "customer.reject_help"),
            "undo": ("customer.undo_title", "customer.undo_help"), "split": ("customer.split_title", "customer.split_help"),
            "link": ("customer.link_title", "customer.link_help"),
            "new_holder": ("customer.new_holder_title", "customer.new_holder_help"),
        }  # fmt: skip
        title, text = titles[deed]
        return Asking(self._visit, self._words(title), self._words(text))

    async def _done(self) -> None:
        say_done(self._visit, self._words("customer.done"))
        await self._on_changed()

    def _draw_together(self, preview: Preview) -> None:
        words = self._words
        if preview.refused:
            why = words.named("refused", preview.refused)
            ui.label(words("review.cannot", why=why)).classes("card call").mark("link-refused")
            return
        names = sum(len(side.members) for side in preview.sides)
        talks = sum(len(side.conversations) for side in preview.sides)
        ui.label(words("customer.link_chosen", identities=names, talks=talks)).classes("quiet").mark(
            "link-preview"
        )


def draw_hit(words: Any, hit: Hit, action: Callable[[], Awaitable[None]] | None) -> None:
    item = ui.element("button").classes("item").props("type=button")
    if action is not None:
        item.on("click", action)
    with item.mark(f"hit-{hit.customer_id}"):
        with ui.element("div").classes("item-top"):
            ui.label(hit.name or words("customer.unknown")).classes("item-name").props("dir=auto")
            if hit.account:
                ui.label(masks.mask("account", hit.account)).classes("item-time")
        kinds = "、" if words.language == "zh" else ", "
        by = kinds.join(words.named("name_of", one) for one in hit.by)
        told = words("customer.found_by", kinds=by, identities=hit.identities, talks=hit.conversations)
        ui.label(told).classes("quiet small")
