"""The desk's page: who waits on the left, the conversation in the middle, the whole person on the right.

Called by `console.pages`. The page reads again when the process signals a change, and every two seconds besides,
because another process may have changed something. What did not change is not drawn again.
"""

from __future__ import annotations

from nicegui import events, ui

from foundation import errors
from foundation.live import EVERYTHING, Hub, Signal
from foundation.messages import ConversationId
from operations.console import frame
from operations.console.attachments import FetchAgain
from operations.console.customer.deeds import Deeds
from operations.console.customer.identity_card import IdentityCard
from operations.console.reading import DeskReading, Row, caller
from operations.console.side_panel import SidePanel
from operations.console.talk import Talk
from operations.desk import Desk
from operations.identities.parts import Identities

POLL_SECONDS = 2.0
LONG_WAIT_SECONDS = 300
_GROUPS = (
    ("decide", "desk.decide"),
    ("queue", "desk.queue"),
    ("human", "desk.mine"),
    ("bot", "desk.bot"),
)
_HOT = frozenset({"decide", "queue"})
_KEYS = (
    ("j / k", "next"),
    ("t", "take"),
    ("g", "give"),
    ("r", "reply"),
    ("Ctrl + Enter", "send"),
    ("?", "help"),
)

Shown = tuple[Row, bool, str, bool]
"""A row, whether it is the chosen one, since when, and whether that is long."""


class DeskPage:
    def __init__(
        self, visit: frame.Visit, desk: Desk, reading: DeskReading, hub: Hub, *, fetch_again: FetchAgain,
        parts: Identities, opening: str = "",
    ) -> None:  # fmt: skip
        """`opening`: the conversation that is shown first, for whoever comes from a customer's page."""
        self._visit = visit
        self._words = visit.words
        self._reading = reading
        self._hub = hub
        self._rows: list[Row] = []
        self._chosen: ConversationId | None = None
        self._talk = Talk(visit, desk, on_changed=self._look, on_pane=self._turn_to, fetch_again=fetch_again)
        self._deeds = Deeds(visit, parts, titles=reading.titles, staff={}, on_changed=self._look)
        card = IdentityCard(visit, self._deeds, reading.titles)
        self._side = SidePanel(visit, desk, reading.now, identities=card)
        self._opening = ConversationId(opening)
        self._help: ui.dialog | None = None

    async def draw(self) -> None:
        frame.draw(self._visit, "desk")
        self._deeds.staff = await self._reading.colleagues(self._visit.member.tenant)
        with ui.element("div").classes("grid-desk") as self._grid:
            with ui.element("nav").classes("pane pane-left"):
                self._groups = {group: self._draw_group(group) for group, _ in _GROUPS}
            with ui.element("div").classes("talk"):
                self._talk.draw()
            with ui.element("aside").classes("pane pane-right"):
                self._side.draw(on_back=lambda: self._turn_to("talk"))
        self._turn_to("list")
        # A button that was just clicked keeps the focus, and must not swallow the shortcuts.
        ui.keyboard(self._key, ignore=["input", "select", "textarea"])
        await self._open_first()
        frame.listen(
            self._visit, self._hub, [EVERYTHING], self._refresh, poll_seconds=POLL_SECONDS, on_signal=self._notice
        )  # fmt: skip

    async def _open_first(self) -> None:
        if not self._opening:
            await self._refresh(set())
            return
        try:
            await self._choose(self._opening)
        except errors.NotFound:
            self._chosen = None
            await self._refresh(set())

    def _draw_group(self, group: str) -> tuple[ui.element, frame.Keyed[Shown], ui.label]:
        head = ui.element("div")
        rows = frame.Keyed[Shown](ui.element("div"), self._draw_row)
        nothing = "desk.empty_queue" if group == "queue" else "desk.empty_list"
        return head, rows, ui.label(self._words(nothing)).classes("quiet nothing")

    async def _look(self) -> None:
        await self._refresh(set())

    async def _refresh(self, topics: set[str]) -> None:
        """`topics`: where something changed; empty: anywhere."""
        rows = await self._reading.rows(self._visit.member.tenant)
        if self._chosen is not None and (not topics or self._chosen in topics):
            view = await self._reading.view(self._visit.member.tenant, self._chosen)
            if view.conversation.id == self._chosen:  # another one may have been chosen meanwhile
                self._talk.show(view)
                self._side.show(view)
        self._rows = rows
        self._draw_list()

    def _draw_list(self) -> None:
        now = self._reading.now()
        for group, title in _GROUPS:
            head, keyed, quiet = self._groups[group]
            rows = [row for row in self._rows if _group_of(row) == group]
            head.clear()
            if rows or group != "decide":
                with head:
                    frame.section(self._words(title), len(rows), hot=group in _HOT)
            quiet.set_visibility(not rows and group != "decide")
            shown: list[tuple[str, Shown]] = []
            for row in rows:
                since = row.conversation.waiting_since or row.conversation.updated_at
                is_long = group == "queue" and (now - since).total_seconds() > LONG_WAIT_SECONDS
                is_chosen = row.conversation.id == self._chosen
                value = (row, is_chosen, frame.ago(self._words, since, now), is_long)
                shown.append((row.conversation.id, value))
            keyed.show(shown)

    def _draw_row(self, _key: str, shown: Shown) -> None:
        row, is_chosen, since, is_long = shown
        conversation = row.conversation
        item = ui.element("button").classes("item on" if is_chosen else "item")
        item.on("click", frame.attempt(self._visit, self._choose, conversation.id))
        with item.mark(f"row-{conversation.id}"):
            with ui.element("div").classes("item-top"):
                ui.label(caller(self._words, row.name, conversation.id)).classes("item-name").props(
                    "dir=auto"
                )
                ui.label(since).classes("item-time long" if is_long else "item-time")
            ui.label(row.last_text or self._words.kind(row.last_kind)).classes("item-line").props("dir=auto")
            with ui.element("div").classes("row"):
                frame.badge(row.channel_title(self._words.language), "accent")
                if conversation.handoff_reason:
                    frame.badge(self._words.reason(conversation.handoff_reason), "warn")
                if conversation.holder == "queue" and conversation.priority:
                    frame.badge(self._words("desk.urgent"), "bad")
                if row.approvals:
                    frame.badge(self._words("desk.approval"), "bad")
                if row.holder_name:
                    is_mine = conversation.held_by == self._visit.member.id
                    frame.badge(
                        self._words("desk.me") if is_mine else row.holder_name, "good" if is_mine else ""
                    )

    async def _choose(self, conversation_id: ConversationId) -> None:
        self._chosen = conversation_id
        self._talk.open(conversation_id)
        self._turn_to("talk")
        await self._refresh(set())

    def _turn_to(self, pane: str) -> None:
        """Narrow screens show one pane at a time."""
        self._grid.props(f"data-pane={pane}")

    def _notice(self, signal: Signal) -> None:
        if signal.kind == "typing" and signal.topic == self._chosen and signal.who == "customer":
            self._talk.show_typing()

    async def _key(self, event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if not event.action.keydown or modifiers.ctrl or modifiers.meta or modifiers.alt:
            return
        key = event.key.name
        if key in ("j", "k"):
            await self._step(1 if key == "j" else -1)
        elif key == "t":
            await frame.attempt(self._visit, self._talk.take)()
        elif key == "g":
            await frame.attempt(self._visit, self._talk.give_back)()
        elif key == "r":
            self._talk.focus()
        elif key == "?":
            self._show_keys()

    async def _step(self, by: int) -> None:
        order = [row.conversation.id for group, _ in _GROUPS for row in self._rows if _group_of(row) == group]
        if order:
            at = order.index(self._chosen) + by if self._chosen in order else 0
            await frame.attempt(self._visit, self._choose, order[at % len(order)])()
            ui.run_javascript("document.querySelector('.item.on')?.scrollIntoView({block: 'nearest'})")

    def _show_keys(self) -> None:
        if self._help is None:
            with ui.dialog() as self._help, ui.card().classes("h-dialog"):
                ui.label(self._words("keys.title")).classes("work-title")
                with ui.element("div").classes("keys"):
                    for key, name in _KEYS:
                        ui.label(key).classes("kbd")
                        ui.label(self._words(f"keys.{name}"))
        self._help.open()


def _group_of(row: Row) -> str:
    """What waits for a decision stands on top, unless a person or the queue has it anyway."""
    return "decide" if row.approvals and row.conversation.holder == "bot" else row.conversation.holder
