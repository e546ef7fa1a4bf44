"""The customer's page: search on the left, the whole person on the right.

Called by `console.pages` for /console/customers and /console/customers/<id>; an id of any time leads to the customer of today.
The page reads again when something changes; what did not change is not drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from nicegui import events, ui

from customers.profile.profile import Profile
from foundation import errors
from foundation.live import EVERYTHING, Hub
from foundation.storage.database import Database
from operations.console import frame
from operations.console.customer.deeds import Deeds, draw_hit
from operations.console.customer.identity_card import IdentityCard
from operations.console.customer.order_cards import draw_orders
from operations.console.customer.profile_card import ProfileCard
from operations.console.customer.timeline import Timeline
from operations.console.reading import DeskReading, Orders, Titles
from operations.identities.names import Hit
from operations.identities.parts import Identities
from operations.identities.person import Whole, likely_ids

POLL_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class _Section:
    """Drawn again when `value` is another."""

    value: object
    draw: Callable[[], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the profile's card shows."""

    profile: Profile | None
    now: datetime
    titles: Titles
    likely: frozenset[str]


class CustomersPage:
    def __init__(
        self, visit: frame.Visit, parts: Identities, reading: DeskReading, *, database: Database, hub: Hub, name: str,
    ) -> None:  # fmt: skip
        self._visit = visit
        self._words = visit.words
        self._parts = parts
        self._reading = reading
        self._database = database
        self._hub = hub
        self._name = name
        self._whole: Whole | None = None

    async def draw(self) -> None:
        frame.draw(self._visit, "customers")
        staff = await self._reading.colleagues(self._visit.member.tenant)
        titles = self._reading.titles
        self._deeds = Deeds(
            self._visit, self._parts, titles=titles, staff=staff, on_changed=lambda: self._refresh(set())
        )
        self._identities = IdentityCard(self._visit, self._deeds, titles)
        self._timeline = Timeline(self._visit, self._deeds, titles)
        self._profile = ProfileCard(self._words, on_open=self._open_fact)
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                self._draw_search()
            self._work = ui.element("div").classes("pane work person")
        ui.keyboard(self._key, ignore=["input", "select", "textarea"])
        if self._name:
            await self._show_first()
        else:
            with self._work:
                frame.empty(self._words("customer.teach"), "person_search")

    def _draw_search(self) -> None:
        words = self._words
        if not self._visit.member.may("desk.reply"):
            return
        self._search = ui.input(placeholder=words("customer.find")).props("dense outlined clearable")
        self._search.classes("dark-input w-full").mark("customer-search")
        self._search.on("keydown.enter", frame.attempt(self._visit, self._look))
        ui.label(words("customer.find_help")).classes("quiet small nothing")
        self._hits = ui.element("div").classes("hits")

    async def _look(self) -> None:
        hits = await self._parts.names.find(self._visit.member, str(self._search.value or ""))
        self._hits.clear()
        if len(hits) == 1:
            ui.navigate.to(_address(hits[0].customer_id))
            return
        with self._hits:
            frame.section(self._words("customer.found"), len(hits))
            if not hits:
                ui.label(self._words("customer.found_none")).classes("quiet nothing").mark("found-none")
            for one in hits:
                draw_hit(self._words, one, frame.attempt(self._visit, partial(_go, one)))

    async def _show_first(self) -> None:
        with self._work:
            self._head = frame.Keyed[_Section](ui.element("div").classes("person-head"), _draw)
            with ui.element("div").classes("person-grid"):
                self._left = frame.Keyed[_Section](ui.element("div").classes("sections"), _draw)
                self._right = frame.Keyed[_Section](ui.element("div").classes("sections"), _draw)
        try:
            await self._refresh(set())
        except errors.NotFound as error:
            self._work.clear()
            with self._work:
                frame.empty(self._words.problem(error.code, error.public_text), "person_off")
            return
        frame.listen(self._visit, self._hub, [EVERYTHING], self._refresh, poll_seconds=POLL_SECONDS)

    async def _refresh(self, _topics: set[str]) -> None:
        tenant = self._visit.member.tenant
        whole = await self._database.read(lambda c: self._parts.reading.whole(c, tenant, self._name))
        orders = await self._reading.orders_of(tenant, whole.account)
        self._whole = whole
        self._show(whole, orders)

    def _show(self, whole: Whole, orders: Orders) -> None:
        now, customer = self._reading.now(), whole.customer_id
        known = _Known(whole.profile, now, self._reading.titles, likely_ids(whole.identities))
        minute = now.replace(second=0, microsecond=0)
        self._head.show(
            [
                (
                    "head",
                    _Section(
                        (whole.name, whole.account, customer, len(whole.identities)),
                        partial(self._draw_head, whole),
                    ),
                )
            ]
        )
        self._left.show([
            ("identities", _Section((whole.identities, minute), partial(self._identities.draw, customer, whole.identities, now))),
            ("conflicts", _Section(whole.conflicts, partial(self._draw_conflicts, whole))),
            ("claims", _Section((whole.claims, minute), partial(self._identities.draw_claims, customer, whole.claims, now))),
            ("history", _Section(whole.history, partial(self._timeline.draw_history, whole.history))),
            ("talks", _Section((whole.talks, minute), partial(self._timeline.draw_talks, whole.talks, now))),
        ])  # fmt: skip
        self._right.show([
            ("matters", _Section((whole.open_matters, minute), partial(self._timeline.draw_matters, whole.open_matters, now))),
            ("profile", _Section(self._profile.key(known), partial(self._profile.draw, known))),
            ("orders", _Section(orders, partial(draw_orders, self._words, orders))),
        ])  # fmt: skip

    def _draw_head(self, whole: Whole) -> None:
        words = self._words
        with ui.element("div").classes("row between"):
            with ui.element("div").classes("row"):
                ui.label(whole.name or words("customer.unknown")).classes("work-title").props(
                    "dir=auto"
                ).mark("person-name")
                if whole.account:
                    frame.badge(whole.account, "accent")
            if self._visit.member.may("desk.reply"):
                with ui.element("div").classes("row"):
                    for key, symbol, action in (
                        ("customer.link", "link", self._link), ("customer.split", "call_split", self._split),
                    ):  # fmt: skip
                        made = ui.button(words(key), icon=symbol, on_click=action, color=None)
                        made.props("unelevated no-caps dense").classes("btn btn-soft").mark(key)
                        made.set_enabled(action == self._link or len(whole.identities) > 1)

    def _draw_conflicts(self, whole: Whole) -> None:
        reasons = dict.fromkeys(one.suppressed for one in whole.conflicts)
        for reason in reasons:
            with ui.element("div").classes("card conflict").mark(f"conflict-{reason}"):
                why = self._words.named("refused", reason)
                ui.label(self._words("customer.conflict", why=why))

    def _link(self) -> None:
        if self._whole is not None:
            self._deeds.link(self._whole.customer_id)

    def _split(self) -> None:
        if self._whole is not None and len(self._whole.identities) > 1:
            self._deeds.split(self._whole.identities)

    def _open_fact(self, attribute: str) -> None:
        if self._whole is not None:
            self._deeds.open_value(self._whole.customer_id, f"fact:{attribute}")

    async def _key(self, event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if not event.action.keydown or modifiers.ctrl or modifiers.meta or modifiers.alt:
            return
        if not self._visit.member.may("desk.reply"):
            return
        if event.key == "/":
            ui.run_javascript("document.querySelector('.pane-left input')?.focus()")
        elif event.key == "l":
            self._link()
        elif event.key == "s":
            self._split()


def _draw(_key: str, section: _Section) -> None:
    section.draw()


def _address(customer: str) -> str:
    return f"/customers/{customer}"


async def _go(hit: Hit) -> None:
    ui.navigate.to(_address(hit.customer_id))
