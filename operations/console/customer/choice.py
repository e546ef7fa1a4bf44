"""The part of the split's dialog that chooses: identities with a box each, and what would go where, shown before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nicegui import events, ui

from customers.graph.operations import Preview
from operations.console import frame
from operations.console.customer import naming
from operations.console.reading import Titles
from operations.identities import masks
from operations.identities.desk import IdentityDesk
from operations.identities.person import Named


class Choice:
    """`chosen`: the identities that are somebody else."""

    def __init__(
        self, visit: frame.Visit, desk: IdentityDesk, titles: Titles, identities: Sequence[Named]
    ) -> None:
        self._visit = visit
        self._words = visit.words
        self._desk = desk
        self._titles = titles
        self._identities = identities
        self.chosen: set[str] = set()

    def draw(self) -> None:
        with ui.element("div").classes("choices"):
            for one in self._identities:
                name = naming.of_namespace(self._words, self._titles, one.namespace)
                box = ui.checkbox(f"{name} · {one.value}", on_change=partial(self._choose, one.id))
                box.mark(f"choose-{one.id}")
        self._preview = ui.element("div").classes("compare preview")
        self._teach()

    async def _choose(self, name: str, event: events.ValueChangeEventArguments[bool]) -> None:
        if event.value:
            self.chosen.add(name)
        else:
            self.chosen.discard(name)
        if not 0 < len(self.chosen) < len(self._identities):
            self._teach()
            return
        preview = await self._desk.preview_split(self._visit.member, sorted(self.chosen))
        self._preview.clear()
        with self._preview:
            for goes in (False, True):
                self._draw_side(preview, goes=goes)

    def _teach(self) -> None:
        self._preview.clear()
        with self._preview:
            ui.label(self._words("customer.split_choose")).classes("quiet small")

    def _draw_side(self, preview: Preview, *, goes: bool) -> None:
        words = self._words
        sides = [side for side in preview.sides if any(one.id in self.chosen for one in side.members) is goes]
        with ui.element("div").classes("card side").mark("side-goes" if goes else "side-stays"):
            key = "customer.split_goes" if goes else "customer.split_stays"
            frame.badge(words(key), "warn" if goes else "good")
            for side in sides:
                for one in side.members:
                    name = naming.of_namespace(words, self._titles, one.namespace)
                    ui.label(f"{name} · {masks.mask(one.namespace, one.value)}").props("dir=auto")
                ui.label(words("customer.split_talks", n=len(side.conversations))).classes("quiet small")
