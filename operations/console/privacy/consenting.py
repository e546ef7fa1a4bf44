"""The card of what a customer agrees to: each purpose with how it stands, who said so and when, and a change with a reason."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from customers.privacy import consents
from customers.privacy.consent_records import Statement
from customers.privacy.consents import Effective
from operations.console import frame
from operations.console.customer.asking import Asking, say_done
from operations.console.privacy.card import Card
from operations.privacy.consenting import ConsentDesk, ConsentLook

SYMBOLS = {
    "service": "support_agent", "quality": "fact_check", "profiling": "insights", "marketing": "campaign", "training": "model_training",
    "guardian": "family_restroom",
}  # fmt: skip
HISTORY = 12


class ConsentCard(Card[ConsentDesk]):
    def draw(self) -> None:
        frame.section(self._words("consent.title"))
        ui.label(self._words("consent.help")).classes("quiet")
        self._box = ui.element("div").classes("w-full").mark("consents")
        self.forget()

    async def choose(self, customer: str) -> None:
        self._customer = customer
        look = await self._desk.look(self._visit.member, customer)
        self._box.clear()
        with self._box:
            self._draw_look(look)

    async def refresh(self) -> None:
        """What customers agree to changes seldom: choosing them again shows it."""

    def forget(self) -> None:
        self._customer = ""
        self._box.clear()
        with self._box, ui.element("div").classes("card page"):
            ui.label(self._words("consent.choose")).classes("quiet")

    def _draw_look(self, look: ConsentLook) -> None:
        words = self._words
        if look.now.child:
            with ui.element("div").classes("card disclose").mark("consent-child"):
                ui.icon("child_care")
                ui.label(words("consent.child", age=consents.under_age()))
        with ui.element("div").classes("facts").mark("purposes"):
            for one in look.now.purposes.values():
                if one.purpose != consents.GUARDIAN or look.now.child or one.said is not None:
                    self._draw_purpose(look, one)
        if not look.now.child:
            frame.button(
                self._visit, words("consent.is_child"), "child_care", partial(self._ask, look, consents.GUARDIAN, "refused")
            ).mark("consent-is-child")  # fmt: skip
        frame.section(words("consent.history"), len(look.history))
        if not look.history:
            ui.label(words("consent.history_none")).classes("quiet nothing")
        for said in look.history[:HISTORY]:
            with ui.element("div").classes("row no-wrap"):
                frame.badge(
                    words.named("consent_state", said.state), "good" if said.state == "granted" else "bad"
                )
                ui.label(f"{self._title(said.purpose)} · {self._told(said)}").classes("quiet small").props(
                    "dir=auto"
                )

    def _draw_purpose(self, look: ConsentLook, one: Effective) -> None:
        words, purpose = self._words, consents.purposes()[one.purpose]
        with ui.element("div").classes("card fact").mark(f"purpose-{one.purpose}"):
            with ui.element("div").classes("row"):
                ui.icon(SYMBOLS[one.purpose]).style("font-size: 20px; color: var(--accent)")
                ui.label(self._title(one.purpose)).classes("card-title")
                frame.badge(
                    words("consent.yes" if one.allowed else "consent.no"), "good" if one.allowed else "bad"
                )
                if one.likely:
                    frame.badge(words("consent.likely"), "warn")
            ui.label(purpose.covers[words.language]).classes("quiet small")
            told = words.named("consent_because", one.because)
            ui.label(told if one.said is None else self._told(one.said)).classes("quiet small").props(
                "dir=auto"
            )
            if purpose.optional:
                state = "withdrawn" if one.because == "granted" else "refused" if one.allowed else "granted"
                label = words("consent.refuse" if one.allowed else "consent.agree")
                frame.button(self._visit, label, "block" if one.allowed else "check", partial(self._ask, look, one.purpose, state)).classes(
                    "small-btn"
                ).mark(f"change-{one.purpose}")  # fmt: skip
            else:
                ui.label(words("consent.needed")).classes("quiet small")

    def _title(self, purpose: str) -> str:
        return consents.purposes()[purpose].title[self._words.language]

    def _told(self, said: Statement) -> str:
        who = self._staff.get(said.actor, said.actor)
        return " · ".join(
            filter(None, [self._words.named("consent_source", said.source), who, f"{said.at:%Y-%m-%d %H:%M} UTC", said.reason])
        )  # fmt: skip

    async def _ask(self, look: ConsentLook, purpose: str, state: str) -> None:
        words = self._words

        async def do(reason: str) -> None:
            await self._desk.change(
                self._visit.member, self._customer, purpose=purpose, state=state, reason=reason, identity=look.identity_id
            )  # fmt: skip

        async def after() -> None:
            say_done(self._visit, words("consent.done"))
            await self.choose(self._customer)

        asked = words("consent.ask", purpose=self._title(purpose), state=words.named("consent_state", state))
        Asking(
            self._visit, asked, words.named("consent_effect", f"{purpose}_{state == 'granted'}".lower())
        ).open(do, after)
