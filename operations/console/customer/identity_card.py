"""A customer's identities with their badges: proven, likely with score and reasons, only claimed; and the warning that belongs to
what is likely. Drawn by the desk's side panel and by the customer's page.

Shows what it is given and asks `Deeds` to do something; what is masked is opened there, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from nicegui import ui

from operations.console import frame
from operations.console.customer import naming
from operations.console.customer.deeds import Deeds
from operations.console.reading import Titles
from operations.identities.badges import Badge
from operations.identities.person import Claimed, Named

HANDED_ON = ("phone", "email")
"""Names that somebody else may have one day."""

_TONES: dict[Badge, str] = {
    "proven": "good", "channel": "accent", "stated": "accent", "likely": "warn", "device": "warn", "unvouched": "",
}  # fmt: skip


class IdentityCard:
    def __init__(self, visit: frame.Visit, deeds: Deeds, titles: Titles) -> None:
        self._visit = visit
        self._words = visit.words
        self._deeds = deeds
        self._titles = titles

    def draw(self, customer: str, identities: Sequence[Named], now: datetime) -> None:
        words = self._words
        frame.section(words("customer.identities"), len(identities) or None)
        if any(one.pair for one in identities):
            with ui.element("div").classes("card call disclose").props("role=alert").mark("do-not-disclose"):
                ui.icon("visibility_off")
                ui.label(words("customer.do_not_disclose"))
        for one in identities:
            with ui.element("div").classes(f"card identity {one.badge}").mark(f"identity-{one.id}"):
                self._draw_one(customer, one, now)

    def draw_claims(self, customer: str, claims: Sequence[Claimed], now: datetime) -> None:
        if not claims:
            return
        words = self._words
        frame.section(words("customer.claims"), len(claims))
        ui.label(words("customer.claims_help")).classes("quiet small")
        for one in claims:
            with ui.element("div").classes("card identity claimed").mark(f"claim-{one.id}"):
                with ui.element("div").classes("row between"):
                    self._draw_value(customer, f"claim:{one.id}", one.namespace, one.value, masked=True)
                    frame.badge(words("badge.claimed"))
                ui.label(self._age(one.at, now)).classes("quiet small")

    def _draw_one(self, customer: str, one: Named, now: datetime) -> None:
        words = self._words
        with ui.element("div").classes("row between"):
            self._draw_value(customer, f"identity:{one.id}", one.namespace, one.value, masked=one.is_masked)
            with ui.element("div").classes("row badges"):
                if one.shared:
                    frame.badge(words("customer.shared"), "bad")
                self._draw_badge(one)
        facts = [self._age(one.last_seen, now)]
        if one.talks:
            facts.append(words("customer.split_talks", n=one.talks))
        if one.badge == "stated":
            facts.append(words("customer.linked_by", name=naming.of_author(words, self._visit_staff, one.by)))
        ui.label(" · ".join(facts)).classes("quiet small")
        if one.explanation is not None:
            naming.draw_reasons(words, one.explanation.reasons)
        if self._visit.member.may("desk.reply"):
            if one.pair is not None:
                self._draw_buttons(one)
            if one.namespace in HANDED_ON:
                self._button("customer.new_holder", partial(self._deeds.new_holder, one.id)).mark(
                    f"new-holder-{one.id}"
                )

    def _draw_badge(self, one: Named) -> None:
        words = self._words
        if one.badge == "likely" and one.score is not None:
            frame.badge(words("customer.score", score=percent(one.score)), _TONES[one.badge])
        else:
            frame.badge(words(f"badge.{one.badge}"), _TONES[one.badge])

    def _draw_value(self, customer: str, what: str, namespace: str, value: str, *, masked: bool) -> None:
        with ui.element("div").classes("row no-wrap identity-name"):
            ui.label(naming.of_namespace(self._words, self._titles, namespace)).classes("quiet small")
            ui.label(value).classes("card-title").props("dir=auto")
            if masked and self._visit.member.may("desk.reply"):
                show = partial(self._deeds.open_value, customer, what)
                frame.icon("visibility", self._words("customer.open"), show).classes("tiny").mark(
                    f"open-{what}"
                )

    def _draw_buttons(self, one: Named) -> None:
        pair = one.pair
        assert pair is not None
        with ui.element("div").classes("row gap"):
            if one.badge != "stated":
                self._button("customer.confirm", partial(self._deeds.confirm, pair)).mark(f"confirm-{one.id}")
                self._button("customer.reject", partial(self._deeds.reject, pair)).mark(f"reject-{one.id}")
            elif one.op is not None:
                self._button("customer.undo", partial(self._deeds.undo, one.op)).mark(f"undo-{one.id}")

    def _button(self, key: str, action: Callable[[], None]) -> ui.button:
        made = ui.button(self._words(key), on_click=action, color=None)
        return made.props("unelevated no-caps dense").classes("btn btn-soft small-btn")

    def _age(self, moment: datetime, now: datetime) -> str:
        if (now - moment).total_seconds() < 60:
            return self._words("customer.just_now")
        return self._words("customer.since", ago=frame.ago(self._words, moment, now))

    @property
    def _visit_staff(self) -> naming.Staff:
        return self._deeds.staff


def percent(score: float) -> str:
    """Never 100 %: it is a guess."""
    return f"{min(score, 0.9999):.2%}" if score >= 0.99 else f"{score:.0%}"
