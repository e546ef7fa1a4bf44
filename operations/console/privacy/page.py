"""The privacy page: a customer is searched on the left; on the right one card for each thing they may ask about their data.

Called by `console.pages`, which gives the cards as one list. A card draws itself anew for the customer that was chosen, and
what it did before stands below it whether or not anybody is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from nicegui import ui

from foundation.live import Hub
from operations.console import frame
from operations.console.customer.deeds import draw_hit
from operations.console.privacy.card import Card
from operations.identities.names import Hit, Names

POLL_SECONDS = 1.0


class PrivacyPage:
    def __init__(self, visit: frame.Visit, names: Names, cards: Sequence[Card[Any]], *, hub: Hub) -> None:
        self._visit = visit
        self._words = visit.words
        self._names = names
        self._cards = cards
        self._hub = hub

    async def draw(self) -> None:
        frame.draw(self._visit, "privacy")
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                self._draw_search()
            with ui.element("div").classes("pane work"):
                for card in self._cards:
                    card.draw()
        for card in self._cards:
            card.on_gone = self._forget
        await self._refresh(set())
        frame.listen(self._visit, self._hub, [], self._refresh, poll_seconds=POLL_SECONDS)

    def _draw_search(self) -> None:
        self._search = ui.input(placeholder=self._words("customer.find")).props("dense outlined clearable")
        self._search.classes("dark-input w-full").mark("privacy-search")
        self._search.on("keydown.enter", frame.attempt(self._visit, self._look))
        ui.label(self._words("customer.find_help")).classes("quiet small nothing")
        self._hits = ui.element("div").classes("hits")

    async def _look(self) -> None:
        hits = await self._names.find(self._visit.member, str(self._search.value or ""))
        self._show(hits)
        if len(hits) == 1:
            await self._choose(hits[0])

    def _show(self, hits: Sequence[Hit]) -> None:
        self._hits.clear()
        with self._hits:
            frame.section(self._words("customer.found"), len(hits))
            if not hits:
                ui.label(self._words("customer.found_none")).classes("quiet nothing").mark("found-none")
            for one in hits:
                draw_hit(self._words, one, frame.attempt(self._visit, partial(self._choose, one)))

    def _forget(self) -> None:
        """What was found says who it was."""
        self._search.value = ""
        self._hits.clear()
        for card in self._cards:
            card.forget()

    async def _choose(self, hit: Hit) -> None:
        for card in self._cards:
            await card.choose(hit.customer_id)

    async def _refresh(self, _changed: set[str]) -> None:
        for card in self._cards:
            await card.refresh()
